/* The operations that are built once for each instruction set. Their names get the set's name as an
 * ending, so that the builds can live in one program: cpu_glu is cpu_glu_avx2 in one of them. A
 * table that differs from that of CPU_ISA in the matrix products alone is called CPU_MATRIX.
 */
#ifndef EARSHOT_KERNELS_CPU_ISA_H
#define EARSHOT_KERNELS_CPU_ISA_H

#include "kernels/cpu/cpu.h"

#ifndef CPU_MATRIX
#define CPU_MATRIX CPU_ISA
#endif
#define CPU_PASTE(name, isa) name##_##isa
#define CPU_NAME(name, isa) CPU_PASTE(name, isa)
#define cpu_ops CPU_NAME(cpu_ops, CPU_MATRIX)
#define cpu_linear CPU_NAME(cpu_linear, CPU_MATRIX)
#define cpu_linear_add CPU_NAME(cpu_linear_add, CPU_MATRIX)
#define cpu_linears CPU_NAME(cpu_linears, CPU_MATRIX)
#define cpu_attention CPU_NAME(cpu_attention, CPU_MATRIX)
#define cpu_layer_norm CPU_NAME(cpu_layer_norm, CPU_ISA)
#define cpu_affine CPU_NAME(cpu_affine, CPU_ISA)
#define cpu_add CPU_NAME(cpu_add, CPU_ISA)
#define cpu_glu CPU_NAME(cpu_glu, CPU_ISA)
#define cpu_conv_depthwise CPU_NAME(cpu_conv_depthwise, CPU_ISA)
#define cpu_rope CPU_NAME(cpu_rope, CPU_ISA)
#define cpu_relative_gate CPU_NAME(cpu_relative_gate, CPU_ISA)
#define cpu_norm_shift CPU_NAME(cpu_norm_shift, CPU_ISA)
#define cpu_rwkv7 CPU_NAME(cpu_rwkv7, CPU_ISA)
#define cpu_argmax CPU_NAME(cpu_argmax, CPU_ISA)
#define cpu_probability CPU_NAME(cpu_probability, CPU_ISA)

void cpu_linear(struct backend *be, float *y, const float *x, size_t x_stride, size_t rows,
                const struct weight *w, const float *bias, enum activation act);
void cpu_linear_add(struct backend *be, float *y, const float *x, size_t rows,
                    const struct weight *w, const float *bias);
void cpu_linears(struct backend *be, const struct product *p, size_t count, size_t rows);
void cpu_layer_norm(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                    const float *w, const float *b, float eps);
void cpu_affine(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                const float *shift, const float *scale, const float *bias, enum activation act);
void cpu_add(struct backend *be, float *y, const float *x, size_t count);
void cpu_glu(struct backend *be, float *y, const float *x, size_t rows, size_t dim);
void cpu_conv_depthwise(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                        const float *w, const float *b, size_t kernel, enum activation act);
void cpu_rope(struct backend *be, float *x, size_t rows, size_t heads, size_t head_dim,
              uint64_t position, float base);
void cpu_attention(struct backend *be, const struct attention *a);
void cpu_relative_gate(struct backend *be, float *y, const float *x, const float *scale,
                       size_t rows, size_t heads);
void cpu_norm_shift(struct backend *be, const struct norm_shift *n);
void cpu_rwkv7(struct backend *be, const struct rwkv7 *c);
void cpu_argmax(struct backend *be, uint32_t *best, const float *x, size_t rows, size_t count);
float cpu_probability(struct backend *be, const float *x, size_t count, size_t index);

#endif
