/* y = act(x W^T + b). An output is a lane, and lane o of row t is
 *     s = 0;  for i in 0 .. in - 1: s = fma(x[t][i], W[o][i], s);  y = act(s + b[o])
 * in this order, so a row comes out the same whatever else is computed with it. A panel is widened
 * to floats in the cache, and tiles of rows x panels are computed from it; between blocks of inputs
 * the sums wait in memory, which does not change them. Few rows go to linear_few.c, which sums in
 * the same order, so that both give the same bits. A quantised weight is never
 * widened: linear_few.c multiplies it as integers, for any number of rows, in parts.
 *
 * Why not a BLAS: the order of its sums depends on the number of rows, and it wants the weights as
 * floats. OpenBLAS 0.3.21 (AVX-512, one thread, widths 256 to 3072) takes 1.1 to 2 times as long
 * from 8 to 64 rows, and 0.8 to 1.1 times at 512.
 */
#include "kernels/cpu/linear.h"

#include <assert.h>

#define TILE_SUMS (LINEAR_PANELS * PANEL)
#define LINEARS_MAX 8 /* few products in one go */

/* Inputs first .. first + count - 1 of a panel as floats, out [count, PANEL]. */
SIMD void widen(const struct weight *w, size_t p, enum tensor_type type, size_t first, size_t count,
                float *out)
{
    size_t bytes = weight_segment_bytes(type);

    for (size_t i = 0; i < count; i += SEGMENT) {
        const uint8_t *segment = w->data + p * w->panel_bytes + (first + i) / SEGMENT * bytes;
        size_t inputs = count - i < SEGMENT ? count - i : SEGMENT;

        for (size_t j = 0; j < inputs; j++)
            for (size_t n = 0; n < NV; n++)
                vf_store(out + (i + j) * PANEL + n * VL, load_weight(type, segment, j, n));
    }
}

static void widen_panel(const struct weight *w, size_t p, size_t first, size_t count, float *out)
{
    switch (w->type) {
    case TENSOR_F32:
        widen(w, p, TENSOR_F32, first, count, out);
        break;
    case TENSOR_F16:
        widen(w, p, TENSOR_F16, first, count, out);
        break;
    case TENSOR_BF16:
        widen(w, p, TENSOR_BF16, first, count, out);
        break;
    case TENSOR_Q8_0:
    case TENSOR_Q4_0:
        assert(!"widened"); /* linear_few.c takes them as they are */
        break;
    }
}

/* sums[rows, TILE_SUMS] += x[rows, LINEAR_STRIDE] panels[LINEAR_TILE_PANELS, LINEAR_INPUTS, PANEL]
 */
SIMD void tile(float *sums, const float *x, const float *panels, size_t inputs, size_t rows)
{
    vf s[LINEAR_TILE_ROWS][LINEAR_TILE_PANELS * NV];

    for (size_t r = 0; r < rows; r++)
        for (size_t n = 0; n < LINEAR_TILE_PANELS * NV; n++)
            s[r][n] = vf_load(sums + r * TILE_SUMS + n * VL);
    for (size_t i = 0; i < inputs; i++) {
        vf value[LINEAR_TILE_PANELS * NV];

        for (size_t n = 0; n < LINEAR_TILE_PANELS * NV; n++)
            value[n] = vf_load(panels + n / NV * LINEAR_INPUTS * PANEL + i * PANEL + n % NV * VL);
        for (size_t r = 0; r < rows; r++)
            for (size_t n = 0; n < LINEAR_TILE_PANELS * NV; n++)
                s[r][n] += value[n] * vf_set1(x[r * LINEAR_STRIDE + i]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t n = 0; n < LINEAR_TILE_PANELS * NV; n++)
            vf_store(sums + r * TILE_SUMS + n * VL, s[r][n]);
}

#define TILE(n)                                                                                    \
    static void tile_##n(float *sums, const float *x, const float *panels, size_t inputs)          \
    {                                                                                              \
        tile(sums, x, panels, inputs, (n) < LINEAR_TILE_ROWS ? (n) : LINEAR_TILE_ROWS);            \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)

static void (*const tiles[])(float *, const float *, const float *, size_t) = {
    NULL,   tile_1, tile_2, tile_3,  tile_4,  tile_5,  tile_6,
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12,
};

/* All rows, in tiles as equal as they come. */
static void tile_rows(float *sums, const float *x, const float *panels, size_t inputs, size_t rows)
{
    size_t count = (rows + LINEAR_TILE_ROWS - 1) / LINEAR_TILE_ROWS;

    for (size_t t = 0; t < count; t++) {
        size_t row = rows * t / count;

        tiles[rows * (t + 1) / count - row](sums + row * TILE_SUMS, x + row * LINEAR_STRIDE, panels,
                                            inputs);
    }
}

static void tile_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct linear *l = context;
    const struct weight *w = l->w;
    float *panels = l->cpu->panels + thread * LINEAR_PANELS * LINEAR_INPUTS * PANEL;
    float *sums = l->cpu->sums + thread * LINEAR_ROWS * TILE_SUMS;

    for (size_t p = begin * l->unit; p < end * l->unit && p < w->panels; p += l->unit) {
        const float *x = l->cpu->rows;

        memset(sums, 0, l->rows * TILE_SUMS * sizeof(float));
        for (size_t i = 0; i < w->in; i += LINEAR_INPUTS) {
            size_t inputs = w->in - i < LINEAR_INPUTS ? w->in - i : LINEAR_INPUTS;

            for (size_t q = 0; q < l->unit && p + q < w->panels; q++)
                widen_panel(w, p + q, i, inputs, panels + q * LINEAR_INPUTS * PANEL);
            tile_rows(sums, x, panels, inputs, l->rows);
            x += LINEAR_ROWS * LINEAR_STRIDE;
        }
        for (size_t r = 0; r < l->rows; r++)
            finish_row(l, r, p * PANEL, sums + r * TILE_SUMS, l->unit * PANEL);
    }
}

/* Rows begin .. end - 1 to the scratch, cut into blocks of inputs. */
static void rows_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct linear *l = context;

    (void)thread;
    for (size_t r = begin; r < end; r++) {
        float *out = l->cpu->rows + r * LINEAR_STRIDE;

        for (size_t i = 0; i < l->w->in; i += LINEAR_INPUTS) {
            size_t inputs = l->w->in - i < LINEAR_INPUTS ? l->w->in - i : LINEAR_INPUTS;

            memcpy(out, l->x + r * l->x_stride + i, inputs * sizeof(float));
            out += LINEAR_ROWS * LINEAR_STRIDE;
        }
    }
}

/* At most LINEAR_ROWS rows share one unpacking of the weight. */
static void many(struct backend *be, struct linear *l)
{
    size_t rows = l->rows;

    while (rows > 0) {
        l->rows = rows < LINEAR_ROWS ? rows : LINEAR_ROWS;
        l->unit = LINEAR_TILE_PANELS;
        cpu_split(be, l->rows, l->w->in, rows_part, l);
        cpu_split(be, (l->w->panels + l->unit - 1) / l->unit, l->rows * l->w->in * l->unit * PANEL,
                  tile_part, l);
        l->x += l->rows * l->x_stride;
        l->y += l->rows * l->w->out;
        rows -= l->rows;
    }
}

/* In parts of few rows, as equal as they come. */
static void few_by_few(struct backend *be, struct linear *l)
{
    const struct linear all = *l;
    size_t parts = (all.rows + BACKEND_FEW_ROWS - 1) / BACKEND_FEW_ROWS;

    for (size_t i = 0; i < parts; i++) {
        size_t row = all.rows * i / parts;

        l->x = all.x + row * all.x_stride;
        l->y = all.y + row * all.w->out;
        l->rows = all.rows * (i + 1) / parts - row;
        linear_few(be, l, 1);
    }
}

static void run(struct backend *be, struct linear *l)
{
    assert(l->w->in <= l->cpu->scratch_widest); /* ->reserve comes after the weights */
    if (linear_is_few(l->w, l->rows))
        linear_few(be, l, 1);
    else if (linear_is_quantised(l->w))
        few_by_few(be, l);
    else
        many(be, l);
}

void cpu_linear(struct backend *be, float *y, const float *x, size_t x_stride, size_t rows,
                const struct weight *w, const float *bias, enum activation act)
{
    struct linear l = linear_of(be, y, x, x_stride, rows, w, bias, act);

    run(be, &l);
}

void cpu_linear_add(struct backend *be, float *y, const float *x, size_t rows,
                    const struct weight *w, const float *bias)
{
    struct linear l = linear_add_of(be, y, x, rows, w, bias);

    run(be, &l);
}

/* Few rows: as many products at a time as have room for their numbers. */
void cpu_linears(struct backend *be, const struct product *p, size_t count, size_t rows)
{
    const struct cpu_backend *cpu = (const struct cpu_backend *)be;
    size_t room = BACKEND_FEW_ROWS * cpu->scratch_widest;
    struct linear l[LINEARS_MAX];
    size_t n = 0, inputs = 0;

    for (size_t i = 0; i < count; i++) {
        const struct weight *w = p[i].w;

        if (!linear_is_few(w, rows)) {
            cpu_linear(be, p[i].y, p[i].x, w->in, rows, w, p[i].bias, p[i].act);
            continue;
        }
        if (n == LINEARS_MAX || inputs + rows * w->in > room) {
            linear_few(be, l, n);
            n = inputs = 0;
        }
        inputs += rows * w->in;
        l[n++] = linear_of(be, p[i].y, p[i].x, w->in, rows, w, p[i].bias, p[i].act);
    }
    if (n > 0)
        linear_few(be, l, n);
}
