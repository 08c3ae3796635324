/* Products of few rows: decoding, and live streaming. What decides is how fast the packed weights
 * can be read. A thread reads its panels as STREAMS streams side by side and asks for what comes
 * AHEAD of each: that is as fast as anything reads here (one stream alone: two thirds of it).
 *
 * F32, F16, BF16: widened in registers, and each output summed over the inputs in their order.
 *
 * Q8_0, Q4_0: in integers. The 32 inputs of a segment become whole numbers of 3 DIGIT_BITS bits,
 *     x[i] = scale n[i],  n[i] = sum_k digit[k][i] 2^(k DIGIT_BITS)
 * and a digit is a signed byte, so that bytes are multiplied and summed without being widened, and
 * without an error: sum_i n[i] q[i] is exact, whatever the order. Then
 *     s += d scale sum_i n[i] q[i]
 * is the only rounding of a segment, besides that of n: 2^-22 of the largest of the 32 inputs (with
 * digits of 7 bits 2^-20), as much as a sum of 32 floats loses. A row comes out the same however
 * many there are.
 */
#include "kernels/cpu/linear.h"

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
        const struct scales none = {0};

        for (size_t q = 0; q < panels; q++) {
            segment[q] = w->data + (p + q * step) * w->panel_bytes + i / SEGMENT * bytes;
            ask_ahead(segment[q], bytes);
        }
        for (size_t j = 0; j < inputs; j++)
            for (size_t q = 0; q < panels; q++)
                for (size_t n = 0; n < NV; n++) {
                    vf value = load_weight(type, segment[q], &none, j, n);

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

#define BASE (1 << DIGIT_BITS)
#define LARGEST ((float)(BASE / 2 - 1) * BASE * BASE) /* with room for a rounding */

typedef int8_t digits_vector __attribute__((vector_size(VL)));

/* The lowest digit of every lane, which is taken off. */
SIMD vi take_digit(vi *n)
{
    vi digit = ((*n + BASE / 2) & (BASE - 1)) - BASE / 2;

    *n = (*n - digit) >> DIGIT_BITS;
    return digit;
}

/* One segment of a row; offset: what the weights' bytes have too much. */
static void make_digits(struct digits *out, const float *x, int offset)
{
    vf top = vf_set1(0.0f), wrong = vf_set1(0.0f);
    vi sum[DIGITS] = {0};
    float largest, inverse, total[DIGITS + 1];

    for (size_t i = 0; i < SEGMENT; i += VL) {
        top = vf_max(top, vf_abs(vf_load(x + i)));
        wrong += vf_load(x + i) * 0.0f; /* NaN for what is not finite */
    }
    largest = vf_top(top);
    inverse = largest > 0.0f ? LARGEST / largest : 0.0f;
    for (size_t i = 0; i < SEGMENT; i += VL) {
        vf v = vf_load(x + i) * inverse;
        vf half = vf_select((vi)(v < 0.0f), vf_set1(-0.5f), vf_set1(0.5f));
        vi n = __builtin_convertvector(v + half, vi);

        for (size_t k = 0; k < DIGITS; k++) {
            vi digit = take_digit(&n);
            digits_vector bytes = __builtin_convertvector(digit, digits_vector);

            memcpy(out->digit[k] + i, &bytes, sizeof(bytes));
            sum[k] += digit;
        }
    }
    vf_sum4(total, vi_float(sum[0]), vi_float(sum[1]), vi_float(sum[2]), wrong);
    for (size_t k = 0; k < DIGITS; k++)
        out->start[k] = (int32_t)total[k] * -offset;
    out->scale = largest / LARGEST + total[DIGITS];
}

static int offset_of(enum tensor_type type)
{
    return type == TENSOR_Q8_0 ? 128 : 8;
}

static void digits_part(void *context, size_t begin, size_t end, size_t thread)
{
    const struct linear *l = context;
    size_t segments = l->w->in / SEGMENT;

    (void)thread;
    for (size_t r = begin; r < end; r++)
        for (size_t i = 0; i < segments; i++)
            make_digits(l->digits + r * segments + i, l->x + r * l->x_stride + i * SEGMENT,
                        offset_of(l->w->type));
}

/* sum_i n[i] q[i] of lanes n VL .., one segment, for some rows. */
SIMD void dot_segment(vf *out, enum tensor_type type, const uint8_t *segment, size_t n,
                      const struct digits *const *x, size_t rows)
{
    vi sum[LINEAR_DIGIT_ROWS][DIGITS];

    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < DIGITS; k++)
            sum[r][k] = vi_set1(x[r]->start[k]);
    for (size_t g = 0; g < SEGMENT / QUAD; g++) {
        vi u = load_quad(type, segment, g, n);

        for (size_t r = 0; r < rows; r++)
            for (size_t k = 0; k < DIGITS; k++) {
                int32_t quad;

                memcpy(&quad, x[r]->digit[k] + g * QUAD, QUAD);
                sum[r][k] = vi_dot4(sum[r][k], u, vi_set1(quad));
            }
    }
    for (size_t r = 0; r < rows; r++)
        out[r] = vi_float(sum[r][2]) * (float)(BASE * BASE) +
                 vi_float((sum[r][1] << DIGIT_BITS) + sum[r][0]);
}

/* Panels p, p + step, ... for rows row .. row + rows - 1. */
SIMD void exact(const struct linear *l, size_t p, size_t step, enum tensor_type type, size_t row,
                size_t rows, size_t panels)
{
    size_t segments = l->w->in / SEGMENT, bytes = weight_segment_bytes(type);
    float sums[PANEL];
    vf s[STREAMS][LINEAR_DIGIT_ROWS][NV] = {0};

    for (size_t i = 0; i < segments; i++) {
        const struct digits *x[LINEAR_DIGIT_ROWS];

        for (size_t r = 0; r < rows; r++)
            x[r] = l->digits + (row + r) * segments + i;
        for (size_t q = 0; q < panels; q++) {
            const uint8_t *segment = l->w->data + (p + q * step) * l->w->panel_bytes + i * bytes;

            ask_ahead(segment, bytes);
            for (size_t n = 0; n < NV; n++) {
                vf d = vf_load_half(segment + n * VL * 2), dot[LINEAR_DIGIT_ROWS];

                dot_segment(dot, type, segment, n, x, rows);
                for (size_t r = 0; r < rows; r++)
                    s[q][r][n] += dot[r] * (d * x[r]->scale);
            }
        }
    }
    for (size_t q = 0; q < panels; q++)
        for (size_t r = 0; r < rows; r++) {
            for (size_t n = 0; n < NV; n++)
                vf_store(sums + n * VL, s[q][r][n]);
            finish_row(l, row + r, (p + q * step) * PANEL, sums, PANEL);
        }
}

/* All rows of panel p, which comes from memory with the first of them. */
SIMD void exact_rows(const struct linear *l, size_t p, enum tensor_type type)
{
    size_t row = 0;

    for (; row + LINEAR_DIGIT_ROWS <= l->rows; row += LINEAR_DIGIT_ROWS)
        exact(l, p, 1, type, row, LINEAR_DIGIT_ROWS, 1);
    for (; row + 2 <= l->rows; row += 2)
        exact(l, p, 1, type, row, 2, 1);
    if (row < l->rows)
        exact(l, p, 1, type, row, 1, 1);
}

/* Panels begin .. end - 1. */
SIMD void exact_panels(const struct linear *l, size_t begin, size_t end, enum tensor_type type)
{
    if (l->rows == 1) {
        size_t step = (end - begin) / STREAMS;

        for (size_t p = begin; p < begin + step; p++)
            exact(l, p, step, type, 0, 1, STREAMS);
        begin += step * STREAMS;
    }
    for (size_t p = begin; p < end; p++)
        exact_rows(l, p, type);
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

static bool is_quantised(const struct weight *w)
{
    return w->type == TENSOR_Q8_0 || w->type == TENSOR_Q4_0;
}

bool linear_is_few(const struct weight *w, size_t rows)
{
    return rows <= (is_quantised(w) ? BACKEND_FEW_ROWS : LINEAR_DIRECT_ROWS);
}

/* The digits of l[i]'s rows: those of an earlier product of the same rows, or new ones at *used. */
static void give_digits(struct backend *be, struct linear *l, size_t i, size_t *used)
{
    const struct cpu_backend *cpu = (const struct cpu_backend *)be;

    for (size_t j = 0; j < i; j++)
        if (l[j].digits && l[j].x == l[i].x && l[j].w->in == l[i].w->in &&
            l[j].w->type == l[i].w->type) {
            l[i].digits = l[j].digits;
            return;
        }
    l[i].digits = cpu->digits + *used;
    *used += l[i].rows * l[i].w->in / SEGMENT;
    cpu_split(be, l[i].rows, l[i].w->in * 4, digits_part, &l[i]);
}

void linear_few(struct backend *be, struct linear *l, size_t count)
{
    struct few f = {l, count};
    size_t panels = 0, cost = 0, used = 0;

    for (size_t i = 0; i < count; i++) {
        if (is_quantised(l[i].w))
            give_digits(be, l, i, &used);
        panels += l[i].w->panels;
        cost += l[i].rows * l[i].w->in * l[i].w->panels * PANEL;
    }
    cpu_split(be, panels, cost / panels, few_part, &f);
}
