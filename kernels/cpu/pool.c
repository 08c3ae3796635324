/* All that the threads agree on is one 64-bit word: {generation, number of tasks, next task}. Who
 * moves it on by one owns that task, and the job cannot end before the task has; so what the job is
 * (task, context) may be read after the claim and needs no lock. A thread that comes late finds
 * nothing left and holds nobody up.
 */
#include "kernels/cpu/pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* How long a thread looks for more before it sleeps: longer than it takes from one call of a
 * token's step to the next, and than a sleeping thread takes to wake. */
#define SPIN_NS 60000
#define BUSY_NS 300000 /* nor longer than this: others may have been put off the processor */
#define LOOKS 64       /* between two looks at the clock */
#define FIELD 20       /* bits of a task's number */

struct worker {
    struct pool *pool;
    size_t index; /* 1 .. threads - 1 */
    pthread_t thread;
};

struct pool {
    size_t threads;
    size_t started; /* workers that run */
    struct worker *workers;

    /* The caller writes these between jobs. */
    pool_task *task;
    void *context;
    uint64_t generation;

    _Atomic uint64_t claims; /* caller: a new job; anyone: the next task */
    _Atomic size_t done;     /* caller: 0; who did a task: + 1 */
    _Atomic size_t sleepers; /* workers, under the lock */
    _Atomic bool waiting;    /* caller */
    _Atomic bool stop;       /* caller */
    pthread_mutex_t lock;    /* for sleeping only */
    pthread_cond_t work, finished;
};

#if defined(__x86_64__)
static void relax(void)
{
    __builtin_ia32_pause();
}
#else
static void relax(void)
{
}
#endif

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Fields of claims. */
static size_t next_task(uint64_t claims)
{
    return claims & (((uint64_t)1 << FIELD) - 1);
}

static size_t task_count(uint64_t claims)
{
    return claims >> FIELD & (((uint64_t)1 << FIELD) - 1);
}

static bool has_work(uint64_t claims)
{
    return next_task(claims) < task_count(claims);
}

/* Does tasks until none is left to claim. */
static void work(struct pool *p, size_t thread)
{
    uint64_t claims = atomic_load(&p->claims);

    while (has_work(claims)) {
        if (!atomic_compare_exchange_weak(&p->claims, &claims, claims + 1))
            continue;
        p->task(p->context, next_task(claims), thread);
        atomic_fetch_add(&p->done, 1);
        if (atomic_load(&p->waiting)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
        claims = atomic_load(&p->claims);
    }
}

static bool idle(struct pool *p)
{
    return !has_work(atomic_load(&p->claims)) && !atomic_load(&p->stop);
}

static bool job_is_done(struct pool *p)
{
    return atomic_load(&p->done) >= task_count(atomic_load(&p->claims));
}

/* Looks for work until SPIN_NS after the last job's end: its other tasks may take longer than the
 * own ones, and the next job comes right after. */
static void spin_idle(struct pool *p)
{
    uint64_t begin = now_ns(), end = begin + SPIN_NS;

    for (unsigned i = 1; idle(p); i++) {
        relax();
        if (i % LOOKS != 0)
            continue;
        uint64_t now = now_ns();
        if (!job_is_done(p))
            end = now + SPIN_NS;
        if (now >= end || now >= begin + BUSY_NS)
            return;
    }
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct pool *p = w->pool;

    while (!atomic_load(&p->stop)) {
        spin_idle(p);
        if (idle(p)) {
            pthread_mutex_lock(&p->lock);
            atomic_fetch_add(&p->sleepers, 1);
            while (idle(p))
                pthread_cond_wait(&p->work, &p->lock);
            atomic_fetch_sub(&p->sleepers, 1);
            pthread_mutex_unlock(&p->lock);
        }
        work(p, w->index);
    }
    return NULL;
}

/* The worker takes no signal: they are for the threads that wait for them. */
static int start(struct worker *w)
{
    sigset_t all, before;
    int ret;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ret = -pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ret;
}

int pool_create(struct pool **out, size_t threads)
{
    struct pool *p;
    int ret = -ENOMEM;

    if (threads == 0)
        return -EINVAL;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->finished, NULL);
    p->threads = threads;
    p->workers = calloc(threads, sizeof(*p->workers));
    if (!p->workers)
        goto fail;
    while (p->started < threads - 1) {
        struct worker *w = &p->workers[p->started];

        w->pool = p;
        w->index = p->started + 1;
        ret = start(w);
        if (ret)
            goto fail;
        p->started++;
    }
    *out = p;
    return 0;
fail:
    pool_destroy(p);
    return ret;
}

void pool_destroy(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

size_t pool_threads(const struct pool *p)
{
    return p->threads;
}

static void wait_for(struct pool *p, size_t count)
{
    uint64_t end = 0;

    for (unsigned i = 1; atomic_load(&p->done) < count; i++) {
        relax();
        if (i % LOOKS != 0)
            continue;
        if (end == 0)
            end = now_ns() + SPIN_NS;
        else if (now_ns() >= end)
            break;
    }
    if (atomic_load(&p->done) == count)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->waiting, true);
    while (atomic_load(&p->done) < count)
        pthread_cond_wait(&p->finished, &p->lock);
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(struct pool *p, size_t count, pool_task *task, void *context)
{
    assert(count <= POOL_TASKS_MAX);
    if (p->threads == 1 || count <= 1) {
        for (size_t i = 0; i < count; i++)
            task(context, i, 0);
        return;
    }
    p->task = task;
    p->context = context;
    p->generation++;
    atomic_store(&p->done, 0);
    atomic_store(&p->claims, p->generation << (2 * FIELD) | (uint64_t)count << FIELD);
    if (atomic_load(&p->sleepers) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
    }
    work(p, 0);
    wait_for(p, count);
}
