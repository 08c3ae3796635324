/* An engine whose GPU breaks: while it loads, and while somebody speaks. */
#include "tests/support/engine_fixture.h"

static void write_file(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void read_state(const char *path, char **data, size_t *size)
{
    struct file_map map;
    assert_int_equal(file_map(&map, path, NULL), 0);
    *size = map.size;
    *data = malloc(map.size);
    memcpy(*data, map.data, map.size);
    file_unmap(&map);
    unlink(path);
}

/* A GPU that breaks once the file is there; skipped where none is emulated. */
static void emulate_gpu(char broken[32])
{
    if (EMULATED_GPU[0] == '\0') {
        print_message("skipped: no C++ compiler, and so no emulated GPU\n");
        skip();
    }
    strcpy(broken, "/tmp/earshot-broken-XXXXXX");
    int fd = mkstemp(broken);
    assert_true(fd >= 0);
    close(fd);
    unlink(broken);
    setenv("EARSHOT_CUDA_MODULE", EMULATED_GPU, 1);
    setenv("EARSHOT_EMULATION_BROKEN", broken, 1);
    setenv("EARSHOT_CUDA_GRAPHS", "must", 1);
}

static struct seen start_on_gpu(struct config *c, char broken[32])
{
    emulate_gpu(broken);
    strcpy(c->backend, "cuda");
    c->text.sampling.max_tokens = 3;
    struct seen s = start(c, MODEL);
    wait_for(&s, &s.opened, 1);
    assert_non_null(strstr(engine_backend(s.engine), "emulated"));
    return s;
}

static int64_t ask_question(struct seen *s)
{
    return ask_for(s, ENGINE_ASK, false, "who are you");
}

/* The conversation is what it was after the last answer, to the bit. */
static void a_gpu_that_fails_gives_way_to_the_cpu(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    char broken[32], *before, *after;
    size_t before_size, after_size;
    c.muted = true;
    struct seen s = start_on_gpu(&c, broken);
    char saved[] = "/tmp/earshot-state-XXXXXX";
    int fd = mkstemp(saved);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ask_question(&s), 0);
    assert_int_equal(ask_for(&s, ENGINE_SAVE, false, saved), 0);
    read_state(saved, &before, &before_size);
    write_file(broken);
    assert_int_equal(ask_question(&s), -ECANCELED);
    wait_for(&s, &s.loaded, 2);
    assert_int_equal(s.loading, 1);
    assert_memory_equal(engine_backend(s.engine), "cpu", 3);
    assert_int_equal(ask_for(&s, ENGINE_SAVE, false, saved), 0);
    read_state(saved, &after, &after_size);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    assert_int_equal(ask_question(&s), 0);
    assert_int_equal(s.failed, 0);
    stop(&s);
    unlink(broken);
    free(before);
    free(after);
}

static void a_gpu_that_fails_while_somebody_speaks_costs_one_utterance(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    char broken[32];
    struct seen s = start_on_gpu(&c, broken);
    wait_for(&s, &s.started, 1);
    write_file(broken);
    wait_for(&s, &s.loaded, 2);
    wait_for(&s, &s.completed, 1);
    stop(&s);
    unlink(broken);
    assert_int_equal(s.failed, 0);
    assert_int_equal(s.cancelled, 1);
    assert_int_equal(s.started, s.completed + s.cancelled);
}

/* user: the file at which the emulated GPU breaks. */
static void break_gpu(void *user, int percent)
{
    if (percent > 0)
        write_file(user);
}

/* What went wrong with the GPU is told, not what could not be made without it. */
static void a_gpu_that_fails_while_it_loads_is_named(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    struct encoder_options encoder = config_encoder(&c);
    char broken[32];
    struct opened o;
    struct error error = {""};
    emulate_gpu(broken);
    const struct model_watch watch = {break_gpu, broken};
    int rc = model_open(&o, MODEL, "cuda", 1, &encoder, &watch, &error);
    unlink(broken);
    assert_int_equal(rc, -EIO);
    assert_non_null(strstr(error.message, "illegal memory access"));
    rc = model_open(&o, MODEL, "cuda", 1, &encoder, NULL, &error);
    assert_int_equal(rc, 0);
    model_close(&o);
}

static void without_a_fallback_the_engine_fails_and_says_why(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    char broken[32];
    c.muted = true;
    c.fallback = false;
    struct seen s = start_on_gpu(&c, broken);
    write_file(broken);
    assert_int_equal(ask_question(&s), -ECANCELED);
    wait_for(&s, &s.failed, 1);
    assert_non_null(strstr(s.why.message, "cuda:0"));
    assert_non_null(strstr(s.why.message, "illegal"));
    stop(&s);
    unlink(broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_that_fails_gives_way_to_the_cpu),
        cmocka_unit_test(a_gpu_that_fails_while_somebody_speaks_costs_one_utterance),
        cmocka_unit_test(a_gpu_that_fails_while_it_loads_is_named),
        cmocka_unit_test(without_a_fallback_the_engine_fails_and_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
