/* daemon/bus on a private dbus-daemon that stands still: what waits for it is bounded, and so is
 * the time that an end takes. */
#include "daemon/bus.h"
#include "daemon/clock.h"
#include "tests/support/test.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_NAME "org.earshot.Test"

#ifdef __SANITIZE_ADDRESS__
#define KEEPS_FREED true /* memory does not tell */
#else
#define KEEPS_FREED false
#endif

enum {
    MESSAGE_BYTES = 64 << 10,
    MESSAGES = 1024, /* 64 MB */
    BOUND_KIB = 20 << 10,
    ASK_MS = 50,
    LIMIT_MS = 20000,
};

extern char **environ;

struct fixture {
    pid_t bus_process;
    char address[256];
    struct loop *loop;
    struct bus *bus;
    struct bus_watch watch;
    struct loop_timer *late, *asks;
    int lost;
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
        exit(77);
    }
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    assert_non_null(fgets(f->address, sizeof f->address, said));
    f->address[strcspn(f->address, "\n")] = '\0';
    fclose(said);
}

static void is_lost(void *user)
{
    ((struct fixture *)user)->lost++;
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
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    bus_destroy(f->bus);
    loop_remove_timer(f->late);
    loop_remove_timer(f->asks);
    loop_destroy(f->loop);
    kill(f->bus_process, SIGKILL);
    waitpid(f->bus_process, NULL, 0);
    return 0;
}

static void send_some(struct fixture *f)
{
    static char text[MESSAGE_BYTES];
    const char *value = text;
    memset(text, 'x', sizeof text - 1);
    DBusMessage *m = dbus_message_new_signal("/test", OWN_NAME, "Text");
    assert_non_null(m);
    dbus_message_append_args(m, DBUS_TYPE_STRING, &value, DBUS_TYPE_INVALID);
    bus_send(f->bus, m);
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

static void a_bus_that_reads_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    kill(f->bus_process, SIGSTOP);
    assert_false(bus_is_behind(f->bus));
    long before = resident_kib();
    for (int i = 0; i < MESSAGES; i++)
        send_some(f);
    long grown = resident_kib() - before;
    print_message("%d KiB sent to a bus that stands still: %ld KiB more resident\n",
                  MESSAGES * (MESSAGE_BYTES / 1024), grown);
    assert_true(bus_is_behind(f->bus));
    assert_true(KEEPS_FREED || grown < BOUND_KIB);
    kill(f->bus_process, SIGCONT);

    loop_arm(f->asks, ASK_MS);
    loop_arm(f->late, LIMIT_MS);
    assert_int_equal(loop_run(f->loop), 0); /* it is joined again, with the name */
    assert_int_equal(f->lost, 1);
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
        cmocka_unit_test_setup_teardown(an_end_does_not_wait_for_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
