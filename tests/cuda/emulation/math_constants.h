/* See cuda_runtime.h. */
#ifndef EARSHOT_TESTS_CUDA_EMULATION_MATH_CONSTANTS_H
#define EARSHOT_TESTS_CUDA_EMULATION_MATH_CONSTANTS_H

#define CUDART_INF_F __builtin_inff()

#endif
