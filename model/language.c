/* The n-grams are a tree of arrays: level n has those of n tokens, sorted, and the children of an
 * entry, which go on from it with one token more, lie side by side in level n + 1. Probabilities
 * and back-off weights are bytes. All of it is read where it lies in the file's metadata.
 */
#include "model/language.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_MAX = 64,
    ORDER_MIN = 2,
};

#define NOWHERE UINT32_MAX

static const float nats = 1.0f / 16.0f; /* of a byte */

struct level {
    size_t count;
    const unsigned char *tokens;   /* u16 [count]; NULL on the first level: each in its place */
    const unsigned char *costs;    /* [count]: -ln p */
    const unsigned char *backoffs; /* [count]: -ln weight; NULL on the last level */
    const unsigned char *children; /* u32 [count + 1]: where they begin; NULL on the last level */
};

struct language {
    size_t order;
    float weight, bonus;
    struct level levels[LANGUAGE_ORDER_MAX];
};

static uint32_t token_at(const struct level *v, size_t i)
{
    uint16_t token;
    memcpy(&token, v->tokens + i * sizeof(token), sizeof(token));
    return token;
}

static uint32_t child_at(const struct level *v, size_t i)
{
    uint32_t child;
    memcpy(&child, v->children + i * sizeof(child), sizeof(child));
    return child;
}

/* A file that lacks a part of what it has begun with contradicts itself. */
static int required(int rc)
{
    return rc == -ENOENT ? -EINVAL : rc;
}

/* An array of level n: its data and its count, which has to be *count unless that is 0. */
static int read_array(const struct gguf *g, size_t n, const char *name, enum gguf_type type,
                      const unsigned char **data, size_t *count, struct error *error)
{
    char key[KEY_MAX];
    const void *found;
    size_t items;
    snprintf(key, sizeof(key), "earshot.language.%zu.%s", n, name);
    int rc = gguf_get_array(g, key, type, &found, &items, error);
    if (rc)
        return required(rc);
    if (*count && items != *count)
        return error_set(error, -EINVAL, "%s: %s has %zu items, not %zu", gguf_path(g), key, items,
                         *count);
    if (items == 0 || items >= NOWHERE)
        return error_set(error, -EINVAL, "%s: %s has %zu items", gguf_path(g), key, items);
    *data = found;
    *count = items;
    return 0;
}

static int read_level(struct language *l, const struct gguf *g, size_t n, size_t vocab,
                      struct error *error)
{
    struct level *v = &l->levels[n - 1];
    v->count = n == 1 ? vocab : 0;
    int rc = n == 1 ? 0 : read_array(g, n, "pieces", GGUF_U16, &v->tokens, &v->count, error);
    if (!rc)
        rc = read_array(g, n, "costs", GGUF_U8, &v->costs, &v->count, error);
    if (rc || n == l->order)
        return rc;
    size_t ends = v->count + 1;
    rc = read_array(g, n, "backoffs", GGUF_U8, &v->backoffs, &v->count, error);
    return rc ? rc : read_array(g, n, "children", GGUF_U32, &v->children, &ends, error);
}

/* Children of an entry lie behind those of the one before it, all of them within their level. */
static bool children_are_whole(const struct level *v, size_t children)
{
    bool whole = child_at(v, 0) == 0 && child_at(v, v->count) == children;
    for (size_t i = 0; whole && i < v->count; i++)
        whole = child_at(v, i) <= child_at(v, i + 1);
    return whole;
}

/* Siblings rise, so that one can be searched for. */
static bool tokens_are_sorted(const struct level *parents, const struct level *v, size_t vocab)
{
    for (size_t i = 0; i < parents->count; i++)
        for (size_t j = child_at(parents, i); j < child_at(parents, i + 1); j++)
            if (token_at(v, j) >= vocab ||
                (j > child_at(parents, i) && token_at(v, j) <= token_at(v, j - 1)))
                return false;
    return true;
}

static int check_level(const struct language *l, const struct gguf *g, size_t n, size_t vocab,
                       struct error *error)
{
    const struct level *parents = &l->levels[n - 2], *v = &l->levels[n - 1];
    if (!children_are_whole(parents, v->count))
        return error_set(error, -EINVAL,
                         "%s: earshot.language.%zu.children are not those of level %zu",
                         gguf_path(g), n - 1, n);
    if (!tokens_are_sorted(parents, v, vocab))
        return error_set(error, -EINVAL,
                         "%s: earshot.language.%zu.pieces are not sorted or no tokens",
                         gguf_path(g), n);
    return 0;
}

static int read_weights(struct language *l, const struct gguf *g, struct error *error)
{
    int rc = gguf_get_f32(g, "earshot.language.weight", &l->weight, error);
    if (!rc)
        rc = gguf_get_f32(g, "earshot.language.bonus", &l->bonus, error);
    if (!rc && !(isfinite(l->weight) && l->weight >= 0.0f && isfinite(l->bonus)))
        rc = error_set(error, -EINVAL, "%s: earshot.language.weight %g and bonus %g are no weights",
                       gguf_path(g), (double)l->weight, (double)l->bonus);
    return required(rc);
}

static int load(struct language *l, const struct gguf *g, size_t vocab, uint32_t order,
                struct error *error)
{
    if (order < ORDER_MIN || order > LANGUAGE_ORDER_MAX)
        return error_set(error, -EINVAL, "%s: earshot.language.order is %u (%d to %d)",
                         gguf_path(g), order, ORDER_MIN, LANGUAGE_ORDER_MAX);
    l->order = order;
    int rc = read_weights(l, g, error);
    for (size_t n = 1; !rc && n <= order; n++)
        rc = read_level(l, g, n, vocab, error);
    for (size_t n = 2; !rc && n <= order; n++)
        rc = check_level(l, g, n, vocab, error);
    return rc;
}

int language_load(struct language **out, const struct gguf *g, size_t vocab, struct error *error)
{
    uint32_t order;
    *out = NULL;
    int rc = gguf_get_u32(g, "earshot.language.order", &order, error);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    struct language *l = calloc(1, sizeof(*l));
    if (!l)
        return error_set(error, -ENOMEM, "%s: out of memory", gguf_path(g));
    rc = load(l, g, vocab, order, error);
    if (rc)
        language_destroy(l);
    else
        *out = l;
    return rc;
}

void language_destroy(struct language *l)
{
    free(l);
}

float language_weight(const struct language *l)
{
    return l->weight;
}

float language_bonus(const struct language *l)
{
    return l->bonus;
}

void language_begin(const struct language *l, struct language_context *context)
{
    (void)l;
    for (size_t n = 0; n < LANGUAGE_ORDER_MAX - 1; n++)
        context->at[n] = NOWHERE;
    context->at[0] = LANGUAGE_END;
}

/* The child of entry i of level n (from 1) with a token, or NOWHERE. */
static uint32_t find_child(const struct language *l, size_t n, uint32_t i, uint32_t token)
{
    const struct level *children = &l->levels[n];
    size_t low = child_at(&l->levels[n - 1], i), high = child_at(&l->levels[n - 1], i + 1);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t found = token_at(children, middle);
        if (found == token)
            return (uint32_t)middle;
        if (found < token)
            low = middle + 1;
        else
            high = middle;
    }
    return NOWHERE;
}

float language_next(const struct language *l, const struct language_context *before, uint32_t token,
                    struct language_context *after)
{
    struct language_context context = *before;
    uint32_t cost = 0;
    bool found = false;
    for (size_t n = l->order - 1; n > 0; n--) {
        uint32_t entry = context.at[n - 1];
        uint32_t child = entry == NOWHERE ? NOWHERE : find_child(l, n, entry, token);
        if (!found && child != NOWHERE)
            cost += l->levels[n].costs[child];
        else if (!found && entry != NOWHERE)
            cost += l->levels[n - 1].backoffs[entry];
        found = found || child != NOWHERE;
        if (n < l->order - 1)
            context.at[n] = child;
    }
    if (!found)
        cost += l->levels[0].costs[token];
    context.at[0] = token;
    *after = context;
    return -(float)cost * nats;
}
