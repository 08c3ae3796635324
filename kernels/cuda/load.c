/* Loads the CUDA backend's module when a GPU is asked for. It lies beside the programs in the build
 * folder, or where it was installed; EARSHOT_CUDA_MODULE names another.
 */
#include "base/paths.h"
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

/* False: there is none; path is where it was looked for last. */
static bool find_module(char path[PATH_BYTES])
{
    static const char *const places[] = {
        "../kernels/" MODULE_NAME,    /* from build/cli or build/daemon */
        "../../kernels/" MODULE_NAME, /* from build/tests/cuda */
        EARSHOT_LIB_FROM_BIN "/" MODULE_NAME,
    };
    const char *named = getenv("EARSHOT_CUDA_MODULE");

    if (named && *named) {
        snprintf(path, PATH_BYTES, "%s", named);
        return access(path, R_OK) == 0;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (paths_installed(places[i], path, PATH_BYTES) == 0 && access(path, R_OK) == 0)
            return true;
    return false;
}

/* The module brings some 150 MB of libraries, for nothing where there is no driver. A module that
 * somebody names may need none. */
static bool has_driver(void)
{
    const char *named = getenv("EARSHOT_CUDA_MODULE");
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);

    if (driver)
        dlclose(driver);
    return driver || (named && *named);
}

int backend_cuda_create(struct backend **out, int device, size_t need, struct error *error)
{
    char path[PATH_BYTES];
    const struct cuda_module *module;
    void *library;

    if (!has_driver())
        return error_set(error, -ENODEV, "no GPU backend: no NVIDIA driver (libcuda.so.1)");
    if (!find_module(path))
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
