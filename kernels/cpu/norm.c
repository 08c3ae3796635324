/* LayerNorm: (x - mean) / sqrt(var + eps) * w + b, the variance from the differences; and the token
 * shift that follows it in RWKV.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/simd.h"

#include <math.h>

struct layer_norm {
    float *y;
    const float *x;
    size_t dim;
    const float *w, *b;
    float eps;
};

static void layer_norm_row(const struct layer_norm *l, float *y, const float *x)
{
    vf sum = vf_set1(0.0f), square = vf_set1(0.0f);
    size_t whole = l->dim / VL * VL, rest = l->dim - whole;
    float mean, scale, var;

    for (size_t i = 0; i < l->dim; i += VL)
        sum += vf_load_n(x + i, l->dim - i);
    mean = vf_sum(sum) / (float)l->dim;
    for (size_t i = 0; i < whole; i += VL) {
        vf d = vf_load(x + i) - mean;

        square += d * d;
    }
    var = vf_sum(square);
    for (size_t i = 0; i < rest; i++)
        var += (x[whole + i] - mean) * (x[whole + i] - mean);
    scale = 1.0f / sqrtf(var / (float)l->dim + l->eps);
    for (size_t i = 0; i < l->dim; i += VL) {
        size_t n = l->dim - i;
        vf v = (vf_load_n(x + i, n) - mean) * scale;

        vf_store_n(y + i, v * vf_load_n(l->w + i, n) + vf_load_n(l->b + i, n), n);
    }
}

static void layer_norm_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct layer_norm *l = context;

    (void)thread;
    for (size_t r = begin; r < end; r++)
        layer_norm_row(l, l->y + r * l->dim, l->x + r * l->dim);
}

void cpu_layer_norm(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                    const float *w, const float *b, float eps)
{
    struct layer_norm l = {.y = y, .x = x, .dim = dim, .w = w, .b = b, .eps = eps};

    cpu_split(be, rows, dim * 4, layer_norm_part, &l);
}

static void shift_row(const struct norm_shift *s, size_t row)
{
    const float *n = s->n + row * s->dim;
    const float *before = row % s->rows ? n - s->dim : s->prev + row / s->rows * s->dim;

    for (size_t j = 0; j < s->dim; j += VL) {
        size_t left = s->dim - j;
        vf now = vf_load_n(n + j, left), step = vf_load_n(before + j, left) - now;

        for (size_t i = 0; i < s->count; i++)
            vf_store_n(s->y[i] + row * s->dim + j, step * vf_load_n(s->mu[i] + j, left) + now,
                       left);
    }
}

static void shift_part(void *context, size_t begin, size_t end, size_t thread)
{
    (void)thread;
    for (size_t r = begin; r < end; r++)
        shift_row(context, r);
}

void cpu_norm_shift(struct backend *be, const struct norm_shift *n)
{
    struct norm_shift copy = *n;

    cpu_layer_norm(be, n->n, n->x, n->slots * n->rows, n->dim, n->w, n->b, n->eps);
    cpu_split(be, n->slots * n->rows, n->dim * n->count * 2, shift_part, &copy);
    for (size_t s = 0; s < n->slots; s++)
        if (!n->moves || n->moves[s] != 0.0f)
            cpu_copy(be, n->prev + s * n->dim, n->n + ((s + 1) * n->rows - 1) * n->dim, n->dim);
}
