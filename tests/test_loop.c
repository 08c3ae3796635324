/* The main loop: order of timers, and callbacks that remove what is being dispatched. */
#include "daemon/loop.h"
#include "tests/support/test.h"

#include <poll.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    struct loop_fd *fds[2];
    struct loop_timer *timers[3];
    int order[8];
    int calls;
};

static void note(struct fixture *f, int what)
{
    assert_true(f->calls < 8);
    f->order[f->calls++] = what;
}

static void first(void *user)
{
    note(user, 1);
}

static void second(void *user)
{
    struct fixture *f = user;
    note(f, 2);
    loop_remove_timer(f->timers[1]); /* itself */
    f->timers[1] = NULL;
}

static void last(void *user)
{
    struct fixture *f = user;
    note(f, 3);
    loop_stop(f->loop, 7);
    loop_stop(f->loop, 8);
}

static void timers_fire_in_time_and_once(void **state)
{
    (void)state;
    struct fixture f = {0};
    assert_int_equal(loop_create(&f.loop), 0);
    f.timers[0] = loop_add_timer(f.loop, first, &f);
    f.timers[1] = loop_add_timer(f.loop, second, &f);
    f.timers[2] = loop_add_timer(f.loop, last, &f);
    loop_arm(f.timers[2], 60);
    loop_arm(f.timers[1], 30);
    loop_arm(f.timers[0], 1);
    assert_true(loop_is_armed(f.timers[0]));
    assert_int_equal(loop_run(f.loop), 7);
    assert_int_equal(f.calls, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(f.order[i], i + 1);
    loop_destroy(f.loop);
}

static void drop_both(void *user, short events)
{
    struct fixture *f = user;
    assert_true(events & POLLIN);
    note(f, 9);
    loop_remove_fd(f->fds[0]);
    loop_remove_fd(f->fds[1]);
}

static void a_callback_may_remove_any_descriptor(void **state)
{
    (void)state;
    struct fixture f = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(loop_create(&f.loop), 0);
    f.fds[0] = loop_add_fd(f.loop, ends[0], POLLIN, drop_both, &f);
    f.fds[1] = loop_add_fd(f.loop, ends[0], POLLIN, drop_both, &f);
    f.timers[2] = loop_add_timer(f.loop, last, &f);
    loop_arm(f.timers[2], 20);
    assert_int_equal(loop_run(f.loop), 7);
    assert_int_equal(f.calls, 2); /* one descriptor, then the timer */
    loop_destroy(f.loop);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_time_and_once),
        cmocka_unit_test(a_callback_may_remove_any_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
