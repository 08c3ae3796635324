/* The arithmetic of launches and scratch memory. */
#include "kernels/cuda/geometry.h"

#include <stdio.h>

static int failures;

static void expect(int holds, const char *what)
{
    if (!holds) {
        printf("FAILED: %s\n", what);
        failures++;
    }
}

static void blocks_cover_all_items(void)
{
    expect(geometry_blocks(0, 256) == 0, "no items, no blocks");
    expect(geometry_blocks(1, 256) == 1, "one item");
    expect(geometry_blocks(256, 256) == 1, "a full block");
    expect(geometry_blocks(257, 256) == 2, "one more");
    expect(geometry_blocks(SIZE_MAX, 2) == SIZE_MAX / 2 + 1, "no overflow");
}

static void threads_are_whole_warps(void)
{
    for (size_t count = 0; count < 3000; count++) {
        unsigned threads = geometry_threads(count, 1024);

        expect(threads % LANES == 0 && threads >= LANES && threads <= 1024, "whole warps");
        expect(threads >= count || threads == 1024, "as many as columns, if they may");
        expect(threads < count + LANES || count == 0, "no idle warp");
    }
}

static void rows_are_whole_vectors(void)
{
    expect(geometry_row_bytes(TENSOR_F32, 5) == 32, "F32");
    expect(geometry_row_bytes(TENSOR_F16, 8) == 16, "F16");
    expect(geometry_row_bytes(TENSOR_BF16, 9) == 32, "BF16");
    expect(geometry_row_bytes(TENSOR_Q8_0, 64) == 64, "Q8_0");
    expect(geometry_row_bytes(TENSOR_Q4_0, 96) == 48, "Q4_0");
    expect(geometry_row_bytes(TENSOR_Q4_0, 95) == 0, "part of a block");
    expect(geometry_row_bytes((enum tensor_type)7, 32) == 0, "unknown type");
    expect(geometry_row_bytes(TENSOR_F32, SIZE_MAX / 4) == 0, "too many");
}

static void warps_share_long_narrow_matrices(void)
{
    expect(geometry_warps_per_output(65536, 512) == 1, "enough outputs");
    expect(geometry_warps_per_output(64, 16) == 1, "short rows");
    expect(geometry_warps_per_output(4096, 512) == 4, "some of each");
    expect(geometry_warps_per_output(16, 100000) == LINEAR_FEW_WARPS, "no more than a block has");
    for (size_t out = 1; out < 10000; out += 37)
        for (size_t pieces = 1; pieces < 4000; pieces += 53) {
            unsigned warps = geometry_warps_per_output(out, pieces);

            expect(warps > 0 && LINEAR_FEW_WARPS % warps == 0, "outputs of a block are whole");
            expect(warps == 1 || pieces >= (size_t)2 * LANES * warps, "pieces for every lane");
        }
}

static int half_exponent(enum tensor_type type, uint16_t first, uint16_t second)
{
    uint8_t blocks[2][34] = {{0}};
    const struct tensor t = {type, 1, (size_t)2 * TENSOR_BLOCK, blocks};
    uint8_t *p = blocks[0];

    for (size_t i = 0; i < 2; i++, p += tensor_row_bytes(type, TENSOR_BLOCK)) {
        p[0] = (uint8_t)((i ? second : first) & 0xff);
        p[1] = (uint8_t)((i ? second : first) >> 8);
    }
    return geometry_half_exponent(&t);
}

static void values_of_blocks_fit_halves(void)
{
    expect(half_exponent(TENSOR_Q8_0, 0, 0x3c00) == 0, "128 fits");
    expect(half_exponent(TENSOR_Q8_0, 0x5fff, 0x5fff) == 0, "128 x 511.75 fits");
    expect(half_exponent(TENSOR_Q8_0, 0, 0x6000) == 1, "128 x 512 is above 65504");
    expect(half_exponent(TENSOR_Q8_0, 0xfbff, 0) == 7, "128 x -65504");
    expect(half_exponent(TENSOR_Q4_0, 0x6fff, 0xefff) == 0, "8 x 8188 fits");
    expect(half_exponent(TENSOR_Q4_0, 0x7000, 0) == 1, "8 x 8192 does not");
    expect(half_exponent(TENSOR_Q4_0, 0, 0x7bff) == 3, "8 x 65504");
}

static void scratch_holds_the_largest_weights(void)
{
    struct linear_bounds b = {0};

    geometry_add_weight(&b, TENSOR_F16, 100, 33);
    expect(b.x_bytes == 80 && b.weight_bytes == 0, "rows of x are padded as the weight's");
    expect(b.sums_bytes == (size_t)LINEAR_MANY_ROWS * 100 * 4, "sums of all rows of a call");
    geometry_add_weight(&b, TENSOR_F32, 10, 33);
    expect(b.x_bytes == 144, "the widest row");
    geometry_add_weight(&b, TENSOR_Q4_0, 10, 64);
    expect(b.weight_bytes == 10 * 128, "a small weight is unpacked whole");
    geometry_add_weight(&b, TENSOR_Q8_0, 65536, 2560);
    expect(b.weight_bytes <= LINEAR_MANY_WEIGHT && b.weight_bytes % (2560 * 2) == 0,
           "a large one by whole outputs");
    expect(b.sums_bytes <= LINEAR_MANY_SUMS && b.sums_bytes % (65536 * 4) == 0, "sums by rows");
    geometry_add_weight(&b, TENSOR_Q8_0, 2, (size_t)32 << 20);
    expect(b.weight_bytes == (size_t)64 << 20, "one output at least");
    geometry_add_weight(&b, TENSOR_F16, (size_t)16 << 20, 1);
    expect(b.sums_bytes == (size_t)64 << 20, "one row at least");
    expect(geometry_rows_in(100, 30, 10) == 3 && geometry_rows_in(1000, 30, 10) == 10,
           "rows in a space");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    blocks_cover_all_items();
    threads_are_whole_warps();
    rows_are_whole_vectors();
    warps_share_long_narrow_matrices();
    values_of_blocks_fit_halves();
    scratch_holds_the_largest_weights();
    printf("%d failures\n", failures);
    return failures > 0;
}
