/* Weights to the device, once. The bytes of the file go through pinned stages: while one stage
 * travels, the next is filled; on the device a kernel lays the rows out as cuda.h tells.
 */
#include "kernels/cuda/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_BYTES ((size_t)8 << 20)
#define PACK_THREADS 256

/* A block a row, in the file's form, from `from`: row first + block of w. */
static __global__ void pack_plain_kernel(const struct weight w, const uint8_t *from,
                                         size_t file_bytes, size_t first)
{
    uint8_t *to = w.values + (first + blockIdx.x) * w.row_bytes;

    from += blockIdx.x * file_bytes;
    for (size_t i = threadIdx.x; i < w.row_bytes; i += blockDim.x)
        to[i] = i < file_bytes ? from[i] : 0;
}

/* The same for quantised types: a block of the file is {fp16 d; uint8 q[block_bytes]}. */
static __global__ void pack_blocks_kernel(const struct weight w, const uint8_t *from,
                                          size_t file_bytes, size_t block_bytes, size_t first)
{
    size_t row = first + blockIdx.x, blocks = w.in / TENSOR_BLOCK;
    uint8_t *to = w.values + row * w.row_bytes;

    from += blockIdx.x * file_bytes;
    for (size_t i = threadIdx.x; i < w.row_bytes; i += blockDim.x)
        to[i] = from[i / block_bytes * (block_bytes + 2) + 2 + i % block_bytes];
    for (size_t i = threadIdx.x; i < blocks; i += blockDim.x) {
        const uint8_t *d = from + i * (block_bytes + 2);

        w.scales[row * blocks + i] = (uint16_t)(d[0] | d[1] << 8);
    }
}

void cuda_staging_free(struct cuda_backend *cuda)
{
    struct cuda_staging *s = &cuda->staging;

    for (size_t i = 0; i < STAGES; i++) {
        if (s->sent[i])
            cudaEventDestroy(s->sent[i]);
        cudaFreeHost(s->host[i]);
        cudaFree(s->device[i]);
    }
    *s = {};
}

static int stage_make(struct cuda_backend *cuda, size_t i, size_t bytes)
{
    struct cuda_staging *s = &cuda->staging;
    const char *what = "weight_create";
    int rc = cuda_allocated(cuda, cudaMallocHost((void **)&s->host[i], bytes), what);

    if (rc == 0)
        rc = cuda_allocated(cuda, cudaMalloc((void **)&s->device[i], bytes), what);
    if (rc == 0)
        rc = cuda_allocated(cuda, cudaEventCreateWithFlags(&s->sent[i], cudaEventDisableTiming),
                            what);
    return rc;
}

static int staging_make(struct cuda_backend *cuda, size_t bytes)
{
    struct cuda_staging *s = &cuda->staging;

    if (s->bytes >= bytes)
        return 0;
    if (!cuda_wait(cuda, "weight_create"))
        return -EIO;
    cuda_staging_free(cuda);
    int rc = 0;

    for (size_t i = 0; i < STAGES && rc == 0; i++)
        rc = stage_make(cuda, i, bytes);
    s->bytes = bytes;
    if (rc < 0)
        cuda_staging_free(cuda);
    return rc;
}

/* rows of t from first on. */
static void send_rows(struct cuda_backend *cuda, const struct weight *w, const struct tensor *t,
                      size_t first, size_t rows)
{
    struct cuda_staging *s = &cuda->staging;
    size_t stage = s->next, file_bytes = tensor_row_bytes(t->type, t->cols);

    s->next = (stage + 1) % STAGES;
    if (!cuda_check(cuda, cudaEventSynchronize(s->sent[stage]), "weight_create"))
        return;
    memcpy(s->host[stage], (const uint8_t *)t->data + first * file_bytes, rows * file_bytes);
    cuda_check(cuda,
               cudaMemcpyAsync(s->device[stage], s->host[stage], rows * file_bytes,
                               cudaMemcpyHostToDevice, cuda->stream),
               "weight_create");
    if (w->scales)
        cuda_launch(cuda, "weight_create", pack_blocks_kernel, rows, PACK_THREADS, *w,
                    s->device[stage], file_bytes, (size_t)(w->type == TENSOR_Q8_0 ? 32 : 16),
                    first);
    else
        cuda_launch(cuda, "weight_create", pack_plain_kernel, rows, PACK_THREADS, *w,
                    s->device[stage], file_bytes, first);
    if (!cuda->failed)
        cuda_check(cuda, cudaEventRecord(s->sent[stage], cuda->stream), "weight_create");
}

static int send(struct cuda_backend *cuda, const struct weight *w, const struct tensor *t)
{
    size_t file_bytes = tensor_row_bytes(t->type, t->cols);
    int ret = staging_make(cuda, file_bytes > STAGE_BYTES ? file_bytes : STAGE_BYTES);

    if (ret)
        return ret;
    size_t most = geometry_rows_in(cuda->staging.bytes, file_bytes, t->rows);

    for (size_t first = 0; first < t->rows; first += most)
        send_rows(cuda, w, t, first, t->rows - first < most ? t->rows - first : most);
    return cuda->failed ? -EIO : 0;
}

static int make_memory(struct cuda_backend *cuda, struct weight *w)
{
    size_t scales_bytes = w->out * (w->in / TENSOR_BLOCK) * sizeof(uint16_t);
    bool quantised = w->type == TENSOR_Q8_0 || w->type == TENSOR_Q4_0;
    const char *what = "weight_create";
    int rc = cuda_allocated(cuda, cudaMalloc((void **)&w->values, w->out * w->row_bytes), what);

    if (rc == 0 && quantised)
        rc = cuda_allocated(cuda, cudaMalloc((void **)&w->scales, scales_bytes), what);
    return rc;
}

int cuda_weight_create(struct backend *be, struct weight **out, const struct tensor *t,
                       enum weight_use use)
{
    struct cuda_backend *cuda = cuda_of(be);
    size_t row_bytes = geometry_row_bytes(t->type, t->cols);
    int rc;

    if (row_bytes == 0 || t->rows == 0 || t->rows > GRID_MAX ||
        t->cols > GRID_MAX / sizeof(float) || t->rows > SIZE_MAX / 2 / row_bytes)
        return -EINVAL;
    if (!tensor_is_finite(t))
        return -EDOM;
    struct weight *w = (struct weight *)calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->type = t->type;
    w->out = t->rows;
    w->in = t->cols;
    w->row_bytes = row_bytes;
    w->exponent = use == WEIGHT_PRODUCTS ? geometry_half_exponent(t) : 0;
    rc = make_memory(cuda, w);
    if (rc == 0)
        rc = send(cuda, w, t);
    if (rc < 0) {
        cuda_weight_destroy(be, w);
        return rc;
    }
    if (use == WEIGHT_PRODUCTS)
        geometry_add_weight(&cuda->bounds, w->type, w->out, w->in);
    *out = w;
    return 0;
}

void cuda_weight_destroy(struct backend *be, struct weight *w)
{
    if (!w)
        return;
    cuda_steps_forget(cuda_of(be), NULL);
    cudaFree(w->values);
    cudaFree(w->scales);
    free(w);
}
