/* The engine with its real threads: a sound file goes in, utterances come out; requests are
 * answered in every state; it ends when it is told to. Also what the thread sanitizer looks at.
 */
#include "base/file.h"
#include "base/log.h"
#include "daemon/engine.h"
#include "model/open.h"
#include "tests/support/test.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MODEL "tests/golden/tiny.gguf"
#define SPEECH "tests/data/orders.opus"

enum {
    PATIENCE_MS = 60000,
};

struct seen {
    struct engine *engine;
    struct ear *ear;
    struct engine_message last;
    int loading, loaded, opened, closed, started, completed, cancelled, updated, results, stopped,
        lost, quiet, failed;
    uint64_t open, last_id; /* 0: none */
    int64_t last_end_us, progress;
    uint64_t shut, released; /* numbers */
    unsigned shut_value;
    enum engine_source source;
    struct error why; /* it failed */
};

static struct config config_for(const char *source)
{
    struct config c;
    config_init(&c);
    snprintf(c.source, sizeof c.source, "%s", source);
    c.threads = 1;
    log_set_level(LOG_LEVEL_ERROR);
    return c;
}

static void take_event(struct seen *s, const struct event *e)
{
    switch (e->type) {
    case EVENT_UTTERANCE_STARTED:
        assert_int_equal(s->open, 0);
        assert_true(e->id > s->last_id);
        assert_true(e->start_us >= s->last_end_us);
        s->open = s->last_id = e->id;
        s->started++;
        break;
    case EVENT_UTTERANCE_UPDATED:
        assert_int_equal(e->id, s->open);
        s->updated++;
        break;
    case EVENT_UTTERANCE_COMPLETED:
        assert_int_equal(e->id, s->open);
        assert_true(e->end_us > e->start_us);
        s->last_end_us = e->end_us;
        s->open = 0;
        s->completed++;
        break;
    case EVENT_UTTERANCE_CANCELLED:
        assert_int_equal(e->id, s->open);
        s->open = 0;
        s->cancelled++;
        break;
    case EVENT_REPLY_UPDATED:
    case EVENT_REPLY_COMPLETED:
        break;
    }
}

static void take(struct seen *s)
{
    switch (s->last.type) {
    case ENGINE_LOADING:
        s->progress = 0;
        s->loading++;
        break;
    case ENGINE_PROGRESS:
        assert_true(s->last.value > s->progress && s->last.value <= 100);
        s->progress = s->last.value;
        break;
    case ENGINE_BACKEND:
        break;
    case ENGINE_LOADED:
        s->loaded++;
        break;
    case ENGINE_FAILED:
        error_set(&s->why, 0, "%.200s", s->last.event.text);
        s->failed++;
        break;
    case ENGINE_OPENED:
        s->opened++;
        break;
    case ENGINE_CLOSED:
        s->closed++;
        break;
    case ENGINE_EVENT:
        take_event(s, &s->last.event);
        break;
    case ENGINE_BUSY:
        break;
    case ENGINE_RESULT:
        s->results++;
        break;
    case ENGINE_SOURCE:
        s->source = (enum engine_source)s->last.value;
        break;
    case ENGINE_LOST:
        s->lost++;
        break;
    case ENGINE_QUIET:
        assert_int_equal(s->open, 0);
        s->quiet++;
        break;
    case ENGINE_SHUT:
        s->shut = s->last.number;
        s->shut_value = (unsigned)s->last.value;
        s->results++;
        break;
    case ENGINE_CANCELLED:
    case ENGINE_CONFIGURED:
        s->results++;
        break;
    case ENGINE_RELEASED:
        s->released = s->last.number;
        break;
    case ENGINE_STOPPED:
        s->stopped++;
        break;
    }
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes messages until *counter is at least wanted. */
static void wait_for(struct seen *s, const int *counter, int wanted)
{
    int64_t limit = now_ms() + PATIENCE_MS;
    while (*counter < wanted) {
        assert_true(now_ms() < limit);
        struct pollfd p = {engine_fd(s->engine), POLLIN, 0};
        uint64_t count;
        if (poll(&p, 1, 100) > 0)
            assert_int_equal(read(p.fd, &count, sizeof count), (ssize_t)sizeof count);
        while (*counter < wanted && engine_poll(s->engine, &s->last))
            take(s);
    }
}

static int open_ear(struct seen *s, const struct config *c, struct error *error)
{
    struct source *source;
    struct ear_options options = {.config = c, .pieces = 512};
    int rc = source_create(&source, c->source, c->buffer_ms, error);
    return rc ? rc : ear_create(&s->ear, s->engine, source, &options, error);
}

static struct seen start(const struct config *c, const char *model)
{
    struct seen s = {0};
    struct error error = {""};
    int rc = engine_create(&s.engine, c, model, &error);
    if (!rc)
        rc = open_ear(&s, c, &error);
    assert_string_equal(error.message, "");
    assert_int_equal(rc, 0);
    return s;
}

static uint64_t number; /* of requests */

/* The result's value; its text stays in s->last. */
static int64_t ask_for(struct seen *s, enum engine_request_type type, bool flag, const char *text)
{
    struct engine_request r = {.type = type, .number = ++number, .flag = flag};
    snprintf(r.text, sizeof r.text, "%s", text);
    assert_int_equal(ear_request(s->ear, &r), 0);
    wait_for(s, &s->results, s->results + 1);
    assert_int_equal(s->last.number, number);
    return s->last.value;
}

static void wait_for_source(struct seen *s, enum engine_source source)
{
    int64_t limit = now_ms() + PATIENCE_MS;
    while (s->source != source) {
        assert_true(now_ms() < limit);
        if (engine_poll(s->engine, &s->last))
            take(s);
        else
            usleep(1000);
    }
}

static void shut(struct seen *s, unsigned what)
{
    ear_shut(s->ear, what, ++number);
    wait_for(s, &s->results, s->results + 1);
    assert_int_equal(s->shut, number);
    assert_int_equal(s->shut_value, what);
}

static void cancel(struct seen *s)
{
    ear_cancel(s->ear, ++number);
    wait_for(s, &s->results, s->results + 1);
    assert_int_equal(s->last.type, ENGINE_CANCELLED);
    assert_int_equal(s->last.number, number);
}

static void stop(struct seen *s)
{
    int64_t begin = now_ms();
    engine_stop(s->engine);
    wait_for(s, &s->stopped, 1);
    engine_destroy(s->engine);
    printf("stopped in %lld ms\n", (long long)(now_ms() - begin));
}

static void a_file_becomes_utterances(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH ":fast");
    struct seen s = start(&c, MODEL);
    wait_for(&s, &s.completed, 2);
    assert_int_equal(s.loaded, 1);
    assert_true(s.progress >= 50); /* all but what is read twice or not at all */
    assert_int_equal(s.lost, 0);
    assert_true(s.updated > 0);
    stop(&s);
    assert_int_equal(s.started, s.completed + s.cancelled);
}

static void two_runs_hear_the_same(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH ":fast");
    char text[2][EVENT_TEXT_MAX];
    int64_t end_us[2];
    for (int run = 0; run < 2; run++) {
        struct seen s = start(&c, MODEL);
        wait_for(&s, &s.completed, 1);
        strcpy(text[run], s.last.event.text);
        end_us[run] = s.last.event.end_us;
        stop(&s);
    }
    assert_string_equal(text[0], text[1]);
    assert_int_equal(end_us[0], end_us[1]);
}

static void stopping_ends_what_is_open(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    struct seen s = start(&c, MODEL);
    wait_for(&s, &s.started, 1);
    stop(&s);
    assert_int_equal(s.open, 0);
    assert_int_equal(s.completed, 1);
}

static void abort_gives_up_at_once(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH ":fast");
    struct seen s = start(&c, MODEL);
    wait_for(&s, &s.started, 1);
    int64_t begin = now_ms();
    engine_destroy(s.engine);
    assert_true(now_ms() - begin < 1000);
}

static void push_to_talk(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    c.endpoint.begin_threshold = 1.0f;
    c.endpoint.begin_ms = 2000; /* the detector never opens anything */
    struct seen s = start(&c, MODEL);
    wait_for(&s, &s.loaded, 1);
    int64_t id = ask_for(&s, ENGINE_HOLD, false, ""); /* the source may be about to open */
    assert_true(id > 0);
    assert_int_equal(ask_for(&s, ENGINE_HOLD, false, ""), id);
    wait_for(&s, &s.started, 1);
    assert_int_equal(s.last_id, id);
    usleep(300000);
    assert_int_equal(ask_for(&s, ENGINE_FINISH, false, ""), 0);
    wait_for(&s, &s.completed, 1);
    assert_true(ask_for(&s, ENGINE_HOLD, false, "") > id);
    cancel(&s);
    wait_for(&s, &s.cancelled, 1);
    stop(&s);
}

static void muting_closes_the_source(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    struct seen s = start(&c, MODEL);
    wait_for(&s, &s.started, 1);
    assert_int_equal(s.source, ENGINE_SOURCE_OPEN);
    shut(&s, EAR_MUTED);
    wait_for_source(&s, ENGINE_SOURCE_CLOSED);
    assert_int_equal(ask_for(&s, ENGINE_HOLD, false, ""), -ENODEV);
    wait_for(&s, &s.completed, 1); /* what was open ended with it */
    shut(&s, 0);
    assert_int_equal(s.source, ENGINE_SOURCE_OPEN);
    wait_for(&s, &s.completed, 2);
    stop(&s);
}

/* Requests fill their queue, and what a fast file holds that of its pieces. */
static void muting_does_not_wait(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH ":fast");
    struct seen s = start(&c, MODEL);
    wait_for(&s, &s.started, 1);
    struct engine_request request = {.type = ENGINE_FINISH, .number = ++number};
    for (int round = 0; round < 20; round++) {
        while (ear_request(s.ear, &request) == 0)
            ;
        ear_shut(s.ear, round % 2 ? 0 : EAR_PAUSED, ++number);
        int64_t begin = now_ms();
        while (s.shut != number) {
            assert_true(now_ms() < begin + PATIENCE_MS);
            ear_request(s.ear, &request);
            if (engine_poll(s.engine, &s.last))
                take(&s);
        }
        assert_int_equal(s.shut_value, round % 2 ? 0 : EAR_PAUSED);
    }
    stop(&s);
}

/* Whoever waits for quiet misses nothing of what was being said. */
static void pausing_tells_when_all_is_text(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    struct seen s = start(&c, MODEL);
    wait_for(&s, &s.started, 1);
    shut(&s, EAR_PAUSED);
    wait_for(&s, &s.quiet, 1);
    assert_int_equal(s.completed, 1);
    shut(&s, EAR_PAUSED | EAR_MUTED);
    wait_for(&s, &s.quiet, 2);
    shut(&s, EAR_MUTED);
    wait_for(&s, &s.quiet, 3);
    stop(&s);
}

static void a_conversation_is_saved_and_restored(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    c.muted = true;
    struct seen s = start(&c, MODEL);
    char path[] = "/tmp/earshot-state-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ask_for(&s, ENGINE_SAVE, false, path), 0);
    assert_int_equal(ask_for(&s, ENGINE_RESTORE, false, path), 0);
    assert_int_equal(truncate(path, 100), 0);
    assert_true(ask_for(&s, ENGINE_RESTORE, false, path) < 0);
    assert_non_null(strstr(s.last.event.text, path));
    assert_true(ask_for(&s, ENGINE_RESTORE, false, "/nonexistent") < 0);
    assert_int_equal(ask_for(&s, ENGINE_RESET, false, ""), 0);
    unlink(path);
    stop(&s);
}

static void a_bad_model_is_named(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    struct seen s = start(&c, "/nonexistent.gguf");
    wait_for(&s, &s.failed, 1);
    assert_non_null(strstr(s.last.event.text, "/nonexistent.gguf"));
    stop(&s);
}

static void a_bad_source_is_named(void **state)
{
    (void)state;
    struct seen s = {0};
    struct error error;
    struct config c = config_for("file:/nonexistent.wav");
    assert_int_equal(engine_create(&s.engine, &c, MODEL, &error), 0);
    assert_int_not_equal(open_ear(&s, &c, &error), 0);
    assert_non_null(strstr(error.message, "/nonexistent.wav"));
    c = config_for("microphone");
    assert_int_not_equal(open_ear(&s, &c, &error), 0);
    assert_non_null(strstr(error.message, "microphone"));
    stop(&s);
}

/* Ears that hear the same at once hear what one hears alone; each closes by itself. */
static void many_ears_share_a_model(void **state)
{
    (void)state;
    enum { EARS = 4 };
    struct config c = config_for("file:" SPEECH ":fast");
    struct seen s = start(&c, MODEL);
    wait_for(&s, &s.completed, 2);
    char want[EVENT_TEXT_MAX];
    strcpy(want, s.last.event.text);
    struct ear *ears[EARS];
    struct error error;
    for (int i = 0; i < EARS; i++) {
        struct source *source;
        struct ear_options options = {.config = &c, .pieces = 4, .user = &ears[i]};
        assert_int_equal(source_create(&source, c.source, 1000, &error), 0);
        assert_int_equal(ear_create(&ears[i], s.engine, source, &options, &error), 0);
    }
    int completed[EARS] = {0}, closed = 0;
    int64_t limit = now_ms() + PATIENCE_MS;
    while (closed < EARS) {
        assert_true(now_ms() < limit);
        if (!engine_poll(s.engine, &s.last)) {
            usleep(1000);
            continue;
        }
        struct ear **ear = s.last.user;
        if (!ear)
            continue;
        if (s.last.type == ENGINE_CLOSED) {
            ear_destroy(*ear);
            closed++;
        }
        if (s.last.type != ENGINE_EVENT || s.last.event.type != EVENT_UTTERANCE_COMPLETED)
            continue;
        if (++completed[ear - ears] == 2) {
            assert_string_equal(s.last.event.text, want);
            ear_abort(*ear);
        }
    }
    for (int i = 0; i < EARS; i++)
        assert_true(completed[i] >= 2);
    stop(&s);
}

/* Answers are made a token at a time: texts of others do not wait for them. */
static void texts_come_while_another_ear_answers(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH ":fast"), muted = c;
    muted.muted = true;
    struct seen s = start(&muted, MODEL), other = {.engine = s.engine};
    struct error error;
    wait_for(&s, &s.loaded, 1);
    struct engine_request question = {.type = ENGINE_ASK, .number = 1, .text = "go on"};
    question.sampling = (struct sampler_config){
        .frequency_penalty = -5.0f, .penalty_decay = 1.0f, .max_tokens = 65536}; /* no stop */
    assert_int_equal(ear_request(s.ear, &question), 0);
    assert_int_equal(open_ear(&other, &c, &error), 0);
    wait_for(&other, &other.completed, 2);
    assert_int_equal(other.results, 0); /* all messages are its, whatever ear they are of */
    ear_cancel(s.ear, 2);
    wait_for(&other, &other.results, 1);
    if (other.last.type == ENGINE_CANCELLED)
        wait_for(&other, &other.results, 2);
    assert_int_equal(other.last.value, -ECANCELED);
    stop(&other);
}

static void who_asks_without_end_is_heard(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH ":fast");
    struct seen s = start(&c, MODEL);
    struct engine_request request = {.type = ENGINE_RESET, .number = 1};
    while (s.completed < 2) {
        while (ear_request(s.ear, &request) == 0)
            ;
        wait_for(&s, &s.results, s.results + 1);
    }
    stop(&s);
}

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
    c->reply.max_tokens = 3;
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

static void both_threads_show_that_they_live(void **state)
{
    (void)state;
    struct config c = config_for("file:" SPEECH);
    c.muted = true;
    struct seen s = start(&c, MODEL);
    wait_for(&s, &s.loaded, 1);
    engine_is_alive(s.engine);
    usleep(2200000);
    assert_true(engine_is_alive(s.engine));
    assert_false(engine_is_alive(s.engine)); /* nothing turns in no time */
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_becomes_utterances),
        cmocka_unit_test(two_runs_hear_the_same),
        cmocka_unit_test(stopping_ends_what_is_open),
        cmocka_unit_test(abort_gives_up_at_once),
        cmocka_unit_test(push_to_talk),
        cmocka_unit_test(muting_closes_the_source),
        cmocka_unit_test(muting_does_not_wait),
        cmocka_unit_test(pausing_tells_when_all_is_text),
        cmocka_unit_test(a_conversation_is_saved_and_restored),
        cmocka_unit_test(a_bad_model_is_named),
        cmocka_unit_test(a_bad_source_is_named),
        cmocka_unit_test(many_ears_share_a_model),
        cmocka_unit_test(texts_come_while_another_ear_answers),
        cmocka_unit_test(who_asks_without_end_is_heard),
        cmocka_unit_test(a_gpu_that_fails_gives_way_to_the_cpu),
        cmocka_unit_test(a_gpu_that_fails_while_somebody_speaks_costs_one_utterance),
        cmocka_unit_test(a_gpu_that_fails_while_it_loads_is_named),
        cmocka_unit_test(without_a_fallback_the_engine_fails_and_says_why),
        cmocka_unit_test(both_threads_show_that_they_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
