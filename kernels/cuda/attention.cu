/* Softmax attention over a window of positions; scores are scale q k (+ gate relative). A block
 * takes a head and QUERIES neighbouring queries, a warp two of them; keys come in tiles of 32, one
 * a lane, of which shared memory holds the keys. Softmax runs along: m' = max(m, tile); y = y e^(m
 * - m') + sum_p e^(s_p - m') v_p;   z likewise. Lanes own the columns lane, lane + 32, ... of y and
 * read the values past the cache's first level.
 */
#include "kernels/cuda/device.h"
#include "kernels/cuda/values.h"

#define MANY_WARPS 4
#define MANY_OWN 2
#define KEYS LANES    /* of a tile */
#define LOWEST -1e30f /* below any score, and its differences are finite */
#define HEAD_MAX 256

/* The positions that a query sees, first .. last. */
struct span {
    size_t first, last;
};

static __device__ struct span seen_by(const struct attention &a, size_t row)
{
    size_t itself = a.history + row, after = a.rows - 1 - row;
    struct span s;

    s.first = itself >= a.window ? itself - a.window + 1 : 0;
    s.last = itself + (a.ahead < after ? a.ahead : after);
    return s;
}

static __device__ float value(float x)
{
    return x;
}

static __device__ float value(uint16_t half)
{
    return half_value(half);
}

/* What a warp knows of one query. */
template <int HEAD> struct query {
    size_t row;
    bool there; /* a row past the last is computed like it and not written */
    struct span span;
    float m, z, y[HEAD / LANES];
};

/* The score of this lane's key at position p; -inf where the query does not see it. */
template <int HEAD>
static __device__ float score(const struct attention &a, const struct query<HEAD> &u,
                              const float *q, const float *key, size_t head, size_t p)
{
    float sum = 0.0f;

    if (p < u.span.first || p > u.span.last)
        return -CUDART_INF_F;
    for (unsigned i = 0; i < a.head_dim; i++)
        sum += q[i] * key[i];
    sum *= a.scale;
    if (a.relative)
        sum += a.gate[u.row * a.heads + head] *
               a.relative[head * (2 * a.span - 1) + (a.span - 1 + p - (a.history + u.row))];
    return sum;
}

/* Takes a tile's scores in, one a lane, and its values from v on. */
template <int HEAD, class VALUE>
static __device__ void take(const struct attention &a, struct query<HEAD> *u, float e,
                            const VALUE *v, size_t count)
{
    unsigned lane = threadIdx.x % LANES;
    float m = fmaxf(u->m, warp_max(e)), keep = expf(u->m - m);

    e = expf(e - m);
    u->m = m;
    u->z = u->z * keep + warp_sum(e);
#pragma unroll
    for (int i = 0; i < HEAD / LANES; i++)
        u->y[i] *= keep;
    for (unsigned j = 0; j < count; j++) {
        float share = __shfl_sync(ALL_LANES, e, (int)j);
        const VALUE *row = v + j * a.heads * a.head_dim;

#pragma unroll
        for (int i = 0; i < HEAD / LANES; i++)
            if (lane + i * LANES < a.head_dim)
                u->y[i] += share * value(row[lane + i * LANES]);
    }
}

template <int HEAD, int WARPS, int OWN, class VALUE>
static __global__ void __launch_bounds__(WARPS *LANES)
    attention_kernel(const __grid_constant__ struct attention a, const VALUE *all_keys,
                     const VALUE *all_values)
{
    constexpr unsigned QUERIES = WARPS * OWN;
    __shared__ float queries[QUERIES][HEAD], keys[KEYS][HEAD + 1]; /* + 1: a bank a lane */
    size_t groups = (a.rows + QUERIES - 1) / QUERIES, stride = a.heads * a.head_dim;
    size_t head = blockIdx.x / groups, row0 = blockIdx.x % groups * QUERIES;
    size_t last_row = row0 + QUERIES < a.rows ? row0 + QUERIES - 1 : a.rows - 1;
    size_t last = seen_by(a, last_row).last;
    unsigned warp = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    const VALUE *k = all_keys + head * a.head_dim, *v = all_values + head * a.head_dim;
    struct query<HEAD> own[OWN];

    for (int u = 0; u < OWN; u++) {
        size_t row = row0 + warp * OWN + u;

        own[u].there = row < a.rows;
        own[u].row = own[u].there ? row : a.rows - 1;
        own[u].span = seen_by(a, own[u].row);
        own[u].m = LOWEST;
        own[u].z = 0.0f;
        for (int i = 0; i < HEAD / LANES; i++)
            own[u].y[i] = 0.0f;
        for (unsigned i = lane; i < a.head_dim; i += LANES)
            queries[warp * OWN + u][i] = a.q[own[u].row * stride + head * a.head_dim + i];
    }
    for (size_t p = seen_by(a, row0).first; p <= last; p += KEYS) {
        size_t count = last - p + 1 < KEYS ? last - p + 1 : KEYS;

        __syncthreads();
        for (size_t i = threadIdx.x; i < count * a.head_dim; i += WARPS * LANES)
            keys[i / a.head_dim][i % a.head_dim] =
                value(k[(p + i / a.head_dim) * stride + i % a.head_dim]);
        __syncthreads();
        for (int u = 0; u < OWN; u++) {
            const float *q = queries[warp * OWN + u];

            take<HEAD>(a, &own[u], score<HEAD>(a, own[u], q, keys[lane], head, p + lane),
                       v + p * stride, count);
        }
    }
    for (int u = 0; u < OWN; u++)
        for (int i = 0; i < HEAD / LANES; i++)
            if (own[u].there && lane + i * LANES < a.head_dim)
                a.y[own[u].row * stride + head * a.head_dim + lane + i * LANES] =
                    own[u].y[i] / own[u].z;
}

template <int HEAD, class VALUE>
static void launch_with(struct cuda_backend *cuda, const struct attention *a, const VALUE *k,
                        const VALUE *v)
{
    if (a->rows <= BACKEND_FEW_ROWS)
        cuda_launch(cuda, "attention", attention_kernel<HEAD, 1, 1, VALUE>, a->heads * a->rows,
                    LANES, *a, k, v);
    else
        cuda_launch(cuda, "attention", attention_kernel<HEAD, MANY_WARPS, MANY_OWN, VALUE>,
                    a->heads * geometry_blocks(a->rows, MANY_WARPS * MANY_OWN), MANY_WARPS * LANES,
                    *a, k, v);
}

template <int HEAD> static void launch(struct cuda_backend *cuda, const struct attention *a)
{
    if (a->half_k)
        launch_with<HEAD>(cuda, a, a->half_k, a->half_v);
    else
        launch_with<HEAD>(cuda, a, a->k, a->v);
}

void cuda_attention(struct backend *be, const struct attention *a)
{
    struct cuda_backend *cuda = cuda_of(be);

    if (a->head_dim > HEAD_MAX)
        cuda_fail(cuda, "attention", "heads larger than 256");
    else if (a->head_dim <= 64)
        launch<64>(cuda, a);
    else if (a->head_dim <= 128)
        launch<128>(cuda, a);
    else
        launch<HEAD_MAX>(cuda, a);
}

const void *cuda_attention_kernel(void)
{
    return (const void *)attention_kernel<64, 1, 1, float>;
}
