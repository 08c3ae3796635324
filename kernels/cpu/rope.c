/* Rotary positions, half-split pairs: (x[i], x[i + n / 2]) is turned by position * base^(-2 i / n).
 * Angles are computed in double, so that an hour is as exact as a second.
 */
#include "kernels/cpu/isa.h"

#include <assert.h>
#include <math.h>

#define HALF_MAX 256

struct rope {
    float *x;
    size_t heads, half;
    uint64_t position;
    double frequency[HALF_MAX];
};

static void rope_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct rope *p = context;
    float c[HALF_MAX], s[HALF_MAX];

    (void)thread;
    for (size_t r = begin; r < end; r++) {
        float *x = p->x + r * p->heads * 2 * p->half;

        for (size_t i = 0; i < p->half; i++) {
            double angle = (double)(p->position + r) * p->frequency[i];

            c[i] = (float)cos(angle);
            s[i] = (float)sin(angle);
        }
        for (size_t h = 0; h < p->heads; h++, x += 2 * p->half)
            for (size_t i = 0; i < p->half; i++) {
                float a = x[i], b = x[i + p->half];

                x[i] = a * c[i] - b * s[i];
                x[i + p->half] = b * c[i] + a * s[i];
            }
    }
}

void cpu_rope(struct backend *be, float *x, size_t rows, size_t heads, size_t head_dim,
              uint64_t position, float base)
{
    struct rope p = {.x = x, .heads = heads, .half = head_dim / 2, .position = position};

    assert(head_dim % 2 == 0 && p.half <= HALF_MAX);
    for (size_t i = 0; i < p.half; i++)
        p.frequency[i] = pow((double)base, -2.0 * (double)i / (double)head_dim);
    cpu_split(be, rows, p.half * (heads + 80), rope_part, &p);
}
