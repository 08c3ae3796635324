/* daemon/supervisor: how a process ends that hangs at its end. Each does so in a child. */
#include "base/clock.h"
#include "daemon/supervisor.h"
#include "tests/support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LIMIT_MS = 2000,
};

/* Runs the main loop, and hangs. failed: something has stopped it; otherwise SIGTERM does. */
static void hang_at_the_end(bool failed)
{
    struct supervisor *s;
    struct error error;
    if (supervisor_create(&s, &error))
        _exit(99);
    if (failed)
        loop_stop(supervisor_loop(s), 1);
    else
        kill(getpid(), SIGTERM);
    loop_run(supervisor_loop(s));
    supervisor_ending(s);
    for (;;)
        pause();
}

static int status_of_who_hangs(bool failed)
{
    int64_t begin_us = clock_monotonic_us();
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        hang_at_the_end(failed);
    assert_int_equal(waitpid(child, &status, 0), child);
    int64_t took_ms = (clock_monotonic_us() - begin_us) / 1000;
    print_message("cut off after %lld ms\n", (long long)took_ms);
    assert_true(took_ms < LIMIT_MS);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_failure_that_hangs_is_a_failure(void **state)
{
    (void)state;
    assert_int_equal(status_of_who_hangs(true), EXIT_FAILURE);
}

static void an_end_that_was_asked_for_is_none(void **state)
{
    (void)state;
    assert_int_equal(status_of_who_hangs(false), EXIT_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_that_hangs_is_a_failure),
        cmocka_unit_test(an_end_that_was_asked_for_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
