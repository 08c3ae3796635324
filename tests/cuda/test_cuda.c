/* The CUDA backend on a device, against the CPU. Skipped, and said so, where there is none. */
#include "tests/cuda/compare.h"

#include <errno.h>
#include <stdio.h>

int main(void)
{
    struct backend *be;
    struct error error;
    int failures;
    int ret = backend_cuda_create(&be, -1, 0, &error);

    if (ret < 0) {
        printf("SKIPPED, nothing of the GPU was tested: %s\n", error.message);
        return 77;
    }
    printf("%s\n", be->ops->name);
    failures = compare_operations(be) + compare_models(be);
    be->ops->destroy(be);
    printf("%d failures\n", failures);
    return failures > 0;
}
