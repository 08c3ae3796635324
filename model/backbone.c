/* RWKV-7 (arXiv 2503.14456). D = dim, H heads of N = 64, T rows in a pass. With
 * shift(x, mu)[t] = x[t] + (x[t - 1] - x[t]) mu, where x[-1] comes from the state, a block is
 *
 *     n = ln1(x)
 *     r = Wr shift(n, x_r)     k = Wk shift(n, x_k)     v = Wv shift(n, x_v)
 *     w = exp(-exp(-0.5) sigmoid(w0 + w2 tanh(w1 shift(n, x_w))))         the decay
 *     a = sigmoid(a0 + a2 a1 shift(n, x_a))                               the rate of learning
 *     g = g2 sigmoid(g1 shift(n, x_g))                                    the gate
 *     kk = normalise_per_head(k k_k)      k = k (1 + (a - 1) k_a)
 *     v_first = v (layer 0)   v = v + (v_first - v) sigmoid(v0 + v2 v1 shift(n, x_v)) (others)
 *     S = S diag(w) - (S kk) (kk a)^T + v k^T      y = S r                per head, row after row
 *     x = x + Wo ((groupnorm(y) + (sum_head(r k r_k)) v) g)
 *     n = ln2(x)
 *     x = x + Wv relu(Wk shift(n, x_k))^2
 *
 * with ln0 before the first block and head(ln_out(x)) after the last. The low-rank pieces w1, w2,
 * ... are [out, in] here as every matrix is. The state of a block is its last n of ln1, S, and its
 * last n of ln2; v_first lives within one pass.
 */
#include "model/backbone_private.h"
#include "model/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static const float norm_eps = 1e-5f;
static const float group_eps = 64e-5f;

struct backbone_scratch {
    const struct backbone *backbone;
    struct memory memory;
    size_t max_rows;
    /* Rows of a pass, [max_rows, D] each. */
    float *x, *norm, *r, *k, *v, *v_first, *v_lora, *w, *a, *g, *kk, *y;
    float *x_r, *x_w, *x_k, *x_v, *x_a, *x_g; /* shifted */
    float *rank_w, *rank_a, *rank_v, *rank_g; /* [max_rows, max_rank] */
    float *wide;                              /* [max_rows, F] */
    uint32_t *ids;                            /* host [max_rows]: of a step's slots */
    float *moves;                             /* host [max_rows]: 1 for a slot that moves, else 0 */
};

/* The slots of a state that a pass moves: count, from first on. */
struct range {
    struct state *state;
    size_t first, count;
    const float *moves; /* [count], or NULL: all move */
};

int backbone_scratch_create(struct backbone_scratch **out, const struct backbone *b,
                            size_t max_rows, struct error *error)
{
    struct backbone_scratch *t = calloc(1, sizeof(*t));
    *out = NULL;
    if (!t)
        return error_set(error, -ENOMEM, "no memory for the backbone's rows");
    float **const rows[] = {
        &t->x, &t->norm, &t->r, &t->k,   &t->v,   &t->v_first, &t->v_lora, &t->w,   &t->a,
        &t->g, &t->kk,   &t->y, &t->x_r, &t->x_w, &t->x_k,     &t->x_v,    &t->x_a, &t->x_g,
    };
    float **const ranks[] = {&t->rank_w, &t->rank_a, &t->rank_v, &t->rank_g};
    t->backbone = b;
    t->max_rows = max_rows;
    memory_init(&t->memory, b->be);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        *rows[i] = memory_rows(&t->memory, max_rows, b->config.dim);
    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++)
        *ranks[i] = memory_rows(&t->memory, max_rows, b->max_rank);
    t->wide = memory_rows(&t->memory, max_rows, b->config.ffn);
    t->ids = memory_host(&t->memory, max_rows, sizeof(t->ids[0]));
    t->moves = memory_host(&t->memory, max_rows, sizeof(t->moves[0]));
    memory_reserve(&t->memory, max_rows);
    int rc = memory_check(&t->memory, "the backbone's rows", error);
    if (rc < 0) {
        backbone_scratch_destroy(t);
        return rc;
    }
    *out = t;
    return 0;
}

void backbone_scratch_destroy(struct backbone_scratch *t)
{
    if (!t)
        return;
    memory_finish(&t->memory);
    free(t);
}

const struct backbone *backbone_scratch_of(const struct backbone_scratch *t)
{
    return t->backbone;
}

size_t backbone_scratch_max_rows(const struct backbone_scratch *t)
{
    return t->max_rows;
}

/* Where a range begins in a buffer [layers, slots, size]. */
static float *range_at(const struct range *r, float *buffer, size_t layer, size_t size)
{
    return buffer + (layer * r->state->slots + r->first) * size;
}

/* rows: of every slot. */
static void mix_rows(struct backbone_scratch *t, const struct range *s, size_t layer, size_t rows)
{
    const struct backbone *b = t->backbone;
    const struct backend_ops *op = b->be->ops;
    const struct backbone_config *c = &b->config;
    const struct backbone_block *l = &b->blocks[layer];
    size_t dim = c->dim;
    size_t all = s->count * rows;
    const struct product down[] = {
        {t->r, t->x_r, l->receptance, NULL, ACTIVATION_NONE},
        {t->k, t->x_k, l->key, NULL, ACTIVATION_NONE},
        {t->v, t->x_v, l->value, NULL, ACTIVATION_NONE},
        {t->rank_w, t->x_w, l->w.down, NULL, ACTIVATION_TANH},
        {t->rank_a, t->x_a, l->a.down, NULL, ACTIVATION_NONE},
        {t->rank_g, t->x_g, l->g.down, NULL, ACTIVATION_SIGMOID},
        {t->rank_v, t->x_v, l->v.down, NULL, ACTIVATION_NONE}, /* but in layer 0 */
    };
    const struct product up[] = {
        {t->w, t->rank_w, l->w.up, NULL, ACTIVATION_NONE},
        {t->a, t->rank_a, l->a.up, NULL, ACTIVATION_NONE},
        {t->g, t->rank_g, l->g.up, NULL, ACTIVATION_NONE},
        {t->v_lora, t->rank_v, l->v.up, NULL, ACTIVATION_NONE}, /* but in layer 0 */
    };
    size_t fewer = layer == 0 ? 1 : 0;

    op->norm_shift(b->be, &(struct norm_shift){
                              .slots = s->count,
                              .rows = rows,
                              .moves = s->moves,
                              .dim = dim,
                              .x = t->x,
                              .w = l->ln1_w,
                              .b = l->ln1_b,
                              .eps = norm_eps,
                              .prev = range_at(s, s->state->att_shift, layer, dim),
                              .n = t->norm,
                              .count = 6,
                              .mu = {l->x_r, l->x_w, l->x_k, l->x_v, l->x_a, l->x_g},
                              .y = {t->x_r, t->x_w, t->x_k, t->x_v, t->x_a, t->x_g},
                          });
    op->linears(b->be, down, sizeof(down) / sizeof(down[0]) - fewer, all);
    op->linears(b->be, up, sizeof(up) / sizeof(up[0]) - fewer, all);
    op->rwkv7(b->be, &(struct rwkv7){
                         .slots = s->count,
                         .rows = rows,
                         .moves = s->moves,
                         .heads = c->heads,
                         .head_size = c->head_size,
                         .y = t->y,
                         .state = range_at(s, s->state->wkv, layer, dim * c->head_size),
                         .r = t->r,
                         .g = t->g,
                         .k = t->k,
                         .v = t->v,
                         .w = t->w,
                         .a = t->a,
                         .kk = t->kk,
                         .v_lora = layer > 0 ? t->v_lora : NULL,
                         .v_first = t->v_first,
                         .w0 = l->w0,
                         .a0 = l->a0,
                         .v0 = l->v0,
                         .k_k = l->k_k,
                         .k_a = l->k_a,
                         .r_k = l->r_k,
                         .ln_w = l->ln_x_w,
                         .ln_b = l->ln_x_b,
                         .eps = group_eps,
                     });
    op->linear_add(b->be, t->x, t->y, all, l->output, NULL);
}

static void mix_channels(struct backbone_scratch *t, const struct range *s, size_t layer,
                         size_t rows)
{
    const struct backbone *b = t->backbone;
    const struct backend_ops *op = b->be->ops;
    const struct backbone_block *l = &b->blocks[layer];
    size_t dim = b->config.dim;
    size_t all = s->count * rows;

    op->norm_shift(b->be, &(struct norm_shift){
                              .slots = s->count,
                              .rows = rows,
                              .moves = s->moves,
                              .dim = dim,
                              .x = t->x,
                              .w = l->ln2_w,
                              .b = l->ln2_b,
                              .eps = norm_eps,
                              .prev = range_at(s, s->state->ffn_shift, layer, dim),
                              .n = t->norm,
                              .count = 1,
                              .mu = {l->ffn_x_k},
                              .y = {t->x_k},
                          });
    op->linear(b->be, t->wide, t->x_k, dim, all, l->ffn_key, NULL, ACTIVATION_RELU_SQUARED);
    op->linear_add(b->be, t->x, t->wide, all, l->ffn_value, NULL);
}

/* One pass over embeddings [slots, rows, D], max_rows at most; what comes out is in t->x. */
static void pass(struct backbone_scratch *t, const struct range *s, const float *embeddings,
                 size_t rows)
{
    const struct backbone *b = t->backbone;
    b->be->ops->layer_norm(b->be, t->x, embeddings, s->count * rows, b->config.dim, b->ln0_w,
                           b->ln0_b, norm_eps);
    for (size_t i = 0; i < b->config.layers; i++) {
        mix_rows(t, s, i, rows);
        mix_channels(t, s, i, rows);
    }
}

/* What comes after each of so many rows, the first of them a row of the pass. */
static void predict(struct backbone_scratch *t, size_t first, size_t count, float *logits)
{
    const struct backbone *b = t->backbone;
    size_t dim = b->config.dim;
    b->be->ops->layer_norm(b->be, t->norm, t->x + first * dim, count, dim, b->ln_out_w, b->ln_out_b,
                           norm_eps);
    b->be->ops->linear(b->be, logits, t->norm, dim, count, b->head, NULL, ACTIVATION_NONE);
}

static size_t pass_rows(const struct backbone_scratch *t, size_t left)
{
    return left < t->max_rows ? left : t->max_rows;
}

static struct range one_slot(struct state *s, size_t slot)
{
    assert(slot < s->slots);
    return (struct range){s, slot, 1, NULL};
}

void backbone_push_rows(struct backbone_scratch *t, struct state *s, size_t slot, const float *rows,
                        size_t count, float *logits)
{
    const struct range one = one_slot(s, slot);
    size_t now = 0;
    for (size_t at = 0; at < count; at += now) {
        now = pass_rows(t, count - at);
        pass(t, &one, rows + at * t->backbone->config.dim, now);
    }
    s->rows[slot] += count;
    if (logits && count > 0)
        predict(t, now - 1, 1, logits);
}

/* The embeddings of tokens, at most max_rows, to the first rows of t->norm. */
static void embed(struct backbone_scratch *t, const uint32_t *ids, size_t count)
{
    const struct backbone *b = t->backbone;
    assert(count <= t->max_rows);
    b->be->ops->embed(b->be, t->norm, ids, count, b->emb);
}

/* A row of t->norm into each slot of the range. Where that is the whole state it is what decoding
 * does again and again. */
static void step(struct backbone_scratch *t, const struct range *r, float *logits)
{
    struct backend *be = t->backbone->be;
    const struct state *s = r->state;
    bool whole = r->count == s->slots;
    /* t->x stands for all of t, which is made and released at once; so do the state's own. */
    const void *const key[STEP_KEY_MAX] = {t->x, s->att_shift, s->wkv, s->ffn_shift, logits};
    do {
        if (whole && !be->ops->step_begin(be, key))
            return;
        pass(t, r, t->norm, 1);
        if (logits)
            predict(t, 0, r->count, logits);
    } while (whole && !be->ops->step_end(be));
}

static void step_slot(struct backbone_scratch *t, struct state *s, size_t slot, float *logits)
{
    const struct range one = one_slot(s, slot);
    s->rows[slot]++;
    step(t, &one, logits);
}

void backbone_push_tokens(struct backbone_scratch *t, struct state *s, size_t slot,
                          const uint32_t *ids, size_t count, float *logits)
{
    const struct range one = one_slot(s, slot);
    if (count == 1) {
        embed(t, ids, 1);
        step_slot(t, s, slot, logits);
        return;
    }
    size_t now = 0;
    for (size_t at = 0; at < count; at += now) {
        now = pass_rows(t, count - at);
        embed(t, ids + at, now);
        pass(t, &one, t->norm, now);
    }
    s->rows[slot] += count;
    if (logits && count > 0)
        predict(t, now - 1, 1, logits);
}

void backbone_step_tokens(struct backbone_scratch *t, struct state *s, const uint32_t *ids,
                          size_t slots, float *logits)
{
    const struct range first = {s, 0, slots, NULL};
    assert(slots <= s->slots);
    embed(t, ids, slots);
    for (size_t i = 0; i < slots; i++)
        s->rows[i]++;
    step(t, &first, logits);
}

/* At most max_rows. */
static void push_heard(struct backbone_scratch *t, struct state *s, size_t slot, const float *rows,
                       size_t count, uint32_t id, float *logits)
{
    struct backend *be = t->backbone->be;
    const struct range one = one_slot(s, slot);
    for (size_t i = 0; i < count; i++)
        t->ids[i] = id;
    embed(t, t->ids, count);
    be->ops->add(be, t->norm, rows, count * t->backbone->config.dim);
    if (count == 1) {
        step_slot(t, s, slot, logits);
        return;
    }
    pass(t, &one, t->norm, count);
    s->rows[slot] += count;
    predict(t, 0, count, logits);
}

void backbone_push_heard(struct backbone_scratch *t, struct state *s, size_t slot,
                         const float *rows, size_t count, uint32_t id, float *logits)
{
    const struct backbone *b = t->backbone;
    size_t now = 0;
    for (size_t at = 0; at < count; at += now) {
        now = pass_rows(t, count - at);
        push_heard(t, s, slot, rows + at * b->config.dim, now, id, logits + at * b->config.vocab);
    }
}

/* What each slot takes to its row of t->norm; which move, to the state. */
static void gather(struct backbone_scratch *t, struct state *s, const struct intake *intakes)
{
    struct backend *be = t->backbone->be;
    size_t dim = t->backbone->config.dim;
    for (size_t i = 0; i < s->slots; i++) {
        enum intake_type type = intakes[i].type;
        t->ids[i] = type == INTAKE_TOKEN || type == INTAKE_HEARD ? intakes[i].token : 0;
        t->moves[i] = type == INTAKE_NOTHING ? 0.0f : 1.0f;
        s->rows[i] += type != INTAKE_NOTHING;
    }
    embed(t, t->ids, s->slots);
    for (size_t i = 0; i < s->slots; i++) {
        float *to = t->norm + i * dim;
        if (intakes[i].type == INTAKE_ROW)
            be->ops->copy(be, to, intakes[i].row, dim);
        else if (intakes[i].type == INTAKE_HEARD)
            be->ops->add(be, to, intakes[i].row, dim);
    }
    be->ops->upload(be, s->moves, t->moves, s->slots);
}

void backbone_step(struct backbone_scratch *t, struct state *s, const struct intake *intakes,
                   float *logits)
{
    /* A state of one slot moves as by a push, or not at all. */
    const struct range all = {s, 0, s->slots, s->slots > 1 ? s->moves : NULL};
    if (s->slots == 1 && intakes[0].type == INTAKE_NOTHING)
        return;
    gather(t, s, intakes);
    step(t, &all, logits);
}
