/* Fibers and the runtime; see cuda_runtime.h. */
#include "tests/cuda/emulation/emulation.h"

#include <cuda_runtime.h>
#include <deque>
#include <dlfcn.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    LANES = 32,
    THREADS_MAX = 1024,
    STACK_BYTES = 128 << 10,
    DEVICES = 2, /* all memory is of both */
};

dim3 threadIdx, blockIdx, blockDim, gridDim;

enum fiber_state { FIBER_READY, FIBER_AT_BARRIER, FIBER_AT_EXCHANGE, FIBER_DONE };

struct fiber {
    jmp_buf place; /* where it goes on */
    char *stack;   /* NULL: not begun */
    enum fiber_state state;
    int what;           /* of the exchange it waits at */
    unsigned exchanges; /* so far */
    uint32_t given[2];  /* in this exchange and the one before */
};

static struct fiber fibers[THREADS_MAX];
static jmp_buf scheduler;
static ucontext_t origin;
static unsigned running;
static const std::function<void(void)> *body;
static enum emulation_order order;

[[noreturn]] static void give_up(const char *why)
{
    fprintf(stderr, "emulation: block %u of %u, thread %u of %u: %s\n", blockIdx.x, gridDim.x,
            running, blockDim.x, why);
    abort();
}

/* The C library's own, even where a sanitizer puts itself before it: its answer to a jump is to
 * forget all that it knows of the thread's stack, and kernels jump millions of times. */
static void jump(jmp_buf place)
{
    using longjmp_function = void (*)(jmp_buf, int);
    static const longjmp_function function =
        (longjmp_function)dlsym(dlopen("libc.so.6", RTLD_LAZY), "_longjmp");

    function(place, 1);
}

/* The address sanitizer wants to know whose stack is in use. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>

static const void *own_stack;
static size_t own_stack_bytes;

static void leave_for(void **kept, const void *stack, size_t bytes)
{
    __sanitizer_start_switch_fiber(kept, stack, bytes);
}

static void arrive(void *kept, const void **from, size_t *bytes)
{
    __sanitizer_finish_switch_fiber(kept, from, bytes);
}
#else
static const void *own_stack;
static size_t own_stack_bytes;

static void leave_for(void **, const void *, size_t)
{
}

static void arrive(void *, const void **, size_t *)
{
}
#endif

/* The thread that a fiber goes back to may be another one than the time before. */
static void to_scheduler(void)
{
    void *kept;

    leave_for(&kept, own_stack, own_stack_bytes);
    if (_setjmp(fibers[running].place) == 0)
        jump(scheduler);
    arrive(kept, &own_stack, &own_stack_bytes);
}

/* A fiber lives on from block to block: to begin one takes a system call, to go on none. */
static void fiber_main(void)
{
    arrive(NULL, &own_stack, &own_stack_bytes);
    for (;;) {
        (*body)();
        fibers[running].state = FIBER_DONE;
        to_scheduler();
    }
}

/* Does not return, so the address sanitizer must not mark its frame. */
__attribute__((noinline, no_sanitize_address)) static void begin(struct fiber *f)
{
    ucontext_t context;

    getcontext(&context);
    context.uc_stack.ss_sp = f->stack;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = NULL;
    makecontext(&context, fiber_main, 0);
    swapcontext(&origin, &context);
}

static void wait_as(enum fiber_state state)
{
    struct fiber *f = &fibers[running];

    f->state = state;
    to_scheduler();
}

void __syncthreads(void)
{
    wait_as(FIBER_AT_BARRIER);
}

uint32_t emulation_exchange(uint32_t bits, unsigned from, int what)
{
    unsigned first = running / LANES * LANES;
    struct fiber *f = &fibers[running];
    unsigned turn = f->exchanges++ % 2;

    f->given[turn] = bits;
    f->what = what;
    wait_as(FIBER_AT_EXCHANGE);
    return fibers[first + from].given[turn];
}

/* The i-th of count in the order of the day. */
static unsigned place(unsigned i, unsigned count)
{
    return order == EMULATION_FORWARDS ? i : count - 1 - i;
}

static void resume(unsigned thread)
{
    struct fiber *f = &fibers[thread];
    bool begun = f->stack != NULL;
    void *kept;

    running = thread;
    threadIdx = dim3(thread);
    if (_setjmp(scheduler) == 0) {
        if (!begun)
            f->stack = (char *)malloc(STACK_BYTES);
        leave_for(&kept, f->stack, STACK_BYTES);
        if (begun)
            jump(f->place);
        begin(f);
    }
    arrive(kept, NULL, NULL);
}

/* All lanes of a warp wait for each other: they may go on. False: nobody does. */
static bool release_exchange(unsigned first)
{
    if (fibers[first].state != FIBER_AT_EXCHANGE) {
        for (unsigned i = 0; i < LANES; i++)
            if (fibers[first + i].state == FIBER_AT_EXCHANGE)
                give_up("an exchange that not all lanes of the warp have come to");
        return false;
    }
    for (unsigned i = 0; i < LANES; i++) {
        if (fibers[first + i].state != FIBER_AT_EXCHANGE ||
            fibers[first + i].what != fibers[first].what)
            give_up("lanes of the warp are not at the same exchange");
        fibers[first + i].state = FIBER_READY;
    }
    return true;
}

/* Until every lane is at a barrier or done. */
static void run_warp(unsigned first)
{
    do {
        for (unsigned i = 0; i < LANES; i++) {
            unsigned thread = first + place(i, LANES);

            if (fibers[thread].state == FIBER_READY)
                resume(thread);
        }
    } while (release_exchange(first));
}

/* All at the barrier: they may go on. False: all are done. */
static bool release_barrier(unsigned threads)
{
    unsigned waiting = 0;

    for (unsigned i = 0; i < threads; i++)
        waiting += fibers[i].state == FIBER_AT_BARRIER;
    if (waiting > 0 && waiting < threads)
        give_up("a barrier that not all threads of the block have come to");
    for (unsigned i = 0; i < threads && waiting > 0; i++)
        fibers[i].state = FIBER_READY;
    return waiting > 0;
}

static void run_block(unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        fibers[i].state = FIBER_READY;
        fibers[i].exchanges = 0;
    }
    do {
        for (unsigned i = 0; i < threads / LANES; i++)
            run_warp(place(i, threads / LANES) * LANES);
    } while (release_barrier(threads));
}

void emulation_run(unsigned blocks, unsigned threads, const std::function<void(void)> &kernel)
{
    body = &kernel;
    gridDim = dim3(blocks);
    blockDim = dim3(threads);
    if (threads == 0 || threads % LANES != 0 || threads > THREADS_MAX || blocks == 0)
        give_up("a launch of no blocks, or of blocks that are not whole warps");
    for (unsigned i = 0; i < blocks; i++) {
        blockIdx = dim3(place(i, blocks));
        run_block(threads);
    }
}

/* The runtime. What is submitted to the stream waits until somebody waits for it, as on a device
 * that is busy: so host memory that is used again too early is found. */
struct emulation_event {
    uint64_t at; /* works submitted before it was recorded */
};

static std::deque<std::function<void(void)>> waiting;
static uint64_t submitted, done; /* works */
static cudaGraph_t capture;      /* NULL: nothing is captured */
static bool capture_is_invalid;
static size_t refusals;
static int calls_left = -1;
static bool broken;
static size_t memory = SIZE_MAX, graphs;
static bool contexts[DEVICES];
static int device;
static size_t allocations; /* that are not free again */

static bool is_broken(void)
{
    const char *file = getenv("EARSHOT_EMULATION_BROKEN");

    return broken || (file && access(file, F_OK) == 0);
}

static void run_until(uint64_t end)
{
    while (done < end) {
        std::function<void(void)> work = std::move(waiting.front());

        waiting.pop_front();
        done++;
        work();
    }
}

/* On a device that is broken nothing runs any more. */
static void settle(void)
{
    if (is_broken()) {
        waiting.clear();
        done = submitted;
    }
    run_until(submitted);
}

void emulation_set_order(enum emulation_order wanted)
{
    settle();
    order = wanted;
}

void emulation_fail_after(int after)
{
    settle();
    calls_left = after;
    broken = false;
}

void emulation_set_memory(size_t bytes)
{
    memory = bytes;
}

size_t emulation_graphs(void)
{
    return graphs;
}

size_t emulation_refusals(void)
{
    return refusals;
}

size_t emulation_contexts(void)
{
    size_t open = 0;

    for (bool context : contexts)
        open += context;
    return open;
}

static cudaError_t call_runtime(void)
{
    if (calls_left == 0)
        broken = true;
    if (calls_left > 0)
        calls_left--;
    return is_broken() ? cudaErrorIllegalAddress : cudaSuccess;
}

/* A call that no capture may hold: it fails while there is one, which is no good from then on. */
static cudaError_t call_outside_capture(void)
{
    if (capture) {
        capture_is_invalid = true;
        refusals++;
        return cudaErrorStreamCaptureUnsupported;
    }
    return call_runtime();
}

cudaError_t emulation_submit(std::function<void(void)> work)
{
    if (call_runtime())
        return cudaErrorIllegalAddress;
    if (capture && capture_is_invalid)
        return cudaErrorStreamCaptureInvalidated;
    if (capture) {
        capture->push_back(work);
    } else {
        waiting.push_back(work);
        submitted++;
    }
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorIllegalAddress:
        return "an illegal memory access was encountered";
    case cudaErrorStreamCaptureUnsupported:
        return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
        return "operation failed due to a previous error during capture";
    }
    return "unknown";
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = DEVICES;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int wanted)
{
    device = wanted;
    contexts[device] = true;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *current)
{
    *current = device;
    return cudaSuccess;
}

cudaError_t cudaDeviceReset(void)
{
    if (capture)
        return call_outside_capture();
    settle();
    contexts[device] = false;
    if (emulation_contexts() == 0 && allocations > 0)
        give_up("memory that outlives its device");
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    snprintf(properties->name, sizeof(properties->name), "emulated");
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *)
{
    *attributes = {};
    return call_runtime();
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all)
{
    *free_bytes = *all = memory;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    cudaError_t error = call_outside_capture();

    if (error)
        return error;
    if (bytes >= memory || posix_memalign(p, 256, bytes ? bytes : 1))
        return cudaErrorMemoryAllocation;
    memset(*p, 0xff, bytes);
    allocations++;
    return cudaSuccess;
}

/* Waits for all that may use it, and gives back even what a broken device had. */
cudaError_t cudaFree(void *p)
{
    if (capture)
        return call_outside_capture();
    settle();
    allocations -= p != NULL;
    free(p);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t bytes)
{
    return cudaMalloc(p, bytes);
}

cudaError_t cudaFreeHost(void *p)
{
    return cudaFree(p);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t)
{
    return emulation_submit([=] { memset(p, value, bytes); });
}

/* Memory of the host is read and written when the copy's turn comes, pinned or not: a device that
 * shares the host's page tables does so. */
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t)
{
    if (capture && kind != cudaMemcpyDeviceToDevice)
        return call_outside_capture();
    return emulation_submit([=] { memcpy(dst, src, bytes); });
}

cudaError_t cudaMemcpy2DAsync(void *dst, size_t dst_pitch, const void *src, size_t src_pitch,
                              size_t width, size_t height, cudaMemcpyKind, cudaStream_t)
{
    if (width > dst_pitch || width > src_pitch)
        give_up("rows that are longer than their distance");
    return emulation_submit([=] {
        for (size_t i = 0; i < height; i++)
            memcpy((char *)dst + i * dst_pitch, (const char *)src + i * src_pitch, width);
    });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    *stream = NULL;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    cudaError_t error = call_outside_capture();

    if (!capture)
        settle();
    return error;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode)
{
    if (capture)
        give_up("a capture within a capture");
    capture = new std::vector<std::function<void(void)>>;
    capture_is_invalid = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph)
{
    *graph = capture;
    capture = NULL;
    if (capture_is_invalid) {
        delete *graph;
        *graph = NULL;
        return cudaErrorStreamCaptureInvalidated;
    }
    return call_runtime();
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    cudaError_t error = call_runtime();

    if (!error)
        *exec = new std::vector<std::function<void(void)>>(*graph);
    return error;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t)
{
    graphs++;
    return emulation_submit([=] {
        for (auto &work : *exec)
            work();
    });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    settle();
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    cudaError_t error = call_runtime();

    if (!error)
        *event = new emulation_event();
    return error;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t)
{
    event->at = submitted;
    return call_runtime();
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    cudaError_t error = call_outside_capture();

    if (!error)
        run_until(event->at);
    return error;
}
