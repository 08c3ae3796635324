/* The CPU's backend, or the GPU's module, loaded when it is asked for or there. */
#include "kernels/backend.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "cuda" or "cuda:N". device: -1 for any. */
static bool names_cuda(const char *name, int *device)
{
    char *end;
    long number;

    *device = -1;
    if (strcmp(name, "cuda") == 0)
        return true;
    if (strncmp(name, "cuda:", 5) != 0 || name[5] < '0' || name[5] > '9')
        return false;
    number = strtol(name + 5, &end, 10);
    *device = number < INT_MAX ? (int)number : INT_MAX;
    return *end == '\0';
}

bool backend_is_name(const char *name)
{
    int device;

    return strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0 || names_cuda(name, &device);
}

static int create_cpu(struct backend **out, int threads, struct error *error)
{
    int ret = backend_cpu_create(out, threads);

    return ret ? error_set(error, ret, "the cpu backend does not start: %s", strerror(-ret)) : 0;
}

int backend_create(struct backend **out, const char *name, int threads, size_t need,
                   char why[BACKEND_WHY_MAX], struct error *error)
{
    struct error no_gpu;
    int device;

    snprintf(why, BACKEND_WHY_MAX, "asked for");
    if (!backend_is_name(name))
        return error_set(error, -EINVAL, "backend %s: not one of auto, cpu, cuda, cuda:N", name);
    if (strcmp(name, "cpu") == 0)
        return create_cpu(out, threads, error);
    if (names_cuda(name, &device))
        return backend_cuda_create(out, device, 0, error);
    if (backend_cuda_create(out, -1, need, &no_gpu) == 0) {
        snprintf(why, BACKEND_WHY_MAX, "the model finds room there");
        return 0;
    }
    snprintf(why, BACKEND_WHY_MAX, "%.250s", no_gpu.message);
    return create_cpu(out, threads, error);
}
