/* The thread pool: every task runs once, also when jobs come hard on each other or after a sleep.
 */
#include "kernels/cpu/pool.h"
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define TASKS 300

struct job {
    size_t threads;
    int runs[TASKS]; /* not atomic: a task has one owner, and pool_run is a barrier */
};

static void count_task(void *context, size_t task, size_t thread)
{
    struct job *j = context;

    assert_true(thread < j->threads);
    j->runs[task]++;
}

static void run_jobs(size_t threads, size_t jobs, long pause_ns)
{
    struct job j = {.threads = threads};
    struct timespec pause = {0, pause_ns};
    struct pool *p;
    int want[TASKS] = {0};

    assert_int_equal(pool_create(&p, threads), 0);
    assert_int_equal(pool_threads(p), threads);
    for (size_t n = 0; n < jobs; n++) {
        size_t tasks = n % 7 == 0 ? TASKS : n % 5;

        pool_run(p, tasks, count_task, &j);
        for (size_t i = 0; i < tasks; i++)
            want[i]++;
        if (pause_ns)
            nanosleep(&pause, NULL);
    }
    assert_memory_equal(j.runs, want, sizeof(want));
    pool_destroy(p);
}

static void test_every_task_runs_once(void **state)
{
    (void)state;
    for (size_t threads = 1; threads <= 5; threads++)
        run_jobs(threads, 3000, 0);
}

static void test_workers_wake_from_sleep(void **state)
{
    (void)state;
    run_jobs(3, 40, 2000000);
}

static void test_create_and_destroy_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        run_jobs(4, 0, 0);
    pool_destroy(NULL);
}

static void test_idle_pool_uses_no_processor(void **state)
{
    struct timespec before, after, pause = {0, 300000000};
    struct pool *p;
    double used_ms;

    (void)state;
    assert_int_equal(pool_create(&p, 4), 0);
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    used_ms = (double)(after.tv_sec - before.tv_sec) * 1e3 +
              (double)(after.tv_nsec - before.tv_nsec) / 1e6;
    assert_true(used_ms < 5.0);
    pool_destroy(p);
}

static void test_no_threads_is_refused(void **state)
{
    struct pool *p;

    (void)state;
    assert_int_equal(pool_create(&p, 0), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_runs_once),
        cmocka_unit_test(test_workers_wake_from_sleep),
        cmocka_unit_test(test_create_and_destroy_at_once),
        cmocka_unit_test(test_idle_pool_uses_no_processor),
        cmocka_unit_test(test_no_threads_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
