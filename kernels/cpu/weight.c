/* Packs a matrix into panels; the layout is in cpu.h. The values stay bit for bit what the file
 * says. */
#include "kernels/cpu/cpu.h"
#include "kernels/half.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCALES (PANEL * sizeof(uint16_t))

size_t weight_segment_bytes(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
        return SEGMENT * PANEL * sizeof(float);
    case TENSOR_F16:
    case TENSOR_BF16:
        return SEGMENT * PANEL * sizeof(uint16_t);
    case TENSOR_Q8_0:
        return SCALES + SEGMENT * PANEL;
    case TENSOR_Q4_0:
        return SCALES + SEGMENT * PANEL / 2;
    }
    return 0;
}

static void pack_values(uint8_t *panel, const uint8_t *row, size_t lane, size_t in, size_t size)
{
    for (size_t i = 0; i < in; i++)
        memcpy(panel + (i * PANEL + lane) * size, row + i * size, size);
}

static void pack_q8_0(uint8_t *panel, const uint8_t *row, size_t lane, size_t in)
{
    for (size_t b = 0; b < in; b += SEGMENT) {
        memcpy(panel + lane * sizeof(uint16_t), row, sizeof(uint16_t));
        for (size_t i = 0; i < SEGMENT; i++)
            panel[SCALES + i * PANEL + lane] = row[sizeof(uint16_t) + i];
        row += sizeof(uint16_t) + SEGMENT;
        panel += SCALES + SEGMENT * PANEL;
    }
}

static uint8_t q4_0_nibble(const uint8_t *q, size_t i)
{
    return i < SEGMENT / 2 ? q[i] & 15 : q[i - SEGMENT / 2] >> 4;
}

static void pack_q4_0(uint8_t *panel, const uint8_t *row, size_t lane, size_t in)
{
    for (size_t b = 0; b < in; b += SEGMENT) {
        const uint8_t *q = row + sizeof(uint16_t);

        memcpy(panel + lane * sizeof(uint16_t), row, sizeof(uint16_t));
        for (size_t j = 0; j < SEGMENT / 2; j++)
            panel[SCALES + j * PANEL + lane] =
                (uint8_t)(q4_0_nibble(q, 2 * j) | q4_0_nibble(q, 2 * j + 1) << 4);
        row += sizeof(uint16_t) + SEGMENT / 2;
        panel += SCALES + SEGMENT * PANEL / 2;
    }
}

static void pack_row(struct weight *w, size_t o, const uint8_t *row)
{
    uint8_t *panel = w->data + o / PANEL * w->panel_bytes;
    size_t lane = o % PANEL;

    switch (w->type) {
    case TENSOR_F32:
        pack_values(panel, row, lane, w->in, sizeof(float));
        break;
    case TENSOR_F16:
    case TENSOR_BF16:
        pack_values(panel, row, lane, w->in, sizeof(uint16_t));
        break;
    case TENSOR_Q8_0:
        pack_q8_0(panel, row, lane, w->in);
        break;
    case TENSOR_Q4_0:
        pack_q4_0(panel, row, lane, w->in);
        break;
    }
}

int weight_pack(struct weight **out, const struct tensor *t)
{
    size_t row_bytes = tensor_row_bytes(t->type, t->cols);
    struct weight *w;

    if (row_bytes == 0 || t->rows == 0 || t->rows > SIZE_MAX / 2 / row_bytes / PANEL)
        return -EINVAL;
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->type = t->type;
    w->out = t->rows;
    w->in = t->cols;
    w->panels = (t->rows + PANEL - 1) / PANEL;
    w->panel_bytes = row_bytes * PANEL;
    /* Zero bytes are zeros in every type but Q4_0, whose scale of zero makes them so. */
    if (posix_memalign((void **)&w->data, 64, w->panels * w->panel_bytes))
        goto fail;
    memset(w->data + (w->panels - 1) * w->panel_bytes, 0, w->panel_bytes);
    for (size_t o = 0; o < w->out; o++)
        pack_row(w, o, (const uint8_t *)t->data + o * row_bytes);
    *out = w;
    return 0;
fail:
    w->data = NULL;
    weight_free(w);
    return -ENOMEM;
}

void weight_free(struct weight *w)
{
    if (!w)
        return;
    free(w->data);
    free(w);
}

static uint16_t load_u16(const uint8_t *p)
{
    uint16_t u;

    memcpy(&u, p, sizeof(u));
    return u;
}

void weight_row(const struct weight *w, size_t row, float *out)
{
    const uint8_t *panel = w->data + row / PANEL * w->panel_bytes;
    size_t lane = row % PANEL;

    for (size_t i = 0; i < w->in; i++) {
        const uint8_t *s = panel + i / SEGMENT * weight_segment_bytes(w->type);
        size_t j = i % SEGMENT;
        float d;

        switch (w->type) {
        case TENSOR_F32:
            memcpy(&out[i], s + (j * PANEL + lane) * sizeof(float), sizeof(float));
            break;
        case TENSOR_F16:
            out[i] = half_to_float(load_u16(s + (j * PANEL + lane) * 2));
            break;
        case TENSOR_BF16:
            out[i] = bfloat_to_float(load_u16(s + (j * PANEL + lane) * 2));
            break;
        case TENSOR_Q8_0:
            d = half_to_float(load_u16(s + lane * 2));
            out[i] = (float)(int8_t)s[SCALES + j * PANEL + lane] * d;
            break;
        case TENSOR_Q4_0:
            d = half_to_float(load_u16(s + lane * 2));
            out[i] = (float)((s[SCALES + j / 2 * PANEL + lane] >> (4 * (j & 1)) & 15) - 8) * d;
            break;
        }
    }
}
