/* RWKV-7's time mixing; the equations are in backend.h. Heads of a slot need nothing of each
 * other. Of a head, the steps before and after the recurrence are one row at a time. In the
 * recurrence row i of S (one value, N keys) needs nothing of the other rows, so a few rows stay in
 * registers while time runs. One row at a time or all at once: the same sums in the same order.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

#include <assert.h>
#include <math.h>

#define DECAY -0.606530660f /* -exp(-0.5) */
#define HEAD_MAX 256
#define ROWS 4 /* of S together: with N = 64, 16 registers of AVX-512; vf_sum4 wants four */

/* One head of one row; at: its place in the rows, c: in the vectors. */
static void mix_head(const struct rwkv7 *m, size_t at, size_t c)
{
    vf square = vf_set1(0.0f);
    float scale;

    for (size_t i = 0; i < m->head_size; i += VL) {
        vf k = vf_load(m->k + at + i);
        vf v = vf_load(m->v + at + i);
        vf a = vf_sigmoid(vf_load(m->a0 + c + i) + vf_load(m->a + at + i));
        vf w = vf_sigmoid(vf_load(m->w0 + c + i) + vf_load(m->w + at + i));
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

/* ROWS rows of S from row on, of one slot and head. at: where t = 0 lies in the vectors. */
SIMD void recur(const struct rwkv7 *c, float *state, size_t at, size_t row, size_t n)
{
    vf s[ROWS][HEAD_MAX / VL];

    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < n / VL; j++)
            s[i][j] = vf_load(state + i * n + j * VL);
    for (size_t t = 0; t < c->rows; t++, at += c->heads * n) {
        vf sum[ROWS] = {0};
        float sa[ROWS];

        for (size_t j = 0; j < n / VL; j++) {
            vf kk = vf_load(c->kk + at + j * VL);

            for (size_t i = 0; i < ROWS; i++)
                sum[i] += s[i][j] * kk;
        }
        vf_sum4(sa, sum[0], sum[1], sum[2], sum[3]);
        memset(sum, 0, sizeof(sum));
        for (size_t j = 0; j < n / VL; j++) {
            vf w = vf_load(c->w + at + j * VL), k = vf_load(c->k + at + j * VL);
            vf r = vf_load(c->r + at + j * VL);
            vf kka = vf_load(c->kk + at + j * VL) * vf_load(c->a + at + j * VL);

            for (size_t i = 0; i < ROWS; i++) {
                vf decayed = s[i][j] * w;

                decayed = kka * -sa[i] + decayed;
                s[i][j] = k * c->v[at + row + i] + decayed;
                sum[i] += s[i][j] * r;
            }
        }
        vf_sum4(c->y + at + row, sum[0], sum[1], sum[2], sum[3]);
    }
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < n / VL; j++)
            vf_store(state + i * n + j * VL, s[i][j]);
}

static void out_head(const struct rwkv7 *o, size_t at, size_t c)
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

static void rwkv7_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct rwkv7 *c = context;
    size_t n = c->head_size, dim = c->heads * n;

    (void)thread;
    for (size_t item = begin; item < end; item++) {
        size_t head = item % c->heads * n;
        size_t at = item / c->heads * c->rows * dim + head;
        float *state = c->state + item * n * n;

        if (c->moves && c->moves[item / c->heads] == 0.0f)
            continue;
        for (size_t t = 0; t < c->rows; t++)
            mix_head(c, at + t * dim, head);
        for (size_t row = 0; row < n; row += ROWS) {
            if (n == 64)
                recur(c, state + row * n, at, row, 64);
            else
                recur(c, state + row * n, at, row, n);
        }
        for (size_t t = 0; t < c->rows; t++)
            out_head(c, at + t * dim, head);
    }
}

void cpu_rwkv7(struct backend *be, const struct rwkv7 *c)
{
    struct rwkv7 copy = *c;
    size_t n = c->head_size;

    assert(n % 16 == 0 && n <= HEAD_MAX);
    /* The state comes from memory and goes back, which takes as long as two rows' arithmetic. */
    cpu_split(be, c->slots * c->heads, (c->rows + 2) * n * (n * 2 + 48), rwkv7_part, &copy);
}
