/* A connection's part of the loop's time: who computed waits in proportion, who was kept from
 * computing does not. */
#include "base/clock.h"
#include "bridges/share.h"
#include "tests/support/test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

enum {
    PART = 20,
    SAVED_US = 1000000, /* that one who has not computed for a second may use */
};

static sd_event *event;
static sd_event_source *io;
static struct share share;
static unsigned looked;

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)source;
    (void)fd;
    (void)events;
    (void)user;
    looked++;
    return 0;
}

static void compute(int64_t us)
{
    int64_t begin = clock_thread_us();
    while (clock_thread_us() - begin < us)
        ;
}

static bool is_looked_at(void)
{
    unsigned before = looked;
    sd_event_run(event, 0);
    return looked > before;
}

static int begin(void **unused)
{
    int fd = eventfd(1, EFD_CLOEXEC);
    (void)unused;
    share_init(&share, PART);
    if (fd < 0 || sd_event_new(&event) < 0 ||
        sd_event_add_io(event, &io, fd, EPOLLIN, on_io, NULL) < 0)
        return -1;
    return sd_event_source_set_io_fd_own(io, true) < 0 ? -1 : 0;
}

static int finish(void **unused)
{
    (void)unused;
    share_finish(&share);
    sd_event_source_disable_unref(io);
    sd_event_unref(event);
    return 0;
}

static void who_is_kept_from_computing_need_not_wait(void **unused)
{
    (void)unused;
    const struct timespec pause = {.tv_nsec = 200000000};
    share_begin(&share);
    nanosleep(&pause, NULL);
    share_end(&share, io);
    assert_false(share.waits);
    assert_true(is_looked_at());
}

static void who_computes_waits_so_many_times_as_long(void **unused)
{
    (void)unused;
    share_begin(&share);
    compute(100000);
    int64_t before_us = clock_monotonic_us();
    share_end(&share, io);
    int64_t wait_us = share.due_us - before_us + SAVED_US;
    assert_true(share.waits);
    assert_in_range(wait_us, PART * 100000, PART * 150000);
    assert_false(is_looked_at());
}

static void who_has_waited_goes_on(void **unused)
{
    (void)unused;
    share_begin(&share);
    compute(60000);
    share_end(&share, io);
    assert_true(share.waits);
    while (share.waits)
        sd_event_run(event, UINT64_MAX);
    assert_true(clock_monotonic_us() >= share.due_us);
    assert_true(is_looked_at());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_is_kept_from_computing_need_not_wait, begin, finish),
        cmocka_unit_test_setup_teardown(who_computes_waits_so_many_times_as_long, begin, finish),
        cmocka_unit_test_setup_teardown(who_has_waited_goes_on, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
