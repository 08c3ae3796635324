/* Loads the CUDA backend's module when a GPU is asked for. It lies beside the programs in the build
 * folder, or where it was installed; EARSHOT_CUDA_MODULE names another.
 */
#include "kernels/cuda/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE_NAME "libearshot_cuda.so"

enum {
    PATH_BYTES = 4096,
};

static void find_module(char path[PATH_BYTES])
{
    static const char installed[] = EARSHOT_LIB_DIR "/" MODULE_NAME;
    static const char *const ways[] = {"..", "../.."}; /* from a program to the build folder */
    const char *named = getenv("EARSHOT_CUDA_MODULE");
    char program[PATH_BYTES / 2];
    ssize_t size = readlink("/proc/self/exe", program, sizeof(program) - 1);
    char *slash;

    if (named && *named) {
        snprintf(path, PATH_BYTES, "%s", named);
        return;
    }
    program[size > 0 ? size : 0] = '\0';
    slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; slash && i < sizeof(ways) / sizeof(ways[0]); i++) {
        snprintf(path, PATH_BYTES, "%s/%s/kernels/" MODULE_NAME, program, ways[i]);
        if (access(path, R_OK) == 0)
            return;
    }
    snprintf(path, PATH_BYTES, "%s", installed);
}

int backend_cuda_create(struct backend **out, int device, size_t need, struct error *error)
{
    char path[PATH_BYTES];
    const struct cuda_module *module;
    void *library;

    find_module(path);
    if (access(path, R_OK) != 0)
        return error_set(error, -ENODEV, "no GPU backend: %.200s is missing", path);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(error, -ENODEV, "no GPU backend: %.220s", dlerror());
    module = dlsym(library, CUDA_MODULE_SYMBOL);
    if (!module || strcmp(module->version, EARSHOT_VERSION) != 0 ||
        module->ops_bytes != sizeof(struct backend_ops))
        return error_set(error, -ENODEV, "no GPU backend: %.180s is of another version", path);
    return module->create(out, device, need, error); /* the library stays: its code is in use */
}
