/* RWKV-7's elementwise steps before and after the recurrence; the equations are in backend.h.
 * Everything is one row and one head at a time.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

#include <assert.h>
#include <math.h>

#define DECAY -0.606530660f /* -exp(-0.5) */

/* One head of one row; at: its place in the rows, c: in the vectors. */
static void mix_head(const struct rwkv7_mix *m, size_t at, size_t c)
{
    vf square = vf_set1(0.0f);
    float scale;

    for (size_t i = 0; i < m->head_size; i += VL) {
        vf k = vf_load(m->k + at + i);
        vf v = vf_load(m->v + at + i);
        vf a = vf_sigmoid(vf_load(m->a0 + c + i) + vf_load(m->a_lora + at + i));
        vf w = vf_sigmoid(vf_load(m->w0 + c + i) + vf_load(m->w_lora + at + i));
        vf kk = k * vf_load(m->k_k + c + i);

        square += kk * kk;
        vf_store(m->kk + at + i, kk);
        vf_store(m->a + at + i, a);
        vf_store(m->w + at + i, vf_exp(w * DECAY));
        vf_store(m->k + at + i, k * ((a - 1.0f) * vf_load(m->k_a + c + i) + 1.0f));
        if (m->v_lora) {
            vf gate = vf_sigmoid(vf_load(m->v0 + c + i) + vf_load(m->v_lora + at + i));

            vf_store(m->v + at + i, (vf_load(m->v_first + at + i) - v) * gate + v);
        } else {
            vf_store(m->v_first + at + i, v);
        }
    }
    scale = 1.0f / fmaxf(sqrtf(vf_sum(square)), 1e-12f);
    for (size_t i = 0; i < m->head_size; i += VL)
        vf_store(m->kk + at + i, vf_load(m->kk + at + i) * scale);
}

static void mix_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct rwkv7_mix *m = context;

    (void)thread;
    for (size_t r = begin; r < end; r++)
        for (size_t c = 0; c < m->dim; c += m->head_size)
            mix_head(m, r * m->dim + c, c);
}

void cpu_rwkv7_mix(struct backend *be, const struct rwkv7_mix *m)
{
    struct rwkv7_mix copy = *m;

    assert(m->head_size % 16 == 0 && m->dim % m->head_size == 0);
    cpu_split(be, m->rows, m->dim * 40, mix_part, &copy);
}

static void out_head(const struct rwkv7_out *o, size_t at, size_t c)
{
    size_t n = o->head_size;
    vf sum = vf_set1(0.0f), square = vf_set1(0.0f), bonus = vf_set1(0.0f);
    float mean, scale, rk;

    for (size_t i = 0; i < n; i += VL) {
        sum += vf_load(o->y + at + i);
        bonus += vf_load(o->r + at + i) * vf_load(o->k + at + i) * vf_load(o->r_k + c + i);
    }
    mean = vf_sum(sum) / (float)n;
    rk = vf_sum(bonus);
    for (size_t i = 0; i < n; i += VL) {
        vf d = vf_load(o->y + at + i) - mean;

        square += d * d;
    }
    scale = 1.0f / sqrtf(vf_sum(square) / (float)n + o->eps);
    for (size_t i = 0; i < n; i += VL) {
        vf y = (vf_load(o->y + at + i) - mean) * scale;

        y = y * vf_load(o->ln_w + c + i) + vf_load(o->ln_b + c + i);
        y = vf_load(o->v + at + i) * rk + y;
        vf_store(o->y + at + i, y * vf_load(o->g + at + i));
    }
}

static void out_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct rwkv7_out *o = context;

    (void)thread;
    for (size_t r = begin; r < end; r++)
        for (size_t c = 0; c < o->dim; c += o->head_size)
            out_head(o, r * o->dim + c, c);
}

void cpu_rwkv7_out(struct backend *be, const struct rwkv7_out *o)
{
    struct rwkv7_out copy = *o;

    assert(o->head_size % 16 == 0 && o->dim % o->head_size == 0);
    cpu_split(be, o->rows, o->dim * 8, out_part, &copy);
}
