/* The CUDA backend: device, memory, errors, the table and the module's entry. */
#include "kernels/cuda/device.h"
#include "kernels/cuda/module.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX 64
#define BLAS_WORKSPACE ((size_t)32 << 20) /* as the library wants it on large devices */

void cuda_fail(struct cuda_backend *cuda, const char *what, const char *why)
{
    if (!cuda->failed)
        error_set(&cuda->error, -EIO, "%s: %s: %s", cuda->name, what, why);
    cuda->failed = true;
}

bool cuda_check(struct cuda_backend *cuda, cudaError_t error, const char *what)
{
    if (error)
        cuda_fail(cuda, what, cudaGetErrorString(error));
    return !cuda->failed;
}

bool cuda_check_blas(struct cuda_backend *cuda, cublasStatus_t status, const char *what)
{
    if (status != CUBLAS_STATUS_SUCCESS)
        cuda_fail(cuda, what, cublasGetStatusString(status));
    return !cuda->failed;
}

int cuda_allocated(struct cuda_backend *cuda, cudaError_t error, const char *what)
{
    if (error == cudaErrorMemoryAllocation && !cuda->failed) {
        cudaGetLastError();
        return -ENOMEM;
    }
    return cuda_check(cuda, error, what) ? 0 : -EIO;
}

bool cuda_wait(struct cuda_backend *cuda, const char *what)
{
    if (cuda->failed)
        return false;
    return cuda_check(cuda, cudaStreamSynchronize(cuda->stream), what);
}

int cuda_status(const struct backend *be, struct error *error)
{
    const struct cuda_backend *cuda = cuda_of(const_cast<struct backend *>(be));

    return cuda->failed ? error_set(error, -EIO, "%s", cuda->error.message) : 0;
}

/* Backends on each device. A device's context, some hundred MB of it, belongs to all of them in
 * this process, and goes back when there is none: also where the device was only asked how much
 * memory it has. Backends come and go one at a time, in any thread. */
static unsigned users[DEVICES_MAX];

static void give_back(int device)
{
    int current = -1;

    if (__atomic_load_n(&users[device], __ATOMIC_ACQUIRE) > 0)
        return;
    cudaSetDevice(device);
    cudaGetDevice(&current);
    if (current == device)
        cudaDeviceReset();
    cudaGetLastError();
}

void cuda_destroy(struct backend *be)
{
    struct cuda_backend *cuda = cuda_of(be);

    if (!cuda)
        return;
    cuda_steps_forget(cuda, NULL);
    cuda_staging_free(cuda);
    cuda_uploads_free(cuda);
    cuda_scratch_free(cuda);
    cudaFree(cuda->answer_device);
    cudaFreeHost(cuda->answer_host);
    if (cuda->blas)
        cublasDestroy(cuda->blas);
    cudaFree(cuda->blas_workspace);
    if (cuda->stream)
        cudaStreamDestroy(cuda->stream);
    cudaGetLastError();
    __atomic_sub_fetch(&users[cuda->device], 1, __ATOMIC_ACQ_REL);
    give_back(cuda->device);
    free(cuda);
}

/* The runtime's blocks begin at multiples of 256 bytes. */
float *cuda_alloc(struct backend *be, size_t count)
{
    struct cuda_backend *cuda = cuda_of(be);
    size_t bytes = count * sizeof(float);
    float *p = NULL;

    if (cuda->failed || count > SIZE_MAX / 2 / sizeof(float))
        return NULL;
    if (cuda_allocated(cuda, cudaMalloc((void **)&p, bytes ? bytes : 1), "alloc") < 0)
        return NULL;
    cuda_check(cuda, cudaMemsetAsync(p, 0, bytes, cuda->stream), "alloc");
    return p;
}

void cuda_free(struct backend *be, float *p)
{
    struct cuda_backend *cuda = cuda_of(be);

    if (!p)
        return;
    cuda_steps_forget(cuda, p);
    cudaFree(p);
}

static void copy(struct cuda_backend *cuda, void *dst, const void *src, size_t count,
                 enum cudaMemcpyKind kind, const char *what)
{
    if (count > 0 && !cuda->failed)
        cuda_check(cuda, cudaMemcpyAsync(dst, src, count * sizeof(float), kind, cuda->stream),
                   what);
}

void cuda_copy(struct backend *be, float *dst, const float *src, size_t count)
{
    copy(cuda_of(be), dst, src, count, cudaMemcpyDeviceToDevice, "copy");
}

/* Towards lower addresses, piece by piece, as long as the way: no piece overlaps itself, and what
 * is written has been read. */
void cuda_move(struct backend *be, float *dst, const float *src, size_t count)
{
    struct cuda_backend *cuda = cuda_of(be);
    size_t way = dst < src ? (size_t)(src - dst) : (size_t)(dst - src);

    if (way == 0)
        return;
    for (size_t at = 0; at < count; at += way) {
        size_t now = count - at < way ? count - at : way;
        size_t from = dst < src ? at : count - at - now;

        copy(cuda, dst + from, src + from, now, cudaMemcpyDeviceToDevice, "move");
    }
}

void cuda_zero(struct backend *be, float *dst, size_t count)
{
    struct cuda_backend *cuda = cuda_of(be);

    if (count > 0 && !cuda->failed)
        cuda_check(cuda, cudaMemsetAsync(dst, 0, count * sizeof(float), cuda->stream), "zero");
}

void cuda_copy_rows(struct backend *be, float *dst, size_t dst_stride, const float *src,
                    size_t src_stride, size_t rows, size_t dim)
{
    struct cuda_backend *cuda = cuda_of(be);

    if (rows > 0 && dim > 0 && !cuda->failed)
        cuda_check(cuda,
                   cudaMemcpy2DAsync(dst, dst_stride * sizeof(float), src,
                                     src_stride * sizeof(float), dim * sizeof(float), rows,
                                     cudaMemcpyDeviceToDevice, cuda->stream),
                   "copy_rows");
}

/* Zeros after an error. */
void cuda_download(struct backend *be, float *host, const float *src, size_t count)
{
    struct cuda_backend *cuda = cuda_of(be);

    copy(cuda, host, src, count, cudaMemcpyDeviceToHost, "download");
    if (!cuda_wait(cuda, "download") && count > 0)
        memset(host, 0, count * sizeof(float));
}

static void fill_table(struct backend_ops *ops, const char *name)
{
    ops->name = name;
#define OP(result, name, arguments) ops->name = cuda_##name;
#include "kernels/ops.def"
}

/* The device with the most free memory, or the one that was asked for. */
static int choose_device(int wanted, int *device, size_t *most_free, struct error *error)
{
    int count = 0;
    cudaError_t code = cudaGetDeviceCount(&count);

    if (code)
        return error_set(error, -ENODEV, "no GPU: %s", cudaGetErrorString(code));
    count = count < DEVICES_MAX ? count : DEVICES_MAX;
    if (count == 0 || wanted >= count)
        return error_set(error, -ENODEV, "no GPU number %d among %d", wanted < 0 ? 0 : wanted,
                         count);
    *most_free = 0;
    *device = -1;
    for (int i = 0; i < count; i++) {
        size_t free_bytes, all;

        if (wanted >= 0 && i != wanted)
            continue;
        code = cudaSetDevice(i);
        code = code ? code : cudaMemGetInfo(&free_bytes, &all);
        bool better = !code && (*device < 0 || free_bytes > *most_free);
        int other = better ? *device : i;

        if (other >= 0)
            give_back(other);
        if (!better)
            continue;
        *device = i;
        *most_free = free_bytes;
    }
    if (*device < 0)
        return error_set(error, -ENODEV, "no GPU can be used: %s", cudaGetErrorString(code));
    return 0;
}

static __global__ void nothing_kernel(void)
{
}

/* What a device without code for it cannot do. */
static void try_device(struct cuda_backend *cuda)
{
    cuda_launch(cuda, "start", nothing_kernel, 1, LANES);
    cuda_wait(cuda, "start");
}

/* All that the driver has to compile, while nobody speaks yet. */
static void load_kernels(struct cuda_backend *cuda)
{
    static const void *(*const files[])(void) = {
        cuda_attention_kernel,   cuda_choose_kernel, cuda_conv_kernel,   cuda_draw_kernel,
        cuda_elementwise_kernel, cuda_embed_kernel,  cuda_linear_kernel, cuda_linear_few_kernel,
        cuda_norm_kernel,        cuda_rope_kernel,   cuda_rwkv7_kernel,
    };
    cudaFuncAttributes attributes;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !cuda->failed; i++)
        cuda_check(cuda, cudaFuncGetAttributes(&attributes, files[i]()), "start");
}

static int make_memory(struct cuda_backend *cuda)
{
    size_t bytes = ANSWERS * sizeof(float);
    int rc = cuda_allocated(cuda, cudaMalloc((void **)&cuda->answer_device, bytes), "start");

    if (rc == 0)
        rc = cuda_allocated(cuda, cudaMallocHost((void **)&cuda->answer_host, bytes), "start");
    if (rc == 0)
        rc = cuda_allocated(cuda, cudaMalloc(&cuda->blas_workspace, BLAS_WORKSPACE), "start");
    return rc == 0 ? cuda_uploads_make(cuda) : rc;
}

static int start(struct cuda_backend *cuda)
{
    const char *keep = getenv("EARSHOT_CUDA_GRAPHS");
    int rc;

    cuda->keep_steps = !keep || strcmp(keep, "0") != 0;
    cuda->must_keep_steps = keep && strcmp(keep, "must") == 0;
    cuda_check(cuda, cudaSetDevice(cuda->device), "start");
    cuda_check(cuda, cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking), "start");
    if (!cuda->failed)
        try_device(cuda);
    load_kernels(cuda);
    if (cuda->failed)
        return -EIO;
    rc = make_memory(cuda);
    if (rc < 0 || !cuda_check_blas(cuda, cublasCreate(&cuda->blas), "start"))
        return rc;
    cuda_check_blas(cuda, cublasSetStream(cuda->blas, cuda->stream), "start");
    cuda_check_blas(cuda, cublasSetWorkspace(cuda->blas, cuda->blas_workspace, BLAS_WORKSPACE),
                    "start");
    return 0;
}

static void name_device(struct cuda_backend *cuda)
{
    cudaDeviceProp properties;

    if (cudaGetDeviceProperties(&properties, cuda->device))
        memset(&properties, 0, sizeof(properties));
    snprintf(cuda->name, sizeof(cuda->name), "cuda:%d (%.40s)", cuda->device, properties.name);
}

static int create(struct backend **out, int device, size_t need, struct error *error)
{
    size_t free_bytes = 0;
    int ret = choose_device(device, &device, &free_bytes, error);

    if (ret)
        return ret;
    struct cuda_backend *cuda = (struct cuda_backend *)calloc(1, sizeof(*cuda));

    if (!cuda) {
        give_back(device);
        return error_set(error, -ENOMEM, "no memory for a backend");
    }
    __atomic_add_fetch(&users[device], 1, __ATOMIC_ACQ_REL);
    cuda->device = device;
    name_device(cuda);
    fill_table(&cuda->ops, cuda->name);
    cuda->base.ops = &cuda->ops;
    if (free_bytes < need)
        ret = error_set(error, -ENOMEM, "%s: %zu MB are free, %zu MB are needed", cuda->name,
                        free_bytes >> 20, need >> 20);
    else if (start(cuda) == -ENOMEM)
        ret = error_set(error, -ENOMEM, "%s: no memory to begin with", cuda->name);
    if (cuda->failed)
        ret = error_set(error, -ENODEV, "%s", cuda->error.message);
    if (ret) {
        cuda_destroy(&cuda->base);
        return ret;
    }
    *out = &cuda->base;
    return 0;
}

extern "C" __attribute__((visibility("default"))) const struct cuda_module earshot_cuda_module;
const struct cuda_module earshot_cuda_module = {EARSHOT_VERSION, sizeof(struct backend_ops),
                                                create};
