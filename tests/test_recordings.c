/* A directory of recordings: names, permissions, limits, and a disk that is full. */
#include "base/file.h"
#include "daemon/recordings.h"
#include "tests/support/test.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ODD_TEXT "a \"quote\",\n a line, \\ and \xc3\xa4"
#define ID 1795233012345678u /* 2026-11-21 03:50:12.345678 UTC */

#define DAY ((uint64_t)86400 * 1000000)

static char directory[] = "/tmp/earshot-recordings-XXXXXX";

static const struct recordings_limits no_limits = {.max_bytes = UINT64_MAX};

static int write_one(uint64_t id, size_t size)
{
    struct error error = {""};
    char *sound = calloc(1, size);
    struct recording r = {.id = id,
                          .duration_ms = 1500,
                          .sound = sound,
                          .sound_size = size,
                          .text = ODD_TEXT,
                          .reply = id % 2 ? NULL : "yes"};
    int rc = recordings_write(directory, &no_limits, &r, &error);
    free(sound);
    assert_int_equal(rc == 0, !*error.message);
    return rc;
}

static void limit(uint64_t oldest_id, uint64_t max_bytes)
{
    uint64_t now = ID + 100000000;
    const struct recordings_limits limits = {
        .now = now, .max_age_us = oldest_id ? now - oldest_id : 0, .max_bytes = max_bytes};
    assert_int_equal(recordings_limit(directory, &limits, NULL), 0);
}

static void path_of(const char *name, char path[512])
{
    snprintf(path, 512, "%s/%s", directory, name);
}

static bool is_there(const char *name)
{
    char path[512];
    path_of(name, path);
    return access(path, F_OK) == 0;
}

static void touch(const char *name)
{
    char path[512];
    path_of(name, path);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "12345678", 8), 8);
    close(fd);
}

static size_t count_files(void)
{
    size_t count = 0;
    DIR *d = opendir(directory);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));)
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static int begin(void **state)
{
    (void)state;
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    char path[512];
    DIR *d = opendir(directory);
    for (const struct dirent *e; (e = readdir(d));) {
        path_of(e->d_name, path);
        if (e->d_name[0] != '.' && unlink(path) != 0)
            rmdir(path);
    }
    closedir(d);
    return rmdir(directory);
}

static void both_files_are_there_for_their_owner(void **state)
{
    (void)state;
    static const char *const names[] = {"20261121-035012-1795233012345678.opus",
                                        "20261121-035012-1795233012345678.json"};
    struct stat st;
    char path[512];
    assert_int_equal(write_one(ID, 100), 0);
    assert_int_equal(count_files(), 2);
    for (size_t i = 0; i < 2; i++) {
        path_of(names[i], path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void the_text_is_json(void **state)
{
    (void)state;
    struct file_map map;
    char path[512];
    assert_int_equal(write_one(ID, 100), 0);
    path_of("20261121-035012-1795233012345678.json", path);
    assert_int_equal(file_map(&map, path, NULL), 0);
    assert_int_equal(map.data[map.size - 1], '\n');
    cJSON *o = cJSON_ParseWithLength((const char *)map.data, map.size);
    assert_non_null(o);
    assert_string_equal(cJSON_GetObjectItem(o, "text")->valuestring, ODD_TEXT);
    assert_string_equal(cJSON_GetObjectItem(o, "reply")->valuestring, "yes");
    assert_string_equal(cJSON_GetObjectItem(o, "start")->valuestring,
                        "2026-11-21T03:50:12.345678+00:00");
    assert_true(cJSON_GetObjectItem(o, "id")->valuedouble == (double)ID);
    assert_true(cJSON_GetObjectItem(o, "duration_ms")->valuedouble == 1500);
    cJSON_Delete(o);
    file_unmap(&map);
}

static void the_oldest_go_first_and_whole(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(write_one(ID + i * 1000000, 10000), 0);
    assert_int_equal(count_files(), 20);
    limit(0, 35000);
    assert_int_equal(count_files(), 6);
    assert_true(is_there("20261121-035021-1795233021345678.opus"));
    assert_true(is_there("20261121-035019-1795233019345678.json"));
    assert_false(is_there("20261121-035018-1795233018345678.json"));
    limit(ID + 9000000, 35000);
    assert_int_equal(count_files(), 2);
    limit(0, 0);
    assert_int_equal(count_files(), 0);
}

static uint64_t total_bytes(void)
{
    uint64_t total = 0;
    struct stat st;
    char path[512];
    DIR *d = opendir(directory);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        path_of(e->d_name, path);
        total += e->d_name[0] != '.' && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
    }
    closedir(d);
    return total;
}

static void a_new_one_stays_within_the_limits(void **state)
{
    (void)state;
    static const char sound[10000];
    const struct recordings_limits limits = {
        .now = ID + 100000000, .max_age_us = 100000000 - 1, .max_bytes = 35000};
    struct recording r = {.id = ID, .sound = sound, .sound_size = sizeof sound, .text = ODD_TEXT};
    for (uint64_t i = 0; i < 10; i++, r.id += 1000000) {
        assert_int_equal(recordings_write(directory, &limits, &r, NULL), 0);
        assert_true(total_bytes() <= limits.max_bytes);
        assert_int_equal(count_files(), i == 0 ? 2 : i < 3 ? 2 * i : 6);
    }
}

static void expect_count(uint64_t now, uint64_t max_age_days, size_t count)
{
    const struct recordings_limits limits = {
        .now = now, .max_age_us = max_age_days * DAY, .max_bytes = 1000000};
    assert_int_equal(recordings_limit(directory, &limits, NULL), 0);
    assert_int_equal(count_files(), 2 * count);
}

/* A clock that is wrong by years deletes nothing, not even with what it dates; but what has become
 * too old since goes. */
static void a_date_that_cannot_be_deletes_nothing(void **state)
{
    (void)state;
    const uint64_t then = ID + 30000 * DAY; /* 2109 */
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(write_one(ID + i * DAY, 100), 0);
    expect_count(then, 30, 3);
    expect_count(ID - 20000 * DAY, 30, 3);
    assert_int_equal(write_one(then, 100), 0);
    expect_count(then + 10 * DAY, 30, 4);
    expect_count(ID + 31 * DAY, 30, 3);
    expect_count(then + 31 * DAY, 30, 0);
    assert_int_equal(write_one(DAY, 100), 0); /* 1970 */
    assert_int_equal(write_one(ID, 100), 0);
    expect_count(ID + 31 * DAY, 30, 1);
}

static void what_is_shared_is_not_deleted(void **state)
{
    (void)state;
    struct error error;
    static const char sound[10000];
    const struct recordings_limits limits = {
        .now = ID + DAY, .max_age_us = 1, .max_bytes = 25000, .shared = true};
    struct recording r = {.id = ID, .sound = sound, .sound_size = sizeof sound, .text = ODD_TEXT};
    assert_int_equal(recordings_write(directory, &limits, &r, &error), 0);
    r.id++;
    assert_int_equal(recordings_write(directory, &limits, &r, &error), 0);
    r.id++;
    assert_int_equal(recordings_write(directory, &limits, &r, &error), -EDQUOT);
    assert_non_null(strstr(error.message, directory));
    assert_int_equal(count_files(), 4);
}

/* A file that a crash left half written counts, and goes with the others. */
static void only_recordings_are_touched(void **state)
{
    (void)state;
    static const char *const foreign[] = {
        "song.opus", "20261121-holiday.opus", "1795233012345678.opus",
        "20261121-035012-1795233012345678.wav", "20261121-035012-.opus"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        touch(foreign[i]);
    touch("20261121-035012-1795233012345678.opus.aBcDeF");
    char path[512];
    path_of("20261121-035012-1795233012345679.opus", path);
    assert_int_equal(mkdir(path, 0700), 0);
    limit(0, 0);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_true(is_there(foreign[i]));
    assert_true(is_there("20261121-035012-1795233012345679.opus"));
    assert_false(is_there("20261121-035012-1795233012345678.opus.aBcDeF"));
}

/* RLIMIT_FSIZE stands in for a full disk: SIGXFSZ is ignored, and write(2) fails. */
static void a_full_disk_leaves_nothing_behind(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t most = 40; most <= 4000; most *= 100) { /* the text, then the sound */
        struct rlimit small = {most, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        assert_true(write_one(ID, most == 40 ? 20 : 5000) < 0);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(count_files(), 0);
    }
    assert_int_equal(write_one(ID, 5000), 0);
    assert_int_equal(count_files(), 2);
}

static void a_place_that_is_none_is_named(void **state)
{
    (void)state;
    struct error error = {""};
    struct recording r = {.id = ID, .sound = "", .text = ""};
    assert_int_equal(recordings_write("/nonexistent", &no_limits, &r, &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nonexistent"));
    error.message[0] = '\0';
    assert_int_equal(recordings_limit("/nonexistent", &no_limits, &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nonexistent"));
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_files_are_there_for_their_owner, begin, end),
        cmocka_unit_test_setup_teardown(the_text_is_json, begin, end),
        cmocka_unit_test_setup_teardown(the_oldest_go_first_and_whole, begin, end),
        cmocka_unit_test_setup_teardown(a_new_one_stays_within_the_limits, begin, end),
        cmocka_unit_test_setup_teardown(a_date_that_cannot_be_deletes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(what_is_shared_is_not_deleted, begin, end),
        cmocka_unit_test_setup_teardown(only_recordings_are_touched, begin, end),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing_behind, begin, end),
        cmocka_unit_test(a_place_that_is_none_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
