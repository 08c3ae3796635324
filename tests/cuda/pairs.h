/* Rows that are the same in the memory of two backends, and comparisons of what became of them. */
#ifndef EARSHOT_TESTS_CUDA_PAIRS_H
#define EARSHOT_TESTS_CUDA_PAIRS_H

#include "kernels/backend.h"

struct backends {
    struct backend *cpu, *gpu; /* what is right, and what is tested */
    int failures;
};

/* The same numbers in both; a few more behind them stay as they are, and are looked at. */
struct pair {
    struct backends *of;
    float *cpu, *gpu;
    size_t count;
};

struct pair pair_random(struct backends *b, size_t count, float scale, float shift);
struct pair pair_of(struct backends *b, const float *values, size_t count);
struct pair pair_poisoned(struct backends *b, size_t count); /* NaN, for results */
void pair_free(struct pair *p);

float random_unit(void); /* [-1, 1) */
unsigned random_bits(void);

/* |gpu - cpu| / |cpu|, over all; fails the test above the limit, where one is not finite, or where
 * something was written behind the end. */
double pair_compare(const char *what, const struct pair *p, double limit);
void expect(struct backends *b, int holds, const char *what);

#endif
