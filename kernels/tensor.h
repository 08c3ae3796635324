/* Weights: a type, a shape and bytes. The numbers of the types are GGUF's.
 * Quantised types hold blocks of 32 values along a row: Q8_0 is {fp16 d; int8 q[32]},
 * Q4_0 is {fp16 d; uint8 q[16]} with value (q - 8) d, low nibbles first.
 */
#ifndef EARSHOT_KERNELS_TENSOR_H
#define EARSHOT_KERNELS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tensor_type {
    TENSOR_F32 = 0,
    TENSOR_F16 = 1,
    TENSOR_Q4_0 = 2,
    TENSOR_Q8_0 = 8,
    TENSOR_BF16 = 30,
};

#define TENSOR_BLOCK 32 /* values in a block of a quantised type */

/* A matrix as it lies in the file: row-major [rows, cols], rows are contiguous. */
struct tensor {
    enum tensor_type type;
    size_t rows;
    size_t cols;
    const void *data; /* tensor_bytes(type, rows, cols), not owned */
};

const char *tensor_type_name(enum tensor_type type); /* "F32" ...; NULL for what we don't read */
size_t tensor_row_bytes(enum tensor_type type, size_t cols); /* 0: type unknown or cols not whole */

/* Whether no value is infinite or not a number. */
bool tensor_is_finite(const struct tensor *t);

/* One row as floats: out[cols]. Scalar, exact. */
void tensor_row_to_float(const struct tensor *t, size_t row, float *out);

#ifdef __cplusplus
}
#endif

#endif
