/* Depthwise convolution over time: y[t] = act(b + sum_j w[j] x[t + j]), every column alone. */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

struct conv {
    float *y;
    const float *x;
    size_t dim;
    const float *w, *b;
    size_t kernel;
    enum activation act;
};

static void conv_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct conv *c = context;

    (void)thread;
    for (size_t t = begin; t < end; t++)
        for (size_t i = 0; i < c->dim; i += VL) {
            size_t n = c->dim - i;
            vf s = c->b ? vf_load_n(c->b + i, n) : vf_set1(0.0f);

            for (size_t j = 0; j < c->kernel; j++)
                s +=
                    vf_load_n(c->w + j * c->dim + i, n) * vf_load_n(c->x + (t + j) * c->dim + i, n);
            vf_store_n(c->y + t * c->dim + i, vf_activate(s, c->act), n);
        }
}

void cpu_conv_depthwise(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                        const float *w, const float *b, size_t kernel, enum activation act)
{
    struct conv c = {.y = y, .x = x, .dim = dim, .w = w, .b = b, .kernel = kernel, .act = act};

    cpu_split(be, rows, dim * (kernel + 8), conv_part, &c);
}
