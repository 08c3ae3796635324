/* The history on disk: what was written is read back, over restarts, damage and a full disk. */
#include "daemon/history_file.h"
#include "pipeline/event.h"
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
    struct folder_lock lock;
    struct history *history;
    struct history_file *file;
    size_t damaged;
    enum history_file_fate fate; /* at the last write */
};

static char folder[] = "/tmp/earshot-history-XXXXXX";
static char path[64];

static struct opened *open_file(size_t capacity)
{
    struct opened *o = calloc(1, sizeof *o);
    struct error error = {""};
    folder_lock_init(&o->lock, folder);
    assert_int_equal(history_create(&o->history, capacity), 0);
    int rc = history_file_open(&o->file, path, &o->lock, o->history, &o->damaged, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(rc, 0);
    return o;
}

static void close_file(struct opened *o)
{
    history_file_close(o->file);
    history_destroy(o->history);
    folder_lock_finish(&o->lock);
    free(o);
}

static int say(struct opened *o, uint64_t id, const char *text)
{
    assert_int_equal(history_add(o->history, id, -5, (int64_t)id * 2, text), 0);
    return history_file_write(o->file, history_count(o->history) - 1, &o->fate);
}

static void reply(struct opened *o, uint64_t id, const char *text)
{
    assert_int_equal(history_set_reply(o->history, id, text), 0);
    assert_int_equal(history_file_write(o->file, history_after(o->history, id - 1), &o->fate), 0);
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
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/history", folder);
    return 0;
}

/* Nothing but the history is left. */
static int end(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct opened *o = open_file(10);
    assert_int_equal(say(o, 7, "seven"), 0);
    assert_int_equal(say(o, 8, ODD_TEXT), 0);
    reply(o, 7, ODD_TEXT "?");
    close_file(o);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    o = open_file(10);
    assert_int_equal(o->damaged, 0);
    assert_int_equal(history_count(o->history), 2);
    const struct history_entry *e = history_at(o->history, 0);
    assert_int_equal(e->id, 7);
    assert_int_equal(e->start_us, -5);
    assert_int_equal(e->end_us, 14);
    assert_string_equal(e->text, "seven");
    assert_string_equal(e->reply, ODD_TEXT "?");
    assert_string_equal(history_at(o->history, 1)->text, ODD_TEXT);
    assert_null(history_at(o->history, 1)->reply);
    close_file(o);
}

/* An earlier version, beside this one or after it, takes a line of six for damaged. */
static void a_line_has_five_fields(void **state)
{
    (void)state;
    char line[64] = "";
    struct opened *o = open_file(10);
    assert_int_equal(history_add(o->history, 1, 0, 1, "sure"), 0);
    assert_int_equal(history_set_confidence(o->history, 1, 0.9876), 0);
    assert_int_equal(history_set_confidence(o->history, 2, 1), -ENOENT);
    assert_int_equal(history_file_write(o->file, 0, &o->fate), 0);
    close_file(o);
    FILE *f = fopen(path, "r");
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    assert_string_equal(line, "1\t0\t1\tsure\t\n");
    append_raw("4\t0\t1\tas before\t\n5\t0\t1\ttwo\t\t2\n6\t0\t1\tnone\t\t\n"
               "7\t0\t1\tnan\t\tnan\n8\t0\t1\tmore\t\t0.5\t\n9\t0\t1\thalf\tyes\t0.5\n");
    o = open_file(10);
    assert_int_equal(o->damaged, 4);
    assert_int_equal(history_count(o->history), 3);
    assert_true(history_at(o->history, 0)->confidence < 0);
    assert_float_equal(history_at(o->history, 2)->confidence, 0.5, 1e-9);
    close_file(o);
}

static void it_stays_small(void **state)
{
    (void)state;
    struct opened *o = open_file(4);
    long most = 0;
    for (uint64_t id = 1; id <= 1000; id++) {
        assert_int_equal(say(o, id, "a line of text"), 0);
        most = file_size() > most ? file_size() : most;
    }
    assert_true(most < 9 * 40);
    close_file(o);
    o = open_file(4);
    assert_int_equal(history_count(o->history), 4);
    assert_int_equal(history_at(o->history, 3)->id, 1000);
    close_file(o);
}

static void damage_costs_only_its_lines(void **state)
{
    (void)state;
    struct opened *o = open_file(10);
    assert_int_equal(say(o, 1, "one"), 0);
    close_file(o);
    append_raw(
        "nonsense\n2\t0\t1\tno reply field\n3\t0\t1\tx\\y\t\n4\t0\t99999999999999999999\tx\t\n"
        "5\t0\t1\tfive\t\n6\t0\t1\tcut in the mid");
    o = open_file(10);
    assert_int_equal(o->damaged, 4);
    assert_int_equal(history_count(o->history), 2);
    assert_string_equal(history_at(o->history, 1)->text, "five");
    assert_int_equal(say(o, 9, "nine"), 0);
    close_file(o);
    o = open_file(10);
    assert_int_equal(o->damaged, 0);
    assert_int_equal(history_count(o->history), 3);
    close_file(o);

    char text[EVENT_TEXT_MAX + 1] = "";
    memset(text, 'x', EVENT_TEXT_MAX);
    append_raw("10\t0\t1\t");
    append_raw(text); /* longer than a text can be */
    append_raw("\t\n");
    o = open_file(10);
    assert_int_equal(o->damaged, 1);
    assert_int_equal(history_count(o->history), 3);
    close_file(o);
}

/* RLIMIT_FSIZE stands in for a full disk: SIGXFSZ is ignored, and write(2) fails. */
static void a_full_disk_costs_nothing_in_the_end(void **state)
{
    (void)state;
    struct opened *o = open_file(10);
    assert_int_equal(say(o, 1, "one"), 0);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    struct rlimit small = {(rlim_t)file_size() + 3, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(say(o, 2, "two") < 0);
    assert_true(say(o, 3, "three") < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);

    struct opened *seen = open_file(10);
    assert_int_equal(seen->damaged, 0);
    assert_int_equal(history_count(seen->history), 1);
    close_file(seen);
    assert_int_equal(say(o, 4, "four"), 0);
    close_file(o);
    o = open_file(10);
    assert_int_equal(history_count(o->history), 4);
    assert_string_equal(history_at(o->history, 1)->text, "two");
    close_file(o);
}

static void expect(size_t capacity, size_t count, const uint64_t *ids)
{
    struct opened *o = open_file(capacity);
    assert_int_equal(o->damaged, 0);
    assert_int_equal(history_count(o->history), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(history_at(o->history, i)->id, ids[i]);
    close_file(o);
}

/* Not even once more than it has room for. */
static void a_disk_without_room_for_a_second_copy_will_do(void **state)
{
    (void)state;
    struct opened *o = open_file(2);
    struct rlimit limit;
    for (uint64_t id = 1; id <= 4; id++)
        assert_int_equal(say(o, id, "a text of which two are longer than the rest"), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    struct rlimit small = {(rlim_t)file_size(), limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(say(o, 5, "short"), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    close_file(o);
    expect(2, 2, (uint64_t[]){4, 5});
}

static void what_is_deleted_is_written_anew(void **state)
{
    (void)state;
    struct opened *o = open_file(10);
    assert_int_equal(say(o, 1, "one"), 0);
    assert_int_equal(o->fate, HISTORY_FILE_WHOLE);
    unlink(path);
    assert_int_equal(say(o, 2, "two"), 0);
    assert_int_equal(o->fate, HISTORY_FILE_GONE);
    assert_int_equal(say(o, 3, "three"), 0);
    assert_int_equal(o->fate, HISTORY_FILE_WHOLE);
    unlink(path);
    rmdir(folder);
    assert_int_equal(say(o, 4, "four"), 0);
    assert_int_equal(o->fate, HISTORY_FILE_GONE);
    close_file(o);
    expect(10, 4, (uint64_t[]){1, 2, 3, 4});
}

static void what_takes_its_place_is_kept_too(void **state)
{
    (void)state;
    char other[80];
    struct opened *o = open_file(10);
    assert_int_equal(say(o, 5, "five"), 0);
    snprintf(other, sizeof other, "%s/other", folder);
    assert_int_equal(rename(path, other), 0);
    append_raw("2\t0\t1\trestored\t\nnonsense\n");
    assert_int_equal(say(o, 7, "seven"), 0);
    assert_int_equal(o->fate, HISTORY_FILE_GONE);
    close_file(o);
    unlink(other);
    expect(10, 3, (uint64_t[]){2, 5, 7});
}

static void what_is_cut_or_written_over_is_made_whole(void **state)
{
    (void)state;
    struct opened *o = open_file(10);
    assert_int_equal(say(o, 1, "one"), 0);
    assert_int_equal(say(o, 2, "two"), 0);
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(say(o, 3, "three"), 0);
    assert_int_equal(o->fate, HISTORY_FILE_CHANGED);
    usleep(20000); /* the times of files are coarse */
    FILE *f = fopen(path, "r+");
    fputs("XXXX", f);
    fclose(f);
    assert_int_equal(say(o, 4, "four"), 0);
    assert_int_equal(o->fate, HISTORY_FILE_CHANGED);
    close_file(o);
    expect(10, 4, (uint64_t[]){1, 2, 3, 4});
}

static void a_link_stays_one(void **state)
{
    (void)state;
    char other[80];
    struct stat st;
    snprintf(other, sizeof other, "%s/elsewhere", folder);
    assert_int_equal(symlink("elsewhere", path), 0);
    struct opened *o = open_file(1);
    for (uint64_t id = 1; id <= 5; id++)
        assert_int_equal(say(o, id, "text"), 0);
    close_file(o);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(other, &st), 0);
    assert_true(st.st_size < 60);
    expect(1, 1, (uint64_t[]){5});
    unlink(other);
}

/* A pipe that nobody reads would hold who opens it; with a reader it opens. */
static void what_is_no_file_is_refused_at_once(void **state)
{
    (void)state;
    struct error error;
    char other[] = "/tmp/earshot-history-XXXXXX";
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_non_null(mkdtemp(other));
    const char *const no_files[] = {path, other, "/dev/null"};
    for (int reader = -1, i = 0; i < 4; i++) {
        struct opened o = {0};
        const char *name = no_files[i % 3];
        folder_lock_init(&o.lock, folder);
        assert_int_equal(history_create(&o.history, 1), 0);
        assert_int_equal(history_file_open(&o.file, name, &o.lock, o.history, &o.damaged, &error),
                         -EINVAL);
        assert_non_null(strstr(error.message, name));
        assert_non_null(strstr(error.message, "not a regular file"));
        assert_int_equal(say(&o, 1, "one"), -EINVAL);
        history_file_close(o.file);
        history_destroy(o.history);
        folder_lock_finish(&o.lock);
        if (i == 2)
            reader = open(path, O_RDONLY | O_NONBLOCK);
        if (i == 3)
            close(reader);
    }
    rmdir(other);
}

static void what_was_no_file_may_become_one(void **state)
{
    (void)state;
    struct error error;
    struct opened o = {0};
    assert_int_equal(mkdir(path, 0700), 0);
    folder_lock_init(&o.lock, folder);
    assert_int_equal(history_create(&o.history, 5), 0);
    assert_int_equal(history_file_open(&o.file, path, &o.lock, o.history, &o.damaged, &error),
                     -EINVAL);
    assert_int_equal(say(&o, 1, "one"), -EINVAL);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(say(&o, 2, "two"), 0);
    history_file_close(o.file);
    history_destroy(o.history);
    folder_lock_finish(&o.lock);
    expect(5, 2, (uint64_t[]){1, 2});
}

/* Each of two daemons keeps what it has told, also of the other, as long as both are there. */
static void two_share_it(void **state)
{
    (void)state;
    struct opened *a = open_file(2), *b = open_file(2);
    assert_true(folder_lock_is_first(&a->lock));
    assert_false(folder_lock_is_first(&b->lock));
    assert_int_equal(say(b, 10, "b"), 0);
    assert_int_equal(say(b, 30, "b"), 0);
    for (uint64_t id = 11; id < 29; id++)
        assert_int_equal(say(a, id, "a"), 0);
    assert_int_equal(a->fate, HISTORY_FILE_WHOLE);
    reply(b, 10, "late");
    struct opened *seen = open_file(100);
    assert_int_equal(history_count(seen->history), 20);
    assert_string_equal(history_at(seen->history, 0)->reply, "late");
    assert_int_equal(history_at(seen->history, 19)->id, 30);
    close_file(seen);
    unlink(path);
    assert_int_equal(say(a, 40, "a"), 0);
    assert_int_equal(say(b, 41, "b"), 0);
    close_file(b);
    assert_true(folder_lock_is_first(&a->lock));
    seen = open_file(100);
    assert_int_equal(history_count(seen->history), 4); /* two of each */
    close_file(seen);
    for (uint64_t id = 51; id < 60; id++)
        assert_int_equal(say(a, id, "a"), 0);
    close_file(a);
    seen = open_file(100);
    assert_true(history_count(seen->history) <= 4); /* alone again */
    close_file(seen);
    expect(2, 2, (uint64_t[]){58, 59});
}

/* Its size is not what was written: others wrote meanwhile. */
static void a_full_disk_costs_no_line_of_another(void **state)
{
    (void)state;
    struct opened *a = open_file(9), *b = open_file(9);
    struct rlimit limit;
    assert_int_equal(say(a, 1, "one"), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    struct rlimit small = {(rlim_t)file_size() + 3, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(say(a, 2, "two") < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(say(b, 3, "three"), 0);
    assert_int_equal(say(a, 4, "four"), 0);
    close_file(a);
    close_file(b);
    expect(9, 4, (uint64_t[]){1, 2, 3, 4});
}

static void a_place_that_is_none_is_named(void **state)
{
    (void)state;
    struct opened o = {0};
    struct error error;
    folder_lock_init(&o.lock, "/proc/nonexistent");
    assert_int_equal(history_create(&o.history, 1), 0);
    assert_true(history_file_open(&o.file, "/proc/nonexistent/history", &o.lock, o.history,
                                  &o.damaged, &error) < 0);
    assert_non_null(strstr(error.message, "/proc/nonexistent/history"));
    assert_true(say(&o, 1, "one") < 0);
    history_file_close(o.file);
    history_destroy(o.history);
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read_back, begin, end),
        cmocka_unit_test_setup_teardown(a_line_has_five_fields, begin, end),
        cmocka_unit_test_setup_teardown(it_stays_small, begin, end),
        cmocka_unit_test_setup_teardown(damage_costs_only_its_lines, begin, end),
        cmocka_unit_test_setup_teardown(a_full_disk_costs_nothing_in_the_end, begin, end),
        cmocka_unit_test_setup_teardown(a_disk_without_room_for_a_second_copy_will_do, begin, end),
        cmocka_unit_test_setup_teardown(what_is_deleted_is_written_anew, begin, end),
        cmocka_unit_test_setup_teardown(what_takes_its_place_is_kept_too, begin, end),
        cmocka_unit_test_setup_teardown(what_is_cut_or_written_over_is_made_whole, begin, end),
        cmocka_unit_test_setup_teardown(a_link_stays_one, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused_at_once, begin, end),
        cmocka_unit_test_setup_teardown(what_was_no_file_may_become_one, begin, end),
        cmocka_unit_test_setup_teardown(two_share_it, begin, end),
        cmocka_unit_test_setup_teardown(a_full_disk_costs_no_line_of_another, begin, end),
        cmocka_unit_test(a_place_that_is_none_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
