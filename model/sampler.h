/* Chooses the next token: the likeliest (greedy), or one drawn as the public RWKV pipeline draws.
 * Three things: what the model file says (decoding), what somebody asks for (sampler_config), what
 * moves from token to token (sampler). Belongs to the thread that uses the backend; allocates at
 * create only.
 */
#ifndef EARSHOT_MODEL_SAMPLER_H
#define EARSHOT_MODEL_SAMPLER_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DECODING_LIST_MAX = 16,
    DECODING_TOKENS_MAX = 1 << 16, /* the longest text that anybody may ask for */
};

/* How the texts of a model end, and what is never in them. */
struct decoding {
    uint32_t ban[DECODING_LIST_MAX];
    size_t ban_count;
    uint32_t stop[DECODING_LIST_MAX];
    size_t stop_count;
    size_t max_tokens; /* of one text */
};

/* The largest logit that is not banned, the lowest id on a tie. logits: backend memory [vocab];
 * banned ones are overwritten with -inf. */
uint32_t decoding_greedy(const struct decoding *d, struct backend *be, float *logits, size_t vocab);
bool decoding_stops(const struct decoding *d, uint32_t id);

struct sampler_config {
    float temperature;       /* 0: greedy */
    float top_p;             /* the likeliest tokens that together have it; 1: all, 0: the first */
    uint32_t top_k;          /* of those the first k; 0: all */
    float presence_penalty;  /* taken from the logit of a token that the text has already */
    float frequency_penalty; /* and for every time that it has it */
    float penalty_decay;     /* what a time counts for one token later */
    uint64_t seed;           /* the same seed, the same text; 0: another one every time */
    uint32_t max_tokens;     /* 0: the model's own */
};

struct sampler_config sampler_config_default(void); /* greedy */
/* 0, or -EINVAL with the name, the value and the range of what is wrong. */
int sampler_config_check(const struct sampler_config *c, struct error *error);

struct sampler;

/* d and t (NULL: every token counts for the penalties) must outlive the sampler. 0 or -ENOMEM. */
int sampler_create(struct sampler **out, struct backend *be, const struct decoding *d,
                   const struct tokenizer *t, size_t vocab);
void sampler_destroy(struct sampler *s);

/* A text begins: nothing said so far, the generator seeded. */
void sampler_begin(struct sampler *s, const struct sampler_config *c);
/* The next token of the text. logits: backend memory [vocab], as decoding_greedy leaves them; all
 * that leaves the backend is the token. */
uint32_t sampler_next(struct sampler *s, float *logits);
size_t sampler_max_tokens(const struct sampler *s); /* of the text that was begun */
/* Whether it makes tokens likelier that the text has. */
bool sampler_is_fond(const struct sampler *s);

/* What the next token would be drawn from; nothing moves. logits: backend memory [vocab];
 * probabilities: host [vocab]. Temperature 0 gives a single 1. */
void sampler_probabilities(struct sampler *s, const float *logits, float *probabilities);

#endif
