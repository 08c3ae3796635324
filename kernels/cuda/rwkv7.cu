/* RWKV-7's time mixing; the equations are in backend.h. A block a slot and head, 4 N threads:
 * four threads share row i of S (one value, N keys), thread q of them holds the columns 16 m + 4 q
 * + 0..3 in registers while time runs, so that S is read and written once a call, 64 bytes a row
 * together. For every row of time
 *
 *     the first N threads, one a column, mix k, v, w, a, r into shared memory        barrier
 *     all:  sa = -S kk,  S = S diag(w) + sa (kk a)^T + v k^T,  y = S r               barrier
 *     the first N threads: norm, bonus and gate of y, out
 *
 * What the next row mixes is asked for before the recurrence of this one, so that its way from
 * memory is behind it when it is needed.
 *
 * kk stays without its length in shared memory; its scale 1 / |k k_k| is multiplied in where it is
 * used, because the sum behind it is known a barrier later.
 */
#include "kernels/cuda/device.h"

#define DECAY -0.606530660f /* -exp(-0.5) */
#define SHARES 4            /* threads of a row of S */
#define HEAD_WARPS 4        /* of the first N threads, at most */

/* What a row of time has of a head. */
template <int N> struct mixed {
    float w[N], k[N], v[N], r[N], kk[N], kka[N], y[N];
    float squares[HEAD_WARPS], bonuses[HEAD_WARPS];
};

/* What a row brings for a column. */
struct inputs {
    float k, v, r, w, a, g, v_first, v_lora;
};

static __device__ struct inputs load_inputs(const struct rwkv7 &c, size_t p)
{
    float v_first = c.v_lora ? c.v_first[p] : 0.0f, v_lora = c.v_lora ? c.v_lora[p] : 0.0f;

    return {c.k[p], c.v[p], c.r[p], c.w[p], c.a[p], c.g[p], v_first, v_lora};
}

/* Column j of the row, which is at p of rows and i of vectors. All lanes of the warps of the first
 * N threads. */
template <int N>
static __device__ void mix_column(const struct rwkv7 &c, struct mixed<N> *m,
                                  const struct inputs &in, size_t p, size_t i, unsigned j)
{
    float kk = 0.0f, bonus = 0.0f;

    if (j < N) {
        float k = in.k, v = in.v;
        float a = sigmoid(c.a0[i] + in.a);

        kk = k * c.k_k[i];
        k *= (a - 1.0f) * c.k_a[i] + 1.0f;
        bonus = in.r * k * c.r_k[i];
        if (c.v_lora)
            v += (in.v_first - v) * sigmoid(c.v0[i] + in.v_lora);
        else
            c.v_first[p] = v;
        m->w[j] = expf(sigmoid(c.w0[i] + in.w) * DECAY);
        m->k[j] = k;
        m->v[j] = v;
        m->r[j] = in.r;
        m->kk[j] = kk;
        m->kka[j] = kk * a;
    }
    kk = warp_sum(kk * kk);
    bonus = warp_sum(bonus);
    if (j % LANES == 0) {
        m->squares[j / LANES] = kk;
        m->bonuses[j / LANES] = bonus;
    }
}

template <int N> static __device__ float head_sum(const float *parts)
{
    float sum = 0.0f;

    for (int i = 0; i < (N + LANES - 1) / LANES; i++)
        sum += parts[i];
    return sum;
}

/* The sum over the four threads of a row. */
static __device__ float share_sum(float v)
{
    v += __shfl_xor_sync(ALL_LANES, v, 1);
    return v + __shfl_xor_sync(ALL_LANES, v, 2);
}

/* One row of time for this thread's part s of row i of S; S r is left in m->y. */
template <int N>
static __device__ void recur(float (&s)[N / SHARES], struct mixed<N> *m, float scale, unsigned i,
                             unsigned q)
{
    float sa = 0.0f, y = 0.0f, v = m->v[i];

#pragma unroll
    for (int j = 0; j < N / SHARES; j++)
        sa += s[j] * m->kk[j / 4 * 16 + q * 4 + j % 4];
    sa = -share_sum(sa) * scale * scale;
#pragma unroll
    for (int j = 0; j < N / SHARES; j++) {
        int column = j / 4 * 16 + (int)q * 4 + j % 4;

        s[j] = s[j] * m->w[column] + sa * m->kka[column] + v * m->k[column];
        y += s[j] * m->r[column];
    }
    y = share_sum(y);
    if (q == 0)
        m->y[i] = y;
}

/* Column j of y, likewise. All lanes of the warps of the first N threads. */
template <int N>
static __device__ void out_column(const struct rwkv7 &c, const struct mixed<N> *m, float g,
                                  size_t p, size_t i, unsigned j, float v, float bonus)
{
    float sum = 0.0f, square = 0.0f;

    for (unsigned n = j % LANES; n < N; n += LANES)
        sum += m->y[n];
    float mean = warp_sum(sum) / (float)N;

    for (unsigned n = j % LANES; n < N; n += LANES)
        square += (m->y[n] - mean) * (m->y[n] - mean);
    float norm = 1.0f / sqrtf(warp_sum(square) / (float)N + c.eps);

    if (j < N)
        c.y[p] = ((m->y[j] - mean) * norm * c.ln_w[i] + c.ln_b[i] + bonus * v) * g;
}

template <int N>
static __global__ void __launch_bounds__(SHARES *N)
    rwkv7_kernel(const __grid_constant__ struct rwkv7 c)
{
    __shared__ struct mixed<N> m;
    size_t head = blockIdx.x % c.heads, slot = blockIdx.x / c.heads, dim = c.heads * N;
    size_t column = head * N, at = slot * c.rows * dim + column;
    unsigned j = threadIdx.x, i = j / SHARES, q = j % SHARES;
    bool of_column = j < (N + LANES - 1) / LANES * LANES;
    float4 *state = (float4 *)(c.state + (size_t)blockIdx.x * N * N + i * N);
    float s[N / SHARES];
    struct inputs in = {};

    if (c.moves && c.moves[slot] == 0.0f)
        return; /* the whole block */
#pragma unroll
    for (int p = 0; p < N / 16; p++) {
        float4 four = state[p * SHARES + q];

        s[4 * p] = four.x;
        s[4 * p + 1] = four.y;
        s[4 * p + 2] = four.z;
        s[4 * p + 3] = four.w;
    }
    if (j < N && c.rows > 0)
        in = load_inputs(c, at + j);
    for (size_t t = 0; t < c.rows; t++, at += dim) {
        float g = in.g;

        if (of_column)
            mix_column<N>(c, &m, in, at + j, column + j, j);
        if (j < N && t + 1 < c.rows)
            in = load_inputs(c, at + dim + j);
        __syncthreads();
        float scale = 1.0f / fmaxf(sqrtf(head_sum<N>(m.squares)), 1e-12f);
        float bonus = head_sum<N>(m.bonuses), v = m.v[j % N];

        recur<N>(s, &m, scale, i, q);
        __syncthreads();
        if (of_column)
            out_column<N>(c, &m, g, at + j, column + j, j, v, bonus);
    }
#pragma unroll
    for (int p = 0; p < N / 16; p++)
        state[p * SHARES + q] = make_float4(s[4 * p], s[4 * p + 1], s[4 * p + 2], s[4 * p + 3]);
}

void cuda_rwkv7(struct backend *be, const struct rwkv7 *c)
{
    struct cuda_backend *cuda = cuda_of(be);
    size_t blocks = c->slots * c->heads;

    switch (c->head_size) {
    case 16:
        cuda_launch(cuda, "rwkv7", rwkv7_kernel<16>, blocks, SHARES * 16, *c);
        break;
    case 32:
        cuda_launch(cuda, "rwkv7", rwkv7_kernel<32>, blocks, SHARES * 32, *c);
        break;
    case 64:
        cuda_launch(cuda, "rwkv7", rwkv7_kernel<64>, blocks, SHARES * 64, *c);
        break;
    case 128:
        cuda_launch(cuda, "rwkv7", rwkv7_kernel<128>, blocks, SHARES * 128, *c);
        break;
    default:
        cuda_fail(cuda, "rwkv7", "heads of another size than 16, 32, 64 or 128");
    }
}

const void *cuda_rwkv7_kernel(void)
{
    return (const void *)rwkv7_kernel<64>;
}
