/* Attention of many rows that all see each other, with heads of 64, on the matrix unit. Queries,
 * keys, values and the weights of the softmax are rounded to bf16, sums are float32. A head's keys
 * and values become tiles once; 32 queries go through them in blocks of 128 keys, so that scores
 * stay in the first cache:
 *
 *     s = q k^T                                  8 tiles of sums
 *     m' = max(m, s);  p = 2^(s - m')            z = z 2^(m - m') + sum p
 *     y = y 2^(m - m') + p v                     at the end y / z
 *
 * where s counts in powers of two. The blocks are the same for every query, and a query's sums have
 * no other's in them.
 */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/isa.h"

#include <assert.h>

#define HEAD ATTENTION_HEAD
#define HALVES (HEAD / TILE_INPUTS) /* tiles of a head's inputs */
#define COLUMNS (HEAD / TILE)       /* tiles of its outputs */
#define QUERIES 32                  /* two tiles */
#define KEYS 128                    /* of a block */
#define STEPS (KEYS / TILE_INPUTS)  /* tiles of a block's weights */
#define LOWEST -1e30f               /* below any score, and its differences are finite */
#define LOG2_E 1.44269504f

struct block {
    float scores[QUERIES][KEYS];
    float y[QUERIES][HEAD];
    vf z[QUERIES]; /* sums over every lane's keys */
    float top[QUERIES];
    uint16_t queries[QUERIES / TILE][HALVES][TILE_HALVES];
    uint16_t weights[QUERIES / TILE][STEPS][TILE_HALVES];
} __attribute__((aligned(64)));

/* 2^x by a polynomial of least error, 2.6e-6 relative; 0 for what is far below. */
SIMD vf exp2_short(vf x)
{
    vf whole = (vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    vf r = x - whole;
    vf p = r * 9.570101276e-3f + 5.591785908e-2f;

    p = p * r + 2.402474433e-1f;
    p = p * r + 6.931217909e-1f;
    p = p * r + 9.999992847e-1f;
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)whole);
}

/* Rows first .. first + 15 of a head as tiles [HALVES, TILE, TILE_INPUTS]; past the last, zeros. */
static void round_rows(uint16_t *out, const float *x, size_t stride, size_t first, size_t rows)
{
    for (size_t r = 0; r < TILE; r++)
        for (size_t h = 0; h < HALVES; h++) {
            const float *from = x + (first + r) * stride + h * TILE_INPUTS;
            vf none = vf_set1(0.0f);
            bool there = first + r < rows;

            amx_store_row(out + h * TILE_HALVES + r * TILE_INPUTS, there ? vf_load(from) : none,
                          there ? vf_load(from + VL) : none);
        }
}

/* A tile of 32-bit values, rows for columns: four rounds of interleaving row i with row i + 8. */
static void transpose(uint16_t *tile)
{
    const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    __m512i rows[TILE], before[TILE];

    memcpy(rows, tile, sizeof(rows));
    for (int round = 0; round < 4; round++) {
        memcpy(before, rows, sizeof(rows));
        for (size_t i = 0; i < TILE / 2; i++) {
            rows[2 * i] = _mm512_permutex2var_epi32(before[i], low, before[i + TILE / 2]);
            rows[2 * i + 1] = _mm512_permutex2var_epi32(before[i], high, before[i + TILE / 2]);
        }
    }
    memcpy(tile, rows, sizeof(rows));
}

/* Keys [rows / 16, HALVES, TILE_HALVES] as the right side of q k^T. */
static void round_keys(uint16_t *out, const float *k, size_t stride, size_t rows, size_t padded)
{
    for (size_t r = 0; r < padded; r += TILE) {
        round_rows(out, k, stride, r, rows);
        for (size_t h = 0; h < HALVES; h++)
            transpose(out + h * TILE_HALVES);
        out += HALVES * TILE_HALVES;
    }
}

/* Values [rows / 32, COLUMNS, TILE_HALVES] as the right side of p v. */
static void round_values(uint16_t *out, const float *v, size_t stride, size_t rows, size_t padded)
{
    for (size_t r = 0; r < padded; r += 2)
        for (size_t c = 0; c < COLUMNS; c++) {
            const float *from = v + r * stride + c * TILE;
            size_t tile = r / TILE_INPUTS * COLUMNS + c;
            vf none = vf_set1(0.0f);

            amx_store_pairs(out + tile * TILE_HALVES + r % TILE_INPUTS / 2 * TILE_INPUTS,
                            r < rows ? vf_load(from) : none,
                            r + 1 < rows ? vf_load(from + stride) : none);
        }
}

/* b->scores[QUERIES, count] of the keys at `keys`, count a multiple of 32. */
static void score(struct block *b, const uint16_t *keys, size_t count)
{
    size_t stride = KEYS * sizeof(float);

    amx_memory();
    for (size_t k = 0; k < count; k += 2 * TILE) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (size_t h = 0; h < HALVES; h++) {
            _tile_loadd(4, b->queries[0][h], TILE_STRIDE);
            _tile_loadd(5, b->queries[1][h], TILE_STRIDE);
            _tile_loadd(6, keys + h * TILE_HALVES, TILE_STRIDE);
            _tile_loadd(7, keys + (HALVES + h) * TILE_HALVES, TILE_STRIDE);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, &b->scores[0][k], stride);
        _tile_stored(1, &b->scores[0][k + TILE], stride);
        _tile_stored(2, &b->scores[TILE][k], stride);
        _tile_stored(3, &b->scores[TILE][k + TILE], stride);
        keys += 2 * HALVES * TILE_HALVES;
    }
    amx_memory();
}

/* b->y += weights values, `steps` tiles of 32 keys. */
static void mix(struct block *b, const uint16_t *values, size_t steps)
{
    size_t stride = HEAD * sizeof(float);

    amx_memory();
    for (size_t c = 0; c < COLUMNS; c += 2) {
        _tile_loadd(0, &b->y[0][c * TILE], stride);
        _tile_loadd(1, &b->y[0][(c + 1) * TILE], stride);
        _tile_loadd(2, &b->y[TILE][c * TILE], stride);
        _tile_loadd(3, &b->y[TILE][(c + 1) * TILE], stride);
        for (size_t s = 0; s < steps; s++) {
            _tile_loadd(4, b->weights[0][s], TILE_STRIDE);
            _tile_loadd(5, b->weights[1][s], TILE_STRIDE);
            _tile_loadd(6, values + (s * COLUMNS + c) * TILE_HALVES, TILE_STRIDE);
            _tile_loadd(7, values + (s * COLUMNS + c + 1) * TILE_HALVES, TILE_STRIDE);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, &b->y[0][c * TILE], stride);
        _tile_stored(1, &b->y[0][(c + 1) * TILE], stride);
        _tile_stored(2, &b->y[TILE][c * TILE], stride);
        _tile_stored(3, &b->y[TILE][(c + 1) * TILE], stride);
    }
    amx_memory();
}

/* s = scale s + gate bias, bias NULL or [count]. Returns the largest, of `before` too. What is past
 * count, up to the next whole tile, becomes LOWEST. */
SIMD float bend(float *s, size_t count, float scale, float gate, const float *bias, float before)
{
    vf top = vf_set1(before);

    for (size_t j = count; j % TILE_INPUTS != 0; j++)
        s[j] = LOWEST / scale;
    for (size_t j = 0; j < count; j += VL) {
        vf e = vf_load(s + j) * scale;

        if (bias)
            e = vf_load_n(bias + j, count - j) * gate + e;
        vf_store(s + j, e);
        top = vf_max(top, e);
    }
    return vf_top(top);
}

/* Weights 2^(s - top) of one query as rows of tiles. Returns z and their sum. */
SIMD vf weigh(uint16_t *out, const float *s, size_t count, float top, vf z)
{
    for (size_t j = 0; j < count; j += TILE_INPUTS) {
        vf a = exp2_short(vf_load(s + j) - top);
        vf b = exp2_short(vf_load(s + j + VL) - top);

        amx_store_row(out + j / TILE_INPUTS * TILE_HALVES, a, b);
        z += a + b;
    }
    return z;
}

/* The softmax of a block of keys from `first` on, for the queries from `row` on. */
static void soften(const struct attention *a, struct block *b, size_t head, size_t row,
                   size_t first, size_t count)
{
    for (size_t r = 0; r < QUERIES && row + r < a->rows; r++) {
        const float *bias = NULL;
        float gate = 0.0f, before = b->top[r];

        if (a->relative) {
            bias = a->relative + head * (2 * a->span - 1) + a->span - 1 + first - (row + r);
            gate = a->gate[(row + r) * a->heads + head] * LOG2_E;
        }
        b->top[r] = bend(b->scores[r], count, a->scale * LOG2_E, gate, bias, before);
        if (b->top[r] > before) {
            vf keep = exp2_short(vf_set1(before - b->top[r]));

            b->z[r] *= keep;
            for (size_t i = 0; i < HEAD; i += VL)
                vf_store(&b->y[r][i], vf_load(&b->y[r][i]) * keep);
        }
        b->z[r] = weigh(b->weights[r / TILE][0] + r % TILE * TILE_INPUTS, b->scores[r], count,
                        b->top[r], b->z[r]);
    }
}

/* Queries row .. row + 31 of a head whose keys and values are tiles. */
static void attend(const struct attention *a, size_t head, size_t row, const uint16_t *keys,
                   const uint16_t *values)
{
    size_t stride = a->heads * HEAD;
    struct block b;

    memset(b.y, 0, sizeof(b.y));
    memset(b.weights, 0, sizeof(b.weights));
    for (size_t r = 0; r < QUERIES; r++) {
        b.top[r] = LOWEST;
        b.z[r] = vf_set1(0.0f);
    }
    for (size_t t = 0; t < QUERIES / TILE; t++)
        round_rows(b.queries[t][0], a->q + head * HEAD, stride, row + t * TILE, a->rows);
    for (size_t first = 0; first < a->rows; first += KEYS) {
        size_t count = a->rows - first < KEYS ? a->rows - first : KEYS;
        size_t steps = (count + TILE_INPUTS - 1) / TILE_INPUTS;

        score(&b, keys + first * HEAD, steps * TILE_INPUTS);
        soften(a, &b, head, row, first, count);
        mix(&b, values + first * HEAD, steps);
    }
    for (size_t r = 0; r < QUERIES && row + r < a->rows; r++)
        for (size_t i = 0; i < HEAD; i += VL)
            vf_store(a->y + (row + r) * stride + head * HEAD + i,
                     vf_load(&b.y[r][i]) / vf_sum(b.z[r]));
}

struct job {
    const struct cpu_backend *cpu;
    const struct attention *a;
    size_t blocks, padded; /* of queries; rows as whole tiles */
};

/* Items: blocks of queries, head by head. */
static void attention_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct job *j = context;
    const struct attention *a = j->a;
    size_t stride = a->heads * HEAD;
    uint16_t *keys = (uint16_t *)(j->cpu->heads + thread * 2 * j->cpu->scratch_rows * HEAD);
    uint16_t *values = keys + j->padded * HEAD;

    amx_begin();
    for (size_t item = begin; item < end; item++) {
        size_t head = item / j->blocks;

        if (item == begin || item % j->blocks == 0) {
            round_keys(keys, a->k + head * HEAD, stride, a->rows, j->padded);
            round_values(values, a->v + head * HEAD, stride, a->rows, j->padded);
        }
        attend(a, head, item % j->blocks * QUERIES, keys, values);
    }
    amx_end();
}

void cpu_attention(struct backend *be, const struct attention *a)
{
    const struct cpu_backend *cpu = (const struct cpu_backend *)be;
    struct job j = {.cpu = cpu,
                    .a = a,
                    .blocks = (a->rows + QUERIES - 1) / QUERIES,
                    .padded = (a->rows + TILE_INPUTS - 1) / TILE_INPUTS * TILE_INPUTS};

    if (a->exact || !attention_is_dense(a)) {
        cpu_ops_avx512.attention(be, a);
        return;
    }
    assert(j.padded <= cpu->scratch_rows);
    cpu_split(be, a->heads * j.blocks, QUERIES * a->rows * HEAD * 2, attention_part, &j);
}
