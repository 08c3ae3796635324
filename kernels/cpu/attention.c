/* Attention over a window of positions. A query's positions are taken in blocks of BLOCK, oldest
 * first, with the softmax's maximum, sum and value kept as running quantities m' = max(m, block);
 * y = y e^(m - m') + sum_p e^(s_p - m') v_p;   z likewise so that nothing but the block's scores is
 * stored, and the order depends on the window alone. With heads of 64, rows that see the same (a
 * block of a stream) go together; where many rows all see each other (whole utterances), keys and
 * values are laid side by side first.
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
#define TOGETHER 4 /* rows that see the same share the way of keys and values, */
#define PAIR 2     /* and for scores two of them */

/* Keys or values of a head: floats or halves. */
struct rows {
    const void *first;
    size_t stride; /* from one row to the next, in values */
    bool half;
};

SIMD vf load(const struct rows *r, size_t row, size_t i, size_t n)
{
    size_t at = row * r->stride + i;

    return r->half ? vf_load_half_n((const uint16_t *)r->first + at, n)
                   : vf_load_n((const float *)r->first + at, n);
}

/* Four scores of each query at once, because the sums over lanes are most of the work; keys j ...,
 * of `last` again past it. */
SIMD void dot4(float *e, const float *q, size_t q_stride, size_t queries, const struct rows *keys,
               size_t j, size_t last, size_t head_dim)
{
    vf sum[PAIR][4] = {0};

    for (size_t i = 0; i < head_dim; i += VL) {
        vf qi[PAIR];

        for (size_t r = 0; r < queries; r++)
            qi[r] = vf_load_n(q + r * q_stride + i, head_dim - i);
        for (size_t n = 0; n < 4; n++) {
            vf k = load(keys, j + n < last ? j + n : last, i, head_dim - i);

            for (size_t r = 0; r < queries; r++)
                sum[r][n] += qi[r] * k;
        }
    }
    for (size_t r = 0; r < queries; r++)
        vf_sum4(e + r * BLOCK, sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
}

/* e[queries][BLOCK]: scores of the keys p .. p + count - 1, unscaled. */
SIMD void score(float *e, const float *q, size_t q_stride, size_t queries, const struct rows *keys,
                size_t p, size_t count, size_t head_dim)
{
    size_t pair = queries < PAIR ? queries : PAIR;

    for (size_t r = 0; r < queries; r += pair)
        for (size_t j = 0; j < count; j += 4)
            dot4(e + r * BLOCK + j, q + r * q_stride, q_stride, pair, keys, p + j, p + count - 1,
                 head_dim);
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

/* y[queries][HEAD_VECTORS] += weights e[queries][BLOCK] times values p .. p + count - 1; as many
 * sums at a time as stay in registers. */
SIMD void mix(vf (*y)[HEAD_VECTORS], const float *e, size_t queries, const struct rows *values,
              size_t p, size_t count, size_t head_dim)
{
    const size_t vectors = queries == 1 ? 4 : 2;
    const bool whole = head_dim % (vectors * VL) == 0;

    for (size_t i = 0; i < head_dim; i += vectors * VL) {
        vf sum[TOGETHER][4];

        for (size_t r = 0; r < queries; r++)
            for (size_t n = 0; n < vectors; n++)
                sum[r][n] = y[r][i / VL + n];
        for (size_t j = 0; j < count; j++)
            for (size_t n = 0; n < vectors; n++) {
                size_t at = i + n * VL;

                if (!whole && at >= head_dim)
                    continue;
                vf v = load(values, p + j, at, whole ? VL : head_dim - at);

                for (size_t r = 0; r < queries; r++)
                    sum[r][n] += v * e[r * BLOCK + j];
            }
        for (size_t r = 0; r < queries; r++)
            for (size_t n = 0; n < vectors; n++)
                y[r][i / VL + n] = sum[r][n];
    }
}

/* What neighbouring queries have seen so far. */
struct running {
    vf y[TOGETHER][HEAD_VECTORS], z[TOGETHER];
    float m[TOGETHER];
};

SIMD void begin(struct running *b, size_t queries, size_t head_dim)
{
    for (size_t r = 0; r < queries; r++) {
        b->z[r] = vf_set1(0.0f);
        b->m[r] = LOWEST;
        /* to the end of mix's last step, which is of four vectors at most */
        for (size_t i = 0; i < HEAD_VECTORS && i * VL < head_dim + 3 * VL; i++)
            b->y[r][i] = vf_set1(0.0f);
    }
}

/* The scores e of a block become query r's weights; what it has so far counts less by as much as
 * the largest score rises. */
SIMD void take(struct running *b, size_t r, float *e, size_t count, size_t head_dim, bool is_first)
{
    float before = b->m[r];

    b->m[r] = weigh(e, count, before, &b->z[r]);
    if (is_first)
        return;
    vf keep = vf_exp(vf_set1(before - b->m[r]));

    for (size_t i = 0; i * VL < head_dim; i++)
        b->y[r][i] *= keep;
}

/* Neighbouring queries of one head, that all see the positions first .. last: none's result depends
 * on how many they are. */
SIMD void attend(const struct attention *a, size_t row, size_t queries, size_t head, size_t first,
                 size_t last, size_t head_dim, bool half)
{
    size_t stride = a->heads * head_dim, at = head * head_dim;
    const float *q = a->q + row * stride + at;
    const float *relative = a->relative ? a->relative + head * (2 * a->span - 1) : NULL;
    struct rows keys = {half ? (const void *)(a->half_k + at) : a->k + at, stride, half};
    struct rows values = {half ? (const void *)(a->half_v + at) : a->v + at, stride, half};
    struct running b;

    begin(&b, queries, head_dim);
    for (size_t p = first; p <= last; p += BLOCK) {
        size_t count = last - p + 1 < BLOCK ? last - p + 1 : BLOCK;
        float e[TOGETHER * BLOCK];

        score(e, q, stride, queries, &keys, p, count, head_dim);
        for (size_t r = 0; r < queries; r++) {
            float gate = relative ? a->gate[(row + r) * a->heads + head] : 0.0f;
            size_t itself = a->history + row + r;

            bend(e + r * BLOCK, count, a->scale, gate,
                 relative ? relative + (a->span - 1 + p - itself) : NULL);
            take(&b, r, e + r * BLOCK, count, head_dim, p == first);
        }
        mix(b.y, e, queries, &values, p, count, head_dim);
    }
    for (size_t r = 0; r < queries; r++)
        for (size_t i = 0; i * VL < head_dim; i++)
            vf_store_n(a->y + (row + r) * stride + at + i * VL, b.y[r][i] / vf_sum(b.z[r]),
                       head_dim - i * VL);
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

/* The positions that a row sees. */
struct span {
    size_t first, last;
};

static struct span seen_by(const struct attention *a, size_t row)
{
    size_t itself = a->history + row, after = a->rows - 1 - row;
    size_t first = itself + 1 > a->window ? itself + 1 - a->window : 0;

    return (struct span){first, itself + (a->ahead < after ? a->ahead : after)};
}

static void attend_one(const struct attention *a, size_t row, size_t head)
{
    struct span s = seen_by(a, row);

    if (a->half_k)
        attend(a, row, 1, head, s.first, s.last, a->head_dim, true);
    else if (a->head_dim == HEAD)
        attend(a, row, 1, head, s.first, s.last, HEAD, false);
    else
        attend(a, row, 1, head, s.first, s.last, a->head_dim, false);
}

static void attend_together(const struct attention *a, size_t row, size_t head)
{
    struct span s = seen_by(a, row);

    if (a->half_k)
        attend(a, row, TOGETHER, head, s.first, s.last, HEAD, true);
    else
        attend(a, row, TOGETHER, head, s.first, s.last, HEAD, false);
}

/* Whether TOGETHER rows from row on are there and see the same, with the usual heads. */
static bool see_the_same(const struct attention *a, size_t row)
{
    if (a->head_dim != HEAD || a->rows - row < TOGETHER)
        return false;
    struct span s = seen_by(a, row), t = seen_by(a, row + TOGETHER - 1);
    return s.first == t.first && s.last == t.last;
}

/* Items: groups of TOGETHER rows, head by head. */
static void attention_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct attention *a = context;
    size_t groups = (a->rows + TOGETHER - 1) / TOGETHER;

    (void)thread;
    for (size_t item = begin; item < end; item++) {
        size_t head = item / groups, row = item % groups * TOGETHER;

        if (see_the_same(a, row)) {
            attend_together(a, row, head);
            continue;
        }
        for (size_t n = row; n < row + TOGETHER && n < a->rows; n++)
            attend_one(a, n, head);
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
    size_t seen = positions < a->window ? positions : a->window;
    size_t together = a->rows < TOGETHER ? a->rows : TOGETHER;
    cpu_split(be, a->heads * ((a->rows + TOGETHER - 1) / TOGETHER),
              together * seen * a->head_dim * 2, attention_part, &copy);
}
