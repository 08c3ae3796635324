/* A slot of one state for each text that is being made; the texts' slots are the first. */
#include "pipeline/decode_group.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct decode_group {
    struct hearing *hearing;
    struct state *state; /* [DECODE_GROUP_MAX], owned */
    float *logits;       /* backend memory [DECODE_GROUP_MAX, vocab], owned */
    struct decode *texts[DECODE_GROUP_MAX];
    size_t count;
};

int decode_group_create(struct decode_group **out, struct hearing *hearing)
{
    struct backend *be = hearing->model->backend;
    const struct backbone *b = hearing->model->backbone;
    struct decode_group *g = calloc(1, sizeof(*g));
    *out = g;
    if (!g)
        return -ENOMEM;
    g->hearing = hearing;
    g->logits = be->ops->alloc(be, DECODE_GROUP_MAX * backbone_vocab(b));
    if (g->logits && !state_create(&g->state, be, backbone_state_shape(b), DECODE_GROUP_MAX))
        return 0;
    decode_group_destroy(g);
    *out = NULL;
    return -ENOMEM;
}

void decode_group_destroy(struct decode_group *g)
{
    if (!g)
        return;
    struct backend *be = g->hearing->model->backend;
    assert(g->count == 0);
    be->ops->free(be, g->logits);
    state_destroy(g->state);
    free(g);
}

static void join(struct decode_group *g, struct decode *d)
{
    assert(g->count < DECODE_GROUP_MAX);
    d->group = g;
    d->slot = g->count;
    g->texts[g->count++] = d;
    state_copy_slot(g->state, d->slot, d->fork, 0);
}

/* The text of the last slot comes to where it was. */
void decode_leave(struct decode *d)
{
    struct decode_group *g = d->group;
    if (!g)
        return;
    state_copy_slot(d->fork, 0, g->state, d->slot);
    d->group = NULL;
    struct decode *last = g->texts[--g->count];
    if (last == d)
        return;
    state_copy_slot(g->state, d->slot, g->state, last->slot);
    last->slot = d->slot;
    g->texts[d->slot] = last;
}

static bool is_among(const struct decode *d, struct decode *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (texts[i] == d)
            return true;
    return false;
}

/* The group's texts become these. */
static void gather(struct decode_group *g, struct decode *const *texts, size_t count)
{
    for (size_t i = g->count; i-- > 0;)
        if (!is_among(g->texts[i], texts, count))
            decode_leave(g->texts[i]);
    for (size_t i = 0; i < count; i++)
        if (!texts[i]->group)
            join(g, texts[i]);
}

/* The last token of each, and what comes next by it. */
static void step(struct decode_group *g)
{
    struct backend *be = g->hearing->model->backend;
    size_t vocab = backbone_vocab(g->hearing->model->backbone);
    uint32_t ids[DECODE_GROUP_MAX];
    for (size_t i = 0; i < g->count; i++)
        ids[i] = g->texts[i]->last;
    backbone_step_tokens(g->hearing->scratch, g->state, ids, g->count, g->logits);
    for (size_t i = 0; i < g->count; i++) {
        be->ops->copy(be, g->texts[i]->logits, g->logits + i * vocab, vocab);
        decode_took_last(g->texts[i]);
    }
}

void decode_group_take(struct decode_group *g, struct decode *const *texts, size_t count)
{
    uint64_t begin = decode_now_us();
    struct decode *untaken[DECODE_GROUP_MAX];
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (texts[i]->untaken)
            untaken[n++] = texts[i];
    if (n < 2) /* one alone moves as fast in its own fork */
        return;
    gather(g, untaken, n);
    step(g);
    uint64_t each_us = (decode_now_us() - begin) / n;
    for (size_t i = 0; i < n; i++)
        untaken[i]->all_us += each_us;
}
