/* A text after a prompt, a token a call, from a fork of what was heard or asked. Whoever decodes
 * puts the fork where it begins, then: decode_begin, decode_next until it is false, decode_end.
 * Between two calls a group (decode_group.h) may take the last tokens of several texts into
 * their states at once. Thread of the backend; allocates at init only.
 */
#ifndef EARSHOT_PIPELINE_DECODE_H
#define EARSHOT_PIPELINE_DECODE_H

#include "model/hearing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DECODE_IDS_MAX = 1024,  /* ids of a text that are kept */
    DECODE_GIVEN_MAX = 256, /* of a text that is computed */
};

struct decode {
    const struct model *model;
    struct backbone_scratch *scratch;
    struct state *fork;
    struct sampler *sampler;
    float *logits;     /* backend memory [vocab] */
    uint32_t *ids;     /* [DECODE_IDS_MAX], of the text, owned */
    struct text *text; /* not owned */
    bool (*cancelled)(void *user);
    void *user;

    uint64_t begin_us; /* clock */
    size_t tokens;
    double surprise;                  /* summed over them */
    bool whole;                       /* it has not been cancelled */
    bool stopped;                     /* it ended with a stop token, not at its length */
    uint32_t given[DECODE_GIVEN_MAX]; /* ids that come instead of the sampler's, which is sure */
    size_t given_count, given_taken;
    uint32_t last;              /* id of the text, */
    bool untaken;               /* which the state has not taken yet */
    struct decode_group *group; /* that has the state, at the slot; NULL: none, it is the fork */
    size_t slot;

    uint64_t all_tokens, all_us; /* of all texts */
};

/* cancelled is looked at between tokens. 0 or -ENOMEM; decode_finish takes what is half made. */
int decode_init(struct decode *d, struct hearing *hearing, struct text *text,
                bool (*cancelled)(void *user), void *user);
void decode_finish(struct decode *d);

void decode_begin(struct decode *d, const struct prompt *prompt,
                  const struct sampler_config *sampling);
/* The text that has begun will be this one, in a confidence of 1, whatever the model would say; it
 * becomes part of the state as the model's own does. Of more ids than DECODE_GIVEN_MAX the rest is
 * the model's. */
void decode_give(struct decode *d, const char *text, size_t size);
/* False: the text has ended, is as long as it can be, or was cancelled. */
bool decode_next(struct decode *d);
/* Whether the last tokens, 4 to 32 of them, came three times in a row: so a model goes on for ever.
 */
bool decode_circles(const struct decode *d);
/* Drops a character that is unfinished, so that no text holds half of one. False: cancelled. */
bool decode_end(struct decode *d);
/* For who goes on from the fork: it takes the last token of a text that has ended and was not
 * cancelled. */
void decode_settle(struct decode *d);

/* Of the logits: the state has taken the last token. */
void decode_took_last(struct decode *d);

float decode_confidence(const struct decode *d);   /* mean probability of the tokens (geometric) */
size_t decode_text_tokens(const struct decode *d); /* without the stop token */

uint64_t decode_now_us(void); /* the clock of begin_us */

#endif
