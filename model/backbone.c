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
#include "model/backbone.h"

#include "model/bind.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BACKBONE_HEAD_SIZE = 64,
    BACKBONE_DIM_MAX = 1 << 16,
    BACKBONE_VOCAB_MAX = 1 << 22,
};

static const float norm_eps = 1e-5f;
static const float group_eps = 64e-5f;

struct backbone_config {
    size_t dim, layers, heads, head_size, ffn, vocab;
};

/* y = up act(down x) */
struct lora {
    struct weight *down, *up; /* [rank, D], [D, rank] */
    size_t rank;
};

struct backbone_block {
    float *ln1_w, *ln1_b, *ln2_w, *ln2_b;             /* [D] */
    float *x_r, *x_w, *x_k, *x_v, *x_a, *x_g;         /* [D] */
    float *w0, *a0, *v0;                              /* [D]; no v0 in layer 0 */
    struct lora w, a, v, g;                           /* w1, w2, ...; no v in layer 0 */
    float *k_k, *k_a, *r_k;                           /* [D] */
    struct weight *receptance, *key, *value, *output; /* [D, D] */
    float *ln_x_w, *ln_x_b;                           /* [D] */
    float *ffn_x_k;                                   /* [D] */
    struct weight *ffn_key, *ffn_value;               /* [F, D], [D, F] */
};

struct backbone {
    struct backend *be;
    struct backbone_config config;
    struct state_shape shape;
    size_t max_rows, max_rank;
    struct bind bind;
    struct weight *emb, *head;                  /* [V, D] */
    float *ln0_w, *ln0_b, *ln_out_w, *ln_out_b; /* [D] */
    struct backbone_block *blocks;              /* [layers], owned */
    /* Rows of a pass, [max_rows, D] each. */
    float *x, *norm, *r, *k, *v, *v_first, *v_lora, *w, *a, *g, *kk, *y;
    float *x_r, *x_w, *x_k, *x_v, *x_a, *x_g; /* shifted */
    float *rank_w, *rank_a, *rank_v, *rank_g; /* [max_rows, max_rank] */
    float *wide;                              /* [max_rows, F] */
};

static int read_config(struct backbone *b, struct error *error)
{
    struct backbone_config *c = &b->config;
    const struct {
        const char *key;
        size_t most;
        size_t *value;
    } keys[] = {
        {"earshot.backbone.dim", BACKBONE_DIM_MAX, &c->dim},
        {"earshot.backbone.layers", gguf_tensor_count(b->bind.gguf), &c->layers},
        {"earshot.backbone.head_size", BACKBONE_DIM_MAX, &c->head_size},
        {"earshot.backbone.ffn", 8 * BACKBONE_DIM_MAX, &c->ffn},
        {"earshot.backbone.vocab", BACKBONE_VOCAB_MAX, &c->vocab},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        int r = bind_u32(&b->bind, keys[i].key, 1, keys[i].most, keys[i].value, error);
        if (r < 0) {
            return r;
        }
    }
    if (c->head_size != BACKBONE_HEAD_SIZE || c->dim % c->head_size != 0) {
        return error_set(error, -ENOTSUP,
                         "%s: heads of %zu in a backbone of dim %zu; only whole "
                         "heads of %d are computed",
                         gguf_path(b->bind.gguf), c->head_size, c->dim, BACKBONE_HEAD_SIZE);
    }
    c->heads = c->dim / c->head_size;
    b->shape = (struct state_shape){c->layers, c->dim, c->heads, c->head_size};
    return 0;
}

static int bind_ends(struct backbone *b, struct error *error)
{
    size_t dim = b->config.dim;
    size_t vocab = b->config.vocab;
    const struct bind_entry entries[] = {
        {"emb.weight", {vocab, dim}, .table = &b->emb},
        {"blocks.0.ln0.weight", {dim}, .vector = &b->ln0_w},
        {"blocks.0.ln0.bias", {dim}, .vector = &b->ln0_b},
        {"ln_out.weight", {dim}, .vector = &b->ln_out_w},
        {"ln_out.bias", {dim}, .vector = &b->ln_out_b},
        {"head.weight", {vocab, dim}, .matrix = &b->head},
    };
    return bind_tensors(&b->bind, "backbone.", entries, sizeof(entries) / sizeof(entries[0]),
                        error);
}

/* One low-rank pair; the rank is the file's choice. */
static int bind_lora(struct backbone *b, const char *prefix, const char *down, const char *up,
                     struct lora *lora, struct error *error)
{
    size_t dim = b->config.dim;
    size_t shape[2];
    int r = bind_shape(&b->bind, prefix, down, 2, shape, error);
    if (r < 0) {
        return r;
    }
    lora->rank = shape[0];
    b->max_rank = lora->rank > b->max_rank ? lora->rank : b->max_rank;
    const struct bind_entry entries[] = {
        {down, {lora->rank, dim}, .matrix = &lora->down},
        {up, {dim, lora->rank}, .matrix = &lora->up},
    };
    return bind_tensors(&b->bind, prefix, entries, sizeof(entries) / sizeof(entries[0]), error);
}

/* Layer 0 has no use for v0, v1, v2: its v is v_first. Some files have them all the same. */
static int bind_loras(struct backbone *b, const char *prefix, size_t layer, struct error *error)
{
    struct backbone_block *l = &b->blocks[layer];
    int r = bind_lora(b, prefix, "att.w1", "att.w2", &l->w, error);
    if (r == 0) {
        r = bind_lora(b, prefix, "att.a1", "att.a2", &l->a, error);
    }
    if (r == 0) {
        r = bind_lora(b, prefix, "att.g1", "att.g2", &l->g, error);
    }
    if (r < 0 || layer == 0) {
        return r;
    }
    const struct bind_entry v0 = {"att.v0", {b->config.dim}, .vector = &l->v0};
    r = bind_tensors(&b->bind, prefix, &v0, 1, error);
    return r < 0 ? r : bind_lora(b, prefix, "att.v1", "att.v2", &l->v, error);
}

static int bind_block(struct backbone *b, size_t layer, struct error *error)
{
    struct backbone_block *l = &b->blocks[layer];
    size_t dim = b->config.dim;
    size_t ffn = b->config.ffn;
    const struct bind_entry entries[] = {
        {"ln1.weight", {dim}, .vector = &l->ln1_w},
        {"ln1.bias", {dim}, .vector = &l->ln1_b},
        {"ln2.weight", {dim}, .vector = &l->ln2_w},
        {"ln2.bias", {dim}, .vector = &l->ln2_b},
        {"att.x_r", {dim}, .vector = &l->x_r},
        {"att.x_w", {dim}, .vector = &l->x_w},
        {"att.x_k", {dim}, .vector = &l->x_k},
        {"att.x_v", {dim}, .vector = &l->x_v},
        {"att.x_a", {dim}, .vector = &l->x_a},
        {"att.x_g", {dim}, .vector = &l->x_g},
        {"att.w0", {dim}, .vector = &l->w0},
        {"att.a0", {dim}, .vector = &l->a0},
        {"att.k_k", {dim}, .vector = &l->k_k},
        {"att.k_a", {dim}, .vector = &l->k_a},
        {"att.r_k", {b->config.heads, b->config.head_size}, .vector = &l->r_k},
        {"att.receptance.weight", {dim, dim}, .matrix = &l->receptance},
        {"att.key.weight", {dim, dim}, .matrix = &l->key},
        {"att.value.weight", {dim, dim}, .matrix = &l->value},
        {"att.output.weight", {dim, dim}, .matrix = &l->output},
        {"att.ln_x.weight", {dim}, .vector = &l->ln_x_w},
        {"att.ln_x.bias", {dim}, .vector = &l->ln_x_b},
        {"ffn.x_k", {dim}, .vector = &l->ffn_x_k},
        {"ffn.key.weight", {ffn, dim}, .matrix = &l->ffn_key},
        {"ffn.value.weight", {dim, ffn}, .matrix = &l->ffn_value},
    };
    char prefix[48];
    snprintf(prefix, sizeof(prefix), "backbone.blocks.%zu.", layer);
    int r = bind_tensors(&b->bind, prefix, entries, sizeof(entries) / sizeof(entries[0]), error);
    return r < 0 ? r : bind_loras(b, prefix, layer, error);
}

static int make_buffers(struct backbone *b, struct error *error)
{
    float **const rows[] = {
        &b->x, &b->norm, &b->r, &b->k,   &b->v,   &b->v_first, &b->v_lora, &b->w,   &b->a,
        &b->g, &b->kk,   &b->y, &b->x_r, &b->x_w, &b->x_k,     &b->x_v,    &b->x_a, &b->x_g,
    };
    float **const ranks[] = {&b->rank_w, &b->rank_a, &b->rank_v, &b->rank_g};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
        r = bind_alloc(&b->bind, rows[i], b->max_rows, b->config.dim, error);
    }
    for (size_t i = 0; r == 0 && i < sizeof(ranks) / sizeof(ranks[0]); i++) {
        r = bind_alloc(&b->bind, ranks[i], b->max_rows, b->max_rank, error);
    }
    if (r == 0) {
        r = bind_alloc(&b->bind, &b->wide, b->max_rows, b->config.ffn, error);
    }
    if (r == 0 && b->be->ops->reserve(b->be, b->max_rows) < 0) {
        r = error_set(error, -ENOMEM, "%s: no memory for the backbone", gguf_path(b->bind.gguf));
    }
    return r;
}

static int bind_all(struct backbone *b, struct error *error)
{
    int r = read_config(b, error);
    if (r == 0) {
        r = bind_ends(b, error);
    }
    if (r < 0) {
        return r;
    }
    b->blocks = calloc(b->config.layers, sizeof(b->blocks[0]));
    if (!b->blocks) {
        return error_set(error, -ENOMEM, "%s: no memory for the backbone", gguf_path(b->bind.gguf));
    }
    for (size_t i = 0; r == 0 && i < b->config.layers; i++) {
        r = bind_block(b, i, error);
    }
    return r < 0 ? r : make_buffers(b, error);
}

int backbone_create(struct backbone **out, const struct gguf *g, struct backend *be,
                    size_t max_rows, struct error *error)
{
    *out = NULL;
    struct backbone *b = calloc(1, sizeof(*b));
    if (!b) {
        return error_set(error, -ENOMEM, "%s: no memory for the backbone", gguf_path(g));
    }
    b->be = be;
    b->max_rows = max_rows;
    bind_init(&b->bind, g, be);
    int r = bind_all(b, error);
    if (r < 0) {
        backbone_destroy(b);
        return r;
    }
    *out = b;
    return 0;
}

void backbone_destroy(struct backbone *b)
{
    if (!b) {
        return;
    }
    bind_finish(&b->bind);
    free(b->blocks);
    free(b);
}

const struct state_shape *backbone_state_shape(const struct backbone *b)
{
    return &b->shape;
}

size_t backbone_dim(const struct backbone *b)
{
    return b->config.dim;
}

size_t backbone_vocab(const struct backbone *b)
{
    return b->config.vocab;
}

size_t backbone_max_rows(const struct backbone *b)
{
    return b->max_rows;
}

struct backend *backbone_backend(const struct backbone *b)
{
    return b->be;
}

/* rows: of every stream. */
static void mix_rows(struct backbone *b, struct state *s, size_t layer, size_t rows)
{
    const struct backend_ops *op = b->be->ops;
    const struct backbone_config *c = &b->config;
    const struct backbone_block *l = &b->blocks[layer];
    size_t dim = c->dim;
    size_t all = s->streams * rows;
    const struct product down[] = {
        {b->r, b->x_r, l->receptance, NULL, ACTIVATION_NONE},
        {b->k, b->x_k, l->key, NULL, ACTIVATION_NONE},
        {b->v, b->x_v, l->value, NULL, ACTIVATION_NONE},
        {b->rank_w, b->x_w, l->w.down, NULL, ACTIVATION_TANH},
        {b->rank_a, b->x_a, l->a.down, NULL, ACTIVATION_NONE},
        {b->rank_g, b->x_g, l->g.down, NULL, ACTIVATION_SIGMOID},
        {b->rank_v, b->x_v, l->v.down, NULL, ACTIVATION_NONE}, /* but in layer 0 */
    };
    const struct product up[] = {
        {b->w, b->rank_w, l->w.up, NULL, ACTIVATION_NONE},
        {b->a, b->rank_a, l->a.up, NULL, ACTIVATION_NONE},
        {b->g, b->rank_g, l->g.up, NULL, ACTIVATION_NONE},
        {b->v_lora, b->rank_v, l->v.up, NULL, ACTIVATION_NONE}, /* but in layer 0 */
    };
    size_t fewer = layer == 0 ? 1 : 0;

    op->norm_shift(b->be, &(struct norm_shift){
                              .streams = s->streams,
                              .rows = rows,
                              .moves = s->moves,
                              .dim = dim,
                              .x = b->x,
                              .w = l->ln1_w,
                              .b = l->ln1_b,
                              .eps = norm_eps,
                              .prev = s->att_shift + layer * s->streams * dim,
                              .n = b->norm,
                              .count = 6,
                              .mu = {l->x_r, l->x_w, l->x_k, l->x_v, l->x_a, l->x_g},
                              .y = {b->x_r, b->x_w, b->x_k, b->x_v, b->x_a, b->x_g},
                          });
    op->linears(b->be, down, sizeof(down) / sizeof(down[0]) - fewer, all);
    op->linears(b->be, up, sizeof(up) / sizeof(up[0]) - fewer, all);
    op->rwkv7(b->be, &(struct rwkv7){
                         .streams = s->streams,
                         .rows = rows,
                         .moves = s->moves,
                         .heads = c->heads,
                         .head_size = c->head_size,
                         .y = b->y,
                         .state = s->wkv + layer * s->streams * dim * c->head_size,
                         .r = b->r,
                         .g = b->g,
                         .k = b->k,
                         .v = b->v,
                         .w = b->w,
                         .a = b->a,
                         .kk = b->kk,
                         .v_lora = layer > 0 ? b->v_lora : NULL,
                         .v_first = b->v_first,
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
    op->linear_add(b->be, b->x, b->y, all, l->output, NULL);
}

static void mix_channels(struct backbone *b, struct state *s, size_t layer, size_t rows)
{
    const struct backend_ops *op = b->be->ops;
    const struct backbone_block *l = &b->blocks[layer];
    size_t dim = b->config.dim;
    size_t all = s->streams * rows;

    op->norm_shift(b->be, &(struct norm_shift){
                              .streams = s->streams,
                              .rows = rows,
                              .moves = s->moves,
                              .dim = dim,
                              .x = b->x,
                              .w = l->ln2_w,
                              .b = l->ln2_b,
                              .eps = norm_eps,
                              .prev = s->ffn_shift + layer * s->streams * dim,
                              .n = b->norm,
                              .count = 1,
                              .mu = {l->ffn_x_k},
                              .y = {b->x_k},
                          });
    op->linear(b->be, b->wide, b->x_k, dim, all, l->ffn_key, NULL, ACTIVATION_RELU_SQUARED);
    op->linear_add(b->be, b->x, b->wide, all, l->ffn_value, NULL);
}

/* One pass over embeddings [streams, rows, D], max_rows at most; what comes out is in b->x. */
static void pass(struct backbone *b, struct state *s, const float *embeddings, size_t rows)
{
    b->be->ops->layer_norm(b->be, b->x, embeddings, s->streams * rows, b->config.dim, b->ln0_w,
                           b->ln0_b, norm_eps);
    for (size_t i = 0; i < b->config.layers; i++) {
        mix_rows(b, s, i, rows);
        mix_channels(b, s, i, rows);
    }
}

/* What comes after each of so many rows, the first of them a row of the pass. */
static void predict(struct backbone *b, size_t first, size_t count, float *logits)
{
    size_t dim = b->config.dim;
    b->be->ops->layer_norm(b->be, b->norm, b->x + first * dim, count, dim, b->ln_out_w, b->ln_out_b,
                           norm_eps);
    b->be->ops->linear(b->be, logits, b->norm, dim, count, b->head, NULL, ACTIVATION_NONE);
}

static size_t pass_rows(const struct backbone *b, size_t left)
{
    return left < b->max_rows ? left : b->max_rows;
}

void backbone_push_rows(struct backbone *b, struct state *s, const float *rows, size_t count,
                        float *logits)
{
    assert(s->streams == 1);
    size_t now = 0;
    for (size_t at = 0; at < count; at += now) {
        now = pass_rows(b, count - at);
        pass(b, s, rows + at * b->config.dim, now);
    }
    s->rows += count;
    if (logits && count > 0) {
        predict(b, now - 1, 1, logits);
    }
}

/* What decoding does again and again. */
void backbone_push_embedded(struct backbone *b, struct state *s, float *logits)
{
    assert(s->streams <= b->max_rows);
    s->rows++;
    const void *const key[STEP_KEY_MAX] = {b, s->att_shift, s->wkv, s->ffn_shift, logits};
    if (!b->be->ops->step_begin(b->be, key)) {
        return;
    }
    pass(b, s, b->norm, 1);
    if (logits) {
        predict(b, 0, s->streams, logits);
    }
    b->be->ops->step_end(b->be);
}

void backbone_push_tokens(struct backbone *b, struct state *s, const uint32_t *ids, size_t count,
                          float *logits)
{
    assert(s->streams == 1);
    if (count == 1) {
        backbone_push_batch(b, s, ids, logits);
        return;
    }
    size_t now = 0;
    for (size_t at = 0; at < count; at += now) {
        now = pass_rows(b, count - at);
        b->be->ops->embed(b->be, b->norm, ids + at, now, b->emb);
        pass(b, s, b->norm, now);
    }
    s->rows += count;
    if (logits && count > 0) {
        predict(b, now - 1, 1, logits);
    }
}

float *backbone_embed(struct backbone *b, const uint32_t *ids, size_t count)
{
    assert(count <= b->max_rows);
    b->be->ops->embed(b->be, b->norm, ids, count, b->emb);
    return b->norm;
}

void backbone_push_heard(struct backbone *b, struct state *s, const float *row, uint32_t id,
                         float *logits)
{
    assert(s->streams == 1);
    float *input = backbone_embed(b, &id, 1);
    b->be->ops->add(b->be, input, row, b->config.dim);
    backbone_push_embedded(b, s, logits);
}

void backbone_push_batch(struct backbone *b, struct state *s, const uint32_t *ids, float *logits)
{
    backbone_embed(b, ids, s->streams);
    backbone_push_embedded(b, s, logits);
}
