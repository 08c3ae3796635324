/* daemon/bus on a private dbus-daemon that stands still: what waits for it is bounded, and so is
 * the time that an end takes. One that goes on, however slowly, is kept. */
#include "base/clock.h"
#include "daemon/bus.h"
#include "tests/support/test.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_NAME "org.earshot.Test"

#if defined __SANITIZE_ADDRESS__
#define KEPT_KIB (8 << 10) /* of a sanitizer: around what is there, of what was freed */
#elif defined __SANITIZE_THREAD__
#define KEPT_KIB (128 << 10) /* several bytes of its own for each */
#else
#define KEPT_KIB 0
#endif

enum {
    MESSAGE_BYTES = 64 << 10,
    FULL_MESSAGES = 260, /* 16 MB: full */
    BOUND_KIB = (24 << 10) + KEPT_KIB,
    MORE_MS = 100,
    SLICE_US = 5000,
    LARGE_BYTES = 100 << 20,
    PART_MS = 500,
    SLOW_MS = 7000, /* longer than a dead bus may take */
    ASK_MS = 50,
    LIMIT_MS = 20000,
};

extern char **environ;

/* Of AddressSanitizer: what was freed is given back, so that memory tells what is kept. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

struct fixture {
    pid_t bus_process;
    char address[256];
    struct loop *loop;
    struct bus *bus;
    struct bus_watch watch;
    struct loop_timer *late, *asks, *more, *slow, *part;
    int lost, slow_rounds;
    int64_t lost_us;
    long resident_kib;
    bool answered;
};

static void start_bus(struct fixture *f)
{
    char *argv[] = {"dbus-daemon", "--session", "--nofork", "--print-address=1", NULL};
    int ends[2];
    posix_spawn_file_actions_t files;
    assert_int_equal(pipe(ends), 0);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    if (posix_spawnp(&f->bus_process, argv[0], &files, NULL, argv, environ)) {
        print_message("skipped: no dbus-daemon\n");
        exit(getenv("CI")
                 ? 1
                 : 77); /* where everything is to be installed nothing is skipped in silence */
    }
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    assert_non_null(fgets(f->address, sizeof f->address, said));
    f->address[strcspn(f->address, "\n")] = '\0';
    fclose(said);
}

/* The bus goes on then, and is asked until it answers. */
static void is_lost(void *user)
{
    struct fixture *f = user;
    f->lost++;
    f->lost_us = clock_monotonic_us();
    kill(f->bus_process, SIGCONT);
    loop_disarm(f->more);
    loop_arm(f->asks, ASK_MS);
}

static void is_late(void *user)
{
    loop_stop(((struct fixture *)user)->loop, 1);
}

static void is_answered(void *user, DBusMessage *answer)
{
    struct fixture *f = user;
    f->answered = answer && dbus_message_get_type(answer) == DBUS_MESSAGE_TYPE_METHOD_RETURN;
}

/* Asks who has the name, until the bus tells. */
static void ask(void *user)
{
    struct fixture *f = user;
    const char *name = OWN_NAME;
    if (f->answered) {
        loop_stop(f->loop, 0);
        return;
    }
    DBusMessage *m = dbus_message_new_method_call(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS,
                                                  DBUS_INTERFACE_DBUS, "GetNameOwner");
    assert_non_null(m);
    dbus_message_append_args(m, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID);
    bus_call(f->bus, m, is_answered, f);
    loop_arm(f->asks, ASK_MS);
}

static void send_text(struct fixture *f, size_t bytes)
{
    char *text = calloc(bytes, 1);
    const char *value = text;
    assert_non_null(text);
    memset(text, 'x', bytes - 1);
    DBusMessage *m = dbus_message_new_signal("/test", OWN_NAME, "Text");
    assert_non_null(m);
    dbus_message_append_args(m, DBUS_TYPE_STRING, &value, DBUS_TYPE_INVALID);
    bus_send(f->bus, m);
    free(text);
}

static void send_some(struct fixture *f)
{
    send_text(f, MESSAGE_BYTES);
}

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE) / 1024;
}

static void send_more(void *user)
{
    struct fixture *f = user;
    send_some(f);
    f->resident_kib = resident_kib();
    loop_arm(f->more, MORE_MS);
}

/* A bus that goes on for a moment now and then, and is kept full. */
static void read_slowly(void *user)
{
    struct fixture *f = user;
    kill(f->bus_process, SIGCONT);
    usleep(SLICE_US);
    if (f->slow_rounds-- == 0) {
        loop_arm(f->asks, ASK_MS);
        return;
    }
    kill(f->bus_process, SIGSTOP);
    while (!f->lost && !bus_is_full(f->bus))
        send_some(f);
    send_some(f);
    loop_arm(f->slow, MORE_MS);
}

/* A bus that goes on for a moment now and then, in the middle of one large message. */
static void read_a_part(void *user)
{
    struct fixture *f = user;
    kill(f->bus_process, SIGCONT);
    usleep(SLICE_US);
    if (f->slow_rounds-- == 0) {
        loop_arm(f->asks, ASK_MS);
        return;
    }
    kill(f->bus_process, SIGSTOP);
    send_some(f);
    loop_arm(f->part, PART_MS);
}

static int set_up(void **state)
{
    static struct fixture f;
    struct error error;
    f = (struct fixture){0};
    start_bus(&f);
    assert_int_equal(loop_create(&f.loop), 0);
    assert_int_equal(bus_create(&f.bus, f.loop, f.address, &error), 0);
    assert_int_equal(bus_own(f.bus, OWN_NAME, &error), 0);
    f.watch = (struct bus_watch){.lost = is_lost, .user = &f};
    bus_watch(f.bus, &f.watch);
    f.late = loop_add_timer(f.loop, is_late, &f);
    f.asks = loop_add_timer(f.loop, ask, &f);
    f.more = loop_add_timer(f.loop, send_more, &f);
    f.slow = loop_add_timer(f.loop, read_slowly, &f);
    f.part = loop_add_timer(f.loop, read_a_part, &f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    bus_destroy(f->bus);
    loop_remove_timer(f->late);
    loop_remove_timer(f->asks);
    loop_remove_timer(f->more);
    loop_remove_timer(f->slow);
    loop_remove_timer(f->part);
    loop_destroy(f->loop);
    kill(f->bus_process, SIGKILL);
    waitpid(f->bus_process, NULL, 0);
    return 0;
}

static void a_bus_that_reads_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    kill(f->bus_process, SIGSTOP);
    assert_false(bus_is_behind(f->bus));
    long before_kib = resident_kib();
    int64_t begin_us = clock_monotonic_us();
    for (int i = 0; i < FULL_MESSAGES; i++)
        send_some(f);
    assert_true(bus_is_behind(f->bus) && bus_is_full(f->bus));

    loop_arm(f->more, MORE_MS);
    loop_arm(f->late, LIMIT_MS);
    assert_int_equal(loop_run(f->loop), 0); /* it is joined again, with the name */
    assert_int_equal(f->lost, 1);
    assert_false(bus_is_behind(f->bus));
    int64_t lost_ms = (f->lost_us - begin_us) / 1000;
    long grown_kib = f->resident_kib - before_kib;
    print_message("a bus that stands still was left after %lld ms, with %ld KiB more resident\n",
                  (long long)lost_ms, grown_kib);
    assert_true(lost_ms > 4900 && lost_ms < 7000);
    assert_true(grown_kib < BOUND_KIB);
}

static void a_bus_that_reads_slowly_is_kept(void **state)
{
    struct fixture *f = *state;
    kill(f->bus_process, SIGSTOP);
    f->slow_rounds = SLOW_MS / MORE_MS;
    loop_arm(f->slow, MORE_MS);
    loop_arm(f->late, LIMIT_MS);
    assert_int_equal(loop_run(f->loop), 0);
    assert_int_equal(f->lost, 0);
    assert_false(bus_is_behind(f->bus));
}

static void one_large_message_may_take_its_time(void **state)
{
    struct fixture *f = *state;
    kill(f->bus_process, SIGSTOP);
    send_text(f, LARGE_BYTES);
    assert_true(bus_is_full(f->bus));
    f->slow_rounds = SLOW_MS / PART_MS;
    loop_arm(f->part, PART_MS);
    loop_arm(f->late, LIMIT_MS);
    assert_int_equal(loop_run(f->loop), 0);
    assert_int_equal(f->lost, 0);
    assert_false(bus_is_behind(f->bus));
}

static void an_end_does_not_wait_for_it(void **state)
{
    struct fixture *f = *state;
    kill(f->bus_process, SIGSTOP);
    for (int i = 0; i < 16; i++)
        send_some(f);
    int64_t begin_us = clock_monotonic_us();
    bus_destroy(f->bus);
    f->bus = NULL;
    int64_t took_ms = (clock_monotonic_us() - begin_us) / 1000;
    print_message("ended after %lld ms\n", (long long)took_ms);
    assert_true(took_ms < 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_bus_that_reads_nothing_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bus_that_reads_slowly_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_large_message_may_take_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_does_not_wait_for_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
