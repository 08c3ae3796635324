/* The arithmetic of launches and of scratch memory: how work is cut up. Plain host code, so that it
 * is tested without a device.
 */
#ifndef EARSHOT_KERNELS_CUDA_GEOMETRY_H
#define EARSHOT_KERNELS_CUDA_GEOMETRY_H

#include "kernels/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LANES 32        /* of a warp */
#define VECTOR_BYTES 16 /* what rows of weights begin at */
#define GRID_MAX 0x7fffffff
#define ELEMENT_THREADS 256 /* of a block that computes one element a thread */

#define LINEAR_FEW_ROWS 8                     /* of one launch */
#define LINEAR_FEW_PRODUCTS 8                 /* of one launch */
#define LINEAR_FEW_WARPS 8                    /* of a block */
#define LINEAR_FEW_OUTPUTS 4                  /* that a warp computes together */
#define LINEAR_MANY_ROWS 1024                 /* of one call of the library's product */
#define LINEAR_MANY_WEIGHT ((size_t)32 << 20) /* bytes of a weight that are unpacked at a time */
#define LINEAR_MANY_SUMS ((size_t)32 << 20)   /* bytes of sums that wait to be added */

/* Blocks for so many items; 0 for none. */
size_t geometry_blocks(size_t items, size_t per_block);
/* Threads of a block that strides over count elements: whole warps, at most `most`. */
unsigned geometry_threads(size_t count, unsigned most);

/* Bytes of a row of values on the device (cuda.h), a whole number of vectors; 0: type unknown, cols
 * not whole blocks, or too many. */
size_t geometry_row_bytes(enum tensor_type type, size_t cols);
/* Values in a vector. */
size_t geometry_vector_values(enum tensor_type type);
/* Warps that share their outputs in a product of few rows: 1, 2, 4 or 8. A short wide matrix has
 * enough outputs to keep a device busy, a narrow one has not; but a lane wants two pieces. It
 * depends on the matrix alone, so that the order of the sums does. */
unsigned geometry_warps_per_output(size_t out, size_t pieces);

/* By what power of two a quantised tensor's values are to be divided so that fp16 has room for all
 * of them: 0 but for scales of blocks above some 500 (Q8_0) or 8000 (Q4_0). */
int geometry_half_exponent(const struct tensor *t);

/* The largest weights, as scratch memory must hold them. */
struct linear_bounds {
    size_t x_bytes;      /* a row of x in the weight's type */
    size_t weight_bytes; /* unpacked outputs, at most LINEAR_MANY_WEIGHT but for a single one */
    size_t sums_bytes;   /* rows of sums, at most LINEAR_MANY_SUMS but for a single one */
};

void geometry_add_weight(struct linear_bounds *b, enum tensor_type type, size_t out, size_t in);
/* Rows of row_bytes in so many bytes, at most `most`. */
size_t geometry_rows_in(size_t bytes, size_t row_bytes, size_t most);

#ifdef __cplusplus
}
#endif

#endif
