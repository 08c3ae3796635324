/* Products of few rows: decoding, and live streaming; and of any rows with a quantised weight. What
 * decides is how fast the packed weights can be read. A thread reads its panels as STREAMS streams
 * side by side and asks for what comes AHEAD of each: that is as fast as anything reads here (one
 * stream alone: two thirds of it).
 *
 * F32, F16, BF16: widened in registers, and each output summed over the inputs in their order.
 *
 * Q8_0, Q4_0: in integers. The 32 inputs of a segment become whole numbers of sixteen bits,
 *     x[i] = scale n[i]
 * and sum_i n[i] q[i] is exact, whatever the order and however an instruction set multiplies
 * (simd_*.h). Then
 *     s += d scale sum_i n[i] q[i]
 * is the only rounding of a segment, besides that of n: 2^-16 of the largest of the 32 inputs,
 * where Q8_0 has rounded the weights to 2^-8 of the largest of 32. A row comes out the same however
 * many there are.
 */
#include "kernels/cpu/linear.h"

#include <float.h>

#define STREAMS 4
#define AHEAD 2048 /* bytes */
#define LINE 64    /* of the cache */

SIMD void ask_ahead(const uint8_t *segment, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch(segment + AHEAD + i);
}

/* Panels p, p + step, ... for all rows, straight from the packed weights. */
SIMD void direct(const struct linear *l, size_t p, size_t step, enum tensor_type type, size_t rows,
                 size_t panels)
{
    const struct weight *w = l->w;
    size_t bytes = weight_segment_bytes(type);
    float sums[PANEL];
    vf s[LINEAR_DIRECT_ROWS][STREAMS][NV] = {0};

    for (size_t i = 0; i < w->in; i += SEGMENT) {
        size_t inputs = w->in - i < SEGMENT ? w->in - i : SEGMENT;
        const uint8_t *segment[STREAMS];

        for (size_t q = 0; q < panels; q++) {
            segment[q] = w->data + (p + q * step) * w->panel_bytes + i / SEGMENT * bytes;
            ask_ahead(segment[q], bytes);
        }
        for (size_t j = 0; j < inputs; j++)
            for (size_t q = 0; q < panels; q++)
                for (size_t n = 0; n < NV; n++) {
                    vf value = load_weight(type, segment[q], j, n);

                    for (size_t r = 0; r < rows; r++)
                        s[r][q][n] += value * vf_set1(l->x[r * l->x_stride + i + j]);
                }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t q = 0; q < panels; q++) {
            for (size_t n = 0; n < NV; n++)
                vf_store(sums + n * VL, s[r][q][n]);
            finish_row(l, r, (p + q * step) * PANEL, sums, PANEL);
        }
}

/* Panels begin .. end - 1. */
SIMD void direct_rows(const struct linear *l, size_t begin, size_t end, enum tensor_type type,
                      size_t rows)
{
    size_t step = (end - begin) / STREAMS;

    for (size_t p = begin; p < begin + step; p++)
        direct(l, p, step, type, rows, STREAMS);
    for (size_t p = begin + step * STREAMS; p < end; p++)
        direct(l, p, 1, type, rows, 1);
}

SIMD void direct_panels(const struct linear *l, size_t begin, size_t end, enum tensor_type type)
{
    if (l->rows == 1)
        direct_rows(l, begin, end, type, 1);
    else
        direct_rows(l, begin, end, type, LINEAR_DIRECT_ROWS);
}

/* ---- Q8_0, Q4_0 ---- */

#define LARGEST 32512.0f /* of the numbers: a rounding of the low byte has room in the high one */

/* What is not a number, and so makes the scale NaN, is one here. */
SIMD vf within(vf v)
{
    return vf_min(vf_set1(LARGEST + 0.5f), vf_max(vf_set1(-LARGEST - 0.5f), v));
}

/* One segment of a row; offset: what the weights' bytes have too much. */
static void make_numbers(struct numbers *out, const float *x, int offset)
{
    vf top = vf_set1(0.0f), wrong = vf_set1(0.0f);
    vi sum = {0};
    float largest, inverse;

    for (size_t i = 0; i < SEGMENT; i += VL) {
        top = vf_max(top, vf_abs(vf_load(x + i)));
        wrong += vf_load(x + i) * 0.0f; /* NaN for what is not finite */
    }
    largest = vf_top(top);
    inverse = largest > LARGEST / FLT_MAX ? LARGEST / largest : 0.0f;
    for (size_t i = 0; i < SEGMENT; i += VL) {
        vf v = vf_load(x + i) * inverse;
        vf half = vf_select((vi)(v < 0.0f), vf_set1(-0.5f), vf_set1(0.5f));
        vi n = __builtin_convertvector(within(v + half), vi);

        vi_keep(out->word + i / QUAD, n);
        sum += n;
    }
    out->start = (int32_t)vf_sum(vi_float(sum)) * -offset;
    out->scale = largest / LARGEST + vf_sum(wrong);
}

static int offset_of(enum tensor_type type)
{
    return type == TENSOR_Q8_0 ? 128 : 8;
}

static void numbers_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct linear *l = context;
    size_t segments = l->w->in / SEGMENT;

    (void)thread;
    for (size_t r = begin; r < end; r++)
        for (size_t i = 0; i < segments; i++)
            make_numbers(l->numbers + r * segments + i, l->x + r * l->x_stride + i * SEGMENT,
                         offset_of(l->w->type));
}

#define SIDE (LINEAR_WHOLE_PANELS * NV) /* vectors of weights that share a row's numbers */

/* sum_i n[i] q[i] of one segment: out[rows][panels NV], the panels' segments side by side. */
SIMD void dot_segments(vf out[][SIDE], enum tensor_type type, const uint8_t *const *segment,
                       const struct numbers *const *x, size_t rows, size_t panels)
{
    vi sum[LINEAR_WHOLE_ROWS][WHOLE_SUMS][SIDE];

    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < WHOLE_SUMS; k++)
            for (size_t v = 0; v < panels * NV; v++)
                sum[r][k][v] = vi_set1(k ? 0 : x[r]->start);
    for (size_t g = 0; g < SEGMENT / QUAD; g++)
        for (size_t k = 0; k < 2; k++) {
            vi u[SIDE];

            for (size_t v = 0; v < panels * NV; v++)
                u[v] = vi_weights(load_quad(type, segment[v / NV], g, v % NV), k);
            for (size_t r = 0; r < rows; r++) {
                vi word = vi_set1((int32_t)x[r]->word[g][k]);
                vi *s = sum[r][k % WHOLE_SUMS];

                for (size_t v = 0; v < panels * NV; v++)
                    s[v] = vi_add_products(s[v], u[v], word);
            }
        }
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < panels * NV; v++)
            out[r][v] = vi_float(vi_whole(&sum[r][0][v], &sum[r][WHOLE_SUMS - 1][v]));
}

/* s[rows][panels NV] += one segment of some panels side by side. */
SIMD void add_segments(vf s[][SIDE], enum tensor_type type, const uint8_t *const *segment,
                       const struct numbers *const *x, size_t rows, size_t panels)
{
    vf dot[LINEAR_WHOLE_ROWS][SIDE];

    dot_segments(dot, type, segment, x, rows, panels);
    for (size_t v = 0; v < panels * NV; v++) {
        vf d = vf_load_half(segment[v / NV] + v % NV * VL * 2);

        for (size_t r = 0; r < rows; r++)
            s[r][v] += dot[r][v] * (d * x[r]->scale);
    }
}

SIMD void finish(const struct linear *l, size_t row, size_t panel, const vf *s)
{
    float sums[PANEL];

    for (size_t n = 0; n < NV; n++)
        vf_store(sums + n * VL, s[n]);
    finish_row(l, row, panel * PANEL, sums, PANEL);
}

/* Panels p .. p + panels - 1 for rows row .. row + rows - 1. */
SIMD void exact(const struct linear *l, size_t p, enum tensor_type type, size_t row, size_t rows,
                size_t panels)
{
    size_t segments = l->w->in / SEGMENT, bytes = weight_segment_bytes(type);
    vf s[LINEAR_WHOLE_ROWS][SIDE] = {0};

    for (size_t i = 0; i < segments; i++) {
        const struct numbers *x[LINEAR_WHOLE_ROWS];
        const uint8_t *segment[LINEAR_WHOLE_PANELS];

        for (size_t r = 0; r < rows; r++)
            x[r] = l->numbers + (row + r) * segments + i;
        for (size_t q = 0; q < panels; q++) {
            segment[q] = l->w->data + (p + q) * l->w->panel_bytes + i * bytes;
            ask_ahead(segment[q], bytes);
        }
        add_segments(s, type, segment, x, rows, panels);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t q = 0; q < panels; q++)
            finish(l, row + r, p + q, s[r] + q * NV);
}

/* The one row's panels p, p + step, ... */
SIMD void exact_streams(const struct linear *l, size_t p, size_t step, enum tensor_type type)
{
    size_t segments = l->w->in / SEGMENT, bytes = weight_segment_bytes(type);
    vf s[STREAMS][1][SIDE] = {0};

    for (size_t i = 0; i < segments; i++) {
        const struct numbers *x = l->numbers + i;

        for (size_t q = 0; q < STREAMS; q++) {
            const uint8_t *segment = l->w->data + (p + q * step) * l->w->panel_bytes + i * bytes;

            ask_ahead(segment, bytes);
            add_segments(s[q], type, &segment, &x, 1, 1);
        }
    }
    for (size_t q = 0; q < STREAMS; q++)
        finish(l, 0, p + q * step, s[q][0]);
}

/* One panel, or as many as lie side by side. */
SIMD void exact_side(const struct linear *l, size_t p, enum tensor_type type, size_t row,
                     size_t rows, size_t panels)
{
    if (panels == LINEAR_WHOLE_PANELS)
        exact(l, p, type, row, rows, LINEAR_WHOLE_PANELS);
    else
        exact(l, p, type, row, rows, 1);
}

/* A number of rows that the compiler knows, none above LINEAR_WHOLE_ROWS. */
#define KNOWN(n) ((n) < LINEAR_WHOLE_ROWS ? (n) : LINEAR_WHOLE_ROWS)

SIMD void exact_some(const struct linear *l, size_t p, enum tensor_type type, size_t row,
                     size_t rows, size_t panels)
{
    switch (rows) {
    case 1:
        exact_side(l, p, type, row, 1, panels);
        break;
    case 2:
        exact_side(l, p, type, row, KNOWN(2), panels);
        break;
    case 3:
        exact_side(l, p, type, row, KNOWN(3), panels);
        break;
    case 4:
        exact_side(l, p, type, row, KNOWN(4), panels);
        break;
    case 5:
        exact_side(l, p, type, row, KNOWN(5), panels);
        break;
    default:
        exact_side(l, p, type, row, KNOWN(6), panels);
        break;
    }
}

/* All rows of some panels, which come from memory with the first of them, in parts as equal as they
 * come. */
SIMD void exact_rows(const struct linear *l, size_t p, enum tensor_type type, size_t panels)
{
    size_t parts = (l->rows + LINEAR_WHOLE_ROWS - 1) / LINEAR_WHOLE_ROWS;

    for (size_t i = 0; i < parts; i++) {
        size_t row = l->rows * i / parts;

        exact_some(l, p, type, row, l->rows * (i + 1) / parts - row, panels);
    }
}

/* Panels begin .. end - 1. */
SIMD void exact_panels(const struct linear *l, size_t begin, size_t end, enum tensor_type type)
{
    if (l->rows == 1) {
        size_t step = (end - begin) / STREAMS;

        for (size_t p = begin; p < begin + step; p++)
            exact_streams(l, p, step, type);
        begin += step * STREAMS;
    }
    for (; begin + LINEAR_WHOLE_PANELS <= end; begin += LINEAR_WHOLE_PANELS)
        exact_rows(l, begin, type, LINEAR_WHOLE_PANELS);
    for (; begin < end; begin++)
        exact_rows(l, begin, type, 1);
}

/* Panels begin .. end - 1. */
static void few_panels(const struct linear *l, size_t begin, size_t end)
{
    switch (l->w->type) {
    case TENSOR_F32:
        direct_panels(l, begin, end, TENSOR_F32);
        break;
    case TENSOR_F16:
        direct_panels(l, begin, end, TENSOR_F16);
        break;
    case TENSOR_BF16:
        direct_panels(l, begin, end, TENSOR_BF16);
        break;
    case TENSOR_Q8_0:
        exact_panels(l, begin, end, TENSOR_Q8_0);
        break;
    case TENSOR_Q4_0:
        exact_panels(l, begin, end, TENSOR_Q4_0);
        break;
    }
}

struct few {
    const struct linear *l;
    size_t count;
};

/* The panels of all products, one after the other. */
static void few_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct few *f = context;
    size_t first = 0;

    (void)thread;
    for (size_t i = 0; i < f->count; i++) {
        size_t panels = f->l[i].w->panels;
        size_t from = begin > first ? begin - first : 0;
        size_t to = end < first + panels ? end - first : panels;

        if (first < end && from < to)
            few_panels(&f->l[i], from, to);
        first += panels;
    }
}

bool linear_is_quantised(const struct weight *w)
{
    return w->type == TENSOR_Q8_0 || w->type == TENSOR_Q4_0;
}

bool linear_is_few(const struct weight *w, size_t rows)
{
    return rows <= (linear_is_quantised(w) ? BACKEND_FEW_ROWS : LINEAR_DIRECT_ROWS);
}

/* The numbers of l[i]'s rows: those of an earlier product of the same rows, or new ones at *used.
 */
static void give_numbers(struct backend *be, struct linear *l, size_t i, size_t *used)
{
    const struct cpu_backend *cpu = (const struct cpu_backend *)be;

    for (size_t j = 0; j < i; j++)
        if (l[j].numbers && l[j].x == l[i].x && l[j].w->in == l[i].w->in &&
            l[j].w->type == l[i].w->type) {
            l[i].numbers = l[j].numbers;
            return;
        }
    l[i].numbers = cpu->numbers + *used;
    *used += l[i].rows * l[i].w->in / SEGMENT;
    cpu_split(be, l[i].rows, l[i].w->in * 4, numbers_part, &l[i]);
}

void linear_few(struct backend *be, struct linear *l, size_t count)
{
    struct few f = {l, count};
    size_t panels = 0, cost = 0, used = 0;

    for (size_t i = 0; i < count; i++) {
        if (linear_is_quantised(l[i].w))
            give_numbers(be, l, i, &used);
        panels += l[i].w->panels;
        cost += l[i].rows * l[i].w->in * l[i].w->panels * PANEL;
    }
    cpu_split(be, panels, cost / panels, few_part, &f);
}
