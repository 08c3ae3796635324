/* earshot.conf: the defaults, every key, and what is said about a wrong line. */
#include "daemon/config.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_text(struct config *c, const char *text, struct error *error)
{
    char path[] = "/tmp/earshot-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    config_init(c);
    int rc = config_read(c, path, error);
    unlink(path);
    return rc;
}

static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    print(f);
    fclose(f);
    return text;
}

static void print_all(FILE *out)
{
    struct config c;
    config_init(&c);
    config_print(&c, out);
}

static void assert_same(const struct config *a, const struct config *b)
{
    char *texts[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        size_t size;
        FILE *f = open_memstream(&texts[i], &size);
        config_print(i ? b : a, f);
        fclose(f);
    }
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
}

static void the_installed_file_is_what_the_program_prints(void **state)
{
    (void)state;
    char file[16384] = "";
    FILE *f = fopen("config/earshot.conf", "r");
    assert_non_null(f);
    file[fread(file, 1, sizeof file - 1, f)] = '\0';
    fclose(f);
    char *text = printed(config_print_defaults);
    assert_string_equal(file, text);
    free(text);
}

static void every_default_can_be_read_back(void **state)
{
    (void)state;
    struct config c, defaults;
    struct error error = {""};
    char *text = printed(print_all);
    int rc = read_text(&c, text, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(rc, 0);
    free(text);
    config_init(&defaults);
    assert_same(&c, &defaults);
}

static void a_file_of_comments_changes_nothing(void **state)
{
    (void)state;
    struct config c, defaults;
    struct error error;
    char *text = printed(config_print_defaults);
    assert_int_equal(read_text(&c, text, &error), 0);
    free(text);
    config_init(&defaults);
    assert_same(&c, &defaults);
}

static void values_are_taken(void **state)
{
    (void)state;
    struct config c;
    struct error error;
    assert_int_equal(read_text(&c,
                               "[model]\npath = /a b/c.gguf\nthreads=3\n; a comment\n"
                               "[audio]\nmuted = yes\n[speech]\nbegin_threshold = 0.75\n"
                               "[reply]\ntemperature = 0.8\ntop_k = 40\n"
                               "seed = 18446744073709551615\n",
                               &error),
                     0);
    assert_string_equal(c.model, "/a b/c.gguf");
    assert_int_equal(c.threads, 3);
    assert_true(c.muted);
    assert_true(c.endpoint.begin_threshold == 0.75f);
    assert_true(c.text.sampling.temperature == 0.8f && c.text.sampling.top_k == 40);
    assert_true(c.text.sampling.seed == UINT64_MAX);
}

static void print_ears(FILE *out)
{
    struct config c;
    struct error error;
    assert_int_equal(read_text(&c,
                               "[ears]\ndesk_2 = portaudio:@DEFAULT_MONITOR@ # what is played\n"
                               "hall = file:/a b.wav\n[model]\nthreads = 3\n",
                               &error),
                     0);
    assert_int_equal(c.threads, 3);
    config_print(&c, out);
}

static void ears_have_names(void **state)
{
    (void)state;
    struct config c;
    struct error error = {""};
    char *text = printed(print_ears);
    assert_int_equal(read_text(&c, text, &error), 0);
    free(text);
    assert_int_equal(c.ear_count, 2);
    assert_string_equal(c.ears[0].name, "desk_2");
    assert_string_equal(c.ears[0].source, "portaudio:@DEFAULT_MONITOR@");
    assert_string_equal(c.ears[1].name, "hall");
    assert_string_equal(c.ears[1].source, "file:/a b.wav");
    assert_int_equal(c.threads, 3);
}

static void comments_are_behind_a_blank(void **state)
{
    (void)state;
    struct config c;
    struct error error = {""};
    int rc = read_text(&c,
                       "[model] # where\npath = /a#b;c.gguf\t# mine\nthreads = 3 ; few\n"
                       "[wake]\t;x\n# a line\nphrase = computer # my word\n"
                       "[recordings]\ndirectory = # nowhere else\n"
                       "[speech]\nopen_words =#of the\n",
                       &error);
    assert_string_equal(error.message, "");
    assert_int_equal(rc, 0);
    assert_string_equal(c.model, "/a#b;c.gguf");
    assert_int_equal(c.threads, 3);
    assert_string_equal(c.wake, "computer");
    assert_string_equal(c.recordings.directory, "");
    assert_string_equal(c.open_words, "");
}

static void a_path_may_begin_at_home(void **state)
{
    (void)state;
    static const char text[] = "[model]\npath = ~/m.gguf\n[audio]\nsource = file:~/a~/b.wav:fast\n"
                               "[recordings]\ndirectory = ~/said\n";
    struct config c;
    struct error error = {""};
    setenv("HOME", "/home/ear", 1);
    assert_int_equal(read_text(&c, text, &error), 0);
    assert_string_equal(c.model, "/home/ear/m.gguf");
    assert_string_equal(c.source, "file:/home/ear/a~/b.wav:fast");
    assert_string_equal(c.recordings.directory, "/home/ear/said");
    assert_int_equal(read_text(&c, "[model]\npath = ~bob/m.gguf\n", &error), 0);
    assert_string_equal(c.model, "~bob/m.gguf");
    unsetenv("HOME");
    assert_int_not_equal(read_text(&c, text, &error), 0);
    assert_non_null(strstr(error.message, "$HOME is not set"));
}

static void a_wrong_line_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *culprit;
    } wrong[] = {
        {"[model]\n\nwhat = 3\n", ":3:", "what"},
        {"[nothing]\npath = x\n", ":1:", "[nothing]"},
        {"[model]\n[speach]\n", ":2:", "[speach]"},
        {"[speech] end_ms = 99\n", ":1:", "\" end_ms = 99\" is behind [speech]"},
        {"[model]]\n", ":1:", "\"]\" is behind [model]"},
        {"[model]\nthreads = 3#x\n", ":2:", "3#x"},
        {"[audio]\nsource = \033[2J\n", ":2:", "?[2J"},
        {"path = x\n", ":1:", "path"},
        {"[model]\nthreads = many\n", ":2:", "many"},
        {"[model]\nthreads = 257\n", ":2:", "257"},
        {"[model]\nthreads = 3x\n", ":2:", "3x"},
        {"[model]\nthreads =\n", ":2:", "threads"},
        {"[speech]\nend_threshold = nan\n", ":2:", "nan"},
        {"[audio]\nmuted = perhaps\n", ":2:", "perhaps"},
        {"[audio]\nsource = gramophone\n", ":2:", "[audio] source: \"gramophone\""},
        {"[audio]\nsource = portaudiox\n", ":2:", "portaudiox"},
        {"[audio]\nsource =\n", ":2:", "source"},
        {"[wake]\nphrase = computer||android\n", ":2:", "computer||android"},
        {"[reply]\ntemperature = 5.1\n", ":2:", "5.1"},
        {"[reply]\ntop_k = -1\n", ":2:", "-1"},
        {"[reply]\ntop_k = 4294967296\n", ":2:", "4294967296"},
        {"[reply]\nseed = 18446744073709551616\n", ":2:", "18446744073709551616"},
        {"[reply]\nseed = 0x5\n", ":2:", "0x5"},
        {"[text]\nmode = shouting\n", ":2:", "shouting"},
        {"[text]\nmode =\n", ":2:", "mode"},
        {"[model]\nbackend = auto cpu\n", ":2:", "auto cpu"},
        {"[model]\nthreads = 1\n[text]\n[model]\nthreads = 2\n",
         ":5:", "[model] threads is set twice, first in line 2"},
        {"[model\npath = x\n", ":1:", "neither"},
        {"[model]\njust words\n", ":2:", "neither"},
        {"[model]\npath = x\n  threads = 4\n", ":3:", "indented"},
        {"[model]\nbad line\nwhat = 1\n", ":2:", "neither"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct config c;
        struct error error = {""};
        assert_int_not_equal(read_text(&c, wrong[i].text, &error), 0);
        if (!strstr(error.message, wrong[i].line) || !strstr(error.message, wrong[i].culprit))
            fail_msg("\"%s\" does not name %s and %s", error.message, wrong[i].line,
                     wrong[i].culprit);
    }
}

static void a_long_line_is_refused_not_cut(void **state)
{
    (void)state;
    struct config c;
    struct error error;
    char text[400] = "[model]\npath = ";
    memset(text + strlen(text), 'x', 250);
    strcat(text, "\n");
    assert_int_not_equal(read_text(&c, text, &error), 0);
    assert_non_null(strstr(error.message, ":2: the line is too long"));
}

/* config_print writes blanks around "=": the longest line without them has no room for them. */
static void what_could_not_be_printed_is_refused(void **state)
{
    (void)state;
    struct config c;
    struct error error;
    char text[400] = "[wake]\nphrase=";
    size_t before = strlen(text), line = strlen("phrase=");
    memset(text + before, 'x', 196 - line);
    assert_int_equal(read_text(&c, text, &error), 0);
    memset(text + before, 'x', 197 - line);
    assert_int_not_equal(read_text(&c, text, &error), 0);
    assert_non_null(strstr(error.message, "[wake] phrase: the value is too long"));
}

static void values_must_agree(void **state)
{
    (void)state;
    struct config c;
    struct error error;
    assert_int_not_equal(read_text(&c, "[speech]\ntail_ms = 900\nend_ms = 800\n", &error), 0);
    assert_non_null(strstr(error.message, "900"));
    assert_int_not_equal(read_text(&c, "[speech]\nmax_ms = 1000\nend_ms = 1000\n", &error), 0);
    assert_int_not_equal(
        read_text(&c, "[speech]\nbegin_threshold = 0.2\nend_threshold = 0.3\n", &error), 0);
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct config c;
    struct error error;
    config_init(&c);
    assert_int_not_equal(config_read(&c, "/nonexistent/earshot.conf", &error), 0);
    assert_non_null(strstr(error.message, "/nonexistent/earshot.conf"));
    assert_int_not_equal(config_read(&c, "/tmp", &error), 0);
}

static void what_waits_for_a_restart_is_named(void **state)
{
    (void)state;
    const char *names[CONFIG_NAMES_MAX];
    struct config a, b;
    struct error error;
    config_init(&a);
    b = a;
    assert_int_equal(config_restarts(&a, &b, names), 0);
    assert_int_equal(config_set(&b, "speech", "end_ms", "400", &error), 0);
    assert_int_equal(config_set(&b, "reply", "seed", "7", &error), 0);
    assert_int_equal(config_restarts(&a, &b, names), 0);
    assert_int_equal(config_set(&b, "model", "path", "x.gguf", &error), 0);
    assert_int_equal(config_set(&b, "text", "resume", "yes", &error), 0);
    assert_int_equal(config_restarts(&a, &b, names), 2);
    assert_string_equal(names[0], "model.path");
    assert_string_equal(names[1], "text.resume");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_for_a_restart_is_named),
        cmocka_unit_test(the_installed_file_is_what_the_program_prints),
        cmocka_unit_test(every_default_can_be_read_back),
        cmocka_unit_test(a_file_of_comments_changes_nothing),
        cmocka_unit_test(values_are_taken),
        cmocka_unit_test(comments_are_behind_a_blank),
        cmocka_unit_test(a_path_may_begin_at_home),
        cmocka_unit_test(a_wrong_line_is_named),
        cmocka_unit_test(a_long_line_is_refused_not_cut),
        cmocka_unit_test(what_could_not_be_printed_is_refused),
        cmocka_unit_test(ears_have_names),
        cmocka_unit_test(values_must_agree),
        cmocka_unit_test(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
