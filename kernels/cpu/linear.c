/* y = act(x W^T + b). An output is a lane, and lane o of row t is
 *     s = 0;  for i in 0 .. in - 1: s = fma(x[t][i], W[o][i], s);  y = act(s + b[o])
 * in this order in both ways through this file, so a row comes out the same whatever else is
 * computed with it. With few rows the packed weights are widened in registers. With many, a panel
 * is widened to floats in the cache, and tiles of rows x panels are computed from it; between
 * blocks of inputs the sums wait in memory, which does not change them.
 *
 * Why not a BLAS: the order of its sums depends on the number of rows, and it wants the weights as
 * floats. OpenBLAS 0.3.21 (AVX-512, one thread, widths 256 to 3072) takes 1.1 to 2 times as long
 * from 8 to 64 rows, and 0.8 to 1.1 times at 512.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

#include <assert.h>

#define NV (PANEL / VL) /* vectors of a panel */
#define SCALES (PANEL * sizeof(uint16_t))
#define TILE_SUMS (LINEAR_PANELS * PANEL)

struct linear {
    const struct cpu_backend *cpu;
    float *y;
    const float *x;
    size_t x_stride, rows;
    const struct weight *w;
    const float *bias;
    enum activation act;
    bool add;
    size_t unit; /* panels of an item of work */
};

/* What the 32 inputs of a segment share. */
struct scales {
    vf d[NV], minus_8d[NV];
};

SIMD struct scales load_scales(enum tensor_type type, const uint8_t *segment)
{
    struct scales s = {0};

    if (type != TENSOR_Q8_0 && type != TENSOR_Q4_0)
        return s;
    for (size_t n = 0; n < NV; n++) {
        s.d[n] = vf_load_half(segment + n * VL * 2);
        s.minus_8d[n] = s.d[n] * -8.0f;
    }
    return s;
}

/* Lanes n VL .. of input j of a segment, exact: a quantised value times its scale fits a float. */
SIMD vf load_weight(enum tensor_type type, const uint8_t *segment, const struct scales *s, size_t j,
                    size_t n)
{
    size_t at = j * PANEL + n * VL;

    switch (type) {
    case TENSOR_F32:
        return vf_load((const float *)segment + at);
    case TENSOR_F16:
        return vf_load_half(segment + at * 2);
    case TENSOR_BF16:
        return vf_load_bfloat(segment + at * 2);
    case TENSOR_Q8_0:
        return vf_load_int8(segment + SCALES + at) * s->d[n];
    case TENSOR_Q4_0:
        at = j / 2 * PANEL + n * VL;
        return vf_load_nibbles(segment + SCALES + at, (int)(j & 1) * 4) * s->d[n] + s->minus_8d[n];
    }
    return vf_set1(0.0f);
}

/* y (+)= act(sums + bias) for one row and the outputs from o on. */
static void finish_row(const struct linear *l, size_t row, size_t o, const float *sums,
                       size_t count)
{
    float *y = l->y + row * l->w->out + o;

    if (count > l->w->out - o)
        count = l->w->out - o;
    for (size_t i = 0; i < count; i += VL) {
        vf v = vf_load(sums + i);

        if (l->bias)
            v = v + vf_load_n(l->bias + o + i, count - i);
        v = vf_activate(v, l->act);
        if (l->add)
            v = v + vf_load_n(y + i, count - i);
        vf_store_n(y + i, v, count - i);
    }
}

/* Few rows: panels p .. p + panels - 1 straight from the packed weights. */
SIMD void direct(const struct linear *l, size_t p, enum tensor_type type, size_t rows,
                 size_t panels)
{
    const struct weight *w = l->w;
    size_t bytes = weight_segment_bytes(type);
    float sums[LINEAR_DIRECT_PANELS * PANEL];
    vf s[LINEAR_DIRECT_ROWS][LINEAR_DIRECT_PANELS][NV] = {0};

    for (size_t i = 0; i < w->in; i += SEGMENT) {
        size_t inputs = w->in - i < SEGMENT ? w->in - i : SEGMENT;
        const uint8_t *segment[LINEAR_DIRECT_PANELS];
        struct scales scales[LINEAR_DIRECT_PANELS];

        for (size_t q = 0; q < panels; q++) {
            segment[q] = w->data + (p + q) * w->panel_bytes + i / SEGMENT * bytes;
            scales[q] = load_scales(type, segment[q]);
        }
        for (size_t j = 0; j < inputs; j++)
            for (size_t q = 0; q < panels; q++)
                for (size_t n = 0; n < NV; n++) {
                    vf value = load_weight(type, segment[q], &scales[q], j, n);

                    for (size_t r = 0; r < rows; r++)
                        s[r][q][n] += value * vf_set1(l->x[r * l->x_stride + i + j]);
                }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t q = 0; q < panels; q++)
            for (size_t n = 0; n < NV; n++)
                vf_store(sums + q * PANEL + n * VL, s[r][q][n]);
        finish_row(l, r, p * PANEL, sums, panels * PANEL);
    }
}

/* Panels begin .. end - 1 for all rows, at most LINEAR_DIRECT_ROWS. */
SIMD void direct_panels(const struct linear *l, size_t begin, size_t end, enum tensor_type type,
                        size_t rows)
{
    size_t p = begin;

    for (; p + LINEAR_DIRECT_PANELS <= end; p += LINEAR_DIRECT_PANELS)
        direct(l, p, type, rows, LINEAR_DIRECT_PANELS);
    for (; p < end; p++)
        direct(l, p, type, rows, 1);
}

SIMD void direct_rows(const struct linear *l, size_t begin, size_t end, enum tensor_type type)
{
    if (l->rows == 1)
        direct_panels(l, begin, end, type, 1);
    else
        direct_panels(l, begin, end, type, LINEAR_DIRECT_ROWS);
}

static void direct_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct linear *l = context;

    (void)thread;
    begin *= l->unit;
    end = end * l->unit < l->w->panels ? end * l->unit : l->w->panels;
    switch (l->w->type) {
    case TENSOR_F32:
        direct_rows(l, begin, end, TENSOR_F32);
        break;
    case TENSOR_F16:
        direct_rows(l, begin, end, TENSOR_F16);
        break;
    case TENSOR_BF16:
        direct_rows(l, begin, end, TENSOR_BF16);
        break;
    case TENSOR_Q8_0:
        direct_rows(l, begin, end, TENSOR_Q8_0);
        break;
    case TENSOR_Q4_0:
        direct_rows(l, begin, end, TENSOR_Q4_0);
        break;
    }
}

/* Inputs first .. first + count - 1 of a panel as floats, out [count, PANEL]. */
SIMD void widen(const struct weight *w, size_t p, enum tensor_type type, size_t first, size_t count,
                float *out)
{
    size_t bytes = weight_segment_bytes(type);

    for (size_t i = 0; i < count; i += SEGMENT) {
        const uint8_t *segment = w->data + p * w->panel_bytes + (first + i) / SEGMENT * bytes;
        size_t inputs = count - i < SEGMENT ? count - i : SEGMENT;
        struct scales scales = load_scales(type, segment);

        for (size_t j = 0; j < inputs; j++)
            for (size_t n = 0; n < NV; n++)
                vf_store(out + (i + j) * PANEL + n * VL, load_weight(type, segment, &scales, j, n));
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
        widen(w, p, TENSOR_Q8_0, first, count, out);
        break;
    case TENSOR_Q4_0:
        widen(w, p, TENSOR_Q4_0, first, count, out);
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

static void run(struct backend *be, struct linear *l)
{
    size_t rows = l->rows;

    assert(l->w->in <= l->cpu->scratch_widest); /* ->reserve comes after the weights */
    while (rows > 0) {
        l->rows = rows < LINEAR_ROWS ? rows : LINEAR_ROWS;
        if (l->rows <= LINEAR_DIRECT_ROWS) {
            l->unit = LINEAR_DIRECT_PANELS;
            cpu_split(be, (l->w->panels + l->unit - 1) / l->unit,
                      l->rows * l->w->in * l->unit * PANEL, direct_part, l);
        } else {
            l->unit = LINEAR_TILE_PANELS;
            cpu_split(be, l->rows, l->w->in, rows_part, l);
            cpu_split(be, (l->w->panels + l->unit - 1) / l->unit,
                      l->rows * l->w->in * l->unit * PANEL, tile_part, l);
        }
        l->x += l->rows * l->x_stride;
        l->y += l->rows * l->w->out;
        rows -= l->rows;
    }
}

void cpu_linear(struct backend *be, float *y, const float *x, size_t x_stride, size_t rows,
                const struct weight *w, const float *bias, enum activation act)
{
    struct linear l = {.cpu = (const struct cpu_backend *)be,
                       .y = y,
                       .x = x,
                       .x_stride = x_stride,
                       .rows = rows,
                       .w = w,
                       .bias = bias,
                       .act = act};

    run(be, &l);
}

void cpu_linear_add(struct backend *be, float *y, const float *x, size_t rows,
                    const struct weight *w, const float *bias)
{
    struct linear l = {.cpu = (const struct cpu_backend *)be,
                       .y = y,
                       .x = x,
                       .x_stride = w->in,
                       .rows = rows,
                       .w = w,
                       .bias = bias,
                       .add = true};

    run(be, &l);
}
