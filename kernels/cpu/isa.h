/* The operations that are built once for each instruction set. Their names get the set's name as an
 * ending, so that the builds can live in one program: cpu_glu is cpu_glu_avx2 in one of them. A
 * table that differs from that of CPU_ISA in the matrix products alone is called CPU_MATRIX.
 */
#ifndef EARSHOT_KERNELS_CPU_ISA_H
#define EARSHOT_KERNELS_CPU_ISA_H

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
#define cpu_to_half CPU_NAME(cpu_to_half, CPU_ISA)
#define cpu_glu CPU_NAME(cpu_glu, CPU_ISA)
#define cpu_conv_depthwise CPU_NAME(cpu_conv_depthwise, CPU_ISA)
#define cpu_rope CPU_NAME(cpu_rope, CPU_ISA)
#define cpu_relative_gate CPU_NAME(cpu_relative_gate, CPU_ISA)
#define cpu_norm_shift CPU_NAME(cpu_norm_shift, CPU_ISA)
#define cpu_rwkv7 CPU_NAME(cpu_rwkv7, CPU_ISA)
#define cpu_argmax CPU_NAME(cpu_argmax, CPU_ISA)
#define cpu_probability CPU_NAME(cpu_probability, CPU_ISA)

#include "kernels/cpu/cpu.h" /* whose prototypes get these names */

#endif
