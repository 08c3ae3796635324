/* Operations of one element or one column at a time. */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

#include <math.h>

struct columns {
    float *y;
    const float *x;
    size_t dim;
    const float *shift, *scale, *bias;
    enum activation act;
};

static void affine_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct columns *c = context;

    (void)thread;
    for (size_t r = begin; r < end; r++) {
        float *y = c->y + r * c->dim;
        const float *x = c->x + r * c->dim;

        for (size_t i = 0; i < c->dim; i += VL) {
            size_t n = c->dim - i;
            vf v = vf_load_n(x + i, n);

            if (c->shift)
                v = v - vf_load_n(c->shift + i, n);
            if (c->scale)
                v = v * vf_load_n(c->scale + i, n);
            if (c->bias)
                v = v + vf_load_n(c->bias + i, n);
            vf_store_n(y + i, vf_activate(v, c->act), n);
        }
    }
}

void cpu_affine(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                const float *shift, const float *scale, const float *bias, enum activation act)
{
    struct columns c = {
        .y = y, .x = x, .dim = dim, .shift = shift, .scale = scale, .bias = bias, .act = act};

    cpu_split(be, rows, dim * (act == ACTIVATION_NONE ? 1 : 8), affine_part, &c);
}

struct halves {
    uint16_t *y;
    const float *x;
};

static void half_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct halves *c = context;
    size_t i = begin;

    (void)thread;
    for (; i + VL <= end; i += VL)
        vf_store_half(c->y + i, vf_load(c->x + i));
    for (; i < end; i++)
        c->y[i] = half_from_float(c->x[i]);
}

void cpu_to_half(struct backend *be, uint16_t *y, const float *x, size_t count)
{
    struct halves c = {.y = y, .x = x};

    cpu_split(be, count, 1, half_part, &c);
}

static void add_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct columns *c = context;

    (void)thread;
    for (size_t i = begin; i < end; i++)
        c->y[i] += c->x[i];
}

void cpu_add(struct backend *be, float *y, const float *x, size_t count)
{
    struct columns c = {.y = y, .x = x};

    cpu_split(be, count, 1, add_part, &c);
}

static void glu_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct columns *c = context;

    (void)thread;
    for (size_t r = begin; r < end; r++) {
        const float *x = c->x + r * 2 * c->dim;

        for (size_t i = 0; i < c->dim; i += VL) {
            size_t n = c->dim - i;
            vf gate = vf_sigmoid(vf_load_n(x + c->dim + i, n));

            vf_store_n(c->y + r * c->dim + i, vf_load_n(x + i, n) * gate, n);
        }
    }
}

void cpu_glu(struct backend *be, float *y, const float *x, size_t rows, size_t dim)
{
    struct columns c = {.y = y, .x = x, .dim = dim};

    cpu_split(be, rows, dim * 8, glu_part, &c);
}

struct gate {
    float *y;
    const float *x, *scale;
    size_t heads;
};

static void relative_gate_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct gate *g = context;

    (void)thread;
    for (size_t i = begin * g->heads; i < end * g->heads; i++) {
        float outer = 1.0f / (1.0f + expf(-g->x[2 * i]));
        float inner = 1.0f / (1.0f + expf(-g->x[2 * i + 1]));

        g->y[i] = outer * (inner * g->scale[i % g->heads] - 1.0f) + 2.0f;
    }
}

void cpu_relative_gate(struct backend *be, float *y, const float *x, const float *scale,
                       size_t rows, size_t heads)
{
    struct gate g = {.y = y, .x = x, .scale = scale, .heads = heads};

    cpu_split(be, rows, heads * 20, relative_gate_part, &g);
}

/* Each lane keeps its first largest. */
static uint32_t argmax_row(const float *x, size_t count)
{
    vf top = vf_set1(-INFINITY);
    vi where = {0}, at = {0};
    size_t whole = count / VL * VL, best = 0;
    float largest = -INFINITY;

    for (size_t i = 0; i < VL; i++)
        at[i] = (int32_t)i;
    for (size_t i = 0; i < whole; i += VL) {
        vf v = vf_load(x + i);
        vi larger = (vi)(v > top);

        top = vf_select(larger, v, top);
        where = (larger & at) | (~larger & where);
        at += VL;
    }
    for (size_t i = 0; i < VL; i++)
        if (top[i] > largest || (top[i] == largest && (size_t)where[i] < best)) {
            largest = top[i];
            best = (size_t)where[i];
        }
    for (size_t i = whole; i < count; i++)
        if (x[i] > largest) {
            largest = x[i];
            best = i;
        }
    return (uint32_t)best;
}

struct argmax {
    uint32_t *best;
    const float *x;
    size_t count;
};

static void argmax_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct argmax *a = context;

    (void)thread;
    for (size_t r = begin; r < end; r++)
        a->best[r] = argmax_row(a->x + r * a->count, a->count);
}

void cpu_argmax(struct backend *be, uint32_t *best, const float *x, size_t rows, size_t count)
{
    struct argmax a = {.best = best, .x = x, .count = count};

    cpu_split(be, rows, count, argmax_part, &a);
}

/* 1 / sum_i exp(x_i - x_index); an overflow of the sum is a probability of 0, as it should be. */
float cpu_probability(struct backend *be, const float *x, size_t count, size_t index)
{
    double sum = 0.0;

    (void)be;
    for (size_t i = 0; i < count; i++)
        sum += (double)expf(x[i] - x[index]);
    return (float)(1.0 / sum);
}
