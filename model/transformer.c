/* Per layer, with norms first (Whisper, WavLM large):
 *
 *     n = ln1(x)    x = x + Wo attention(Wq n, Wk n, Wv n)
 *     n = ln2(x)    x = x + W2 gelu(W0 n)
 *
 * and with norms after (WavLM base):
 *
 *     x = ln1(x + Wo attention(Wq x, Wk x, Wv x))
 *     x = ln2(x + W2 gelu(W0 x))
 *
 * Where a past is kept, the keys and values of the last rows of earlier runs stand before those of
 * n, and no row sees a later run. They are kept as halves, with F32 weights as floats. WavLM adds
 * to the score of query i and key j  gate[i] relative[bucket(j - i)]  per head: the table is one
 * for all layers, the gate a function of the layer's input, a, b = sigmoid(G n_head); gate = a (b
 * scale_head - 1) + 2
 */
#include "model/transformer.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TRANSFORMER_WIDE_ROWS = 512, /* the feed-forward's inner rows at a time */
    TRANSFORMER_DIM_MAX = 1 << 14,
    TRANSFORMER_HEAD_MAX = 256, /* what backends can attend with */
};

struct transformer_layer {
    float *ln1_w, *ln1_b, *ln2_w, *ln2_b; /* [E] */
    struct weight *q, *k, *v, *out;       /* [E, E] */
    float *q_b, *k_b, *v_b, *out_b;       /* [E]; k_b NULL without key_bias */
    struct weight *gate;                  /* [2, head_dim], with relative positions */
    float *gate_b, *gate_scale;           /* [2], [heads] */
    struct weight *ffn0, *ffn2;           /* [F, E], [E, F] */
    float *ffn0_b, *ffn2_b;               /* [F], [E] */
};

struct transformer_past {
    struct past keys, values; /* rows of [E]; of halves, two in the place of a float */
};

int transformer_read_config(struct transformer_config *c, const struct bind *b, struct error *error)
{
    const struct {
        const char *key;
        size_t most;
        size_t *value;
    } keys[] = {
        {"earshot.encoder.dim", TRANSFORMER_DIM_MAX, &c->dim},
        {"earshot.encoder.layers", gguf_tensor_count(b->gguf), &c->layers},
        {"earshot.encoder.heads", TRANSFORMER_DIM_MAX, &c->heads},
        {"earshot.encoder.ffn", 4 * TRANSFORMER_DIM_MAX, &c->ffn},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        int r = bind_u32(b, keys[i].key, 1, keys[i].most, keys[i].value, error);
        if (r < 0) {
            return r;
        }
    }
    if (c->dim % c->heads != 0 || c->dim / c->heads > TRANSFORMER_HEAD_MAX) {
        return error_set(error, -EINVAL,
                         "%s: earshot.encoder.heads %zu: heads of dim %zu must be whole and of at "
                         "most %d",
                         gguf_path(b->gguf), c->heads, c->dim, TRANSFORMER_HEAD_MAX);
    }
    return 0;
}

static int bind_layer(struct transformer *t, struct bind *b, size_t index, struct error *error)
{
    struct transformer_layer *l = &t->layers[index];
    size_t dim = t->config.dim;
    size_t ffn = t->config.ffn;
    const struct bind_entry entries[] = {
        {"ln1.weight", {dim}, .vector = &l->ln1_w},
        {"ln1.bias", {dim}, .vector = &l->ln1_b},
        {"attn.q.weight", {dim, dim}, .matrix = &l->q},
        {"attn.q.bias", {dim}, .vector = &l->q_b},
        {"attn.k.weight", {dim, dim}, .matrix = &l->k},
        {"attn.v.weight", {dim, dim}, .matrix = &l->v},
        {"attn.v.bias", {dim}, .vector = &l->v_b},
        {"attn.out.weight", {dim, dim}, .matrix = &l->out},
        {"attn.out.bias", {dim}, .vector = &l->out_b},
        {"ln2.weight", {dim}, .vector = &l->ln2_w},
        {"ln2.bias", {dim}, .vector = &l->ln2_b},
        {"ffn.0.weight", {ffn, dim}, .matrix = &l->ffn0},
        {"ffn.0.bias", {ffn}, .vector = &l->ffn0_b},
        {"ffn.2.weight", {dim, ffn}, .matrix = &l->ffn2},
        {"ffn.2.bias", {dim}, .vector = &l->ffn2_b},
    };
    const struct bind_entry key_bias = {"attn.k.bias", {dim}, .vector = &l->k_b};
    const struct bind_entry gates[] = {
        {"attn.gate.weight", {2, dim / t->config.heads}, .matrix = &l->gate},
        {"attn.gate.bias", {2}, .vector = &l->gate_b},
        {"attn.gate.scale", {t->config.heads}, .vector = &l->gate_scale},
    };
    char prefix[48];
    snprintf(prefix, sizeof(prefix), "encoder.blocks.%zu.", index);
    int r = bind_tensors(b, prefix, entries, sizeof(entries) / sizeof(entries[0]), error);
    if (r == 0 && t->config.key_bias) {
        r = bind_tensors(b, prefix, &key_bias, 1, error);
    }
    if (r == 0 && t->config.buckets > 0) {
        r = bind_tensors(b, prefix, gates, sizeof(gates) / sizeof(gates[0]), error);
    }
    return r;
}

size_t transformer_bucket(long distance, size_t buckets, size_t max_distance)
{
    size_t half = buckets / 2;
    size_t exact = half / 2;
    size_t side = distance > 0 ? half : 0;
    size_t far = (size_t)labs(distance);
    if (far < exact) {
        return side + far;
    }
    float log_share = logf((float)far / (float)exact);
    log_share = log_share / (float)log((double)max_distance / (double)exact);
    size_t bucket = (size_t)((float)exact + log_share * (float)(half - exact));
    return side + (bucket < half ? bucket : half - 1);
}

/* The table over distances, from the one over buckets. */
static int make_relative(struct transformer *t, struct bind *b, struct error *error)
{
    const struct transformer_config *c = &t->config;
    size_t width = 2 * c->max_rows - 1;
    float *weight = NULL;
    const struct bind_entry entry = {"relative.weight", {c->buckets, c->heads}, .vector = &weight};
    int r = bind_tensors(b, "encoder.", &entry, 1, error);
    if (r == 0) {
        r = bind_alloc(b, &t->relative, c->heads, width, error);
    }
    if (r < 0) {
        return r;
    }
    float *buckets = malloc(c->buckets * c->heads * sizeof(buckets[0]));
    float *table = malloc(c->heads * width * sizeof(table[0]));
    if (buckets && table) {
        t->be->ops->download(t->be, buckets, weight, c->buckets * c->heads);
        for (size_t i = 0; i < c->heads * width; i++) {
            long distance = (long)(i % width) - (long)(c->max_rows - 1);
            size_t bucket = transformer_bucket(distance, c->buckets, c->max_distance);
            table[i] = buckets[bucket * c->heads + i / width];
        }
        t->be->ops->upload(t->be, t->relative, table, c->heads * width);
    } else {
        r = error_set(error, -ENOMEM, "%s: no memory for relative positions", gguf_path(b->gguf));
    }
    free(buckets);
    free(table);
    return r;
}

static bool is_float32(const struct bind *b)
{
    const struct gguf_tensor *q = gguf_find(b->gguf, "encoder.blocks.0.attn.q.weight");
    return q && q->type == TENSOR_F32;
}

int transformer_init(struct transformer *t, struct bind *b, const struct transformer_config *c,
                     struct error *error)
{
    assert(c->past == 0 || c->buckets == 0);
    *t = (struct transformer){.config = *c, .be = b->backend, .exact = is_float32(b)};
    t->layers = calloc(c->layers, sizeof(t->layers[0]));
    if (!t->layers) {
        return error_set(error, -ENOMEM, "%s: no memory for %zu layers", gguf_path(b->gguf),
                         c->layers);
    }
    int r = c->buckets > 0 ? make_relative(t, b, error) : 0;
    for (size_t i = 0; r == 0 && i < c->layers; i++) {
        r = bind_layer(t, b, i, error);
    }
    return r;
}

void transformer_finish(struct transformer *t)
{
    free(t->layers);
    *t = (struct transformer){0};
}

/* Whether keys and values are kept as halves. */
static bool has_halves(const struct transformer *t)
{
    return t->config.past > 0 && !t->exact && t->config.dim % 2 == 0;
}

static size_t past_count(const struct transformer_config *c)
{
    return c->past > 0 ? c->layers : 1;
}

void transformer_state_init(struct transformer_state *s, const struct transformer *t,
                            struct memory *m, size_t fork_rows, bool is_fork)
{
    const struct transformer_config *c = &t->config;
    size_t count = past_count(c);
    size_t gates = c->buckets > 0 ? c->max_rows : 1;
    size_t wide = c->max_rows < TRANSFORMER_WIDE_ROWS ? c->max_rows : TRANSFORMER_WIDE_ROWS;

    *s = (struct transformer_state){.transformer = t, .fork_rows = fork_rows};
    s->pasts = memory_host(m, count, sizeof(s->pasts[0]));
    size_t width = has_halves(t) ? c->dim / 2 : c->dim;
    for (size_t i = 0; s->pasts && !is_fork && i < count; i++) {
        past_init_to_lend(&s->pasts[i].keys, m, c->past, c->max_rows, fork_rows, width);
        past_init_to_lend(&s->pasts[i].values, m, c->past, c->max_rows, fork_rows, width);
    }
    if (has_halves(t)) {
        s->key = memory_rows(m, c->max_rows, c->dim);
        s->value = memory_rows(m, c->max_rows, c->dim);
    }
    s->norm = memory_rows(m, c->max_rows, c->dim);
    s->query = memory_rows(m, c->max_rows, c->dim);
    s->mixed = memory_rows(m, c->max_rows, c->dim);
    s->gate_input = memory_rows(m, gates, c->heads * 2);
    s->gate = memory_rows(m, gates, c->heads);
    s->wide = memory_rows(m, wide, c->ffn);
}

void transformer_forget(struct transformer_state *s)
{
    const struct transformer *t = s->transformer;
    for (size_t i = 0; i < past_count(&t->config); i++) {
        past_reset(&s->pasts[i].keys, t->be, 0);
        past_reset(&s->pasts[i].values, t->be, 0);
    }
}

bool transformer_lend_past(struct transformer_state *fork, struct transformer_state *from)
{
    const struct transformer *t = from->transformer;
    size_t rows = from->fork_rows + t->config.max_rows;
    for (size_t i = 0; i < past_count(&t->config); i++)
        if (!past_lend(&fork->pasts[i].keys, &from->pasts[i].keys, t->be, rows) ||
            !past_lend(&fork->pasts[i].values, &from->pasts[i].values, t->be, rows))
            return false;
    return true;
}

static void append_halves(const struct transformer *t, struct past *p, const float *x, size_t rows)
{
    float *place = past_append(p, t->be, rows);
    t->be->ops->to_half(t->be, (uint16_t *)place, x, rows * t->config.dim);
}

/* What a's rows see: the past, and behind it their own keys and values. Without rows of earlier
 * runs they are seen as s has them, not rounded to halves. */
static void see_past(struct transformer_state *s, struct transformer_past *past,
                     struct attention *a)
{
    const struct transformer *t = s->transformer;
    struct past *keys = &past->keys, *values = &past->values;
    if (has_halves(t)) {
        append_halves(t, keys, s->key, a->rows);
        append_halves(t, values, s->value, a->rows);
    }
    a->window = past_rows(keys);
    a->history = a->window - a->rows;
    if (!has_halves(t)) {
        a->k = past_first(keys);
        a->v = past_first(values);
    } else if (a->history == 0) {
        a->k = s->key;
        a->v = s->value;
    } else {
        a->half_k = (const uint16_t *)past_first(keys);
        a->half_v = (const uint16_t *)past_first(values);
    }
}

/* x += Wo attention(n), of layer index */
static void attend(struct transformer_state *s, size_t index, float *x, const float *n, size_t rows,
                   size_t kept)
{
    const struct transformer *t = s->transformer;
    const struct transformer_layer *l = &t->layers[index];
    const struct backend_ops *op = t->be->ops;
    size_t dim = t->config.dim;
    size_t heads = t->config.heads;
    size_t head_dim = dim / heads;
    struct transformer_past *past = &s->pasts[t->config.past > 0 ? index : 0];
    struct past *keys = &past->keys, *values = &past->values;
    bool halves = has_halves(t);
    float *key = halves ? s->key : past_append(keys, t->be, rows);
    float *value = halves ? s->value : past_append(values, t->be, rows);

    const struct product products[] = {
        {.y = s->query, .x = n, .w = l->q, .bias = l->q_b},
        {.y = key, .x = n, .w = l->k, .bias = l->k_b},
        {.y = value, .x = n, .w = l->v, .bias = l->v_b},
    };

    op->linears(t->be, products, sizeof(products) / sizeof(products[0]), rows);
    if (t->relative) {
        op->linear(t->be, s->gate_input, n, head_dim, rows * heads, l->gate, l->gate_b,
                   ACTIVATION_NONE);
        op->relative_gate(t->be, s->gate, s->gate_input, l->gate_scale, rows, heads);
    }
    struct attention a = {
        .rows = rows,
        .heads = heads,
        .head_dim = head_dim,
        .ahead = rows,
        .q = s->query,
        .y = s->mixed,
        .relative = t->relative,
        .gate = s->gate,
        .span = t->config.max_rows,
        .scale = 1.0f / sqrtf((float)head_dim),
        .exact = t->exact,
    };
    see_past(s, past, &a);
    op->attention(t->be, &a);
    past_take_back(keys, rows - kept);
    past_take_back(values, rows - kept);
    past_keep(keys, t->config.past);
    past_keep(values, t->config.past);
    op->linear_add(t->be, x, s->mixed, rows, l->out, l->out_b);
}

/* x += W2 gelu(W0 n) */
static void feed_forward(struct transformer_state *s, size_t index, float *x, const float *n,
                         size_t rows)
{
    const struct transformer *t = s->transformer;
    const struct transformer_layer *l = &t->layers[index];
    const struct backend_ops *op = t->be->ops;
    size_t dim = t->config.dim;

    for (size_t at = 0; at < rows; at += TRANSFORMER_WIDE_ROWS) {
        size_t count = rows - at < TRANSFORMER_WIDE_ROWS ? rows - at : TRANSFORMER_WIDE_ROWS;
        op->linear(t->be, s->wide, n + at * dim, dim, count, l->ffn0, l->ffn0_b, ACTIVATION_GELU);
        op->linear_add(t->be, x + at * dim, s->wide, count, l->ffn2, l->ffn2_b);
    }
}

/* Where norms come after, x is both what is read and what is added to: every row has been read
 * before it is written. */
static void run_layer(struct transformer_state *s, size_t index, float *x, size_t rows, size_t kept)
{
    const struct transformer *t = s->transformer;
    const struct transformer_layer *l = &t->layers[index];
    const struct backend_ops *op = t->be->ops;
    size_t dim = t->config.dim;
    float eps = t->config.eps;

    if (t->config.norm_first) {
        op->layer_norm(t->be, s->norm, x, rows, dim, l->ln1_w, l->ln1_b, eps);
        attend(s, index, x, s->norm, rows, kept);
        op->layer_norm(t->be, s->norm, x, rows, dim, l->ln2_w, l->ln2_b, eps);
        feed_forward(s, index, x, s->norm, rows);
    } else {
        attend(s, index, x, x, rows, kept);
        op->layer_norm(t->be, x, x, rows, dim, l->ln1_w, l->ln1_b, eps);
        feed_forward(s, index, x, x, rows);
        op->layer_norm(t->be, x, x, rows, dim, l->ln2_w, l->ln2_b, eps);
    }
}

void transformer_run(struct transformer_state *s, const struct encoder_state *e, float *x,
                     size_t rows, size_t kept)
{
    const struct transformer_config *c = &s->transformer->config;
    assert(rows <= c->max_rows);
    for (size_t i = 0; i < c->layers; i++) {
        run_layer(s, i, x, rows, kept);
        char stage[32];
        snprintf(stage, sizeof(stage), "layer%zu", i);
        encoder_show(e, stage, x, kept, c->dim);
    }
}
