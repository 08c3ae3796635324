/* Threads for one caller at a time: pool_run hands out tasks 0 .. count - 1 and returns when all
 * are done; the caller works too. Which thread runs a task is chance, so a task's result must not
 * depend on it. Idle threads spin for some microseconds, then sleep. Nothing is allocated after
 * create.
 */
#ifndef EARSHOT_KERNELS_CPU_POOL_H
#define EARSHOT_KERNELS_CPU_POOL_H

#include <stddef.h>

struct pool;

#define POOL_TASKS_MAX 4096

/* thread: 0 for the caller, below pool_threads */
typedef void pool_task(void *context, size_t task, size_t thread);

/* threads counts the caller: 1 makes no thread at all. 0, -EINVAL, -ENOMEM or -EAGAIN. */
int pool_create(struct pool **out, size_t threads);
void pool_destroy(struct pool *p);
size_t pool_threads(const struct pool *p);
void pool_run(struct pool *p, size_t count, pool_task *task, void *context);

#endif
