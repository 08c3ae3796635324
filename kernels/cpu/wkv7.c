/* The recurrence of RWKV-7, for each stream and head, N = head size:
 *     S = S diag(w) + (S (-kk)) (kk a)^T + v k^T;   y = S r
 * Row i of S (one value, N keys) needs nothing of the other rows, so a few rows stay in registers
 * while time runs. One row at a time or all at once: the same sums in the same order.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/simd.h"

#include <assert.h>

#define HEAD_MAX 256
#define ROWS 4 /* of S together: with N = 64, 16 registers of AVX-512; vf_sum4 wants four */

struct wkv7 {
    float *y, *state;
    const float *r, *w, *k, *v, *kk, *a;
    size_t rows, heads, head_size;
};

/* ROWS rows of S from row on, of one stream and head. at: where t = 0 lies in the vectors. */
SIMD void recur(const struct wkv7 *c, float *state, size_t at, size_t row, size_t n)
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

static void wkv7_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct wkv7 *c = context;
    size_t n = c->head_size;

    (void)thread;
    for (size_t item = begin; item < end; item++) {
        size_t stream = item / c->heads, head = item % c->heads;
        size_t at = stream * c->rows * c->heads * n + head * n;
        float *state = c->state + item * n * n;

        for (size_t row = 0; row < n; row += ROWS) {
            if (n == 64)
                recur(c, state + row * n, at, row, 64);
            else
                recur(c, state + row * n, at, row, n);
        }
    }
}

void cpu_wkv7(struct backend *be, float *y, float *state, const float *r, const float *w,
              const float *k, const float *v, const float *kk, const float *a, size_t streams,
              size_t rows, size_t heads, size_t head_size)
{
    struct wkv7 c = {.y = y,
                     .state = state,
                     .r = r,
                     .w = w,
                     .k = k,
                     .v = v,
                     .kk = kk,
                     .a = a,
                     .rows = rows,
                     .heads = heads,
                     .head_size = head_size};

    assert(head_size % 16 == 0 && head_size <= HEAD_MAX);
    cpu_split(be, streams * heads, rows * head_size * head_size * 2, wkv7_part, &c);
}
