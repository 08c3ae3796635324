/* y[n] = row ids[n] of w. A block a row. The ids travel with the launch, so that nothing has to be
 * kept for a copy that has not happened yet.
 */
#include "kernels/cuda/device.h"
#include "kernels/cuda/values.h"

#define IDS 256 /* of a launch */

struct ids {
    uint32_t id[IDS];
};

static __global__ void embed_kernel(float *y, const __grid_constant__ struct ids ids,
                                    const struct weight w)
{
    size_t row = ids.id[blockIdx.x];

    y += blockIdx.x * w.in;
    for (size_t i = threadIdx.x; i < w.in; i += blockDim.x)
        y[i] = weight_value(w, row, i);
}

void cuda_embed(struct backend *be, float *y, const uint32_t *ids, size_t count,
                const struct weight *w)
{
    struct cuda_backend *cuda = cuda_of(be);

    for (size_t at = 0; at < count; at += IDS) {
        struct ids some = {};
        size_t now = count - at < IDS ? count - at : IDS;

        for (size_t i = 0; i < now; i++) {
            if (ids[at + i] >= w->out) {
                cuda_fail(cuda, "embed", "a token that the table has not");
                return;
            }
            some.id[i] = ids[at + i];
        }
        cuda_launch(cuda, "embed", embed_kernel, now, geometry_threads(w->in, ELEMENT_THREADS),
                    y + at * w->in, some, *w);
    }
}

const void *cuda_embed_kernel(void)
{
    return (const void *)embed_kernel;
}
