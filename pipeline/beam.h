/* The likeliest text that rows of CTC give, joined with a language model: prefix beam search
 * (Graves 2012; Hannun et al. 2014). A text is scored by
 *
 *     ln p(text | rows) + weight ln p(text | language) + bonus tokens + weight ln p(letters | their
 * rows)
 *
 * The letters, where they are joined, are heard BEAM_LETTERS_LAG rows late: a token's come before
 * the row that gives it.
 *
 * What all texts of the beam begin with is settled, and so is what is old: it stays, and is taken
 * token by token. Host arithmetic; one thread at a time; allocates at create only.
 */
#ifndef EARSHOT_PIPELINE_BEAM_H
#define EARSHOT_PIPELINE_BEAM_H

#include "model/language.h"
#include "model/spelling.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BEAM_SETTLED_ROWS = 16, /* a token so many rows old stays, whatever the other texts say */
    BEAM_OPEN_MAX = BEAM_SETTLED_ROWS + 1, /* tokens that are not settled */
    BEAM_LETTERS_LAG = 24,                 /* rows of letters */
};

struct beam;

/* A token of the text. */
struct beam_token {
    uint32_t id;
    uint64_t row;      /* that brought it, from 0 */
    float probability; /* of it in that row, or a better one that it lasted to; above 0 */
};

/* What a beam knows of the texts; it outlives the beam. */
struct beam_config {
    size_t vocab;
    const struct language *language; /* NULL: none */
    const struct spelling *spelling; /* NULL: letters are not joined */
    size_t letters;                  /* classes of a row of theirs */
    float letters_weight;
};

/* 0 or -ENOMEM. */
int beam_create(struct beam **out, const struct beam_config *config);
void beam_destroy(struct beam *b);

void beam_begin(struct beam *b);
/* The rows and texts of another, made like it. */
void beam_copy(struct beam *to, const struct beam *from);
/* The next row: host [vocab], log probabilities, token 0 the blank. */
void beam_row(struct beam *b, const float *logs);
/* The next row of letters, before the row of tokens that has seen it: host [letters], log
 * probabilities, letter 0 the blank. */
void beam_letters(struct beam *b, const float *logs);
/* No row follows: the likeliest text that ends here is settled. */
void beam_end(struct beam *b);
/* The next token that has been settled, each once, to be taken after every row. False: none. */
bool beam_take(struct beam *b, struct beam_token *token);
/* What follows what has been settled in the likeliest text: its tokens into `tokens`
 * [BEAM_OPEN_MAX], their count. */
size_t beam_open(const struct beam *b, struct beam_token *tokens);

#endif
