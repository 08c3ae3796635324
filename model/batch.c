#include "model/batch.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct batch {
    struct backend *backend;
    const struct backbone *backbone;
    struct backbone_scratch *scratch;
    size_t slots;
    struct state *states; /* [slots] streams */
    struct state *empty;  /* of one */
    uint32_t *ids;        /* [slots] */
    float *host_moves;    /* [slots]: 1 for a slot that moves, else 0, */
    float *moves;         /* and in backend memory */
    float *logits;        /* backend memory [slots, vocab] */
    float *bans;          /* backend memory [vocab]: 0, or -inf */
};

static int make_memory(struct batch *b, size_t vocab)
{
    struct backend *be = b->backend;
    const struct state_shape *shape = backbone_state_shape(b->backbone);
    b->ids = calloc(b->slots, sizeof(*b->ids));
    b->host_moves = calloc(b->slots, sizeof(*b->host_moves));
    b->moves = be->ops->alloc(be, b->slots);
    b->logits = be->ops->alloc(be, b->slots * vocab);
    b->bans = be->ops->alloc(be, vocab);
    if (!b->ids || !b->host_moves || !b->moves || !b->logits || !b->bans ||
        state_create_batch(&b->states, be, shape, b->slots) < 0 ||
        state_create(&b->empty, be, shape) < 0) {
        return -ENOMEM;
    }
    b->states->moves = b->moves;
    return 0;
}

int batch_create(struct batch **out, struct backbone_scratch *scratch, const struct decoding *d,
                 size_t slots, struct error *error)
{
    static const float never = -INFINITY;
    const struct backbone *backbone = backbone_scratch_of(scratch);
    size_t vocab = backbone_vocab(backbone), most = backbone_scratch_max_rows(scratch);
    *out = NULL;
    if (slots == 0 || slots > most) {
        return error_set(error, -EINVAL, "a batch of %zu, from 1 to %zu are computed at once",
                         slots, most);
    }
    struct batch *b = calloc(1, sizeof(*b));
    if (!b) {
        return error_set(error, -ENOMEM, "no memory for a batch");
    }
    b->backend = backbone_backend(backbone);
    b->backbone = backbone;
    b->scratch = scratch;
    b->slots = slots;
    if (make_memory(b, vocab) < 0) {
        batch_destroy(b);
        return error_set(error, -ENOMEM, "no memory for a batch of %zu", slots);
    }
    for (size_t i = 0; i < d->ban_count; i++) {
        if (d->ban[i] < vocab) {
            b->backend->ops->upload(b->backend, b->bans + d->ban[i], &never, 1);
        }
    }
    *out = b;
    return 0;
}

void batch_destroy(struct batch *b)
{
    if (!b) {
        return;
    }
    float *const all[] = {b->moves, b->logits, b->bans};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        b->backend->ops->free(b->backend, all[i]);
    }
    state_destroy(b->states);
    state_destroy(b->empty);
    free(b->ids);
    free(b->host_moves);
    free(b);
}

/* Embeddings of tokens, rows over them where a slot takes one. */
static void gather(struct batch *b, const struct turn *turns)
{
    const struct backend_ops *op = b->backend->ops;
    size_t dim = backbone_dim(b->backbone);
    for (size_t i = 0; i < b->slots; i++) {
        b->ids[i] = turns[i].type == TURN_TOKEN ? turns[i].token : 0;
        b->host_moves[i] = turns[i].type == TURN_REST ? 0.0f : 1.0f;
    }
    float *inputs = backbone_embed(b->scratch, b->ids, b->slots);
    for (size_t i = 0; i < b->slots; i++) {
        if (turns[i].type == TURN_ROW) {
            op->copy(b->backend, inputs + i * dim, turns[i].row, dim);
        }
    }
    op->upload(b->backend, b->moves, b->host_moves, b->slots);
}

void batch_step(struct batch *b, const struct turn *turns, uint32_t *next)
{
    const struct backend_ops *op = b->backend->ops;
    size_t vocab = backbone_vocab(b->backbone);
    gather(b, turns);
    backbone_push_embedded(b->scratch, b->states, next ? b->logits : NULL);
    if (next) {
        op->affine(b->backend, b->logits, b->logits, b->slots, vocab, NULL, NULL, b->bans,
                   ACTIVATION_NONE);
        op->argmax(b->backend, next, b->logits, b->slots, vocab);
    }
}

void batch_reset(struct batch *b, size_t slot)
{
    state_copy_stream(b->states, slot, b->empty, 0);
}

void batch_fork(struct batch *b, size_t to, size_t from)
{
    if (to != from) {
        state_copy_stream(b->states, to, b->states, from);
    }
}

void batch_put(struct batch *b, size_t slot, const struct state *from)
{
    state_copy_stream(b->states, slot, from, 0);
}

void batch_take(const struct batch *b, size_t slot, struct state *to)
{
    state_copy_stream(to, 0, b->states, slot);
}
