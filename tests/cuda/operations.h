/* The parts of compare_operations, by the kind of operation. */
#ifndef EARSHOT_TESTS_CUDA_OPERATIONS_H
#define EARSHOT_TESTS_CUDA_OPERATIONS_H

#include "tests/cuda/pairs.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The limit where only the order of sums of floats is another. */
static const double exact = 4e-6;

void report(const char *what, double worst);
void reserve(struct backends *b, size_t rows); /* both */

void compare_products(struct backends *b);
void compare_rows(struct backends *b); /* what goes row by row, attention, time mixing */
void compare_norms(struct backends *b);
void compare_rwkv7(struct backends *b);
void compare_few_rows(struct backends *b);
void compare_choices(struct backends *b);

#endif
