/* What the processor does at most, to hold the operations against: measured with loops that do
 * nothing else, in the instruction set of a backend and on as many threads as one wants.
 */
#ifndef EARSHOT_KERNELS_CPU_LIMITS_H
#define EARSHOT_KERNELS_CPU_LIMITS_H

#include "kernels/backend.h"

/* A second, all threads together; a multiplication and its addition are two operations. 0: the
 * instruction set has no such thing. */
struct cpu_limits {
    double read;  /* bytes from memory, large pages */
    double fma;   /* float32 */
    double bytes; /* int8, summed in int32 */
    double tiles; /* bf16 on the matrix unit, summed in float32 */
};

/* read_bytes: of the memory that is read again and again; what a cache holds of it counts as it
 * would for weights of that size. 0, -ENOTSUP (not a CPU's table), -ENOMEM or -EAGAIN. */
int cpu_limits_measure(struct cpu_limits *out, const struct backend_ops *ops, size_t threads,
                       size_t read_bytes);

/* The loops of one instruction set; NULL: it has no such thing. Results are for nobody. */
struct cpu_loops {
    const struct backend_ops *ops;
    float (*read)(const uint8_t *p, size_t size);
    float (*fma)(size_t rounds);
    float (*bytes)(size_t rounds);
    float (*tiles)(size_t rounds);
    double fma_operations, bytes_operations, tiles_operations; /* a round */
};

extern const struct cpu_loops cpu_loops_scalar, cpu_loops_avx2, cpu_loops_avx512, cpu_loops_amx;

/* The loops of a table, NULL if it is not one of this processor. */
const struct cpu_loops *cpu_choose_loops(const struct backend_ops *ops);

#endif
