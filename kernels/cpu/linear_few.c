/* Products of few rows: decoding, and live streaming. A panel's packed weights are widened in
 * registers and used at once; each thread reads its share of the weight from end to end.
 */
#include "kernels/cpu/linear.h"

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

void linear_few(struct backend *be, struct linear *l)
{
    l->unit = LINEAR_DIRECT_PANELS;
    cpu_split(be, (l->w->panels + l->unit - 1) / l->unit, l->rows * l->w->in * l->unit * PANEL,
              direct_part, l);
}
