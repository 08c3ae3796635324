/* The engine with its real threads: a sound file goes in, utterances come out; requests are
 * answered in every state; it ends when it is told to. Also what the thread sanitizer looks at. */
#include "tests/support/engine_fixture.h"

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
    const struct source_options how = {.buffer_ms = 1000};
    for (int i = 0; i < EARS; i++) {
        struct source *source;
        struct ear_options options = {.config = &c, .pieces = 4, .user = &ears[i]};
        assert_int_equal(source_create(&source, c.source, &how, &error), 0);
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
        if (!ear) {
            take(&s); /* of the first one, which hears on */
            continue;
        }
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
        cmocka_unit_test(both_threads_show_that_they_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
