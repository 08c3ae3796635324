/* The CUDA backend on a device, against the CPU: operations and models, or with the argument
 * "operations" or "models" those alone, and with that of compare_part one of its parts, for slow
 * tools. Skipped, and said so, where there is no device.
 */
#include "tests/cuda/compare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct backend *be;
    struct error error;
    const char *what = argc > 1 ? argv[1] : "";
    int failures = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);         /* who is killed has told how far it came */
    setenv("EARSHOT_CUDA_GRAPHS", "must", 0); /* a capture that fails is a failure */
    int ret = backend_cuda_create(&be, -1, 0, &error);

    if (ret < 0) {
        printf("SKIPPED, nothing of the GPU was tested: %s\n", error.message);
        return 77;
    }
    printf("%s\n", be->ops->name);
    int part = compare_part(be, what);

    if (part >= 0)
        failures = part;
    if (part < 0 && strcmp(what, "models") != 0)
        failures += compare_operations(be);
    if (part < 0 && strcmp(what, "operations") != 0)
        failures += compare_models(be, "exact") + compare_models(be, "blocks");
    be->ops->destroy(be);
    printf("%d failures\n", failures);
    return failures > 0;
}
