/* y = act(x W^T + bias) of a few rows: decoding, where a weight is read once for at most eight rows
 * and its way from memory is all the time there is. Up to eight products that do not need each
 * other are one launch.
 *
 * A block of eight warps computes some outputs of one product; `shared` warps take an output
 * together (geometry_warps_per_output), its vectors of 16 bytes in turn. A lane loads UNROLL
 * vectors before it uses the first, so that enough bytes are under way:
 *
 *     vector   0  1  2  .. 31 | 32 ..            lane of the first warp that shares the output
 *              32 s apart from one round of a warp to its next, s warps sharing
 *
 * Sums: a lane over its vectors, then the lanes, then the warps, always in the same order; so the
 * result of a row does not depend on the other rows of the call.
 */
#include "kernels/cuda/device.h"
#include "kernels/cuda/values.h"

#define UNROLL 4
#define THREADS (LINEAR_FEW_WARPS * LANES)

/* The products of a launch, and which block is whose: those of product i are first[i] to
 * first[i + 1] - 1. */
struct few {
    struct few_product product[LINEAR_FEW_PRODUCTS];
    unsigned warps[LINEAR_FEW_PRODUCTS]; /* that share an output */
    bool aligned[LINEAR_FEW_PRODUCTS];   /* rows of x begin at vectors */
    unsigned first[LINEAR_FEW_PRODUCTS + 1];
    size_t rows;
};

/* Values at .. at + 3 of a row of x, of which `in` are there. */
static __device__ float4 load_x(const float *x, size_t at, size_t in, bool aligned)
{
    if (aligned && at + 4 <= in)
        return *(const float4 *)(x + at);
    return make_float4(at < in ? x[at] : 0.0f, at + 1 < in ? x[at + 1] : 0.0f,
                       at + 2 < in ? x[at + 2] : 0.0f, at + 3 < in ? x[at + 3] : 0.0f);
}

static __device__ float dot4(float4 x, float a, float b, float c, float d)
{
    return x.x * a + x.y * b + x.z * c + x.w * d;
}

/* The four values of a vector from value 4 part on, without the scale of quantised types. */
template <enum tensor_type TYPE> static __device__ float dot_part(uint4 v, int part, float4 x);

template <> __device__ float dot_part<TENSOR_F32>(uint4 v, int, float4 x)
{
    return dot4(x, __uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                __uint_as_float(v.w));
}

static __device__ uint32_t word(uint4 v, int i)
{
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

template <> __device__ float dot_part<TENSOR_F16>(uint4 v, int part, float4 x)
{
    uint32_t low = word(v, 2 * part), high = word(v, 2 * part + 1);

    return dot4(x, half_value((uint16_t)low), half_value((uint16_t)(low >> 16)),
                half_value((uint16_t)high), half_value((uint16_t)(high >> 16)));
}

template <> __device__ float dot_part<TENSOR_BF16>(uint4 v, int part, float4 x)
{
    uint32_t low = word(v, 2 * part), high = word(v, 2 * part + 1);

    return dot4(x, __uint_as_float(low << 16), __uint_as_float(low & 0xffff0000),
                __uint_as_float(high << 16), __uint_as_float(high & 0xffff0000));
}

template <> __device__ float dot_part<TENSOR_Q8_0>(uint4 v, int part, float4 x)
{
    uint32_t four = word(v, part);

    return dot4(x, (float)(int8_t)four, (float)(int8_t)(four >> 8), (float)(int8_t)(four >> 16),
                (float)(int8_t)(four >> 24));
}

/* Parts 0..3 are the low nibbles, 4..7 the high ones. */
template <> __device__ float dot_part<TENSOR_Q4_0>(uint4 v, int part, float4 x)
{
    uint32_t four = word(v, part % 4) >> (part / 4 * 4);

    return dot4(x, (float)((int)(four & 15) - 8), (float)((int)(four >> 8 & 15) - 8),
                (float)((int)(four >> 16 & 15) - 8), (float)((int)(four >> 24 & 15) - 8));
}

template <enum tensor_type TYPE> static __device__ constexpr int vector_values(void)
{
    return TYPE == TENSOR_F32 ? 4 : TYPE == TENSOR_Q8_0 ? 16 : TYPE == TENSOR_Q4_0 ? 32 : 8;
}

/* This lane's share of one output, for every row: sums[r] = part of x[r] W[o]. */
template <enum tensor_type TYPE, int ROWS>
static __device__ void dot_rows(const struct few_product &p, size_t o, size_t rows, bool aligned,
                                unsigned from, unsigned step, float (&sums)[ROWS])
{
    constexpr int VALUES = vector_values<TYPE>();
    constexpr bool QUANTISED = TYPE == TENSOR_Q8_0 || TYPE == TENSOR_Q4_0;
    const uint4 *vectors = (const uint4 *)(p.w.values + o * p.w.row_bytes);
    size_t count = p.w.row_bytes / VECTOR_BYTES;

    for (size_t at = from; at < count; at += UNROLL * step) {
        uint4 v[UNROLL];
        float scale[UNROLL];

#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            size_t n = at + u * step;

            v[u] = n < count ? __ldg(vectors + n) : make_uint4(0, 0, 0, 0);
            scale[u] = QUANTISED && n < count ? row_scale(p.w, o, n * VALUES) : 0.0f;
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            size_t n = at + u * step;

            if (n >= count)
                break;
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const float *x = p.x + ((size_t)r < rows ? r : 0) * p.x_stride;
                float sum = 0.0f;

#pragma unroll
                for (int i = 0; i < VALUES / 4; i++)
                    sum += dot_part<TYPE>(v[u], i, load_x(x, n * VALUES + i * 4, p.w.in, aligned));
                sums[r] += QUANTISED ? sum * scale[u] : sum;
            }
        }
    }
}

/* The same for the weight's type, which is one of those named. */
template <int ROWS, enum tensor_type TYPE, enum tensor_type... OTHERS>
static __device__ void dot_output(const struct few_product &p, size_t o, size_t rows, bool aligned,
                                  unsigned from, unsigned step, float (&sums)[ROWS])
{
    if (p.w.type == TYPE)
        dot_rows<TYPE>(p, o, rows, aligned, from, step, sums);
    else if constexpr (sizeof...(OTHERS) > 0)
        dot_output<ROWS, OTHERS...>(p, o, rows, aligned, from, step, sums);
}

static __device__ void finish(const struct few_product &p, size_t o, size_t row, float sum)
{
    float *y = p.y + row * p.w.out + o;

    sum = activate(p.bias ? sum + p.bias[o] : sum, p.act);
    *y = p.add ? *y + sum : sum;
}

template <int ROWS>
static __global__ void __launch_bounds__(THREADS)
    linear_few_kernel(const __grid_constant__ struct few f)
{
    __shared__ float parts[LINEAR_FEW_WARPS][ROWS];
    unsigned warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, i = 0;
    float sums[ROWS] = {};

    while (blockIdx.x >= f.first[i + 1])
        i++;
    const struct few_product &p = f.product[i];
    unsigned shared = f.warps[i], share = warp % shared;
    size_t outputs = LINEAR_FEW_WARPS / shared;
    size_t o = (blockIdx.x - f.first[i]) * outputs + warp / shared;

    if (o < p.w.out)
        dot_output<ROWS, TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_0>(
            p, o, f.rows, f.aligned[i], share * LANES + lane, shared * LANES, sums);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        sums[r] = warp_sum(sums[r]);
        if (lane == 0)
            parts[warp][r] = sums[r];
    }
    __syncthreads();
    if (threadIdx.x >= outputs * f.rows)
        return;
    unsigned first = threadIdx.x % outputs * shared, row = threadIdx.x / outputs;
    float sum = 0.0f;

    o = (blockIdx.x - f.first[i]) * outputs + threadIdx.x % outputs;
    for (unsigned s = 0; s < shared; s++)
        sum += parts[first + s][row];
    if (o < p.w.out)
        finish(p, o, row, sum);
}

void cuda_linear_few(struct cuda_backend *cuda, const struct few_product *p, size_t count,
                     size_t rows)
{
    struct few f = {};

    f.rows = rows;
    for (size_t i = 0; i < count; i++) {
        const struct weight *w = &p[i].w;
        unsigned warps = geometry_warps_per_output(w->out, w->row_bytes / VECTOR_BYTES);

        f.product[i] = p[i];
        f.warps[i] = warps;
        f.aligned[i] = (uintptr_t)p[i].x % VECTOR_BYTES == 0 && p[i].x_stride % 4 == 0;
        f.first[i + 1] = f.first[i] + (unsigned)geometry_blocks(w->out, LINEAR_FEW_WARPS / warps);
    }
    if (rows == 1)
        cuda_launch(cuda, "linear", linear_few_kernel<1>, f.first[count], THREADS, f);
    else if (rows == 2)
        cuda_launch(cuda, "linear", linear_few_kernel<2>, f.first[count], THREADS, f);
    else if (rows <= 4)
        cuda_launch(cuda, "linear", linear_few_kernel<4>, f.first[count], THREADS, f);
    else
        cuda_launch(cuda, "linear", linear_few_kernel<LINEAR_FEW_ROWS>, f.first[count], THREADS, f);
}

const void *cuda_linear_few_kernel(void)
{
    return (const void *)linear_few_kernel<1>;
}
