/* The CUDA runtime as far as kernels/cuda uses it, on the host: the kernels are compiled as plain
 * C++ and really run, thread by thread, so that their indices, their barriers and the host code
 * around them are tested where there is no device.
 *
 * Every thread of a block is a fiber. A fiber runs until __syncthreads or an exchange between the
 * lanes of its warp, then the next one does; who waits goes on when all have come. So a value that
 * is read before a barrier that should be there is found, in one of the orders: the fibers, and the
 * blocks, run forwards or backwards (emulation_order). Lanes that part ways, and barriers that some
 * never reach, end the program with a message. Memory of the device is memory of the host, filled
 * with NaN, its ends watched by the address sanitizer. A stream runs as late as it may: when
 * somebody waits for it. What is captured is kept as a list of calls, and what a capture forbids
 * spoils it, as on a device. What a device does besides, this cannot show: time, and races between
 * blocks that neither order brings to light.
 */
#ifndef EARSHOT_TESTS_CUDA_EMULATION_CUDA_RUNTIME_H
#define EARSHOT_TESTS_CUDA_EMULATION_CUDA_RUNTIME_H

#include <functional>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <tuple>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __grid_constant__
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim; /* of the fiber that runs */

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};

static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

template <typename T> T __ldg(const T *p)
{
    return *p;
}

static inline float __uint_as_float(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

static inline uint32_t __float_as_uint(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

/* Four bytes of the eight of x, below, and y: their numbers are the digits of `which`. */
static inline uint32_t __byte_perm(uint32_t x, uint32_t y, uint32_t which)
{
    uint64_t all = (uint64_t)y << 32 | x;
    uint32_t out = 0;

    for (int i = 0; i < 4; i++)
        out |= (uint32_t)(all >> (which >> (4 * i) & 7) * 8 & 0xff) << (8 * i);
    return out;
}

/* One fiber runs at a time. */
static inline unsigned atomicAdd(unsigned *p, unsigned more)
{
    unsigned before = *p;

    *p += more;
    return before;
}

static inline unsigned atomicMax(unsigned *p, unsigned other)
{
    unsigned before = *p;

    *p = other > before ? other : before;
    return before;
}

static inline float normcdff(float x)
{
    return 0.5f * erfcf(-x * 0.70710678f);
}

void __syncthreads(void);
/* This lane's bits go in, those of lane `from` come out. what: tells apart exchanges. */
uint32_t emulation_exchange(uint32_t bits, unsigned from, int what);

template <typename T> T emulation_shuffle(T value, unsigned from, int what)
{
    uint32_t bits;

    static_assert(sizeof(value) == sizeof(bits), "only words are exchanged");
    memcpy(&bits, &value, sizeof(bits));
    bits = emulation_exchange(bits, from, what);
    memcpy(&value, &bits, sizeof(bits));
    return value;
}

template <typename T> T __shfl_xor_sync(unsigned, T value, int distance)
{
    return emulation_shuffle(value, threadIdx.x % 32 ^ (unsigned)distance, distance);
}

template <typename T> T __shfl_sync(unsigned, T value, int lane)
{
    return emulation_shuffle(value, (unsigned)lane % 32, 32 + lane);
}

/* The runtime. */
enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorMemoryAllocation = 2,
    cudaErrorIllegalAddress = 700,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
};

enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
};

enum cudaDataType { CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

typedef std::vector<std::function<void(void)>> *cudaGraph_t, *cudaGraphExec_t;
typedef struct emulation_stream *cudaStream_t;
typedef struct emulation_event *cudaEvent_t;

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
};

struct cudaDeviceProp {
    char name[256];
};

struct cudaFuncAttributes {
    int numRegs;
};

cudaError_t emulation_submit(std::function<void(void)> work);
void emulation_run(unsigned blocks, unsigned threads, const std::function<void(void)> &body);

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                               Arguments... arguments)
{
    std::tuple<Parameters...> all(arguments...);
    unsigned blocks = config->gridDim.x, threads = config->blockDim.x;

    return emulation_submit(
        [=] { emulation_run(blocks, threads, [&] { std::apply(kernel, all); }); });
}

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError(void);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaDeviceReset(void);
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *kernel);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all);
cudaError_t cudaMalloc(void **p, size_t bytes);
cudaError_t cudaFree(void *p);
cudaError_t cudaMallocHost(void **p, size_t bytes);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemcpy2DAsync(void *dst, size_t dst_pitch, const void *src, size_t src_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);

#endif
