/* Products of many rows on the matrix unit. Rows and weights are rounded to bf16 (8 bits), products
 * are exact and summed in float32: an error of at most 2^-8 of every product, and on the whole of
 * some 2^-9 of the root of their squares. Weights in F32 are not for this: a model that is
 * all F32 is computed in float32.
 *
 * A block of rows that fits the cache is rounded once, into tiles. Two panels at a time are rounded
 * into tiles too, and 32 rows x 32 outputs are computed from them with the sums in four tiles from
 * the first input to the last. So a row depends on no other, and on no thread. Of many rows every
 * thread takes blocks of its own; of fewer all share a block, and its panels.
 */
#include "kernels/cpu/amx.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/pool.h"

#include <assert.h>

#define ROWS 32  /* of a step of the work: two tiles */
#define PANELS 2 /* likewise */
#define SUMS (PANELS * PANEL)
#define SUMS_STRIDE (SUMS * sizeof(float))
#define OWN_ROWS 128 /* a thread's, from which on it pays to round all panels for them */

/* Where the tile of 16 rows r and inputs s lies: at tiles[r * row_tile + s * step], its rows
 * row_bytes apart. */
struct tiled {
    struct linear l; /* of a block of rows, or of all of them, which are to be cut into blocks */
    size_t block;    /* rows of every block but the last */
    size_t steps;    /* tiles of inputs */
    uint16_t *tiles;
    size_t row_tile, step, row_bytes;
};

/* 16 rows from `first` on, those past the last as zeros, inputs past the last too. */
static void round_rows(const struct tiled *t, size_t first, uint16_t *out)
{
    const struct linear *l = &t->l;

    for (size_t s = 0; s < t->steps; s++)
        for (size_t r = first; r < first + TILE; r++) {
            size_t i = s * TILE_INPUTS, left = l->w->in - i;
            const float *x = l->x + r * l->x_stride + i;
            vf a = vf_set1(0.0f), b = a;

            if (r < l->rows) {
                a = vf_load_n(x, left);
                b = left > VL ? vf_load_n(x + VL, left - VL) : b;
            }
            amx_store_row(out, a, b);
            out += TILE_INPUTS;
        }
}

static void rows_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct tiled *t = context;

    (void)thread;
    for (size_t i = begin; i < end; i++)
        round_rows(t, i * TILE, t->tiles + i * t->row_tile);
}

/* Rows that overlap, as they lie in memory: each number once. Items: of TILE_HALVES numbers. */
static void overlapping_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct tiled *t = context;
    size_t there = (t->l.rows - 1) * t->l.x_stride + t->l.w->in;

    (void)thread;
    for (size_t i = begin * TILE_HALVES; i < end * TILE_HALVES; i += TILE_INPUTS) {
        vf a = vf_set1(0.0f), b = a;

        if (i < there)
            a = vf_load_n(t->l.x + i, there - i);
        if (i + VL < there)
            b = vf_load_n(t->l.x + i + VL, there - i - VL);
        amx_store_row(t->tiles + i, a, b);
    }
}

/* (u - zero) d of input k of a quad, minus = -(2^15 + zero) d. As the second byte of a float's
 * bits, u makes 2^15 + u, and the sum is exact as it is fused. */
SIMD vf quad_value(vi quad, int k, vf d, vf minus)
{
    vi second = (k == 0 ? quad << 8 : quad >> (8 * (k - 1))) & 0xff00;

    return (vf)_mm512_fmadd_ps((__m512)(second | 0x47000000), (__m512)d, (__m512)minus);
}

/* A tile of quantised weights. */
SIMD void round_quads(enum tensor_type type, const uint8_t *segment, uint16_t *out)
{
    vf d = vf_load_half(segment);
    vf minus = d * (type == TENSOR_Q8_0 ? -32768.0f - 128.0f : -32768.0f - 8.0f);

    for (size_t g = 0; g < SEGMENT / QUAD; g++) {
        vi quad = load_quad(type, segment, g, 0);

        amx_store_pairs(out, quad_value(quad, 0, d, minus), quad_value(quad, 1, d, minus));
        amx_store_pairs(out + TILE_INPUTS, quad_value(quad, 2, d, minus),
                        quad_value(quad, 3, d, minus));
        out += 2 * TILE_INPUTS;
    }
}

/* A tile of 16-bit weights, of which the last of a panel may have fewer inputs. */
SIMD void round_halves(enum tensor_type type, const uint8_t *segment, size_t inputs, uint16_t *out)
{
    for (size_t j = 0; j < SEGMENT; j += 2) {
        vf a = vf_set1(0.0f), b = a;

        if (j < inputs)
            a = load_weight(type, segment, j, 0);
        if (j + 1 < inputs)
            b = load_weight(type, segment, j + 1, 0);
        amx_store_pairs(out + j / 2 * TILE_INPUTS, a, b);
    }
}

/* Tiles of inputs `first` .. `first + steps - 1` of a panel, into out[steps, PANELS, TILE_HALVES]
 * from the first on. */
SIMD void round_panel(const struct weight *w, size_t panel, enum tensor_type type, size_t first,
                      size_t steps, uint16_t *out)
{
    size_t bytes = weight_segment_bytes(type);
    const uint8_t *segment = w->data + panel * w->panel_bytes + first * bytes;

    for (size_t s = first; s < first + steps; s++) {
        size_t inputs = w->in - s * SEGMENT;

        if (type == TENSOR_Q8_0 || type == TENSOR_Q4_0)
            round_quads(type, segment, out);
        else if (inputs >= SEGMENT)
            round_halves(type, segment, SEGMENT, out);
        else
            round_halves(type, segment, inputs, out);
        segment += bytes;
        out += PANELS * TILE_HALVES;
    }
}

static void round_weight(const struct weight *w, size_t panel, size_t first, size_t steps,
                         uint16_t *out)
{
    switch (w->type) {
    case TENSOR_F32:
        break;
    case TENSOR_F16:
        round_panel(w, panel, TENSOR_F16, first, steps, out);
        break;
    case TENSOR_BF16:
        round_panel(w, panel, TENSOR_BF16, first, steps, out);
        break;
    case TENSOR_Q8_0:
        round_panel(w, panel, TENSOR_Q8_0, first, steps, out);
        break;
    case TENSOR_Q4_0:
        round_panel(w, panel, TENSOR_Q4_0, first, steps, out);
        break;
    }
}

SIMD void load_sums(const float *sums)
{
    _tile_loadd(0, sums, SUMS_STRIDE);
    _tile_loadd(1, sums + PANEL, SUMS_STRIDE);
    _tile_loadd(2, sums + TILE * SUMS, SUMS_STRIDE);
    _tile_loadd(3, sums + TILE * SUMS + PANEL, SUMS_STRIDE);
}

SIMD void store_sums(float *sums)
{
    _tile_stored(0, sums, SUMS_STRIDE);
    _tile_stored(1, sums + PANEL, SUMS_STRIDE);
    _tile_stored(2, sums + TILE * SUMS, SUMS_STRIDE);
    _tile_stored(3, sums + TILE * SUMS + PANEL, SUMS_STRIDE);
}

SIMD void zero_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* Tiles 0 .. 3 += two tiles of rows times weights[PANELS, TILE_HALVES], for every step. Rows are
 * read past the first cache, which is the weights'. */
SIMD void multiply(const struct tiled *t, const uint16_t *rows, const uint16_t *weights,
                   size_t steps)
{
    for (size_t s = 0; s < steps; s++) {
        _tile_stream_loadd(4, rows, t->row_bytes);
        _tile_loadd(6, weights, TILE_STRIDE);
        _tile_loadd(7, weights + TILE_HALVES, TILE_STRIDE);
        _tile_stream_loadd(5, rows + t->row_tile, t->row_bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        rows += t->step;
        weights += PANELS * TILE_HALVES;
    }
}

/* Has the outputs of ROWS rows on their way to the cache while they are computed. */
SIMD void expect_outputs(const struct linear *l, size_t row, size_t panel)
{
    for (size_t r = row; r < row + ROWS && r < l->rows; r++)
        for (size_t q = 0; q < PANELS; q++)
            __builtin_prefetch(l->y + r * l->w->out + (panel + q) * PANEL, 1);
}

/* finish_row for panels that are whole, with what rows share in registers. */
SIMD void finish_whole(const struct linear *l, size_t row, size_t o, const float *sums,
                       enum activation act)
{
    vf bias[PANELS];

    for (size_t q = 0; q < PANELS; q++)
        bias[q] = l->bias ? vf_load(l->bias + o + q * PANEL) : vf_set1(0.0f);
    for (size_t r = row; r < row + ROWS && r < l->rows; r++) {
        float *y = l->y + r * l->w->out + o;

        for (size_t q = 0; q < PANELS; q++) {
            vf v = vf_activate(vf_load(sums + q * PANEL) + bias[q], act);

            vf_store(y + q * PANEL, l->add ? v + vf_load(y + q * PANEL) : v);
        }
        sums += SUMS;
    }
}

static void finish_rows(const struct linear *l, size_t row, size_t panel, const float *sums)
{
    size_t o = panel * PANEL;

    if (o + SUMS > l->w->out)
        for (size_t r = row; r < row + ROWS && r < l->rows; r++)
            finish_row(l, r, o, sums + (r - row) * SUMS, SUMS);
    else if (l->act == ACTIVATION_NONE)
        finish_whole(l, row, o, sums, ACTIVATION_NONE);
    else if (l->act == ACTIVATION_GELU)
        finish_whole(l, row, o, sums, ACTIVATION_GELU);
    else
        finish_whole(l, row, o, sums, l->act);
}

/* All rows of the block with some of the steps; between these the sums wait in memory. */
static void multiply_rows(const struct tiled *t, size_t panel, size_t first, size_t steps,
                          const uint16_t *weights, float *sums)
{
    const struct linear *l = &t->l;
    bool last = first + steps == t->steps;

    for (size_t row = 0; row < l->rows; row += ROWS) {
        const uint16_t *rows = t->tiles + row / TILE * t->row_tile + first * t->step;

        if (last)
            expect_outputs(l, row, panel);
        amx_memory();
        if (first > 0)
            load_sums(sums + row * SUMS);
        else
            zero_sums();
        multiply(t, rows, weights, steps);
        store_sums(sums + row * SUMS);
        amx_memory();
        if (last)
            finish_rows(l, row, panel, sums + row * SUMS);
    }
}

/* Items: pairs of panels. */
static void panels_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct tiled *t = context;
    const struct weight *w = t->l.w;
    uint16_t *weights = t->l.cpu->tile_panels + thread * TILE_STEPS * PANELS * TILE_HALVES;
    float *sums = t->l.cpu->tile_sums + thread * TILE_ROWS_MAX * SUMS;

    amx_begin();
    for (size_t panel = begin * PANELS; panel < end * PANELS && panel < w->panels; panel += PANELS)
        for (size_t first = 0; first < t->steps; first += TILE_STEPS) {
            size_t steps = t->steps - first < TILE_STEPS ? t->steps - first : TILE_STEPS;

            round_weight(w, panel, first, steps, weights);
            if (panel + 1 < w->panels)
                round_weight(w, panel + 1, first, steps, weights + TILE_HALVES);
            multiply_rows(t, panel, first, steps, weights, sums);
        }
    amx_end();
}

/* Rows of a convolution share most of their inputs. Past the last input of a row is the next one's,
 * which is why inputs must be whole tiles. */
static bool overlap(const struct linear *l)
{
    return l->x_stride < l->w->in && l->w->in % TILE_INPUTS == 0;
}

/* As many rows as the scratch has room for, in a multiple of so many blocks as equal as they come.
 */
static size_t block_rows(const struct linear *l, size_t inputs, size_t multiple)
{
    size_t count = l->cpu->tiles_count - TILE_HALVES;
    size_t room = overlap(l) ? (count - inputs) / l->x_stride + 1 : count / inputs;
    size_t most = room < TILE_ROWS_MAX ? room / ROWS * ROWS : TILE_ROWS_MAX;
    size_t blocks;

    assert(inputs * ROWS <= count); /* ->reserve comes after the weights */
    blocks = (l->rows + most * multiple - 1) / (most * multiple) * multiple;
    return (l->rows + blocks * ROWS - 1) / (blocks * ROWS) * ROWS;
}

/* Block b of all, for a thread's tiles. */
static struct tiled block_of(const struct tiled *all, size_t b, size_t thread)
{
    struct tiled t = *all;
    struct linear *l = &t.l;
    size_t row = b * t.block;

    l->rows = l->rows - row < t.block ? l->rows - row : t.block;
    l->x += row * l->x_stride;
    l->y += row * l->w->out;
    t.tiles = l->cpu->tiles + thread * l->cpu->tiles_count;
    t.row_tile = overlap(l) ? TILE * l->x_stride : t.steps * TILE_HALVES;
    t.step = overlap(l) ? TILE_INPUTS : TILE_HALVES;
    t.row_bytes = overlap(l) ? l->x_stride * sizeof(uint16_t) : TILE_STRIDE;
    return t;
}

/* What rounds the rows of a block, and its items. */
static cpu_part *rounding(const struct tiled *t, size_t *items)
{
    size_t padded = (t->l.rows + ROWS - 1) / ROWS * ROWS;
    size_t overlapping = (padded - 1) * t->l.x_stride + t->steps * TILE_INPUTS;

    if (!overlap(&t->l)) {
        *items = padded / TILE;
        return rows_part;
    }
    *items = (overlapping + TILE_HALVES - 1) / TILE_HALVES;
    return overlapping_part;
}

static size_t panel_pairs(const struct weight *w)
{
    return (w->panels + PANELS - 1) / PANELS;
}

/* Items: blocks. */
static void blocks_part(void *context, size_t begin, size_t end, size_t thread)
{
    for (size_t b = begin; b < end; b++) {
        struct tiled t = block_of(context, b, thread);
        size_t items;
        cpu_part *round_part = rounding(&t, &items);

        round_part(&t, 0, items, thread);
        panels_part(&t, 0, panel_pairs(t.l.w), thread);
    }
}

static void share_block(struct backend *be, struct tiled t)
{
    size_t inputs = t.steps * TILE_INPUTS, items;
    cpu_part *round_part = rounding(&t, &items);

    cpu_split(be, items, TILE_HALVES, round_part, &t);
    cpu_split(be, panel_pairs(t.l.w), t.l.rows * inputs * PANELS, panels_part, &t);
}

static void run(struct backend *be, const struct linear *l)
{
    struct tiled t = {.l = *l, .steps = (l->w->in + TILE_INPUTS - 1) / TILE_INPUTS};
    size_t inputs = t.steps * TILE_INPUTS, threads = pool_threads(l->cpu->pool);
    bool own = l->rows >= threads * OWN_ROWS;
    size_t blocks;

    t.block = block_rows(l, inputs, own ? threads : 1);
    blocks = (l->rows + t.block - 1) / t.block;
    if (own)
        cpu_split(be, blocks, t.block * inputs * l->w->out, blocks_part, &t);
    else
        for (size_t b = 0; b < blocks; b++)
            share_block(be, block_of(&t, b, 0));
}

/* Few rows must come out as they do in calls of any other few rows. */
static bool is_for_tiles(const struct weight *w, size_t rows)
{
    return rows > BACKEND_FEW_ROWS && w->type != TENSOR_F32;
}

void cpu_linear(struct backend *be, float *y, const float *x, size_t x_stride, size_t rows,
                const struct weight *w, const float *bias, enum activation act)
{
    struct linear l = linear_of(be, y, x, x_stride, rows, w, bias, act);

    if (is_for_tiles(w, rows))
        run(be, &l);
    else
        cpu_ops_avx512.linear(be, y, x, x_stride, rows, w, bias, act);
}

void cpu_linear_add(struct backend *be, float *y, const float *x, size_t rows,
                    const struct weight *w, const float *bias)
{
    struct linear l = linear_add_of(be, y, x, rows, w, bias);

    if (is_for_tiles(w, rows))
        run(be, &l);
    else
        cpu_ops_avx512.linear_add(be, y, x, rows, w, bias);
}

void cpu_linears(struct backend *be, const struct product *p, size_t count, size_t rows)
{
    if (rows <= BACKEND_FEW_ROWS)
        cpu_ops_avx512.linears(be, p, count, rows);
    else
        for (size_t i = 0; i < count; i++)
            cpu_linear(be, p[i].y, p[i].x, p[i].w->in, rows, p[i].w, p[i].bias, p[i].act);
}
