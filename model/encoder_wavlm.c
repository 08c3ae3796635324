/* WavLM (base, base+, large), as `transformers` computes it. E = dim, G = position groups.
 *
 *     x = stem(samples)                     seven convolutions, 50 rows/s (wavlm_stem.h)
 *     x = W LayerNorm(x) + b                E
 *     x = x + gelu(position(x))             convolution in G groups over 128 rows, 64 of them
 * before large:  x = ln(layers(x))             norms first base:   x = layers(ln(x)) norms after
 *
 * with gated relative positions in the layers (transformer.h). The position convolution of a group
 * is one product over overlapping rows of the group's columns, gathered with k - 1 rows of zeros
 * around them.
 */
#include "model/bind.h"
#include "model/encoder.h"
#include "model/transformer.h"
#include "model/two_way.h"
#include "model/wavlm_stem.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    WAVLM_PUSH_MAX = WAVLM_BLOCK,
    WAVLM_SAMPLES_PER_MS = 16,
    WAVLM_GROUPS_MAX = 64,
    WAVLM_POSITION_MAX = 512,
    WAVLM_BUCKETS_MAX = 4096,
};

struct wavlm {
    struct encoder base;
    struct backend *be;
    struct bind bind;
    bool norm_first;
    float eps;
    struct wavlm_stem stem;
    float *proj_norm_w, *proj_norm_b;          /* [stem dim] */
    struct weight *proj;                       /* [E, stem dim] */
    float *proj_b;                             /* [E] */
    size_t kernel, groups;                     /* of the position convolution */
    struct weight *position[WAVLM_GROUPS_MAX]; /* [groups] of [E / G, kernel E / G] */
    float *position_b;                         /* [E] */
    float *ln_w, *ln_b;                        /* [E] */
    struct transformer layers;
    struct two_way two_way;
};

struct wavlm_state {
    struct encoder_state base;
    const struct wavlm *wavlm;
    struct wavlm_stem_state stem;
    struct transformer_state layers;
    struct two_way_state two_way;
    float *projected;         /* [rows, stem dim] */
    float *gathered, *placed; /* [rows + kernel - 1, E / G], [rows, E / G] */
    float *position_x;        /* [rows, E] */
};

static int read_config(struct wavlm *w, struct transformer_config *c, struct error *error)
{
    const struct bind *b = &w->bind;
    int r = transformer_read_config(c, b, error);
    if (r == 0) {
        r = bind_u32(b, "earshot.encoder.position.kernel", 1, WAVLM_POSITION_MAX, &w->kernel,
                     error);
    }
    if (r == 0) {
        r = bind_u32(b, "earshot.encoder.position.groups", 1, WAVLM_GROUPS_MAX, &w->groups, error);
    }
    if (r == 0) {
        r = bind_u32(b, "earshot.encoder.relative.buckets", 4, WAVLM_BUCKETS_MAX, &c->buckets,
                     error);
    }
    if (r == 0) {
        r = bind_u32(b, "earshot.encoder.relative.max_distance", c->buckets / 4 + 1, 1 << 20,
                     &c->max_distance, error);
    }
    if (r == 0) {
        r = gguf_get_bool(b->gguf, "earshot.encoder.norm_first", &w->norm_first, error);
    }
    if (r == 0) {
        r = gguf_get_f32(b->gguf, "earshot.encoder.layer_norm_eps", &w->eps, error);
    }
    if (r < 0) {
        return r == -ENOENT ? -EINVAL : r;
    }
    if (!(w->eps > 0.0f && w->eps < 1.0f)) {
        return error_set(error, -EINVAL, "%s: earshot.encoder.layer_norm_eps is %g",
                         gguf_path(b->gguf), (double)w->eps);
    }
    if (c->dim % w->groups != 0) {
        return error_set(error, -EINVAL,
                         "%s: earshot.encoder.position.groups %zu do not divide "
                         "dim %zu",
                         gguf_path(b->gguf), w->groups, c->dim);
    }
    c->norm_first = w->norm_first;
    c->key_bias = true;
    c->eps = w->eps;
    return 0;
}

static int bind_own(struct wavlm *w, size_t dim, struct error *error)
{
    size_t stem = wavlm_stem_dim(&w->stem);
    const struct bind_entry entries[] = {
        {"proj.norm.weight", {stem}, .vector = &w->proj_norm_w},
        {"proj.norm.bias", {stem}, .vector = &w->proj_norm_b},
        {"proj.weight", {dim, stem}, .matrix = &w->proj},
        {"proj.bias", {dim}, .vector = &w->proj_b},
        {"position.bias", {dim}, .vector = &w->position_b},
        {"ln.weight", {dim}, .vector = &w->ln_w},
        {"ln.bias", {dim}, .vector = &w->ln_b},
    };
    const struct bind_entry position = {"position.weight", {dim, w->kernel, dim / w->groups}};
    int r =
        bind_tensors(&w->bind, "encoder.", entries, sizeof(entries) / sizeof(entries[0]), error);
    return r < 0 ? r : bind_parts(&w->bind, "encoder.", &position, w->groups, w->position, error);
}

/* x += gelu(position(x)) */
static void add_position(struct wavlm_state *s, float *x, size_t rows)
{
    const struct wavlm *w = s->wavlm;
    const struct backend_ops *op = w->be->ops;
    size_t dim = w->layers.config.dim;
    size_t part = dim / w->groups;
    size_t before = w->kernel / 2;
    size_t after = w->kernel - 1 - before;

    op->zero(w->be, s->gathered, before * part);
    op->zero(w->be, s->gathered + (before + rows) * part, after * part);
    for (size_t g = 0; g < w->groups; g++) {
        op->copy_rows(w->be, s->gathered + before * part, part, x + g * part, dim, rows, part);
        op->linear(w->be, s->placed, s->gathered, part, rows, w->position[g],
                   w->position_b + g * part, ACTIVATION_GELU);
        op->copy_rows(w->be, s->position_x + g * part, dim, s->placed, part, rows, part);
    }
    op->add(w->be, x, s->position_x, rows * dim);
}

static void encode(struct encoder_state *e, const struct two_way_window *window, float *x)
{
    struct wavlm_state *s = (struct wavlm_state *)e;
    const struct wavlm *w = s->wavlm;
    const struct backend_ops *op = w->be->ops;
    size_t stem = wavlm_stem_dim(&w->stem);
    size_t dim = w->base.info.dim;
    size_t rows = window->rows;

    encoder_show(e, "conv", window->units, rows, stem);
    op->layer_norm(w->be, s->projected, window->units, rows, stem, w->proj_norm_w, w->proj_norm_b,
                   w->eps);
    op->linear(w->be, x, s->projected, stem, rows, w->proj, w->proj_b, ACTIVATION_NONE);
    add_position(s, x, rows);
    if (!w->norm_first) {
        op->layer_norm(w->be, x, x, rows, dim, w->ln_w, w->ln_b, w->eps);
    }
    encoder_show(e, "stem", x, rows, dim);
    transformer_run(&s->layers, e, x, rows, rows);
    if (w->norm_first) {
        op->layer_norm(w->be, x, x, rows, dim, w->ln_w, w->ln_b, w->eps);
    }
}

static int bind_all(struct wavlm *w, const struct encoder_options *options, struct error *error)
{
    struct transformer_config c = {0};
    if (options->streaming == ENCODER_BLOCKS)
        return error_set(error, -ENOTSUP,
                         "%s: WavLM has no blocks: stream exact, alone or windowed",
                         gguf_path(w->bind.gguf));
    int r = read_config(w, &c, error);
    if (r == 0) {
        r = wavlm_stem_init(&w->stem, &w->bind, options->streaming != ENCODER_WINDOWED, error);
    }
    if (r < 0) {
        return r;
    }
    size_t most = (WAVLM_SAMPLES_MAX - w->stem.reach) / WAVLM_ROW + 1;
    struct two_way_config two_way = {
        .options = *options,
        .unit_dim = wavlm_stem_dim(&w->stem),
        .units = 1,
        .max_units = w->stem.max_rows,
        .max_rows = most,
        .dim = c.dim,
        .encode = encode,
    };
    r = two_way_init(&w->two_way, w->be, &two_way, error);
    c.max_rows = w->two_way.window;
    if (r == 0) {
        r = bind_own(w, c.dim, error);
    }
    if (r == 0) {
        r = transformer_init(&w->layers, &w->bind, &c, error);
    }
    w->base.info = (struct encoder_info){
        .input = ENCODER_INPUT_PCM,
        .input_dim = 1,
        .max_input = WAVLM_PUSH_MAX,
        .max_ms =
            options->streaming != ENCODER_WINDOWED ? WAVLM_SAMPLES_MAX / WAVLM_SAMPLES_PER_MS : 0,
    };
    two_way_describe(&w->two_way, &w->base.info);
    return r;
}

static void wavlm_destroy(struct encoder *e)
{
    struct wavlm *w = (struct wavlm *)e;
    transformer_finish(&w->layers);
    wavlm_stem_finish(&w->stem);
    bind_finish(&w->bind);
    free(w);
}

static int wavlm_load(struct encoder **out, const struct gguf *g, struct backend *be,
                      const struct encoder_options *options, struct error *error)
{
    struct wavlm *w = calloc(1, sizeof(*w));
    if (!w) {
        return error_set(error, -ENOMEM, "%s: no memory for the encoder", gguf_path(g));
    }
    w->be = be;
    bind_init(&w->bind, g, be);
    int r = bind_all(w, options, error);
    if (r < 0) {
        wavlm_destroy(&w->base);
        return r;
    }
    *out = &w->base;
    return 0;
}

static void wavlm_state_init(struct encoder_state *e)
{
    struct wavlm_state *s = (struct wavlm_state *)e;
    const struct wavlm *w = s->wavlm = (const struct wavlm *)e->encoder;
    struct memory *m = &e->memory;
    size_t rows = w->two_way.window;
    size_t dim = w->base.info.dim;
    size_t part = dim / w->groups;

    wavlm_stem_state_init(&s->stem, &w->stem, m);
    two_way_state_init(&s->two_way, &w->two_way, e);
    transformer_state_init(&s->layers, &w->layers, m, 0, false);
    s->projected = memory_rows(m, rows, wavlm_stem_dim(&w->stem));
    s->gathered = memory_rows(m, rows + w->kernel - 1, part);
    s->placed = memory_rows(m, rows, part);
    s->position_x = memory_rows(m, rows, dim);
    memory_reserve(m, rows);
}

static void wavlm_reset(struct encoder_state *e)
{
    struct wavlm_state *s = (struct wavlm_state *)e;
    wavlm_stem_reset(&s->stem);
    two_way_reset(&s->two_way);
}

/* Rows of the stem join those that wait for a window. */
static void take_rows(struct wavlm_state *s, size_t rows)
{
    struct backend *be = s->wavlm->be;
    if (rows > 0) {
        float *place = two_way_append(&s->two_way, rows);
        be->ops->copy(be, place, s->stem.rows, rows * wavlm_stem_dim(&s->wavlm->stem));
    }
}

static void end_stem(struct wavlm_state *s)
{
    for (size_t rows = 1; rows > 0;) {
        rows = wavlm_stem_flush(&s->stem);
        take_rows(s, rows);
    }
}

static size_t wavlm_push(struct encoder_state *e, const float *input, size_t count, float *rows)
{
    struct wavlm_state *s = (struct wavlm_state *)e;
    assert(count <= WAVLM_PUSH_MAX);
    take_rows(s, wavlm_stem_push(&s->stem, input, count));
    if (wavlm_stem_full(&s->stem)) {
        end_stem(s);
        wavlm_stem_next(&s->stem);
    }
    return two_way_advance(&s->two_way, false, rows);
}

static size_t wavlm_flush(struct encoder_state *e, float *rows)
{
    struct wavlm_state *s = (struct wavlm_state *)e;
    end_stem(s);
    return two_way_advance(&s->two_way, true, rows);
}

const struct encoder_ops encoder_wavlm_ops = {
    .type = "wavlm",
    .state_size = sizeof(struct wavlm_state),
    .load = wavlm_load,
    .destroy = wavlm_destroy,
    .state_init = wavlm_state_init,
    .reset = wavlm_reset,
    .push = wavlm_push,
    .flush = wavlm_flush,
};
