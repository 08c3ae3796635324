/* How likely a text goes on with a piece of the vocabulary: an n-gram model over tokens, with
 * backing off (docs/model.md, "Language model"). Immutable after loading: any thread may read.
 */
#ifndef EARSHOT_MODEL_LANGUAGE_H
#define EARSHOT_MODEL_LANGUAGE_H

#include "base/error.h"
#include "model/gguf.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LANGUAGE_ORDER_MAX = 6,
    LANGUAGE_END = 0, /* the token that begins and ends a text */
};

struct language;

/* The end of a text, as far as the model knows it: at[n - 1] is the entry of its last n tokens. */
struct language_context {
    uint32_t at[LANGUAGE_ORDER_MAX - 1];
};

/* The arrays stay in g. *out is NULL where the file has none. 0 or -errno, the message names the
 * culprit. */
int language_load(struct language **out, const struct gguf *g, size_t vocab, struct error *error);
void language_destroy(struct language *l);

float language_weight(const struct language *l); /* of ln p beside what is heard */
float language_bonus(const struct language *l);  /* a token, on the scale of weighted ln p */

/* A text that has not begun. */
void language_begin(const struct language *l, struct language_context *context);
/* ln p(token | before), token < vocab; LANGUAGE_END: that the text ends. after, which may be
 * before: the text with the token. */
float language_next(const struct language *l, const struct language_context *before, uint32_t token,
                    struct language_context *after);

#endif
