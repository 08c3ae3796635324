/* Products. Up to BACKEND_FEW_ROWS rows: linear_few.cu. More: the library's product with sums in
 * float, over x in the weight's type and the weight as it is; quantised weights are unpacked to
 * fp16, as many outputs at a time as stay in the cache. With rows of x as [rows, in] and W as [out,
 * in], the library, whose matrices lie in columns, is asked for y^T = W x^T.
 *
 * Rows of x are scaled by a power of two to fill fp16's range, which their sums give back: so
 * nothing overflows, and little is lost at the other end. A quantised weight with values past that
 * range is scaled likewise, by one power of two for all of it. bias, activation and addition are a
 * pass over the sums.
 */
#include "kernels/cuda/device.h"
#include "kernels/cuda/values.h"

#include <errno.h>

#define ROW_THREADS 256
#define TOP_EXPONENT 15 /* rows are scaled to just below 2^15 */

/* What x is turned into for a weight. */
static enum tensor_type x_type(enum tensor_type type)
{
    return type == TENSOR_F32 || type == TENSOR_BF16 ? type : TENSOR_F16;
}

static __device__ void store_value(uint8_t *row, size_t i, float v, enum tensor_type type)
{
    if (type == TENSOR_F32)
        ((float *)row)[i] = v;
    else if (type == TENSOR_BF16)
        ((__nv_bfloat16 *)row)[i] = __float2bfloat16(v);
    else
        ((__half *)row)[i] = __float2half(v);
}

/* A block a row: out[row] = x[row] 2^e in another type, zero past in; scales[row] = 2^-e, times
 * 2^w_exponent that the weight is short of. */
static __global__ void convert_kernel(uint8_t *out, size_t row_bytes, float *scales, const float *x,
                                      size_t x_stride, size_t in, size_t padded,
                                      enum tensor_type type, int w_exponent)
{
    __shared__ float parts[WARPS_MAX];
    float top = 0.0f;
    int exponent = 0;

    x += blockIdx.x * x_stride;
    out += blockIdx.x * row_bytes;
    for (size_t i = threadIdx.x; i < in; i += blockDim.x)
        top = fmaxf(top, fabsf(x[i]));
    top = block_max(top, parts);
    frexpf(top, &exponent);
    exponent = type == TENSOR_F16 && top > 0.0f && top < CUDART_INF_F ? TOP_EXPONENT - exponent : 0;
    exponent = exponent < 126 ? exponent : 126;
    for (size_t i = threadIdx.x; i < padded; i += blockDim.x)
        store_value(out, i, i < in ? ldexpf(x[i], exponent) : 0.0f, type);
    if (threadIdx.x == 0)
        scales[blockIdx.x] = ldexpf(1.0f, w_exponent - exponent);
}

/* A block an output: its values times 2^-exponent as fp16, [outputs, in]. */
static __global__ void unpack_kernel(__half *out, const struct weight w, size_t first)
{
    float scale = ldexpf(1.0f, -w.exponent);

    out += blockIdx.x * w.in;
    for (size_t i = threadIdx.x; i < w.in; i += blockDim.x)
        out[i] = __float2half(weight_value(w, first + blockIdx.x, i) * scale);
}

/* y[row, o] (+)= act(sums[row, o] scales[row] + bias[o]); sums may be y. */
static __global__ void finish_kernel(float *y, const float *sums, const float *scales, size_t count,
                                     size_t out, const float *bias, enum activation act, bool add)
{
    size_t i = thread_index();

    if (i >= count)
        return;
    float v = sums[i] * scales[i / out];

    v = activate(bias ? v + bias[i % out] : v, act);
    y[i] = add ? y[i] + v : v;
}

static cudaDataType library_type(enum tensor_type type)
{
    return type == TENSOR_F32 ? CUDA_R_32F : type == TENSOR_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

static size_t value_bytes(enum tensor_type type)
{
    return type == TENSOR_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* sums[rows, all] at some outputs = x w^T, w [outputs, in] and x [rows, in] with rows so many
 * bytes long. */
static void multiply(struct cuda_backend *cuda, float *sums, size_t all, const uint8_t *x,
                     size_t x_bytes, size_t rows, const uint8_t *w, size_t w_bytes, size_t outputs,
                     size_t in, enum tensor_type type)
{
    static const float one = 1.0f, zero = 0.0f;
    size_t size = value_bytes(type);

    if (cuda->failed)
        return;
    cuda_check_blas(cuda,
                    cublasGemmEx(cuda->blas, CUBLAS_OP_T, CUBLAS_OP_N, (int)outputs, (int)rows,
                                 (int)in, &one, w, library_type(type), (int)(w_bytes / size), x,
                                 library_type(type), (int)(x_bytes / size), &zero, sums, CUDA_R_32F,
                                 (int)all, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                    "linear");
}

/* All outputs of the rows of x that are in the scratch. */
static void multiply_all(struct cuda_backend *cuda, float *sums, const struct weight *w,
                         size_t x_bytes, size_t rows)
{
    const struct cuda_scratch *s = &cuda->scratch;
    enum tensor_type type = x_type(w->type);

    if (!w->scales) {
        multiply(cuda, sums, w->out, s->x, x_bytes, rows, w->values, w->row_bytes, w->out, w->in,
                 type);
        return;
    }
    size_t most = geometry_rows_in(s->weight_bytes, w->in * sizeof(uint16_t), w->out);

    for (size_t o = 0; o < w->out; o += most) {
        size_t now = w->out - o < most ? w->out - o : most;

        cuda_launch(cuda, "linear", unpack_kernel, now, geometry_threads(w->in, ROW_THREADS),
                    (__half *)s->weight, *w, o);
        multiply(cuda, sums + o, w->out, s->x, x_bytes, rows, s->weight, w->in * sizeof(uint16_t),
                 now, w->in, type);
    }
}

/* What ->reserve makes for all weights that there are. */
static bool has_scratch(const struct cuda_scratch *s, const struct weight *w)
{
    return s->x_bytes >= geometry_row_bytes(x_type(w->type), w->in) * LINEAR_MANY_ROWS &&
           s->sums_bytes >= w->out * sizeof(float) &&
           (!w->scales || s->weight_bytes >= w->in * sizeof(uint16_t));
}

void cuda_linear_many(struct cuda_backend *cuda, const struct few_product *p, size_t rows)
{
    const struct cuda_scratch *s = &cuda->scratch;
    const struct weight *w = &p->w;
    enum tensor_type type = x_type(w->type);
    size_t x_bytes = geometry_row_bytes(type, w->in);
    size_t most = p->add ? geometry_rows_in(s->sums_bytes, w->out * sizeof(float), LINEAR_MANY_ROWS)
                         : LINEAR_MANY_ROWS;

    if (!has_scratch(s, w)) {
        cuda_fail(cuda, "linear", "nothing is reserved for many rows");
        return;
    }
    for (size_t r = 0; r < rows; r += most) {
        size_t now = rows - r < most ? rows - r : most;
        size_t count = now * w->out;
        float *y = p->y + r * w->out, *sums = p->add ? s->sums : y;

        cuda_launch(cuda, "linear", convert_kernel, now, geometry_threads(w->in, ROW_THREADS), s->x,
                    x_bytes, s->x_scales, p->x + r * p->x_stride, p->x_stride, w->in,
                    x_bytes / value_bytes(type), type, w->exponent);
        multiply_all(cuda, sums, w, x_bytes, now);
        cuda_launch(cuda, "linear", finish_kernel, geometry_blocks(count, ELEMENT_THREADS),
                    ELEMENT_THREADS, y, sums, s->x_scales, count, w->out, p->bias, p->act, p->add);
    }
}

/* Rows of few are the same bits however many come together: eight of them are a launch. */
static void run_few(struct cuda_backend *cuda, const struct few_product *p, size_t count,
                    size_t rows)
{
    struct few_product some[LINEAR_FEW_PRODUCTS];

    for (size_t i = 0; i < count; i++)
        some[i] = p[i];
    for (size_t r = 0; r < rows; r += LINEAR_FEW_ROWS) {
        cuda_linear_few(cuda, some, count, rows - r < LINEAR_FEW_ROWS ? rows - r : LINEAR_FEW_ROWS);
        for (size_t i = 0; i < count; i++) {
            some[i].x += LINEAR_FEW_ROWS * some[i].x_stride;
            some[i].y += LINEAR_FEW_ROWS * some[i].w.out;
        }
    }
}

static void run(struct cuda_backend *cuda, const struct few_product *p, size_t count, size_t rows)
{
    if (rows <= BACKEND_FEW_ROWS)
        run_few(cuda, p, count, rows);
    for (size_t i = 0; i < count && rows > BACKEND_FEW_ROWS; i++)
        cuda_linear_many(cuda, &p[i], rows);
}

void cuda_linear(struct backend *be, float *y, const float *x, size_t x_stride, size_t rows,
                 const struct weight *w, const float *bias, enum activation act)
{
    struct few_product p = {y, x, x_stride, *w, bias, act, false};

    run(cuda_of(be), &p, 1, rows);
}

void cuda_linear_add(struct backend *be, float *y, const float *x, size_t rows,
                     const struct weight *w, const float *bias)
{
    struct few_product p = {y, x, w->in, *w, bias, ACTIVATION_NONE, true};

    run(cuda_of(be), &p, 1, rows);
}

void cuda_linears(struct backend *be, const struct product *p, size_t count, size_t rows)
{
    for (size_t at = 0; at < count; at += LINEAR_FEW_PRODUCTS) {
        struct few_product some[LINEAR_FEW_PRODUCTS] = {};
        size_t now = count - at < LINEAR_FEW_PRODUCTS ? count - at : LINEAR_FEW_PRODUCTS;

        for (size_t i = 0; i < now; i++)
            some[i] = {p[at + i].y,   p[at + i].x, p[at + i].w->in, *p[at + i].w, p[at + i].bias,
                       p[at + i].act, false};
        run(cuda_of(be), some, now, rows);
    }
}

void cuda_scratch_free(struct cuda_backend *cuda)
{
    struct cuda_scratch *s = &cuda->scratch;

    cudaFree(s->x);
    cudaFree(s->x_scales);
    cudaFree(s->weight);
    cudaFree(s->sums);
    *s = {};
}

static int scratch_make(struct cuda_backend *cuda, struct cuda_scratch *s)
{
    const size_t scales_bytes = LINEAR_MANY_ROWS * sizeof(float);
    int rc = cuda_allocated(cuda, cudaMalloc((void **)&s->x, s->x_bytes), "reserve");

    if (rc == 0)
        rc = cuda_allocated(cuda, cudaMalloc((void **)&s->x_scales, scales_bytes), "reserve");
    if (rc == 0 && s->weight_bytes > 0)
        rc = cuda_allocated(cuda, cudaMalloc((void **)&s->weight, s->weight_bytes), "reserve");
    if (rc == 0)
        rc = cuda_allocated(cuda, cudaMalloc((void **)&s->sums, s->sums_bytes), "reserve");
    return rc;
}

/* Longer calls are cut into LINEAR_MANY_ROWS, shorter ones of all modules share the scratch: rows
 * does not matter. */
int cuda_reserve(struct backend *be, size_t rows)
{
    struct cuda_backend *cuda = cuda_of(be);
    const struct linear_bounds *b = &cuda->bounds;
    struct cuda_scratch *s = &cuda->scratch;
    struct cuda_scratch wanted = {};

    (void)rows;
    wanted.x_bytes = b->x_bytes * LINEAR_MANY_ROWS;
    wanted.weight_bytes = b->weight_bytes;
    wanted.sums_bytes = b->sums_bytes;
    if (wanted.x_bytes <= s->x_bytes && wanted.weight_bytes <= s->weight_bytes &&
        wanted.sums_bytes <= s->sums_bytes)
        return 0;
    cuda_steps_forget(cuda, NULL);
    cuda_scratch_free(cuda);
    int rc = scratch_make(cuda, &wanted);

    *s = wanted;
    if (rc < 0)
        cuda_scratch_free(cuda);
    return rc;
}

const void *cuda_linear_kernel(void)
{
    return (const void *)convert_kernel;
}
