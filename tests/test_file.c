/* Maps, replacements that are whole or not there, and what refuses to be read. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/earshot-test-file-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/state", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when something was left behind */
}

static void what_is_replaced_can_be_mapped(void **state)
{
    (void)state;
    struct error error = {0};
    struct file_map map;
    assert_int_equal(file_replace(path, "first", 5, &error), 0);
    assert_int_equal(file_replace(path, "the second", 10, &error), 0);
    assert_int_equal(file_map(&map, path, &error), 0);
    assert_int_equal(map.size, 10);
    assert_memory_equal(map.data, "the second", 10);
    file_unmap(&map);
    assert_null(map.data);
    file_unmap(&map);
}

static void a_map_outlives_the_replacement(void **state)
{
    (void)state;
    struct file_map map;
    assert_int_equal(file_replace(path, "old", 3, NULL), 0);
    assert_int_equal(file_map(&map, path, NULL), 0);
    assert_int_equal(file_replace(path, "new!", 4, NULL), 0);
    assert_int_equal(map.size, 3);
    assert_memory_equal(map.data, "old", 3);
    file_unmap(&map);
}

/* Without file_detach the file's end would end the test by SIGBUS. */
static void what_is_detached_outlives_a_cut(void **state)
{
    (void)state;
    static char data[5 * 4096 + 100];
    struct file_map map;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 4096);
    assert_int_equal(file_replace(path, data, sizeof(data), NULL), 0);
    assert_int_equal(file_map(&map, path, NULL), 0);
    assert_int_equal(file_detach(&map, map.data, 10), 0);
    assert_int_equal(file_detach(&map, map.data + 4090, 10), 0);
    assert_int_equal(file_detach(&map, map.data + 4 * 4096 + 5, sizeof(data) - 4 * 4096 - 5), 0);
    assert_int_equal(file_detach(&map, map.data, 0), 0);
    assert_int_equal(truncate(path, 0), 0);
    assert_memory_equal(map.data, data, 4100);
    assert_memory_equal(map.data + 4 * 4096, data + 4 * 4096, sizeof(data) - 4 * 4096);
    file_unmap(&map);
}

static void an_empty_file_maps_to_nothing(void **state)
{
    (void)state;
    struct file_map map;
    assert_int_equal(file_replace(path, NULL, 0, NULL), 0);
    assert_int_equal(file_map(&map, path, NULL), 0);
    assert_int_equal(map.size, 0);
    file_unmap(&map);
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct error error = {0};
    struct file_map map;
    assert_int_equal(file_map(&map, "/nowhere/model.gguf", &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nowhere/model.gguf"));
    assert_null(map.data);
}

static void folders_and_pipes_are_refused(void **state)
{
    (void)state;
    struct error error = {0};
    struct file_map map;
    assert_int_equal(file_map(&map, folder, &error), -EINVAL);
    assert_non_null(strstr(error.message, folder));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(file_map(&map, path, &error), -EINVAL);
    assert_non_null(strstr(error.message, path));
}

static size_t count_entries(const char *name)
{
    DIR *dir = opendir(name);
    size_t count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void a_failed_replacement_leaves_all_as_it_was(void **state)
{
    (void)state;
    struct error error = {0};
    char inside[160];
    assert_true(file_replace("/nowhere/state", "x", 1, &error) < 0);
    assert_non_null(strstr(error.message, "/nowhere/state"));

    /* A folder in the way: the rename fails after the temporary was written. */
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(inside, sizeof(inside), "%s/kept", path);
    assert_int_equal(file_replace(inside, "x", 1, NULL), 0);
    assert_true(file_replace(path, "y", 1, &error) < 0);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(count_entries(folder), 3); /* ".", "..", "state" */
    assert_int_equal(unlink(inside), 0);
    assert_int_equal(rmdir(path), 0);
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    struct error error;
    char longer[sizeof error.message + 100];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(error_set(&error, -EINVAL, "%s", longer), -EINVAL);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
    assert_int_equal(error_set(NULL, -EIO, "%s", longer), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_replaced_can_be_mapped),
        cmocka_unit_test(a_map_outlives_the_replacement),
        cmocka_unit_test(what_is_detached_outlives_a_cut),
        cmocka_unit_test(an_empty_file_maps_to_nothing),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(folders_and_pipes_are_refused),
        cmocka_unit_test(a_failed_replacement_leaves_all_as_it_was),
        cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
