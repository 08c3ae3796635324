/* What the ways of a product share: linear_few.c for few rows, linear.c for many. A weight that is
 * not quantised becomes floats in one place, and a sum becomes a result in one place.
 */
#ifndef EARSHOT_KERNELS_CPU_LINEAR_H
#define EARSHOT_KERNELS_CPU_LINEAR_H

#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

#define NV (PANEL / VL) /* vectors of a panel */

struct linear {
    const struct cpu_backend *cpu;
    float *y;
    const float *x;
    size_t x_stride, rows;
    const struct weight *w;
    const float *bias;
    enum activation act;
    bool add;
    size_t unit;             /* panels of an item of work */
    struct numbers *numbers; /* [rows, in / SEGMENT], of few rows with a quantised weight */
};

static inline struct linear linear_of(struct backend *be, float *y, const float *x, size_t x_stride,
                                      size_t rows, const struct weight *w, const float *bias,
                                      enum activation act)
{
    return (struct linear){.cpu = (const struct cpu_backend *)be,
                           .y = y,
                           .x = x,
                           .x_stride = x_stride,
                           .rows = rows,
                           .w = w,
                           .bias = bias,
                           .act = act};
}

/* y is added to what is there. */
static inline struct linear linear_add_of(struct backend *be, float *y, const float *x, size_t rows,
                                          const struct weight *w, const float *bias)
{
    struct linear l = linear_of(be, y, x, w->in, rows, w, bias, ACTIVATION_NONE);

    l.add = true;
    return l;
}

/* Lanes n VL .. of quad g of a quantised segment: four unsigned bytes a lane. */
SIMD vi load_quad(enum tensor_type type, const uint8_t *segment, size_t g, size_t n)
{
    const uint8_t *p = segment + SCALES + n * VL * QUAD;
    size_t half = SEGMENT / QUAD / 2;

    if (type == TENSOR_Q8_0)
        return vi_load(p + g * PANEL * QUAD);
    return vi_load(p + g % half * PANEL * QUAD) >> (g < half ? 0 : 4) & 0x0f0f0f0f;
}

/* Lanes n VL .. of input j of a segment that is not quantised. */
SIMD vf load_weight(enum tensor_type type, const uint8_t *segment, size_t j, size_t n)
{
    size_t at = j * PANEL + n * VL;

    switch (type) {
    case TENSOR_F32:
        return vf_load((const float *)segment + at);
    case TENSOR_F16:
        return vf_load_half(segment + at * 2);
    case TENSOR_BF16:
        return vf_load_bfloat(segment + at * 2);
    case TENSOR_Q8_0:
    case TENSOR_Q4_0:
        break;
    }
    return vf_set1(0.0f);
}

/* y (+)= act(sums + bias) for one row and the outputs from o on. */
SIMD void finish_row(const struct linear *l, size_t row, size_t o, const float *sums, size_t count)
{
    float *y = l->y + row * l->w->out + o;

    if (count > l->w->out - o)
        count = l->w->out - o;
    for (size_t i = 0; i < count; i += VL) {
        vf v = vf_load(sums + i);

        if (l->bias)
            v = v + vf_load_n(l->bias + o + i, count - i);
        v = vf_activate(v, l->act);
        if (l->add)
            v = v + vf_load_n(y + i, count - i);
        vf_store_n(y + i, v, count - i);
    }
}

#define linear_few CPU_NAME(linear_few, CPU_ISA)
#define linear_is_few CPU_NAME(linear_is_few, CPU_ISA)
#define linear_is_quantised CPU_NAME(linear_is_quantised, CPU_ISA)

bool linear_is_quantised(const struct weight *w);
/* Whether so many rows are for linear_few. */
bool linear_is_few(const struct weight *w, size_t rows);
/* Whole products of the same rows, independent of each other; x, where it is the same, has the same
 * rows. They may have BACKEND_FEW_ROWS times the widest weight's inputs together. */
void linear_few(struct backend *be, struct linear *l, size_t count);

#endif
