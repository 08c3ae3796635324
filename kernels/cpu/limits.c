/* Each figure is the best of several runs: a limit is what nothing gets over. */
#include "kernels/cpu/limits.h"

#include "kernels/cpu/cpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS 7
#define ROUNDS 400000 /* some milliseconds */

struct limits {
    const struct cpu_loops *loops;
    float (*loop)(size_t rounds);
    const uint8_t *data;
    size_t share; /* bytes of a thread */
    volatile float keep;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void read_task(void *context, size_t task, size_t thread)
{
    struct limits *l = context;

    (void)thread;
    l->keep = l->loops->read(l->data + task * l->share, l->share);
}

static void loop_task(void *context, size_t task, size_t thread)
{
    struct limits *l = context;

    (void)task;
    (void)thread;
    l->keep = l->loop(ROUNDS);
}

/* Times a second that all threads did the task. */
static double best_rate(struct pool *pool, pool_task *task, struct limits *l)
{
    double best = 0;

    for (int run = 0; run < RUNS; run++) {
        double begin = seconds(), rate;

        pool_run(pool, pool_threads(pool), task, l);
        rate = 1 / (seconds() - begin);
        best = rate > best ? rate : best;
    }
    return best;
}

static double loop_rate(struct pool *pool, struct limits *l, float (*loop)(size_t), double each)
{
    l->loop = loop;
    return loop ? best_rate(pool, loop_task, l) * (double)pool_threads(pool) * ROUNDS * each : 0;
}

int cpu_limits_measure(struct cpu_limits *out, const struct backend_ops *ops, size_t threads,
                       size_t read_bytes)
{
    struct limits l = {.loops = cpu_choose_loops(ops)};
    struct pool *pool;
    uint8_t *data;
    int ret;

    if (!l.loops)
        return -ENOTSUP;
    data = cpu_alloc_pages(read_bytes);
    if (!data)
        return -ENOMEM;
    ret = pool_create(&pool, threads);
    if (ret == 0) {
        memset(data, 1, read_bytes);
        l.data = data;
        l.share = read_bytes / threads;
        out->read = best_rate(pool, read_task, &l) * (double)(l.share * threads);
        out->fma = loop_rate(pool, &l, l.loops->fma, l.loops->fma_operations);
        out->bytes = loop_rate(pool, &l, l.loops->bytes, l.loops->bytes_operations);
        out->tiles = loop_rate(pool, &l, l.loops->tiles, l.loops->tiles_operations);
        pool_destroy(pool);
    }
    free(data);
    return ret;
}
