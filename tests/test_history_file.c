/* The history on disk: what was written is read back, over restarts, damage and a full disk. */
#include "daemon/history_file.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ODD_TEXT "a tab\t a line\n a \\n backslash\\"

struct opened {
    struct history *history;
    struct history_file *file;
    size_t damaged;
};

static char path[] = "/tmp/earshot-history-XXXXXX";

static struct opened open_file(size_t capacity)
{
    struct opened o;
    struct error error = {""};
    assert_int_equal(history_create(&o.history, capacity), 0);
    int rc = history_file_open(&o.file, path, o.history, &o.damaged, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(rc, 0);
    return o;
}

static void close_file(struct opened *o)
{
    history_file_close(o->file);
    history_destroy(o->history);
}

static int say(struct opened *o, uint64_t id, const char *text)
{
    assert_int_equal(history_add(o->history, id, -5, (int64_t)id * 2, text), 0);
    return history_file_write(o->file, history_count(o->history) - 1);
}

static void reply(struct opened *o, uint64_t id, const char *text)
{
    assert_int_equal(history_set_reply(o->history, id, text), 0);
    assert_int_equal(history_file_write(o->file, history_after(o->history, id - 1)), 0);
}

static long file_size(void)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (long)st.st_size;
}

static void append_raw(const char *text)
{
    FILE *f = fopen(path, "a");
    fputs(text, f);
    fclose(f);
}

static int begin(void **state)
{
    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    close(mkstemp(path));
    return unlink(path);
}

static int end(void **state)
{
    (void)state;
    return unlink(path);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct opened o = open_file(10);
    assert_int_equal(say(&o, 7, "seven"), 0);
    assert_int_equal(say(&o, 8, ODD_TEXT), 0);
    reply(&o, 7, ODD_TEXT "?");
    close_file(&o);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    o = open_file(10);
    assert_int_equal(o.damaged, 0);
    assert_int_equal(history_count(o.history), 2);
    const struct history_entry *e = history_at(o.history, 0);
    assert_int_equal(e->id, 7);
    assert_int_equal(e->start_us, -5);
    assert_int_equal(e->end_us, 14);
    assert_string_equal(e->text, "seven");
    assert_string_equal(e->reply, ODD_TEXT "?");
    assert_string_equal(history_at(o.history, 1)->text, ODD_TEXT);
    assert_null(history_at(o.history, 1)->reply);
    close_file(&o);
}

static void it_stays_small(void **state)
{
    (void)state;
    struct opened o = open_file(4);
    long most = 0;
    for (uint64_t id = 1; id <= 1000; id++) {
        assert_int_equal(say(&o, id, "a line of text"), 0);
        most = file_size() > most ? file_size() : most;
    }
    assert_true(most < 9 * 40);
    close_file(&o);
    o = open_file(4);
    assert_int_equal(history_count(o.history), 4);
    assert_int_equal(history_at(o.history, 3)->id, 1000);
    close_file(&o);
}

static void damage_costs_only_its_lines(void **state)
{
    (void)state;
    struct opened o = open_file(10);
    assert_int_equal(say(&o, 1, "one"), 0);
    close_file(&o);
    append_raw(
        "nonsense\n2\t0\t1\tno reply field\n3\t0\t1\tx\\y\t\n4\t0\t99999999999999999999\tx\t\n"
        "5\t0\t1\tfive\t\n6\t0\t1\tcut in the mid");
    o = open_file(10);
    assert_int_equal(o.damaged, 4);
    assert_int_equal(history_count(o.history), 2);
    assert_string_equal(history_at(o.history, 1)->text, "five");
    assert_int_equal(say(&o, 9, "nine"), 0);
    close_file(&o);
    o = open_file(10);
    assert_int_equal(o.damaged, 0);
    assert_int_equal(history_count(o.history), 3);
    close_file(&o);
}

/* RLIMIT_FSIZE stands in for a full disk: SIGXFSZ is ignored, and write(2) fails. */
static void a_full_disk_costs_nothing_in_the_end(void **state)
{
    (void)state;
    struct opened o = open_file(10);
    assert_int_equal(say(&o, 1, "one"), 0);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    struct rlimit small = {(rlim_t)file_size() + 3, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(say(&o, 2, "two") < 0);
    assert_true(say(&o, 3, "three") < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);

    struct opened seen = open_file(10);
    assert_int_equal(seen.damaged, 0);
    assert_int_equal(history_count(seen.history), 1);
    close_file(&seen);
    assert_int_equal(say(&o, 4, "four"), 0);
    close_file(&o);
    o = open_file(10);
    assert_int_equal(history_count(o.history), 4);
    assert_string_equal(history_at(o.history, 1)->text, "two");
    close_file(&o);
}

static void a_place_that_is_none_is_named(void **state)
{
    (void)state;
    struct opened o;
    struct error error;
    assert_int_equal(history_create(&o.history, 1), 0);
    assert_true(history_file_open(&o.file, "/nonexistent/history", o.history, &o.damaged, &error) <
                0);
    assert_non_null(strstr(error.message, "/nonexistent/history"));
    history_destroy(o.history);
}

/* A pipe that nobody reads would hold who opens it; with a reader it opens. */
static void what_is_no_file_is_refused_at_once(void **state)
{
    (void)state;
    struct opened o;
    struct error error;
    char folder[] = "/tmp/earshot-history-XXXXXX";
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(history_create(&o.history, 1), 0);
    const char *const no_files[] = {path, folder, "/dev/null"};
    for (int reader = -1, i = 0; i < 4; i++) {
        const char *name = no_files[i % 3];
        assert_int_equal(history_file_open(&o.file, name, o.history, &o.damaged, &error), -EINVAL);
        assert_non_null(strstr(error.message, name));
        assert_non_null(strstr(error.message, "not a regular file"));
        if (i == 2)
            reader = open(path, O_RDONLY | O_NONBLOCK);
        if (i == 3)
            close(reader);
    }
    history_destroy(o.history);
    rmdir(folder);
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read_back, begin, end),
        cmocka_unit_test_setup_teardown(it_stays_small, begin, end),
        cmocka_unit_test_setup_teardown(damage_costs_only_its_lines, begin, end),
        cmocka_unit_test_setup_teardown(a_full_disk_costs_nothing_in_the_end, begin, end),
        cmocka_unit_test(a_place_that_is_none_is_named),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused_at_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
