/* Draws a token; what is drawn, and in which order, is in backend.h. One block strides over the
 * logits, as in choose.cu, and all that leaves the device is the index.
 *
 *     weights   w_i = e^(l_i - largest), by index, and their sum
 *     keys      of those that can be among the first top_p: w above, the complement of the index
 *               below, so that larger keys come first. Sorted, though collected in any order
 *     kept      the first so many of the keys; or all, from the last index on, without a sort
 *     shares    every thread has as many neighbours of the kept; it knows what lies before its own
 *
 * Sums are in double and always in the same order, so that a seed gives its text. They are summed
 * in another order than on the CPU, and the exponential is another one: the two draw the same token
 * but for a unit or a top_p within some 1e-7 of the boundary between two.
 */
#include "kernels/cuda/best.h"

#define DRAW_THREADS 1024

/* What lies before a thread's share, and all of it. */
struct place {
    double before, all;
};

/* sums: shared, [DRAW_THREADS], not in use by anybody; free again on return. */
static __device__ struct place place_of(double own, double *sums)
{
    struct place p;

    sums[threadIdx.x] = own;
    __syncthreads();
    for (unsigned distance = 1; distance < blockDim.x; distance *= 2) {
        double more = threadIdx.x >= distance ? sums[threadIdx.x - distance] : 0.0;

        __syncthreads();
        sums[threadIdx.x] += more;
        __syncthreads();
    }
    p.before = threadIdx.x > 0 ? sums[threadIdx.x - 1] : 0.0;
    p.all = sums[blockDim.x - 1];
    __syncthreads();
    return p;
}

static __device__ float penalised(const struct draw &d, size_t i)
{
    const struct penalties &p = d.penalties;

    return p.said ? d.logits[i] - (p.said[i] * p.presence + p.times[i] * p.frequency) : d.logits[i];
}

static __device__ struct best largest(const struct draw &d)
{
    __shared__ struct best parts[WARPS_MAX];
    struct best own = {-CUDART_INF_F, 0};

    for (size_t i = threadIdx.x; i < d.count; i += blockDim.x) {
        struct best next = {penalised(d, i), (uint32_t)i};

        own = better(own, next);
    }
    return block_best(own, parts);
}

/* Returns the sum of all weights. */
static __device__ double weigh(const struct draw &d, float *weights, float top, double *sums)
{
    double own = 0.0;

    for (size_t i = threadIdx.x; i < d.count; i += blockDim.x) {
        float weight = expf(penalised(d, i) - top);

        weights[i] = weight >= 0.0f ? weight : 0.0f; /* not of a NaN */
        own += (double)weights[i];
    }
    return place_of(own, sums).all;
}

/* Returns how many keys there are. */
static __device__ unsigned gather(const struct draw &d, const float *weights, double sum,
                                  uint64_t *keys)
{
    __shared__ unsigned gathered;
    double least = (1.0 - (double)d.top_p) * sum / (double)d.count;
    unsigned count;

    if (threadIdx.x == 0)
        gathered = 0;
    __syncthreads();
    for (size_t i = threadIdx.x; i < d.count; i += blockDim.x)
        if (weights[i] > 0.0f && (double)weights[i] >= least)
            keys[atomicAdd(&gathered, 1)] =
                (uint64_t)__float_as_uint(weights[i]) << 32 | (uint32_t)~i;
    __syncthreads();
    count = gathered;
    __syncthreads();
    return count;
}

/* In falling order, by a bitonic network; keys has room for a power of two. */
static __device__ void sort(uint64_t *keys, unsigned count)
{
    unsigned all = 1;

    while (all < count)
        all *= 2;
    for (unsigned i = count + threadIdx.x; i < all; i += blockDim.x)
        keys[i] = 0;
    __syncthreads();
    for (unsigned size = 2; size <= all; size *= 2)
        for (unsigned step = size / 2; step > 0; step /= 2) {
            for (unsigned i = threadIdx.x; i < all / 2; i += blockDim.x) {
                unsigned low = i / step * 2 * step + i % step, high = low + step;
                bool falling = (low & size) == 0;
                uint64_t a = keys[low], b = keys[high];

                if ((a < b) == falling) {
                    keys[low] = b;
                    keys[high] = a;
                }
            }
            __syncthreads();
        }
}

/* Tokens in the order in which they are drawn from. */
struct line {
    const uint64_t *keys; /* sorted, or NULL: by index, from the last on */
    const float *weights;
    unsigned count;
    unsigned first, end; /* this thread's share */
};

static __device__ struct line line_of(const uint64_t *keys, const float *weights, size_t count)
{
    unsigned share = (unsigned)((count + blockDim.x - 1) / blockDim.x);
    struct line l = {keys, weights, (unsigned)count, threadIdx.x * share, 0};

    l.first = l.first < l.count ? l.first : l.count;
    l.end = l.count - l.first < share ? l.count : l.first + share;
    return l;
}

static __device__ float weight_at(const struct line &l, unsigned i)
{
    return l.keys ? __uint_as_float((uint32_t)(l.keys[i] >> 32)) : l.weights[l.count - 1 - i];
}

static __device__ uint32_t index_at(const struct line &l, unsigned i)
{
    return l.keys ? (uint32_t)~l.keys[i] : l.count - 1 - i;
}

/* How many of a sorted line reach `wanted` together, with all that are as likely as the last. */
static __device__ unsigned reach(const struct line &l, double wanted, double *sums)
{
    double own = 0.0, sum;
    unsigned count = 0, ties = 0, reached;

    for (unsigned i = l.first; i < l.end; i++)
        own += (double)weight_at(l, i);
    sum = place_of(own, sums).before;
    for (unsigned i = l.first; i < l.end && sum < wanted; i++, count++)
        sum += (double)weight_at(l, i);
    reached = (unsigned)place_of((double)count, sums).all;
    for (unsigned i = l.first; i < l.end && reached > 0; i++)
        ties += i >= reached && weight_at(l, i) == weight_at(l, reached - 1);
    return reached + (unsigned)place_of((double)ties, sums).all;
}

/* What top_p and top_k keep of the keys. */
static __device__ struct line keep(const struct draw &d, uint64_t *keys, const float *weights,
                                   unsigned count, double sum, double *sums)
{
    unsigned kept = count;

    if (d.top_p >= 1.0f && (d.top_k == 0 || d.top_k >= count))
        return line_of(NULL, weights, count > 0 ? d.count : 0);
    sort(keys, count);
    if (d.top_p < 1.0f)
        kept = reach(line_of(keys, weights, count), (double)d.top_p * sum, sums);
    return line_of(keys, weights, d.top_k > 0 && d.top_k < kept ? d.top_k : kept);
}

static __device__ float warmed(const struct draw &d, float weight)
{
    return d.temperature == 1.0f ? weight : powf(weight, 1.0f / d.temperature);
}

/* Sets *found, shared, to the token at `target` of the line's sum. The last thread with a share
 * that begins before it has it, as rounding has it too. */
static __device__ void find(const struct draw &d, const struct line &l, double before,
                            double target, uint32_t *found)
{
    __shared__ unsigned owner;
    double sum = before;
    unsigned i = l.first;

    if (threadIdx.x == 0)
        owner = 0;
    __syncthreads();
    if (l.first < l.end && before <= target)
        atomicMax(&owner, threadIdx.x);
    __syncthreads();
    if (owner != threadIdx.x)
        return;
    for (sum += (double)warmed(d, weight_at(l, i)); i + 1 < l.end && sum <= target;)
        sum += (double)warmed(d, weight_at(l, ++i));
    *found = index_at(l, i);
}

static __device__ void write_q(const struct draw &d, const struct line &l, double all,
                               uint32_t best)
{
    for (size_t i = threadIdx.x; i < d.count; i += blockDim.x)
        d.q[i] = l.count == 0 && i == best ? 1.0f : 0.0f;
    __syncthreads();
    for (unsigned i = l.first; i < l.end; i++)
        d.q[index_at(l, i)] = (float)((double)warmed(d, weight_at(l, i)) / all);
}

static __global__ void __launch_bounds__(DRAW_THREADS)
    draw_kernel(uint32_t *answer, const __grid_constant__ struct draw d, uint64_t *keys,
                float *weights)
{
    __shared__ double sums[DRAW_THREADS];
    __shared__ uint32_t found;
    struct best best = largest(d);
    struct line l = line_of(NULL, weights, 0);
    double own = 0.0;

    if (d.temperature > 0.0f) {
        double sum = weigh(d, weights, best.value, sums);

        l = keep(d, keys, weights, gather(d, weights, sum, keys), sum, sums);
    }
    for (unsigned i = l.first; i < l.end; i++)
        own += (double)warmed(d, weight_at(l, i));
    struct place p = place_of(own, sums);

    if (threadIdx.x == 0)
        found = best.index;
    if (d.q)
        write_q(d, l, p.all, best.index);
    if (l.count > 0)
        find(d, l, p.before, d.unit * p.all, &found);
    __syncthreads();
    if (threadIdx.x == 0)
        *answer = found;
}

uint32_t cuda_draw(struct backend *be, const struct draw *d)
{
    struct cuda_backend *cuda = cuda_of(be);
    size_t keys =
        DRAW_SCRATCH - 1; /* floats of a logit: a power of two below 2 count, 8 bytes each */
    uint32_t index;

    cuda_launch(cuda, "draw", draw_kernel, 1, geometry_threads(d->count, DRAW_THREADS),
                (uint32_t *)cuda->answer_device, *d, (uint64_t *)d->scratch,
                d->scratch + keys * d->count);
    cuda_answer(cuda, &index, 1, "draw");
    return index;
}

static __global__ void note_kernel(const struct penalties p, size_t count, uint32_t id, float more)
{
    size_t i = thread_index();

    if (i >= count)
        return;
    p.times[i] = p.times[i] * p.decay + (i == id ? more : 0.0f);
    if (i == id)
        p.said[i] = 1.0f;
}

void cuda_note(struct backend *be, const struct penalties *p, size_t count, uint32_t id, float more)
{
    cuda_launch(cuda_of(be), "note", note_kernel, geometry_blocks(count, ELEMENT_THREADS),
                ELEMENT_THREADS, *p, count, id, more);
}

const void *cuda_draw_kernel(void)
{
    return (const void *)draw_kernel;
}
