/* The letters of a text that grows by tokens, heard beside the tokens themselves: sums over CTC's
 * paths through the rows of the encoder's letters, one row at a time, for all texts of a tree.
 *
 *     letter i of a text:   paths that end with it, and with the blank behind it
 *     a text's likelihood:  of the paths that read as a beginning of it, as what follows may be
 * heard later; in the end of those that read as all of it
 *
 * Between words is one space, whatever the text writes there: the spelling of training/aligned.py.
 * Host arithmetic; allocates at create only.
 */
#ifndef EARSHOT_MODEL_SPELLING_H
#define EARSHOT_MODEL_SPELLING_H

#include "model/letters.h"
#include "model/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SPELLED_MAX = 12, /* letters of a token, with the space before them; others are left out */
};

/* Every token's letters. Immutable after create: any thread may read. */
struct spelling;

/* *out is NULL, without an error, where no class is a space. 0 or -ENOMEM. */
int spelling_create(struct spelling **out, const struct letters *letters,
                    const struct tokenizer *tokenizer);
void spelling_destroy(struct spelling *s);

/* What a token adds to the letters of the text before it. Sums are on a scale of the caller's. */
struct spelled {
    size_t count;
    bool begun; /* the text has letters, here or before */
    bool gap;   /* a space is due before the next one */
    uint16_t class[SPELLED_MAX];
    float letter[SPELLED_MAX], blank[SPELLED_MAX];
    float likelihood; /* of the text up to here */
};

/* A text without letters, before the first row. */
void spelled_begin(struct spelled *x);
/* A token more: no row has heard it yet. */
void spelled_go_on(struct spelled *x, const struct spelled *before, const struct spelling *s,
                   uint32_t token);
/* Nothing comes before x any more: where it has no letters, it takes the last one of `before`. */
void spelled_cut(struct spelled *x, const struct spelled *before);

/* The next row. p [classes]: probabilities, 0 the blank, on the caller's scale; before: the nearest
 * text before x that has letters, which has not taken the row yet; NULL: none. */
void spelled_hear(struct spelled *x, const struct spelled *before, const float *p);
/* From that of the text before it, 0.0f: there is none. */
void spelled_weigh(struct spelled *x, float before);
/* Of the paths that read as all of it; x has letters. */
float spelled_whole(const struct spelled *x);

#endif
