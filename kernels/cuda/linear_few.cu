/* y = act(x W^T + bias) of a few rows: decoding, where a weight is read once for at most eight rows
 * and its way from memory is all the time there is. Up to eight products that do not need each
 * other are one launch.
 *
 * A block of eight warps computes some outputs of one product, a warp OUTPUTS of them together, so
 * that what it reads of x serves all of them; `shared` warps take the same outputs
 * (geometry_warps_per_output), its columns in turn. A lane's piece of a row is four neighbouring
 * columns, so that a warp reads x, and every row of W, as they lie in memory, no place twice; it
 * loads UNROLL pieces of every output before it uses the first, so that enough bytes are under way:
 *
 *     piece    0  1  2  .. 31 | 32 ..            lane of the first warp that shares the outputs
 *              32 s apart from one round of a warp to its next, s warps sharing
 *
 * A piece of Q4_0 is four bytes: columns i .. i + 3 of a block and 16 + i .. 19 + i.
 *
 * Sums: a lane over its pieces, then the lanes, then the warps, always in the same order and with
 * the same roundings; so the result of a row does not depend on the other rows of the call.
 */
#include "kernels/cuda/device.h"
#include "kernels/cuda/values.h"

#define OUTPUTS LINEAR_FEW_OUTPUTS
#define UNROLL 2
#define THREADS (LINEAR_FEW_WARPS * LANES)
#define TWO_TO_23 0x4b000000 /* as a float's bits, of which the last is worth 1 */

/* The products of a launch, and which block is whose: those of product i are first[i] to
 * first[i + 1] - 1. */
struct few {
    struct few_product product[LINEAR_FEW_PRODUCTS];
    unsigned warps_log[LINEAR_FEW_PRODUCTS]; /* 2^this many warps share outputs */
    bool aligned[LINEAR_FEW_PRODUCTS];       /* pieces of x are vectors, and whole */
    unsigned first[LINEAR_FEW_PRODUCTS + 1];
    unsigned rows;
};

/* Values at .. at + 3 of a row of x, of which `in` are there. */
static __device__ float4 load_x(const float *x, unsigned at, unsigned in, bool aligned)
{
    if (aligned)
        return *(const float4 *)(x + at);
    return make_float4(at < in ? x[at] : 0.0f, at + 1 < in ? x[at + 1] : 0.0f,
                       at + 2 < in ? x[at + 2] : 0.0f, at + 3 < in ? x[at + 3] : 0.0f);
}

/* Byte i of v, an unsigned number, less `zero`; exact, and faster than a conversion. */
static __device__ float byte_value(uint32_t v, int i, float zero)
{
    return __uint_as_float(__byte_perm(v, TWO_TO_23, 0x7440 + i)) - (0x1p23f + zero);
}

static __device__ float4 byte_values(uint32_t v, float zero)
{
    return make_float4(byte_value(v, 0, zero), byte_value(v, 1, zero), byte_value(v, 2, zero),
                       byte_value(v, 3, zero));
}

/* How a piece of a type is loaded, in how many parts of four columns, and what their values are,
 * without the scale of quantised types. */
template <enum tensor_type TYPE> struct piece;

template <> struct piece<TENSOR_F32> {
    using load = uint4;
    static constexpr int PARTS = 1;

    static __device__ float4 values(uint4 v, int)
    {
        return make_float4(__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                           __uint_as_float(v.w));
    }
};

template <> struct piece<TENSOR_F16> {
    using load = uint2;
    static constexpr int PARTS = 1;

    static __device__ float4 values(uint2 v, int)
    {
        return make_float4(half_value((uint16_t)v.x), half_value((uint16_t)(v.x >> 16)),
                           half_value((uint16_t)v.y), half_value((uint16_t)(v.y >> 16)));
    }
};

template <> struct piece<TENSOR_BF16> {
    using load = uint2;
    static constexpr int PARTS = 1;

    static __device__ float4 values(uint2 v, int)
    {
        return make_float4(__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xffff0000),
                           __uint_as_float(v.y << 16), __uint_as_float(v.y & 0xffff0000));
    }
};

template <> struct piece<TENSOR_Q8_0> {
    using load = uint32_t;
    static constexpr int PARTS = 1;

    static __device__ float4 values(uint32_t v, int)
    {
        return byte_values(v ^ 0x80808080, 128.0f);
    }
};

template <> struct piece<TENSOR_Q4_0> {
    using load = uint32_t;
    static constexpr int PARTS = 2;

    static __device__ float4 values(uint32_t v, int part)
    {
        return byte_values(v >> (4 * part) & 0x0f0f0f0f, 8.0f);
    }
};

template <enum tensor_type TYPE> static __device__ constexpr bool is_quantised(void)
{
    return TYPE == TENSOR_Q8_0 || TYPE == TENSOR_Q4_0;
}

/* The column at which piece n of a row begins; its parts are half a block apart. */
template <enum tensor_type TYPE> static __device__ unsigned column_of(unsigned n)
{
    return TYPE == TENSOR_Q4_0 ? n / 4 * BLOCK + n % 4 * 4 : n * 4;
}

template <enum tensor_type TYPE> static __device__ unsigned pieces_of(unsigned in)
{
    return (in + 4 * piece<TYPE>::PARTS - 1) / (4 * piece<TYPE>::PARTS);
}

/* Adds one piece of OUTPUTS rows of W to the sums of every row of x: [ROWS, OUTPUTS]. */
template <enum tensor_type TYPE, int ROWS>
static __device__ void add_piece(const struct few_product &p, unsigned rows, bool aligned,
                                 unsigned column, const typename piece<TYPE>::load (&v)[OUTPUTS],
                                 const uint16_t (&scale)[OUTPUTS], float (&sums)[ROWS * OUTPUTS])
{
    constexpr int PARTS = piece<TYPE>::PARTS;

#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const float *row = p.x + ((unsigned)r < rows ? r : 0) * p.x_stride;
        float4 x[PARTS];

#pragma unroll
        for (int i = 0; i < PARTS; i++)
            x[i] = load_x(row, column + i * (BLOCK / 2), (unsigned)p.w.in, aligned);
#pragma unroll
        for (int k = 0; k < OUTPUTS; k++) {
            float sum = is_quantised<TYPE>() ? 0.0f : sums[r * OUTPUTS + k];

#pragma unroll
            for (int i = 0; i < PARTS; i++) {
                float4 w = piece<TYPE>::values(v[k], i);

                sum = fmaf(x[i].x, w.x, sum);
                sum = fmaf(x[i].y, w.y, sum);
                sum = fmaf(x[i].z, w.z, sum);
                sum = fmaf(x[i].w, w.w, sum);
            }
            if (is_quantised<TYPE>())
                sum = fmaf(sum, half_value(scale[k]), sums[r * OUTPUTS + k]);
            sums[r * OUTPUTS + k] = sum;
        }
    }
}

/* This lane's share of outputs o .. o + OUTPUTS - 1; those past the last are the last again. */
template <enum tensor_type TYPE, int ROWS>
static __device__ void dot_rows(const struct few_product &p, unsigned o, unsigned rows,
                                bool aligned, unsigned from, unsigned step,
                                float (&sums)[ROWS * OUTPUTS])
{
    using load = typename piece<TYPE>::load;
    unsigned in = (unsigned)p.w.in, count = pieces_of<TYPE>(in), last = (unsigned)p.w.out - 1;
    unsigned row_bytes = (unsigned)p.w.row_bytes;

    for (unsigned at = from; at < count; at += UNROLL * step) {
        load v[UNROLL][OUTPUTS];
        uint16_t scale[UNROLL][OUTPUTS];

#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            unsigned n = at + u * step < count ? at + u * step : at;

#pragma unroll
            for (int k = 0; k < OUTPUTS; k++) {
                unsigned row = o + k < last ? o + k : last;

                v[u][k] = __ldg((const load *)(p.w.values + (size_t)row * row_bytes) + n);
                if (is_quantised<TYPE>())
                    scale[u][k] =
                        __ldg(p.w.scales + (size_t)row * (in / BLOCK) + column_of<TYPE>(n) / BLOCK);
            }
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
            if (at + u * step < count)
                add_piece<TYPE, ROWS>(p, rows, aligned, column_of<TYPE>(at + u * step), v[u],
                                      scale[u], sums);
    }
}

/* The same for the weight's type, which is one of those named. */
template <int ROWS, enum tensor_type TYPE, enum tensor_type... OTHERS>
static __device__ void dot_outputs(const struct few_product &p, unsigned o, unsigned rows,
                                   bool aligned, unsigned from, unsigned step,
                                   float (&sums)[ROWS * OUTPUTS])
{
    if (p.w.type == TYPE)
        dot_rows<TYPE, ROWS>(p, o, rows, aligned, from, step, sums);
    else if constexpr (sizeof...(OTHERS) > 0)
        dot_outputs<ROWS, OTHERS...>(p, o, rows, aligned, from, step, sums);
}

/* The sums over the lanes, as warp_sum adds them up, but each known to as few lanes as it takes:
 * sum i of COUNT to the lanes from LANES / COUNT i on. COUNT: a power of two, at most LANES. */
template <int COUNT, int DISTANCE = LANES / 2>
static __device__ float warp_sums(const float (&sums)[COUNT])
{
    constexpr int LEFT = COUNT > 1 ? COUNT / 2 : 1;
    bool upper = COUNT > 1 && threadIdx.x & DISTANCE;
    float half[LEFT];

#pragma unroll
    for (int i = 0; i < LEFT; i++) {
        float own = upper ? sums[COUNT - LEFT + i] : sums[i];
        float other = upper ? sums[i] : sums[COUNT - LEFT + i];

        half[i] = own + __shfl_xor_sync(ALL_LANES, other, DISTANCE);
    }
    if constexpr (DISTANCE > 1)
        return warp_sums<LEFT, DISTANCE / 2>(half);
    return half[0];
}

static __device__ void finish(const struct few_product &p, size_t o, size_t row, float sum)
{
    float *y = p.y + row * p.w.out + o;

    sum = activate(p.bias ? sum + p.bias[o] : sum, p.act);
    *y = p.add ? *y + sum : sum;
}

template <int ROWS>
static __global__ void __launch_bounds__(THREADS, ROWS == 1 ? 4 : 2)
    linear_few_kernel(const __grid_constant__ struct few f)
{
    constexpr unsigned SUMS = ROWS * OUTPUTS, SAME = LANES / SUMS;
    constexpr unsigned MOST = OUTPUTS * LINEAR_FEW_WARPS; /* outputs of a block */
    __shared__ float parts[LINEAR_FEW_WARPS][SUMS];
    unsigned warp = threadIdx.x / LANES, lane = threadIdx.x % LANES, i = 0;
    float sums[SUMS] = {};

    while (blockIdx.x >= f.first[i + 1])
        i++;
    const struct few_product &p = f.product[i];
    unsigned shift = f.warps_log[i], shared = 1u << shift;
    unsigned outputs = MOST >> shift;
    unsigned first = (blockIdx.x - f.first[i]) * outputs;
    unsigned o = first + (warp >> shift) * OUTPUTS, share = warp & (shared - 1);

    if (o < p.w.out)
        dot_outputs<ROWS, TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_0>(
            p, o, f.rows, f.aligned[i], share * LANES + lane, shared * LANES, sums);
    float mine = warp_sums(sums);

    if (lane % SAME == 0)
        parts[warp][lane / SAME] = mine;
    __syncthreads();
    unsigned output = threadIdx.x & (outputs - 1), row = (threadIdx.x << shift) / MOST;
    float sum = 0.0f;

    if (row >= f.rows || first + output >= p.w.out)
        return;
    for (unsigned s = 0; s < shared; s++)
        sum += parts[output / OUTPUTS * shared + s][row * OUTPUTS + output % OUTPUTS];
    finish(p, first + output, row, sum);
}

void cuda_linear_few(struct cuda_backend *cuda, const struct few_product *p, size_t count,
                     size_t rows)
{
    struct few f = {};

    f.rows = (unsigned)rows;
    for (size_t i = 0; i < count; i++) {
        const struct weight *w = &p[i].w;
        size_t pieces = geometry_blocks(w->in, w->type == TENSOR_Q4_0 ? 8 : 4);
        unsigned warps = geometry_warps_per_output(w->out, pieces);

        f.product[i] = p[i];
        while (1u << f.warps_log[i] < warps)
            f.warps_log[i]++;
        f.aligned[i] =
            (uintptr_t)p[i].x % VECTOR_BYTES == 0 && p[i].x_stride % 4 == 0 && w->in % 4 == 0;
        f.first[i + 1] =
            f.first[i] + (unsigned)geometry_blocks(w->out, OUTPUTS * LINEAR_FEW_WARPS / warps);
    }
    if (rows == 1)
        cuda_launch(cuda, "linear", linear_few_kernel<1>, f.first[count], THREADS, f);
    else if (rows <= 4)
        cuda_launch(cuda, "linear", linear_few_kernel<4>, f.first[count], THREADS, f);
    else
        cuda_launch(cuda, "linear", linear_few_kernel<LINEAR_FEW_ROWS>, f.first[count], THREADS, f);
}

const void *cuda_linear_few_kernel(void)
{
    return (const void *)linear_few_kernel<1>;
}
