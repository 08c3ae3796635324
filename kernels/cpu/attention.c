/* Attention over a window of positions. A query's positions are taken in blocks of BLOCK, oldest
 * first, with the softmax's maximum, sum and value kept as running quantities m' = max(m, block);
 * y = y e^(m - m') + sum_p e^(s_p - m') v_p;   z likewise so that nothing but the block's scores is
 * stored, and the order depends on the window alone. Where many rows all see each other (whole
 * utterances), a few queries share the way of keys and values through the registers.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

#include <assert.h>
#include <math.h>

#define BLOCK 64
#define LOWEST -1e30f /* below any score, and its differences are finite */
#define HEAD_MAX 256
#define HEAD ATTENTION_HEAD
#define QUERIES LINEAR_TILE_ROWS /* whose sums fill the registers with VECTORS each */
#define VECTORS 2
#define KEYS 128
#define WIDE (VECTORS * VL)
#define HEAD_VECTORS (HEAD_MAX / VL)

/* Four scores at once, because the sums over lanes are most of the work. */
SIMD void dot4(float *out, const float *q, const float *const k[4], size_t count)
{
    vf sum[4] = {0};

    for (size_t i = 0; i < count; i += VL) {
        vf qi = vf_load_n(q + i, count - i);

        for (size_t j = 0; j < 4; j++)
            sum[j] += qi * vf_load_n(k[j] + i, count - i);
    }
    vf_sum4(out, sum[0], sum[1], sum[2], sum[3]);
}

/* e[0 .. count - 1]: scores of the keys at k, unscaled. */
SIMD void score(float *e, const float *q, const float *k, size_t stride, size_t count,
                size_t head_dim)
{
    for (size_t j = 0; j < count; j += 4) {
        const float *keys[4];

        for (size_t i = 0; i < 4; i++)
            keys[i] = k + (j + i < count ? j + i : count - 1) * stride;
        dot4(e + j, q, keys, head_dim);
    }
}

/* e = scale e + gate bias, bias NULL or [count]; what is past count stays below the largest. */
SIMD void bend(float *e, size_t count, float scale, float gate, const float *bias)
{
    for (size_t j = 0; j < count; j += VL) {
        size_t n = count - j;
        vf s = vf_load(e + j) * scale;

        vf_store(e + j, bias ? s + vf_load_n(bias + j, n) * gate : s);
    }
    for (size_t j = count; j % VL != 0; j++)
        e[j] = e[count - 1];
}

/* e = e^(e - m), m the largest of it and of before; zero past count. Returns m, adds to z. */
SIMD float weigh(float *e, size_t count, float before, vf *z)
{
    vf top = vf_set1(before);
    float m;

    for (size_t j = 0; j < count; j += VL)
        top = vf_max(top, vf_load(e + j));
    m = vf_top(top);
    *z *= vf_exp(vf_set1(before - m));
    for (size_t j = 0; j < count; j += VL)
        vf_store(e + j, vf_exp(vf_load(e + j) - m));
    for (size_t j = count; j % VL != 0; j++)
        e[j] = 0.0f;
    for (size_t j = 0; j < count; j += VL)
        *z += vf_load(e + j);
    return m;
}

/* One query of one head over positions first .. last. */
SIMD void attend(const struct attention *a, size_t row, size_t head, size_t first, size_t last,
                 size_t head_dim)
{
    size_t stride = a->heads * head_dim;
    const float *q = a->q + row * stride + head * head_dim;
    const float *k = a->k + head * head_dim;
    const float *v = a->v + head * head_dim;
    float *y = a->y + row * stride + head * head_dim;
    const float *relative = a->relative ? a->relative + head * (2 * a->span - 1) : NULL;
    float gate = a->relative ? a->gate[row * a->heads + head] : 0.0f;
    size_t itself = a->history + row;
    vf sum[HEAD_VECTORS], z = vf_set1(0.0f);
    float m = LOWEST;

    for (size_t i = 0; i * VL < head_dim; i++)
        sum[i] = vf_set1(0.0f);
    for (size_t p = first; p <= last; p += BLOCK) {
        size_t count = last - p + 1 < BLOCK ? last - p + 1 : BLOCK;
        float e[BLOCK], before = m;

        score(e, q, k + p * stride, stride, count, head_dim);
        bend(e, count, a->scale, gate, relative ? relative + (a->span - 1 + p - itself) : NULL);
        m = weigh(e, count, before, &z);
        if (p > first) {
            vf keep = vf_exp(vf_set1(before - m));

            for (size_t i = 0; i * VL < head_dim; i++)
                sum[i] *= keep;
        }
        for (size_t j = 0; j < count; j++)
            for (size_t i = 0; i * VL < head_dim; i++)
                sum[i] += vf_load_n(v + (p + j) * stride + i * VL, head_dim - i * VL) * e[j];
    }
    for (size_t i = 0; i * VL < head_dim; i++)
        vf_store_n(y + i * VL, sum[i] / vf_sum(z), head_dim - i * VL);
}

/* ---- Many rows that all see each other ---- */

/* out[QUERIES, WIDE] += a[QUERIES, inner] b[inner, WIDE]; strides between the rows of each. */
SIMD void multiply(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b,
                   size_t b_stride, size_t inner)
{
    vf s[QUERIES][VECTORS];

    for (size_t r = 0; r < QUERIES; r++)
        for (size_t n = 0; n < VECTORS; n++)
            s[r][n] = vf_load(out + r * out_stride + n * VL);
    for (size_t i = 0; i < inner; i++) {
        vf value[VECTORS];

        for (size_t n = 0; n < VECTORS; n++)
            value[n] = vf_load(b + i * b_stride + n * VL);
        for (size_t r = 0; r < QUERIES; r++)
            for (size_t n = 0; n < VECTORS; n++)
                s[r][n] += value[n] * vf_set1(a[r * a_stride + i]);
    }
    for (size_t r = 0; r < QUERIES; r++)
        for (size_t n = 0; n < VECTORS; n++)
            vf_store(out + r * out_stride + n * VL, s[r][n]);
}

/* A head's keys as panels [rows / WIDE, HEAD, WIDE], zeros past the last. */
static void turn_keys(float *out, const float *k, size_t stride, size_t rows)
{
    for (size_t p = 0; p < rows; p += WIDE) {
        for (size_t j = 0; j < WIDE; j++)
            for (size_t i = 0; i < HEAD; i++)
                out[i * WIDE + j] = p + j < rows ? k[(p + j) * stride + i] : 0.0f;
        out += HEAD * WIDE;
    }
}

/* A head's values side by side: rows that lie a power of two apart, or nearly, would drive each
 * other out of the cache. */
static void gather_values(float *out, const float *v, size_t stride, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        memcpy(out + r * HEAD, v + r * stride, HEAD * sizeof(float));
}

/* Queries of a block, and what they have seen so far. */
struct queries {
    float q[QUERIES][HEAD], y[QUERIES][HEAD], e[QUERIES][KEYS];
    vf z[QUERIES];
    float m[QUERIES];
};

/* The softmax of keys p .. p + count - 1 for the queries from row on: scores to weights. */
static void soften(const struct attention *a, struct queries *b, size_t row, size_t head, size_t p,
                   size_t count)
{
    for (size_t r = 0; r < QUERIES && row + r < a->rows; r++) {
        const float *bias = NULL;
        float gate = 0.0f, before = b->m[r];

        if (a->relative) {
            bias = a->relative + head * (2 * a->span - 1) + (a->span - 1 + p - (row + r));
            gate = a->gate[(row + r) * a->heads + head];
        }
        bend(b->e[r], count, a->scale, gate, bias);
        b->m[r] = weigh(b->e[r], count, before, &b->z[r]);
        if (b->m[r] > before) {
            vf keep = vf_exp(vf_set1(before - b->m[r]));

            for (size_t i = 0; i < HEAD; i += VL)
                vf_store(&b->y[r][i], vf_load(&b->y[r][i]) * keep);
        }
    }
}

/* QUERIES queries of one head from row on; keys and values: as turn_keys and gather_values made
 * them.
 */
static void attend_block(const struct attention *a, size_t row, size_t head, const float *keys,
                         const float *values)
{
    size_t stride = a->heads * HEAD;
    struct queries b;

    memset(&b, 0, sizeof(b));
    for (size_t r = 0; r < QUERIES; r++) {
        b.m[r] = LOWEST;
        if (row + r < a->rows)
            memcpy(b.q[r], a->q + (row + r) * stride + head * HEAD, sizeof(b.q[r]));
    }
    for (size_t p = 0; p < a->rows; p += KEYS) {
        size_t count = a->rows - p < KEYS ? a->rows - p : KEYS;

        memset(b.e, 0, sizeof(b.e));
        for (size_t j = 0; j < count; j += WIDE)
            multiply(&b.e[0][j], KEYS, b.q[0], HEAD, keys + (p + j) * HEAD, WIDE, HEAD);
        soften(a, &b, row, head, p, count);
        for (size_t i = 0; i < HEAD; i += WIDE)
            multiply(&b.y[0][i], HEAD, b.e[0], KEYS, values + p * HEAD + i, HEAD, count);
    }
    for (size_t r = 0; r < QUERIES && row + r < a->rows; r++)
        for (size_t i = 0; i < HEAD; i += VL)
            vf_store(a->y + (row + r) * stride + head * HEAD + i,
                     vf_load(&b.y[r][i]) / vf_sum(b.z[r]));
}

struct job {
    const struct cpu_backend *cpu;
    const struct attention *a;
    size_t blocks; /* of queries */
};

/* Items: blocks of queries, head by head. */
static void blocks_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct job *j = context;
    const struct attention *a = j->a;
    float *keys = j->cpu->heads + thread * 2 * j->cpu->scratch_rows * HEAD;
    float *values = keys + j->cpu->scratch_rows * HEAD;

    for (size_t item = begin; item < end; item++) {
        size_t head = item / j->blocks;

        if (item == begin || item % j->blocks == 0) {
            turn_keys(keys, a->k + head * HEAD, a->heads * HEAD, a->rows);
            gather_values(values, a->v + head * HEAD, a->heads * HEAD, a->rows);
        }
        attend_block(a, item % j->blocks * QUERIES, head, keys, values);
    }
}

static void attend_blocks(struct backend *be, const struct attention *a)
{
    struct job j = {
        .cpu = (const struct cpu_backend *)be, .a = a, .blocks = (a->rows + QUERIES - 1) / QUERIES};

    assert(a->rows <= j.cpu->scratch_rows);
    cpu_split(be, a->heads * j.blocks, QUERIES * a->rows * HEAD * 2, blocks_part, &j);
}

/* ---- Rows one by one ---- */

static void attention_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct attention *a = context;

    (void)thread;
    for (size_t item = begin; item < end; item++) {
        size_t head = item / a->rows, row = item % a->rows;
        size_t itself = a->history + row, after = a->rows - 1 - row;
        size_t first = itself + 1 > a->window ? itself + 1 - a->window : 0;
        size_t last = itself + (a->ahead < after ? a->ahead : after);

        if (a->head_dim == 64)
            attend(a, row, head, first, last, 64);
        else
            attend(a, row, head, first, last, a->head_dim);
    }
}

void cpu_attention(struct backend *be, const struct attention *a)
{
    struct attention copy = *a;
    size_t positions = a->history + a->rows;

    assert(a->head_dim <= HEAD_MAX && a->window > 0);
    if (attention_is_dense(a)) {
        attend_blocks(be, a);
        return;
    }
    cpu_split(be, a->heads * a->rows,
              (positions < a->window ? positions : a->window) * a->head_dim * 2, attention_part,
              &copy);
}
