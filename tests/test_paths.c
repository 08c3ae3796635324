/* base/paths, daemon/places: which variables count, and what a tilde is. */
#include "base/paths.h"
#include "daemon/places.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[64];

static int enter_home(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/earshot-test-paths-XXXXXX");
    static const char *const unset[] = {"STATE_DIRECTORY", "XDG_STATE_HOME", "XDG_CONFIG_HOME",
                                        "XDG_DATA_HOME", "EARSHOT_MODEL"};
    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++)
        unsetenv(unset[i]);
    return mkdtemp(home) && setenv("HOME", home, 1) == 0 && chdir(home) == 0 ? 0 : -1;
}

static int remove_home(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", home);
    return system(command);
}

static void write_file(const char *directory, const char *name)
{
    char command[256];
    snprintf(command, sizeof command, "mkdir -p '%s' && touch '%s/%s'", directory, directory, name);
    assert_int_equal(system(command), 0);
}

static void assert_below_home(const char *path, const char *relative)
{
    assert_memory_equal(path, home, strlen(home));
    assert_string_equal(path + strlen(home), relative);
}

static void relative_variables_are_not_set(void **state)
{
    (void)state;
    static const char *const values[] = {"rel", "./rel", "../rel", "", "~/rel"};
    char path[4096];
    struct error error;
    write_file("rel/earshot", "earshot.conf");
    write_file("rel/earshot", "earshot-en.gguf");
    write_file(".config/earshot", "earshot.conf");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        setenv("XDG_CONFIG_HOME", values[i], 1);
        setenv("XDG_STATE_HOME", values[i], 1);
        setenv("XDG_DATA_HOME", values[i], 1);
        setenv("STATE_DIRECTORY", values[i], 1);
        assert_null(paths_variable("XDG_STATE_HOME"));
        assert_int_equal(paths_config("earshot.conf", path, sizeof path), 0);
        assert_below_home(path, "/.config/earshot/earshot.conf");
        assert_int_equal(paths_state(path, sizeof path), 0);
        assert_below_home(path, "/.local/state/earshot");
        assert_int_equal(places_recordings("", path, sizeof path, &error), 0);
        assert_below_home(path, "/.local/state/earshot/recordings");
        if (paths_default_model(path, sizeof path) == 0)
            assert_null(strstr(path, "rel"));
    }
    assert_int_not_equal(access("rel/earshot/recordings", F_OK), 0);
}

static void absolute_ones_count(void **state)
{
    (void)state;
    char path[4096], other[128];
    snprintf(other, sizeof other, "%s/other", home);
    setenv("XDG_CONFIG_HOME", other, 1);
    setenv("XDG_STATE_HOME", other, 1);
    write_file("other/earshot", "earshot.conf");
    assert_int_equal(paths_config("earshot.conf", path, sizeof path), 0);
    assert_below_home(path, "/other/earshot/earshot.conf");
    assert_int_equal(paths_state(path, sizeof path), 0);
    assert_below_home(path, "/other/earshot");
}

static void without_a_home_nothing_is_kept_in_the_working_directory(void **state)
{
    (void)state;
    char path[4096];
    setenv("HOME", "rel", 1);
    unsetenv("XDG_STATE_HOME");
    assert_int_equal(paths_state(path, sizeof path), -ENOENT);
    unsetenv("HOME");
    assert_int_equal(paths_state(path, sizeof path), -ENOENT);
    setenv("HOME", home, 1);
}

static void a_tilde_is_the_home_directory(void **state)
{
    (void)state;
    static const char *const others[] = {"", "/~/x", "~bob/x", "x/~", "./~/x"};
    char path[4096];
    struct error error;
    assert_int_equal(paths_expand("~/x", path, sizeof path), 0);
    assert_below_home(path, "/x");
    assert_int_equal(paths_expand("~", path, sizeof path), 0);
    assert_string_equal(path, home);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(paths_expand(others[i], path, sizeof path), 0);
        assert_string_equal(path, others[i]);
    }
    assert_int_equal(paths_expand("~/x", path, 8), -ENAMETOOLONG);
    assert_int_equal(places_model("~/m.gguf", NULL, path, sizeof path, &error), 0);
    assert_below_home(path, "/m.gguf");
    write_file(".", "n.gguf");
    setenv("EARSHOT_MODEL", "~/n.gguf", 1);
    assert_int_equal(places_model(NULL, NULL, path, sizeof path, &error), 0);
    assert_below_home(path, "/n.gguf");
    unsetenv("HOME");
    assert_int_equal(paths_expand("~/x", path, sizeof path), -ENOENT);
    assert_int_equal(places_model("~/m.gguf", NULL, path, sizeof path, &error), -ENOENT);
    assert_non_null(strstr(error.message, "~/m.gguf"));
    setenv("HOME", home, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relative_variables_are_not_set),
        cmocka_unit_test(absolute_ones_count),
        cmocka_unit_test(without_a_home_nothing_is_kept_in_the_working_directory),
        cmocka_unit_test(a_tilde_is_the_home_directory),
    };
    return cmocka_run_group_tests(tests, enter_home, remove_home);
}
