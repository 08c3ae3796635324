/* The calls of a decoding step are captured once and then launched as one graph: a step of a small
 * model is some hundred kernels of a few microseconds, less than it takes to launch them one by
 * one.
 *
 *     first time with a key    the calls run as they are: kernels are loaded, nothing is captured
 *     second time              they are captured, and the graph is launched
 *     from then on             step_begin launches the graph
 *
 * A capture that fails has computed nothing: its error is forgotten, step_end asks for the calls
 * again, and they are launched one by one from then on.
 *
 * A graph holds addresses. Those that the key does not name belong to weights, or are freed
 * together with one that it names, so that freeing a weight forgets all graphs and freeing memory
 * those that name it.
 */
#include "kernels/cuda/cuda.h"

#include <string.h>

static void forget(struct cuda_step *s)
{
    if (s->graph)
        cudaGraphExecDestroy(s->graph);
    *s = {};
}

static bool names(const struct cuda_step *s, const void *p)
{
    for (size_t i = 0; i < STEP_KEY_MAX; i++)
        if (s->key[i] == p)
            return true;
    return false;
}

void cuda_steps_forget(struct cuda_backend *cuda, const void *p)
{
    for (size_t i = 0; i < STEPS_MAX; i++)
        if (!p || names(&cuda->steps[i], p))
            forget(&cuda->steps[i]);
}

/* The step of the key: the one there is, else the one that was not used for the longest time,
 * forgotten. */
static struct cuda_step *find(struct cuda_backend *cuda, const void *const key[STEP_KEY_MAX])
{
    struct cuda_step *oldest = &cuda->steps[0];

    for (size_t i = 0; i < STEPS_MAX; i++) {
        struct cuda_step *s = &cuda->steps[i];

        if (s->seen && memcmp(s->key, key, sizeof(s->key)) == 0)
            return s;
        if (s->used < oldest->used)
            oldest = s;
    }
    forget(oldest);
    memcpy(oldest->key, key, sizeof(oldest->key));
    return oldest;
}

/* What is wrong with the device, not with the capture, the calls meet again. False: there is an
 * error. */
static bool do_without_graph(struct cuda_backend *cuda, struct cuda_step *s)
{
    if (cuda->must_keep_steps)
        return false;
    cudaGetLastError();
    if (s->graph)
        cudaGraphExecDestroy(s->graph);
    s->graph = NULL;
    s->single = true;
    cuda->failed = false;
    return true;
}

bool cuda_step_begin(struct backend *be, const void *const key[STEP_KEY_MAX])
{
    struct cuda_backend *cuda = cuda_of(be);

    if (cuda->failed || !cuda->keep_steps)
        return true;
    struct cuda_step *s = find(cuda, key);

    s->used = ++cuda->time;
    if (s->graph) {
        cuda_check(cuda, cudaGraphLaunch(s->graph, cuda->stream), "step");
        return false;
    }
    if (s->seen && !s->single) {
        if (cuda_check(cuda, cudaStreamBeginCapture(cuda->stream, cudaStreamCaptureModeThreadLocal),
                       "step"))
            cuda->capturing = s;
        else
            do_without_graph(cuda, s);
    }
    s->seen = true;
    return true;
}

bool cuda_step_end(struct backend *be)
{
    struct cuda_backend *cuda = cuda_of(be);
    struct cuda_step *s = cuda->capturing;
    cudaGraph_t graph = NULL;

    if (!s)
        return true;
    cuda->capturing = NULL;
    cuda_check(cuda, cudaStreamEndCapture(cuda->stream, &graph), "step");
    if (!cuda->failed)
        cuda_check(cuda, cudaGraphInstantiate(&s->graph, graph, 0), "step");
    if (!cuda->failed)
        cuda_check(cuda, cudaGraphLaunch(s->graph, cuda->stream), "step");
    if (graph)
        cudaGraphDestroy(graph);
    return !cuda->failed || !do_without_graph(cuda, s);
}
