/* The types of weights, and their exact values. Layouts: see tensor.h. */
#include "kernels/tensor.h"

#include "kernels/half.h"

#include <stdint.h>
#include <string.h>

#define BLOCK TENSOR_BLOCK
#define HALF_EXPONENT 0x7c00
#define BFLOAT_EXPONENT 0x7f80

const char *tensor_type_name(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
        return "F32";
    case TENSOR_F16:
        return "F16";
    case TENSOR_Q4_0:
        return "Q4_0";
    case TENSOR_Q8_0:
        return "Q8_0";
    case TENSOR_BF16:
        return "BF16";
    }
    return NULL;
}

/* Bytes of a block of cols values; 0 for an unknown type. */
static size_t block_bytes(enum tensor_type type, size_t *cols)
{
    *cols = 1;
    switch (type) {
    case TENSOR_F32:
        return 4;
    case TENSOR_F16:
    case TENSOR_BF16:
        return 2;
    case TENSOR_Q4_0:
        *cols = BLOCK;
        return 2 + BLOCK / 2;
    case TENSOR_Q8_0:
        *cols = BLOCK;
        return 2 + BLOCK;
    }
    return 0;
}

size_t tensor_row_bytes(enum tensor_type type, size_t cols)
{
    size_t block_cols;
    size_t bytes = block_bytes(type, &block_cols);

    if (bytes == 0 || cols % block_cols != 0 || cols / block_cols > SIZE_MAX / bytes)
        return 0;
    return cols / block_cols * bytes;
}

static uint16_t load_u16(const uint8_t *p)
{
    uint16_t u;

    memcpy(&u, p, sizeof(u));
    return u;
}

static void q8_0_to_float(const uint8_t *p, size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c += BLOCK, p += 2 + BLOCK) {
        float d = half_to_float(load_u16(p));

        for (size_t i = 0; i < BLOCK; i++)
            out[c + i] = (float)(int8_t)p[2 + i] * d;
    }
}

static void q4_0_to_float(const uint8_t *p, size_t cols, float *out)
{
    for (size_t c = 0; c < cols; c += BLOCK, p += 2 + BLOCK / 2) {
        float d = half_to_float(load_u16(p));

        for (size_t i = 0; i < BLOCK / 2; i++) {
            out[c + i] = (float)((p[2 + i] & 15) - 8) * d;
            out[c + i + BLOCK / 2] = (float)((p[2 + i] >> 4) - 8) * d;
        }
    }
}

/* Whether none of count halves, stride bytes apart, has all bits of the exponent. */
static inline bool are_finite(const uint8_t *p, size_t count, size_t stride, uint16_t exponent)
{
    unsigned found = 0;

    for (size_t i = 0; i < count; i++)
        found |= (load_u16(p + i * stride) & exponent) == exponent;
    return !found;
}

bool tensor_is_finite(const struct tensor *t)
{
    const uint8_t *p = t->data;
    size_t count = t->rows * t->cols;

    switch (t->type) {
    case TENSOR_F32: /* the upper half of a float is a bfloat16 */
        return are_finite(p + 2, count, sizeof(float), BFLOAT_EXPONENT);
    case TENSOR_F16:
        return are_finite(p, count, sizeof(uint16_t), HALF_EXPONENT);
    case TENSOR_BF16:
        return are_finite(p, count, sizeof(uint16_t), BFLOAT_EXPONENT);
    case TENSOR_Q4_0:
        return are_finite(p, count / BLOCK, 2 + BLOCK / 2, HALF_EXPONENT);
    case TENSOR_Q8_0:
        return are_finite(p, count / BLOCK, 2 + BLOCK, HALF_EXPONENT);
    }
    return false;
}

void tensor_row_to_float(const struct tensor *t, size_t row, float *out)
{
    const uint8_t *p = (const uint8_t *)t->data + row * tensor_row_bytes(t->type, t->cols);

    switch (t->type) {
    case TENSOR_F32:
        memcpy(out, p, t->cols * sizeof(float));
        break;
    case TENSOR_F16:
        for (size_t c = 0; c < t->cols; c++)
            out[c] = half_to_float(load_u16(p + 2 * c));
        break;
    case TENSOR_BF16:
        for (size_t c = 0; c < t->cols; c++)
            out[c] = bfloat_to_float(load_u16(p + 2 * c));
        break;
    case TENSOR_Q4_0:
        q4_0_to_float(p, t->cols, out);
        break;
    case TENSOR_Q8_0:
        q8_0_to_float(p, t->cols, out);
        break;
    }
}
