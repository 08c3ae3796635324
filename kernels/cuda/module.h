/* What the CUDA backend's module gives to the program that loads it. The program knows it by name
 * only, so that it starts where neither the module nor a driver is.
 */
#ifndef EARSHOT_KERNELS_CUDA_MODULE_H
#define EARSHOT_KERNELS_CUDA_MODULE_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of one table of operations: a module and a program that were not built together differ in it or
 * in the version. */
#define CUDA_MODULE_SYMBOL "earshot_cuda_module"

struct cuda_module {
    const char *version; /* EARSHOT_VERSION */
    size_t ops_bytes;    /* of struct backend_ops */
    /* device: -1 for the one with the most free memory. need: bytes that must be free there. 0,
     * -ENODEV without a usable device, -ENOMEM, or -errno. */
    int (*create)(struct backend **out, int device, size_t need, struct error *error);
};

#ifdef __cplusplus
}
#endif

#endif
