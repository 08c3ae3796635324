/* With s_j the samples and T rows, the first convolution's channel c at row t is the sum over k of
 * W_ck x(stride t + k). So its mean and variance over an utterance follow from the first and second
 * moments of the windows, kernel + kernel^2 numbers, whatever the number of channels:
 *
 *     mean_c = sum_k W_ck m_k + b_c        var_c = sum_kl W_ck W_cl (R_kl - m_k m_l)
 *
 * and normalising the samples to a x + b first gives a m + b and a^2 (R - m m^T).
 */
#include "model/wavlm_stem.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAVLM_DIM_MAX = 1 << 14,
};

static const double wavlm_level_eps = 1e-7; /* of Wav2Vec2FeatureExtractor */
static const float wavlm_norm_eps = 1e-5f;

static int read_norm(struct wavlm_stem *s, const struct bind *b, struct error *error)
{
    struct gguf_string norm;
    int r = gguf_get_string(b->gguf, "earshot.encoder.conv.norm", &norm, error);
    if (r < 0) {
        return r == -ENOENT ? -EINVAL : r;
    }
    s->group_norm = gguf_string_is(norm, "group");
    if (!s->group_norm && !gguf_string_is(norm, "layer")) {
        return error_set(error, -EINVAL, "%s: earshot.encoder.conv.norm is neither group nor layer",
                         gguf_path(b->gguf));
    }
    r = gguf_get_bool(b->gguf, "earshot.encoder.normalise", &s->normalise, error);
    return r == -ENOENT ? -EINVAL : r;
}

static int read_config(struct wavlm_stem *s, const struct bind *b, struct error *error)
{
    size_t dims[WAVLM_CONVS];
    size_t kernels[WAVLM_CONVS];
    size_t strides[WAVLM_CONVS];
    int r =
        bind_u32_array(b, "earshot.encoder.conv.dims", WAVLM_CONVS, 1, WAVLM_DIM_MAX, dims, error);
    if (r == 0) {
        r = bind_u32_array(b, "earshot.encoder.conv.kernels", WAVLM_CONVS, 1, WAVLM_KERNEL_MAX,
                           kernels, error);
    }
    if (r == 0) {
        r = bind_u32_array(b, "earshot.encoder.conv.strides", WAVLM_CONVS, 1, WAVLM_KERNEL_MAX,
                           strides, error);
    }
    if (r < 0) {
        return r;
    }
    size_t row_samples = 1;
    s->reach = 1;
    for (size_t i = 0; i < WAVLM_CONVS; i++) {
        if (strides[i] > kernels[i]) {
            return error_set(error, -EINVAL,
                             "%s: earshot.encoder.conv.strides[%zu] is %zu, above "
                             "its kernel of %zu",
                             gguf_path(b->gguf), i, strides[i], kernels[i]);
        }
        s->convs[i] = (struct wavlm_conv){.in = i > 0 ? dims[i - 1] : 1,
                                          .out = dims[i],
                                          .kernel = kernels[i],
                                          .stride = strides[i]};
        s->reach += (kernels[i] - 1) * row_samples;
        row_samples *= strides[i];
    }
    if (row_samples != WAVLM_ROW) {
        return error_set(error, -EINVAL,
                         "%s: earshot.encoder.conv.strides make a row of %zu "
                         "samples, not %d",
                         gguf_path(b->gguf), row_samples, WAVLM_ROW);
    }
    return read_norm(s, b, error);
}

static int bind_conv(struct wavlm_stem *s, struct bind *b, size_t index, struct error *error)
{
    struct wavlm_conv *c = &s->convs[index];
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "encoder.conv.%zu.", index);
    const struct bind_entry weight = {"weight", {c->out, c->kernel, c->in}, .matrix = &c->weight};
    const struct bind_entry bias = {"bias", {c->out}, .vector = &c->bias};
    const struct bind_entry norm[] = {
        {"norm.weight", {c->out}, .vector = &c->norm_w},
        {"norm.bias", {c->out}, .vector = &c->norm_b},
    };
    char name[48];
    snprintf(name, sizeof(name), "%sbias", prefix);
    int r = bind_tensors(b, prefix, &weight, 1, error);
    if (r == 0 && gguf_find(b->gguf, name)) {
        r = bind_tensors(b, prefix, &bias, 1, error);
    }
    if (r == 0 && (index == 0 || !s->group_norm)) {
        r = bind_tensors(b, prefix, norm, 2, error);
    }
    return r;
}

/* The first convolution once more on the host, where GroupNorm's moments are worked out. */
static int read_first(struct wavlm_stem *s, const struct bind *b, struct error *error)
{
    struct wavlm_conv *c = &s->convs[0];
    s->first = calloc(c->out * c->kernel, sizeof(float));
    s->first_b = calloc(c->out, sizeof(float));
    s->norm_w = calloc(c->out, sizeof(float));
    if (!s->first || !s->first_b || !s->norm_w) {
        return error_set(error, -ENOMEM, "%s: no memory for the encoder", gguf_path(b->gguf));
    }
    int r = bind_host(b, "encoder.conv.0.", "weight", s->first, c->out * c->kernel, error);
    if (r == 0 && c->bias) {
        r = bind_host(b, "encoder.conv.0.", "bias", s->first_b, c->out, error);
    }
    return r < 0 ? r : bind_host(b, "encoder.conv.0.", "norm.weight", s->norm_w, c->out, error);
}

/* The most rows that each convolution takes at once, and the last one gives. */
static void find_bounds(struct wavlm_stem *s)
{
    size_t rows = s->waits ? WAVLM_BLOCK_WAITED : WAVLM_BLOCK;
    for (size_t i = 0; i < WAVLM_CONVS; i++) {
        struct wavlm_conv *c = &s->convs[i];
        c->max_input = rows;
        rows = (rows + c->kernel) / c->stride + 1;
    }
    s->max_rows = rows;
}

int wavlm_stem_init(struct wavlm_stem *s, struct bind *b, bool exact, struct error *error)
{
    *s = (struct wavlm_stem){.be = b->backend};
    int r = read_config(s, b, error);
    s->waits = exact && (s->group_norm || s->normalise);
    if (r == 0)
        find_bounds(s);
    for (size_t i = 0; r == 0 && i < WAVLM_CONVS; i++) {
        r = bind_conv(s, b, i, error);
    }
    if (r == 0 && s->group_norm) {
        r = read_first(s, b, error);
    }
    return r;
}

void wavlm_stem_finish(struct wavlm_stem *s)
{
    free(s->first);
    free(s->first_b);
    free(s->norm_w);
    *s = (struct wavlm_stem){0};
}

size_t wavlm_stem_dim(const struct wavlm_stem *s)
{
    return s->convs[WAVLM_CONVS - 1].out;
}

void wavlm_stem_state_init(struct wavlm_stem_state *s, const struct wavlm_stem *stem,
                           struct memory *m)
{
    size_t channels = stem->convs[0].out;
    *s = (struct wavlm_stem_state){.stem = stem};
    for (size_t i = 0; i < WAVLM_CONVS; i++) {
        const struct wavlm_conv *c = &stem->convs[i];
        past_init(&s->inputs[i], m, c->kernel + c->stride, c->max_input, c->in);
    }
    s->rows = memory_rows(m, stem->max_rows, wavlm_stem_dim(stem));
    s->shift = memory_rows(m, 1, channels);
    s->scale = memory_rows(m, 1, channels);
    s->host_shift = memory_host(m, channels, sizeof(float));
    s->host_scale = memory_host(m, channels, sizeof(float));
    s->block = memory_host(m, WAVLM_BLOCK, sizeof(float));
    if (stem->waits)
        s->samples = memory_host(m, WAVLM_SAMPLES_MAX, sizeof(float));
}

void wavlm_stem_next(struct wavlm_stem_state *s)
{
    for (size_t i = 0; i < WAVLM_CONVS; i++) {
        past_reset(&s->inputs[i], s->stem->be, 0);
    }
    s->waiting = 0;
    s->taken = 0;
    s->moments = (struct wavlm_moments){0};
}

void wavlm_stem_reset(struct wavlm_stem_state *s)
{
    wavlm_stem_next(s);
    s->filled = 0;
}

static void add_window(struct wavlm_moments *m, size_t kernel)
{
    m->windows += 1.0;
    for (size_t k = 0; k < kernel; k++) {
        m->means[k] += (double)m->window[k];
        for (size_t l = 0; l <= k; l++) {
            m->products[k][l] += (double)m->window[k] * (double)m->window[l];
        }
    }
}

static void add_moments(struct wavlm_stem_state *s, const float *samples, size_t count)
{
    struct wavlm_moments *m = &s->moments;
    const struct wavlm_conv *c = &s->stem->convs[0];
    for (size_t i = 0; i < count; i++) {
        double x = (double)samples[i];
        m->samples += 1.0;
        m->sum += x;
        m->squares += x * x;
        m->window[m->filled++] = samples[i];
        if (m->filled == c->kernel) {
            if (s->stem->group_norm) {
                add_window(m, c->kernel);
            }
            m->filled = c->kernel - c->stride;
            memmove(m->window, m->window + c->stride, m->filled * sizeof(float));
        }
    }
}

/* The level of what was heard: samples are normalised to gain x + offset. */
static void level(const struct wavlm_stem_state *s, double *gain, double *offset)
{
    const struct wavlm_moments *m = &s->moments;
    *gain = 1.0;
    *offset = 0.0;
    if (s->stem->normalise && m->samples > 0.0) {
        double mean = m->sum / m->samples;
        double variance = fmax(m->squares / m->samples - mean * mean, 0.0);
        *gain = 1.0 / sqrt(variance + wavlm_level_eps);
        *offset = -mean * *gain;
    }
}

/* GroupNorm's shift and scale of every channel, from the moments. */
static void find_norm(struct wavlm_stem_state *s)
{
    const struct wavlm_stem *stem = s->stem;
    double gain;
    double offset;
    level(s, &gain, &offset);
    const struct wavlm_moments *m = &s->moments;
    const struct wavlm_conv *c = &s->stem->convs[0];
    double windows = fmax(m->windows, 1.0);
    for (size_t o = 0; o < c->out; o++) {
        const float *w = stem->first + o * c->kernel;
        double mean = (double)stem->first_b[o];
        double variance = 0.0;
        for (size_t k = 0; k < c->kernel; k++) {
            mean += (double)w[k] * (gain * m->means[k] / windows + offset);
            for (size_t l = 0; l <= k; l++) {
                double covariance =
                    m->products[k][l] / windows - m->means[k] / windows * (m->means[l] / windows);
                variance += (k == l ? 1.0 : 2.0) * (double)w[k] * (double)w[l] * covariance;
            }
        }
        variance = fmax(variance * gain * gain, 0.0);
        s->host_shift[o] = (float)mean;
        s->host_scale[o] =
            (float)((double)stem->norm_w[o] / sqrt(variance + (double)wavlm_norm_eps));
    }
    stem->be->ops->upload(stem->be, s->shift, s->host_shift, c->out);
    stem->be->ops->upload(stem->be, s->scale, s->host_scale, c->out);
}

/* One convolution over all the windows that are complete; returns its rows. */
static size_t convolve(struct wavlm_stem_state *s, size_t index)
{
    struct backend *be = s->stem->be;
    const struct wavlm_conv *c = &s->stem->convs[index];
    struct past *input = &s->inputs[index];
    bool grouped = s->stem->group_norm && index == 0;
    size_t there = past_rows(input);
    size_t rows = there < c->kernel ? 0 : (there - c->kernel) / c->stride + 1;
    if (rows == 0) {
        return 0;
    }
    float *y = index + 1 < WAVLM_CONVS ? past_append(&s->inputs[index + 1], be, rows) : s->rows;
    be->ops->linear(be, y, past_first(input), c->stride * c->in, rows, c->weight, c->bias,
                    c->norm_w ? ACTIVATION_NONE : ACTIVATION_GELU);
    if (grouped) {
        be->ops->affine(be, y, y, rows, c->out, s->shift, s->scale, c->norm_b, ACTIVATION_GELU);
    } else if (c->norm_w) {
        be->ops->layer_norm(be, y, y, rows, c->out, c->norm_w, c->norm_b, wavlm_norm_eps);
        be->ops->affine(be, y, y, rows, c->out, NULL, NULL, NULL, ACTIVATION_GELU);
    }
    past_drop(input, rows * c->stride);
    return rows;
}

/* Samples, normalised in place, through all convolutions. */
static size_t run_block(struct wavlm_stem_state *s, float *samples, size_t count)
{
    struct backend *be = s->stem->be;
    double gain;
    double offset;
    level(s, &gain, &offset);
    if (s->stem->normalise) {
        for (size_t i = 0; i < count; i++) {
            samples[i] = (float)((double)samples[i] * gain + offset);
        }
    }
    float *place = past_append(&s->inputs[0], be, count);
    be->ops->upload(be, place, samples, count);
    size_t rows = 0;
    for (size_t i = 0; i < WAVLM_CONVS; i++) {
        rows = convolve(s, i);
    }
    return rows;
}

/* A block that is as full as it gets: on its way, or to those that wait. */
static size_t take_block(struct wavlm_stem_state *s)
{
    const struct wavlm_stem *stem = s->stem;
    size_t count = s->filled;
    s->filled = 0;
    if (stem->group_norm || stem->normalise) {
        add_moments(s, s->block, count);
    }
    if (stem->waits) {
        assert(count <= WAVLM_SAMPLES_MAX - s->waiting);
        memcpy(s->samples + s->waiting, s->block, count * sizeof(float));
        s->waiting += count;
        return 0;
    }
    if (stem->group_norm) {
        find_norm(s);
    }
    return run_block(s, s->block, count);
}

size_t wavlm_stem_push(struct wavlm_stem_state *s, const float *samples, size_t count)
{
    assert(count <= WAVLM_BLOCK);
    size_t room = WAVLM_BLOCK - s->filled;
    size_t first = count < room ? count : room;
    memcpy(s->block + s->filled, samples, first * sizeof(float));
    s->filled += first;
    if (s->filled < WAVLM_BLOCK) {
        return 0;
    }
    size_t rows = take_block(s);
    s->filled = count - first;
    memcpy(s->block, samples + first, s->filled * sizeof(float));
    return rows;
}

bool wavlm_stem_full(const struct wavlm_stem_state *s)
{
    return s->stem->waits && s->waiting == WAVLM_SAMPLES_MAX;
}

size_t wavlm_stem_flush(struct wavlm_stem_state *s)
{
    size_t rows = s->filled > 0 && !wavlm_stem_full(s) ? take_block(s) : 0;
    if (s->stem->waits && s->taken == 0 && s->waiting > 0 && s->stem->group_norm) {
        find_norm(s);
    }
    if (s->taken < s->waiting) {
        size_t left = s->waiting - s->taken;
        size_t count = left < WAVLM_BLOCK_WAITED ? left : WAVLM_BLOCK_WAITED;
        rows = run_block(s, s->samples + s->taken, count);
        s->taken += count;
    }
    return rows;
}
