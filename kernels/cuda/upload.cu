/* Uploads. The runtime may read memory that is not pinned when the copy's turn comes, and the
 * caller uses his again at once: so a copy of it leaves from pinned memory. Small uploads share a
 * part.
 */
#include "kernels/cuda/cuda.h"

#include <string.h>

int cuda_uploads_make(struct cuda_backend *cuda)
{
    struct cuda_uploads *u = &cuda->uploads;
    int rc = 0;

    for (size_t i = 0; i < UPLOAD_PARTS && rc == 0; i++) {
        rc = cuda_allocated(cuda, cudaMallocHost((void **)&u->host[i], UPLOAD_BYTES), "start");
        if (rc == 0)
            rc = cuda_allocated(cuda, cudaEventCreateWithFlags(&u->left[i], cudaEventDisableTiming),
                                "start");
    }
    return rc;
}

void cuda_uploads_free(struct cuda_backend *cuda)
{
    struct cuda_uploads *u = &cuda->uploads;

    for (size_t i = 0; i < UPLOAD_PARTS; i++) {
        if (u->left[i])
            cudaEventDestroy(u->left[i]);
        cudaFreeHost(u->host[i]);
    }
    *u = {};
}

/* An event that was never recorded has happened. */
static bool begin_next_part(struct cuda_backend *cuda)
{
    struct cuda_uploads *u = &cuda->uploads;

    cuda_check(cuda, cudaEventRecord(u->left[u->part], cuda->stream), "upload");
    u->part = (u->part + 1) % UPLOAD_PARTS;
    u->used = 0;
    return !cuda->failed && cuda_check(cuda, cudaEventSynchronize(u->left[u->part]), "upload");
}

void cuda_upload(struct backend *be, float *dst, const float *host, size_t count)
{
    struct cuda_backend *cuda = cuda_of(be);
    struct cuda_uploads *u = &cuda->uploads;
    size_t bytes = count * sizeof(float), now;

    for (size_t at = 0; at < bytes && !cuda->failed; at += now) {
        if (u->used == UPLOAD_BYTES && !begin_next_part(cuda))
            return;
        now = bytes - at < UPLOAD_BYTES - u->used ? bytes - at : UPLOAD_BYTES - u->used;
        memcpy(u->host[u->part] + u->used, (const uint8_t *)host + at, now);
        cuda_check(cuda,
                   cudaMemcpyAsync((uint8_t *)dst + at, u->host[u->part] + u->used, now,
                                   cudaMemcpyHostToDevice, cuda->stream),
                   "upload");
        u->used += now;
    }
}
