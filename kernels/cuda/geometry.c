/* Each answer follows from the sizes alone. */
#include "kernels/cuda/geometry.h"

#include "kernels/half.h"

#define HALF_BYTES 2
#define WARPS_ENOUGH 4096 /* that keep the largest devices busy */

size_t geometry_blocks(size_t items, size_t per_block)
{
    return items / per_block + (items % per_block != 0);
}

unsigned geometry_threads(size_t count, unsigned most)
{
    return count >= most ? most : (unsigned)(geometry_blocks(count ? count : 1, LANES) * LANES);
}

static bool is_quantised(enum tensor_type type)
{
    return type == TENSOR_Q8_0 || type == TENSOR_Q4_0;
}

static size_t value_bits(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
        return 32;
    case TENSOR_F16:
    case TENSOR_BF16:
        return 16;
    case TENSOR_Q8_0:
        return 8;
    case TENSOR_Q4_0:
        return 4;
    }
    return 0;
}

size_t geometry_vector_values(enum tensor_type type)
{
    size_t bits = value_bits(type);

    return bits ? VECTOR_BYTES * 8 / bits : 0;
}

size_t geometry_row_bytes(enum tensor_type type, size_t cols)
{
    size_t values = geometry_vector_values(type);

    if (tensor_row_bytes(type, cols) == 0 || cols > SIZE_MAX / 8)
        return 0;
    return geometry_blocks(cols, values) * VECTOR_BYTES;
}

unsigned geometry_warps_per_output(size_t out, size_t pieces)
{
    size_t groups = geometry_blocks(out, LINEAR_FEW_OUTPUTS);
    unsigned warps = 1;

    while (warps < LINEAR_FEW_WARPS && groups * warps < WARPS_ENOUGH &&
           pieces >= (size_t)warps * 2 * LANES * 2)
        warps *= 2;
    return warps;
}

/* The largest scale's bits: those of halves without their sign are in the order of their values. */
static uint16_t largest_scale(const struct tensor *t)
{
    const uint8_t *p = t->data;
    size_t block_bytes = tensor_row_bytes(t->type, TENSOR_BLOCK);
    size_t bytes = t->rows * tensor_row_bytes(t->type, t->cols);
    uint16_t largest = 0;

    for (size_t i = 0; i < bytes; i += block_bytes) {
        uint16_t scale = (uint16_t)((p[i] | p[i + 1] << 8) & 0x7fff);

        largest = scale > largest ? scale : largest;
    }
    return largest;
}

int geometry_half_exponent(const struct tensor *t)
{
    const float half_max = 65504.0f;
    int exponent = 0;

    if (!is_quantised(t->type))
        return 0;
    float value = half_to_float(largest_scale(t)) * (t->type == TENSOR_Q8_0 ? 128.0f : 8.0f);

    for (; value > half_max; value /= 2.0f)
        exponent++;
    return exponent;
}

/* Bytes of some rows together, as many as go into limit, but one at least. */
static size_t bounded(size_t rows, size_t row_bytes, size_t limit)
{
    return row_bytes >= limit ? row_bytes : geometry_rows_in(limit, row_bytes, rows) * row_bytes;
}

static void raise_to(size_t *bound, size_t size)
{
    if (size > *bound)
        *bound = size;
}

void geometry_add_weight(struct linear_bounds *b, enum tensor_type type, size_t out, size_t in)
{
    size_t half_row = in * HALF_BYTES;

    raise_to(&b->x_bytes, is_quantised(type) ? half_row : geometry_row_bytes(type, in));
    raise_to(&b->sums_bytes, bounded(LINEAR_MANY_ROWS, out * sizeof(float), LINEAR_MANY_SUMS));
    if (is_quantised(type))
        raise_to(&b->weight_bytes, bounded(out, half_row, LINEAR_MANY_WEIGHT));
}

size_t geometry_rows_in(size_t bytes, size_t row_bytes, size_t most)
{
    return bytes / row_bytes < most ? bytes / row_bytes : most;
}
