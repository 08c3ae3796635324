/* What the files of the CUDA backend share on the host. All work goes to one stream, in the order
 * of the calls; only what hands a value to the host waits for it. The first error is kept, and
 * after it every call does nothing.
 */
#ifndef EARSHOT_KERNELS_CUDA_CUDA_H
#define EARSHOT_KERNELS_CUDA_CUDA_H

#include "kernels/backend.h"
#include "kernels/cuda/geometry.h"

#include <cublas_v2.h>
#include <cuda_runtime.h>

/* On the device. Values are rows of row_bytes, a whole number of 16-byte vectors, zero past `in`:
 *   F32, F16, BF16   as in the file
 *   Q8_0             int8 q[in]
 *   Q4_0             uint8 q[in / 2]: byte j of a block's 16 holds input j and, above it, 16 + j
 * and the scales of quantised types lie apart: fp16 d[in / 32] a row. */
struct weight {
    enum tensor_type type;
    size_t out, in;
    size_t row_bytes;
    int exponent;     /* of quantised types: values times 2^-exponent are within fp16 */
    uint8_t *values;  /* [out, row_bytes] */
    uint16_t *scales; /* [out, in / 32], or NULL */
};

#define STAGES 2

/* Pinned memory that weights pass through on their way, one stage filled while the other travels.
 */
struct cuda_staging {
    size_t bytes; /* of a stage */
    uint8_t *host[STAGES], *device[STAGES];
    cudaEvent_t sent[STAGES];
    size_t next;
};

#define UPLOAD_PARTS 2
#define UPLOAD_BYTES ((size_t)1 << 20) /* of a part */

/* Pinned memory that uploads leave from, one after the other: a part is used again when all that
 * left from it has arrived. */
struct cuda_uploads {
    uint8_t *host[UPLOAD_PARTS];
    cudaEvent_t left[UPLOAD_PARTS];
    size_t part, used; /* the part that is filled, and its bytes so far */
};

#define STEPS_MAX 32

/* Calls between step_begin and step_end: seen once, then captured, then launched as one. */
struct cuda_step {
    const void *key[STEP_KEY_MAX];
    bool seen;
    bool single;           /* no capture of them succeeds: they are launched one by one */
    cudaGraphExec_t graph; /* NULL: not captured yet */
    uint64_t used;         /* the time of the last use, in steps */
};

/* What products of many rows need besides: x in the weight's type, its rows' scales, a piece of the
 * weight unpacked, sums that are not added yet. */
struct cuda_scratch {
    size_t x_bytes, weight_bytes, sums_bytes;
    uint8_t *x;
    float *x_scales; /* [LINEAR_MANY_ROWS] */
    uint8_t *weight;
    float *sums;
};

struct cuda_backend {
    struct backend base;
    struct backend_ops ops;
    char name[64];
    int device;
    cudaStream_t stream;
    cublasHandle_t blas;
    void *blas_workspace;
    bool failed;
    struct error error; /* the first, if failed */

    struct linear_bounds bounds; /* of the weights so far */
    struct cuda_scratch scratch;
    struct cuda_staging staging;
    struct cuda_uploads uploads;
    float *answer_device, *answer_host; /* [ANSWERS], of argmax, draw, probability; pinned */

    bool keep_steps, must_keep_steps; /* must: a capture that fails is an error */
    struct cuda_step steps[STEPS_MAX];
    struct cuda_step *capturing;
    uint64_t time;
};

static inline struct cuda_backend *cuda_of(struct backend *be)
{
    return reinterpret_cast<struct cuda_backend *>(be);
}

/* Notes an error, if there is one and it is the first. True: none so far. */
bool cuda_check(struct cuda_backend *cuda, cudaError_t error, const char *what);
bool cuda_check_blas(struct cuda_backend *cuda, cublasStatus_t status, const char *what);
void cuda_fail(struct cuda_backend *cuda, const char *what, const char *why);
/* What an allocation came to: 0, -ENOMEM without room for it, which is no error of the device, or
 * -EIO after one. */
int cuda_allocated(struct cuda_backend *cuda, cudaError_t error, const char *what);

/* Waits for the stream; false after an error. */
bool cuda_wait(struct cuda_backend *cuda, const char *what);

#define ANSWERS 1024 /* of four bytes that one call finds */

/* Waits for the first so many answers, on the host; zeros after an error. */
void cuda_answer(struct cuda_backend *cuda, void *out, size_t count, const char *what);

/* Starts a kernel of one-dimensional blocks; none of zero blocks. */
template <typename... Parameters, typename... Arguments>
void cuda_launch(struct cuda_backend *cuda, const char *what, void (*kernel)(Parameters...),
                 size_t blocks, unsigned threads, Arguments... arguments)
{
    cudaLaunchConfig_t config = {};

    if (cuda->failed || blocks == 0)
        return;
    if (blocks > GRID_MAX) {
        cuda_fail(cuda, what, "too many blocks for a grid");
        return;
    }
    config.gridDim = dim3((unsigned)blocks);
    config.blockDim = dim3(threads);
    config.stream = cuda->stream;
    cuda_check(cuda, cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...),
               what);
}

/* The table. */
#define OP(result, name, arguments) result cuda_##name arguments;
#include "kernels/ops.def"

void cuda_staging_free(struct cuda_backend *cuda);
void cuda_scratch_free(struct cuda_backend *cuda);
int cuda_uploads_make(struct cuda_backend *cuda);
void cuda_uploads_free(struct cuda_backend *cuda);

/* Forgets the steps that use p; all of them if p is NULL. */
void cuda_steps_forget(struct cuda_backend *cuda, const void *p);

/* One product of a few rows, in the terms of linear_few.cu. */
struct few_product {
    float *y;       /* [rows, out] */
    const float *x; /* rows x_stride apart */
    size_t x_stride;
    struct weight w;
    const float *bias;
    enum activation act;
    bool add;
};

/* At most LINEAR_FEW_PRODUCTS of at most LINEAR_FEW_ROWS rows. */
void cuda_linear_few(struct cuda_backend *cuda, const struct few_product *p, size_t count,
                     size_t rows);
void cuda_linear_many(struct cuda_backend *cuda, const struct few_product *p, size_t rows);

/* A kernel of each file. The driver loads files when they are first used, and compiles those that
 * it has no code for: who asks for one of their kernels has that behind him. */
const void *cuda_attention_kernel(void);
const void *cuda_choose_kernel(void);
const void *cuda_conv_kernel(void);
const void *cuda_draw_kernel(void);
const void *cuda_elementwise_kernel(void);
const void *cuda_embed_kernel(void);
const void *cuda_linear_kernel(void);
const void *cuda_linear_few_kernel(void);
const void *cuda_norm_kernel(void);
const void *cuda_rope_kernel(void);
const void *cuda_rwkv7_kernel(void);

#endif
