/* A backend against the CPU's scalar table, operation by operation and model by model. Nothing here
 * knows where the backend's memory is: it runs on a device as on the host. Needs no library, so
 * that it is built where there is only a compiler.
 */
#ifndef EARSHOT_TESTS_CUDA_COMPARE_H
#define EARSHOT_TESTS_CUDA_COMPARE_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Prints the greatest relative error of each; returns how many checks failed. streaming: how
 * encoders that look both ways hear, as encoder_options_parse reads it. */
int compare_operations(struct backend *be);
/* One part of them, for slow tools: "rwkv7", "norm" or "linear_few". -1: there is no such part. */
int compare_part(struct backend *be, const char *part);
int compare_models(struct backend *be, const char *streaming);

#ifdef __cplusplus
}
#endif

#endif
