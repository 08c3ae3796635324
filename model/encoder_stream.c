/* The `stream` encoder: Whisper's shape, but causal, so that rows come out as frames go in and any
 * split of the audio gives the same rows. E = dim, K = conv_kernel, W = window.
 *
 *     x = (mel - mean) scale                                     100 frames/s
 *     x = gelu(conv1(x))      k 3, s 1, two zero rows before
 *     x = gelu(conv2(x))      k 3, s 2, one zero row before      50 rows/s
 *     per block:
 *       n = ln1(x)    q, k, v = Wq n, Wk n, Wv n;  q, k = rope(q, k)
 *       x = x + Wo attention(q, k, v)                            a row sees W - 1 rows before it
 *       n = ln2(x)    h = glu(Wi n);  h = silu(depthwise(h))     a row sees K - 1 rows before it
 *       x = x + Wc h
 *       n = ln3(x)    x = x + W2 gelu(W0 n)
 *     x = ln_post(x)
 *
 * What a later row needs (frames, conv1 rows, keys, values, h) waits in a history each.
 */
#include "model/bind.h"
#include "model/encoder.h"
#include "model/past.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STREAM_FRAMES_MAX = BACKEND_FEW_ROWS, /* a push, so that its rows do not depend on it */
    STREAM_ROWS_MAX = STREAM_FRAMES_MAX / 2,
    STREAM_LOOKAHEAD_MS = 10, /* conv2's row ends one frame after the one it stands on */
    STREAM_CONV = 3,          /* kernel of conv1 and conv2 */
    STREAM_WINDOW_MAX = 4096,
    STREAM_DIM_MAX = 1 << 14,
    STREAM_HEAD_MAX = 256, /* what backends can attend with */
};

static const float stream_eps = 1e-5f;

struct stream_config {
    size_t dim, layers, heads, ffn, window, conv_kernel, mel_bins;
    float rope_base;
};

struct stream_block {
    float *ln1_w, *ln1_b, *ln2_w, *ln2_b, *ln3_w, *ln3_b; /* [E] */
    struct weight *q, *k, *v, *out;                       /* [E, E] */
    float *q_b, *v_b, *out_b;                             /* [E] */
    struct weight *conv_in;                               /* [2E, E] */
    float *conv_in_b;                                     /* [2E] */
    float *dw_w, *dw_b;                                   /* [K, E], [E] */
    struct weight *conv_out;                              /* [E, E] */
    float *conv_out_b;                                    /* [E] */
    struct weight *ffn0, *ffn2;                           /* [F, E], [E, F] */
    float *ffn0_b, *ffn2_b;                               /* [F], [E] */
};

struct stream {
    struct encoder base;
    struct backend *be;
    struct stream_config config;
    struct bind bind;
    float *mean, *scale;          /* [mel_bins] */
    struct weight *conv1, *conv2; /* [E, 3 mel_bins], [E, 3 E] */
    float *conv1_b, *conv2_b;     /* [E] */
    float *ln_post_w, *ln_post_b; /* [E] */
    struct stream_block *blocks;  /* [layers], owned */
};

struct stream_past {
    struct past keys, values, gated; /* rows of [E] */
};

struct stream_state {
    struct encoder_state base;
    const struct stream *stream;
    struct past frames, halves;  /* rows of [mel_bins] and of [E], 100 a second */
    struct stream_past *pasts;   /* [layers] */
    uint64_t position;           /* of the next row, since the utterance began */
    float *mel;                  /* [STREAM_FRAMES_MAX, mel_bins] as it was pushed */
    float *norm, *query, *mixed; /* [STREAM_ROWS_MAX, E] */
    float *wide;                 /* [STREAM_ROWS_MAX, max(2E, F)] */
};

static int read_config(struct stream *s, struct error *error)
{
    struct stream_config *c = &s->config;
    const struct bind *b = &s->bind;
    const struct {
        const char *key;
        size_t most;
        size_t *value;
    } keys[] = {
        {"earshot.encoder.dim", STREAM_DIM_MAX, &c->dim},
        {"earshot.encoder.layers", gguf_tensor_count(b->gguf), &c->layers},
        {"earshot.encoder.heads", STREAM_DIM_MAX, &c->heads},
        {"earshot.encoder.ffn", 4 * STREAM_DIM_MAX, &c->ffn},
        {"earshot.encoder.window", STREAM_WINDOW_MAX, &c->window},
        {"earshot.encoder.conv_kernel", STREAM_WINDOW_MAX, &c->conv_kernel},
        {"earshot.encoder.mel_bins", STREAM_DIM_MAX, &c->mel_bins},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        int r = bind_u32(b, keys[i].key, 1, keys[i].most, keys[i].value, error);
        if (r < 0) {
            return r;
        }
    }
    size_t head_dim = c->dim / c->heads;
    if (c->dim % c->heads != 0 || head_dim % 2 != 0 || head_dim > STREAM_HEAD_MAX) {
        return error_set(error, -EINVAL,
                         "%s: earshot.encoder.heads %zu: heads of dim %zu must be whole, even and "
                         "of at most %d",
                         gguf_path(b->gguf), c->heads, c->dim, STREAM_HEAD_MAX);
    }
    int r = gguf_get_f32(b->gguf, "earshot.encoder.rope_base", &c->rope_base, error);
    if (r < 0) {
        return r == -ENOENT ? -EINVAL : r;
    }
    if (!isfinite(c->rope_base) || c->rope_base < 1.0f) {
        return error_set(error, -EINVAL, "%s: earshot.encoder.rope_base is %g", gguf_path(b->gguf),
                         (double)c->rope_base);
    }
    return 0;
}

static int bind_stem(struct stream *s, struct error *error)
{
    size_t dim = s->config.dim;
    size_t bins = s->config.mel_bins;
    const struct bind_entry entries[] = {
        {"norm.mean", {bins}, .vector = &s->mean},
        {"norm.scale", {bins}, .vector = &s->scale},
        {"conv1.weight", {dim, STREAM_CONV, bins}, .matrix = &s->conv1},
        {"conv1.bias", {dim}, .vector = &s->conv1_b},
        {"conv2.weight", {dim, STREAM_CONV, dim}, .matrix = &s->conv2},
        {"conv2.bias", {dim}, .vector = &s->conv2_b},
        {"ln_post.weight", {dim}, .vector = &s->ln_post_w},
        {"ln_post.bias", {dim}, .vector = &s->ln_post_b},
    };
    return bind_tensors(&s->bind, "encoder.", entries, sizeof(entries) / sizeof(entries[0]), error);
}

static int bind_block(struct stream *s, size_t layer, struct error *error)
{
    struct stream_block *b = &s->blocks[layer];
    size_t dim = s->config.dim;
    size_t ffn = s->config.ffn;
    const struct bind_entry entries[] = {
        {"ln1.weight", {dim}, .vector = &b->ln1_w},
        {"ln1.bias", {dim}, .vector = &b->ln1_b},
        {"ln2.weight", {dim}, .vector = &b->ln2_w},
        {"ln2.bias", {dim}, .vector = &b->ln2_b},
        {"ln3.weight", {dim}, .vector = &b->ln3_w},
        {"ln3.bias", {dim}, .vector = &b->ln3_b},
        {"attn.q.weight", {dim, dim}, .matrix = &b->q},
        {"attn.q.bias", {dim}, .vector = &b->q_b},
        {"attn.k.weight", {dim, dim}, .matrix = &b->k},
        {"attn.v.weight", {dim, dim}, .matrix = &b->v},
        {"attn.v.bias", {dim}, .vector = &b->v_b},
        {"attn.out.weight", {dim, dim}, .matrix = &b->out},
        {"attn.out.bias", {dim}, .vector = &b->out_b},
        {"conv.in.weight", {2 * dim, dim}, .matrix = &b->conv_in},
        {"conv.in.bias", {2 * dim}, .vector = &b->conv_in_b},
        {"conv.dw.weight", {s->config.conv_kernel, dim}, .vector = &b->dw_w},
        {"conv.dw.bias", {dim}, .vector = &b->dw_b},
        {"conv.out.weight", {dim, dim}, .matrix = &b->conv_out},
        {"conv.out.bias", {dim}, .vector = &b->conv_out_b},
        {"ffn.0.weight", {ffn, dim}, .matrix = &b->ffn0},
        {"ffn.0.bias", {ffn}, .vector = &b->ffn0_b},
        {"ffn.2.weight", {dim, ffn}, .matrix = &b->ffn2},
        {"ffn.2.bias", {dim}, .vector = &b->ffn2_b},
    };
    char prefix[48];
    snprintf(prefix, sizeof(prefix), "encoder.blocks.%zu.", layer);
    return bind_tensors(&s->bind, prefix, entries, sizeof(entries) / sizeof(entries[0]), error);
}

static int bind_all(struct stream *s, struct error *error)
{
    int r = read_config(s, error);
    if (r == 0) {
        r = bind_stem(s, error);
    }
    if (r < 0) {
        return r;
    }
    s->blocks = calloc(s->config.layers, sizeof(s->blocks[0]));
    if (!s->blocks) {
        return error_set(error, -ENOMEM, "%s: no memory for the encoder", gguf_path(s->bind.gguf));
    }
    for (size_t i = 0; r == 0 && i < s->config.layers; i++) {
        r = bind_block(s, i, error);
    }
    return r;
}

static void stream_destroy(struct encoder *e)
{
    struct stream *s = (struct stream *)e;
    bind_finish(&s->bind);
    free(s->blocks);
    free(s);
}

static int stream_load(struct encoder **out, const struct gguf *g, struct backend *be,
                       const struct encoder_options *options, struct error *error)
{
    (void)options;
    struct stream *s = calloc(1, sizeof(*s));
    if (!s) {
        return error_set(error, -ENOMEM, "%s: no memory for the encoder", gguf_path(g));
    }
    s->be = be;
    bind_init(&s->bind, g, be);
    int r = bind_all(s, error);
    if (r < 0) {
        stream_destroy(&s->base);
        return r;
    }
    s->base.info = (struct encoder_info){
        .input = ENCODER_INPUT_LOG_MEL,
        .input_dim = s->config.mel_bins,
        .rows_per_second = 50,
        .dim = s->config.dim,
        .lookahead_ms = STREAM_LOOKAHEAD_MS,
        .max_input = STREAM_FRAMES_MAX,
        .max_rows = STREAM_ROWS_MAX,
        .forks = true,
    };
    *out = &s->base;
    return 0;
}

static void init_pasts(struct stream_state *s, const struct stream_config *c)
{
    struct memory *m = &s->base.memory;
    past_init(&s->frames, m, STREAM_CONV - 1, STREAM_FRAMES_MAX, c->mel_bins);
    past_init(&s->halves, m, STREAM_CONV - 1, STREAM_FRAMES_MAX, c->dim);
    s->pasts = memory_host(m, c->layers, sizeof(s->pasts[0]));
    for (size_t i = 0; s->pasts && i < c->layers; i++) {
        past_init(&s->pasts[i].keys, m, c->window - 1, STREAM_ROWS_MAX, c->dim);
        past_init(&s->pasts[i].values, m, c->window - 1, STREAM_ROWS_MAX, c->dim);
        past_init(&s->pasts[i].gated, m, c->conv_kernel - 1, STREAM_ROWS_MAX, c->dim);
    }
}

static void stream_state_init(struct encoder_state *e)
{
    struct stream_state *s = (struct stream_state *)e;
    struct memory *m = &e->memory;
    s->stream = (const struct stream *)e->encoder;
    const struct stream_config *c = &s->stream->config;
    init_pasts(s, c);
    s->mel = memory_rows(m, STREAM_FRAMES_MAX, c->mel_bins);
    s->norm = memory_rows(m, STREAM_ROWS_MAX, c->dim);
    s->query = memory_rows(m, STREAM_ROWS_MAX, c->dim);
    s->mixed = memory_rows(m, STREAM_ROWS_MAX, c->dim);
    s->wide = memory_rows(m, STREAM_ROWS_MAX, c->ffn > 2 * c->dim ? c->ffn : 2 * c->dim);
    memory_reserve(m, STREAM_FRAMES_MAX);
}

static void stream_reset(struct encoder_state *e)
{
    struct stream_state *s = (struct stream_state *)e;
    const struct stream_config *c = &s->stream->config;
    struct backend *be = s->stream->be;
    s->position = 0;
    past_reset(&s->frames, be, STREAM_CONV - 1);
    past_reset(&s->halves, be, 1);
    for (size_t i = 0; i < c->layers; i++) {
        past_reset(&s->pasts[i].keys, be, 0);
        past_reset(&s->pasts[i].values, be, 0);
        past_reset(&s->pasts[i].gated, be, c->conv_kernel - 1);
    }
}

static bool stream_fork(struct encoder_state *fork_state, struct encoder_state *from_state)
{
    struct stream_state *to = (struct stream_state *)fork_state;
    const struct stream_state *from = (const struct stream_state *)from_state;
    struct backend *be = to->stream->be;
    to->position = from->position;
    past_copy(&to->frames, &from->frames, be);
    past_copy(&to->halves, &from->halves, be);
    for (size_t i = 0; i < to->stream->config.layers; i++) {
        past_copy(&to->pasts[i].keys, &from->pasts[i].keys, be);
        past_copy(&to->pasts[i].values, &from->pasts[i].values, be);
        past_copy(&to->pasts[i].gated, &from->pasts[i].gated, be);
    }
    return true;
}

/* Frames to rows at half the rate; returns how many. */
static size_t stem(struct stream_state *s, const float *mel, size_t count, float *x)
{
    const struct stream *w = s->stream;
    const struct backend_ops *op = w->be->ops;
    size_t bins = w->config.mel_bins;
    size_t dim = w->config.dim;

    op->upload(w->be, s->mel, mel, count * bins);
    float *frames = past_append(&s->frames, w->be, count);
    op->affine(w->be, frames, s->mel, count, bins, w->mean, w->scale, NULL, ACTIVATION_NONE);
    float *halves = past_append(&s->halves, w->be, count);
    op->linear(w->be, halves, past_first(&s->frames), bins, count, w->conv1, w->conv1_b,
               ACTIVATION_GELU);
    past_keep(&s->frames, STREAM_CONV - 1);

    size_t rows = (past_rows(&s->halves) - 1) / 2;
    if (rows > 0) {
        op->linear(w->be, x, past_first(&s->halves), 2 * dim, rows, w->conv2, w->conv2_b,
                   ACTIVATION_GELU);
        past_drop(&s->halves, 2 * rows);
    }
    return rows;
}

static void attend(struct stream_state *s, size_t layer, float *x, size_t rows)
{
    const struct stream *w = s->stream;
    const struct stream_block *b = &w->blocks[layer];
    const struct backend_ops *op = w->be->ops;
    struct past *keys = &s->pasts[layer].keys, *values = &s->pasts[layer].values;
    size_t dim = w->config.dim;
    size_t heads = w->config.heads;
    size_t head_dim = dim / heads;

    op->layer_norm(w->be, s->norm, x, rows, dim, b->ln1_w, b->ln1_b, stream_eps);
    float *key = past_append(keys, w->be, rows);
    float *value = past_append(values, w->be, rows);
    op->linear(w->be, s->query, s->norm, dim, rows, b->q, b->q_b, ACTIVATION_NONE);
    op->linear(w->be, key, s->norm, dim, rows, b->k, NULL, ACTIVATION_NONE);
    op->linear(w->be, value, s->norm, dim, rows, b->v, b->v_b, ACTIVATION_NONE);
    op->rope(w->be, s->query, rows, heads, head_dim, s->position, w->config.rope_base);
    op->rope(w->be, key, rows, heads, head_dim, s->position, w->config.rope_base);
    op->attention(w->be, &(struct attention){
                             .rows = rows,
                             .history = past_rows(keys) - rows,
                             .heads = heads,
                             .head_dim = head_dim,
                             .window = w->config.window,
                             .q = s->query,
                             .k = past_first(keys),
                             .v = past_first(values),
                             .y = s->mixed,
                             .scale = 1.0f / sqrtf((float)head_dim),
                         });
    past_keep(keys, w->config.window - 1);
    past_keep(values, w->config.window - 1);
    op->linear_add(w->be, x, s->mixed, rows, b->out, b->out_b);
}

static void convolve(struct stream_state *s, size_t layer, float *x, size_t rows)
{
    const struct stream *w = s->stream;
    const struct stream_block *b = &w->blocks[layer];
    const struct backend_ops *op = w->be->ops;
    struct past *past = &s->pasts[layer].gated;
    size_t dim = w->config.dim;

    op->layer_norm(w->be, s->norm, x, rows, dim, b->ln2_w, b->ln2_b, stream_eps);
    op->linear(w->be, s->wide, s->norm, dim, rows, b->conv_in, b->conv_in_b, ACTIVATION_NONE);
    float *gated = past_append(past, w->be, rows);
    op->glu(w->be, gated, s->wide, rows, dim);
    op->conv_depthwise(w->be, s->mixed, past_first(past), rows, dim, b->dw_w, b->dw_b,
                       w->config.conv_kernel, ACTIVATION_SILU);
    past_keep(past, w->config.conv_kernel - 1);
    op->linear_add(w->be, x, s->mixed, rows, b->conv_out, b->conv_out_b);
}

static void feed_forward(struct stream_state *s, size_t layer, float *x, size_t rows)
{
    const struct stream *w = s->stream;
    const struct stream_block *b = &w->blocks[layer];
    const struct backend_ops *op = w->be->ops;
    size_t dim = w->config.dim;

    op->layer_norm(w->be, s->norm, x, rows, dim, b->ln3_w, b->ln3_b, stream_eps);
    op->linear(w->be, s->wide, s->norm, dim, rows, b->ffn0, b->ffn0_b, ACTIVATION_GELU);
    op->linear_add(w->be, x, s->wide, rows, b->ffn2, b->ffn2_b);
}

static size_t stream_push(struct encoder_state *e, const float *input, size_t count, float *rows)
{
    struct stream_state *s = (struct stream_state *)e;
    const struct stream *w = s->stream;
    assert(count <= STREAM_FRAMES_MAX);
    size_t made = count > 0 ? stem(s, input, count, rows) : 0;
    if (made == 0) {
        return 0;
    }
    for (size_t i = 0; i < w->config.layers; i++) {
        attend(s, i, rows, made);
        convolve(s, i, rows, made);
        feed_forward(s, i, rows, made);
    }
    w->be->ops->layer_norm(w->be, rows, rows, made, w->config.dim, w->ln_post_w, w->ln_post_b,
                           stream_eps);
    s->position += made;
    return made;
}

/* No row waits for a future; a last odd frame makes none. */
static size_t stream_flush(struct encoder_state *e, float *rows)
{
    (void)e;
    (void)rows;
    return 0;
}

const struct encoder_ops encoder_stream_ops = {
    .type = "stream",
    .state_size = sizeof(struct stream_state),
    .load = stream_load,
    .destroy = stream_destroy,
    .state_init = stream_state_init,
    .reset = stream_reset,
    .fork = stream_fork,
    .push = stream_push,
    .flush = stream_flush,
};
