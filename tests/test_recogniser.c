/* One hearing to text with a tiny random model: what it says means nothing, but it must be the
 * same for every split of the samples, and the events must come in their order. */
#include "pipeline/recogniser.h"
#include "tests/support/speech.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

enum {
    LOG_MAX = 512,
};

struct log {
    struct event events[LOG_MAX];
    size_t count;
    long cancel_after; /* looks at the flag until it is set; -1: never */
    bool finals_only;  /* leave partial results out: a slow machine has fewer */
};

struct fixture {
    struct backend *backend;
    struct model *model;
    struct log log;
    float *speech;
    size_t samples;
};

static void on_event(void *user, const struct event *e)
{
    struct log *log = user;
    assert_true(log->count < LOG_MAX);
    if (log->finals_only && e->type == EVENT_UTTERANCE_UPDATED)
        return;
    assert_true(e->size < EVENT_TEXT_MAX);
    assert_int_equal(strlen(e->text), e->size);
    log->events[log->count++] = *e;
}

static bool cancelled(void *user)
{
    struct log *log = user;
    return log->cancel_after >= 0 && log->cancel_after-- == 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error;
    assert_int_equal(backend_cpu_create(&f->backend, 1), 0);
    if (model_load(&f->model, "tests/golden/tiny.gguf", f->backend, NULL, &error))
        fail_msg("%s", error.message);
    f->model->decoding.max_tokens = 24;
    f->speech = speech_load(&f->samples);
    f->log.cancel_after = -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    model_destroy(f->model);
    f->backend->ops->destroy(f->backend);
    free(f->speech);
    free(f);
    return 0;
}

static struct recogniser *create(struct fixture *f, int partial_ms, bool reply)
{
    struct recogniser_config config = {.partial_ms = partial_ms,
                                       .reply = reply,
                                       .sink = on_event,
                                       .cancelled = cancelled,
                                       .user = &f->log};
    struct recogniser *r;
    struct error error;
    if (recogniser_create(&r, f->model, &config, &error))
        fail_msg("%s", error.message);
    f->log.count = 0;
    return r;
}

static void utter(struct recogniser *r, const struct fixture *f, size_t samples, size_t chunk)
{
    recogniser_begin(r, 7, 0);
    for (size_t i = 0; i < samples; i += chunk)
        recogniser_push(r, f->speech + i, samples - i < chunk ? samples - i : chunk);
    recogniser_end(r, (int64_t)samples * 1000 / 16);
}

static void any_split_gives_the_same_texts(void **state)
{
    struct fixture *f = *state;
    static const size_t chunks[] = {1, 160, 1000, 48000, 1 << 20};
    static struct log first;
    f->log.finals_only = true;
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct recogniser *r = create(f, 240, true);
        utter(r, f, 40000, chunks[i]);
        recogniser_destroy(r);
        if (i == 0)
            first = f->log;
        assert_int_equal(f->log.count, first.count);
        for (size_t j = 0; j < first.count; j++) {
            assert_int_equal(f->log.events[j].type, first.events[j].type);
            assert_int_equal(f->log.events[j].stable_bytes, first.events[j].stable_bytes);
            assert_string_equal(f->log.events[j].text, first.events[j].text);
        }
    }
    f->log.finals_only = false;
    printf("%zu events, text \"%s\"\n", first.count, first.events[first.count - 1].text);
}

static void events_come_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 240, true);
    utter(r, f, 40000, 800);
    recogniser_destroy(r);
    const struct log *log = &f->log;
    assert_int_equal(log->events[0].type, EVENT_UTTERANCE_STARTED);
    size_t completed = 0, replies = 0;
    uint32_t seq = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct event *e = &log->events[i];
        assert_int_equal(e->id, 7);
        if (e->type == EVENT_UTTERANCE_UPDATED) {
            assert_int_equal(completed, 0);
            assert_int_equal(e->seq, ++seq);
            assert_true(e->stable_bytes <= e->size);
        }
        completed += e->type == EVENT_UTTERANCE_COMPLETED;
        replies += e->type == EVENT_REPLY_COMPLETED;
        if (e->type == EVENT_UTTERANCE_COMPLETED)
            assert_int_equal(e->end_us, 2500000);
    }
    assert_int_equal(completed, 1);
    assert_int_equal(replies, 1);
    assert_true(seq >= 1);
}

static void partial_results_do_not_change_the_final_text(void **state)
{
    struct fixture *f = *state;
    static char without[EVENT_TEXT_MAX];
    struct recogniser *r = create(f, 0, false);
    utter(r, f, 40000, 800);
    recogniser_destroy(r);
    assert_int_equal(f->log.count, 2);
    strcpy(without, f->log.events[1].text);
    r = create(f, 240, false);
    utter(r, f, 40000, 800);
    recogniser_destroy(r);
    assert_string_equal(f->log.events[f->log.count - 1].text, without);
}

static void cancel_drops_the_utterance_once(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 0, true);
    recogniser_begin(r, 9, 0);
    recogniser_push(r, f->speech, 20000);
    recogniser_cancel(r);
    recogniser_cancel(r);
    recogniser_end(r, 1);
    recogniser_push(r, f->speech, 20000);
    assert_int_equal(f->log.count, 2);
    assert_int_equal(f->log.events[1].type, EVENT_UTTERANCE_CANCELLED);
    recogniser_destroy(r);
}

static void a_cancelled_reply_ends_within_a_token(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 0, true);
    utter(r, f, 40000, 800);
    size_t whole = f->log.count;
    const char *caption = f->log.events[1].text;
    assert_true(strlen(caption) > 0);
    f->log.count = 0;
    f->log.cancel_after = (long)f->model->decoding.max_tokens + 2; /* in the reply */
    utter(r, f, 40000, 800);
    f->log.cancel_after = -1;
    assert_true(f->log.count < whole);
    assert_int_equal(f->log.events[f->log.count - 1].type, EVENT_REPLY_COMPLETED);
    recogniser_destroy(r);
}

static void nothing_said_gives_an_empty_text(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 240, true);
    recogniser_begin(r, 3, 0);
    recogniser_end(r, 0);
    assert_int_equal(f->log.count, 2);
    assert_int_equal(f->log.events[1].type, EVENT_UTTERANCE_COMPLETED);
    assert_int_equal(f->log.events[1].size, 0);
    recogniser_destroy(r);
}

static void ask_answers_and_refuses_what_is_too_long(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 0, true);
    char first[EVENT_TEXT_MAX], again[EVENT_TEXT_MAX];
    int n = recogniser_ask(r, "who are you", 11, first, sizeof(first));
    assert_true(n >= 0);
    assert_int_equal(strlen(first), n);
    assert_int_equal(recogniser_ask(r, "who are you", 11, again, sizeof(again)), n);
    assert_string_equal(first, again);
    static char huge[100000];
    memset(huge, 'x', sizeof(huge));
    assert_int_equal(recogniser_ask(r, huge, sizeof(huge), again, sizeof(again)), -E2BIG);
    f->log.cancel_after = 0;
    assert_int_equal(recogniser_ask(r, "x", 1, again, sizeof(again)), -ECANCELED);
    f->log.cancel_after = -1;
    recogniser_destroy(r);
}

static void a_conversation_survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    f->model->carry = true;
    struct recogniser *r = create(f, 0, true);
    struct error error;
    char path[] = "/tmp/earshot-test-state-XXXXXX", next[EVENT_TEXT_MAX], same[EVENT_TEXT_MAX];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    utter(r, f, 30000, 800);
    assert_int_equal(recogniser_save(r, path, &error), 0);
    recogniser_ask(r, "and then", 8, next, sizeof(next));
    recogniser_destroy(r);

    r = create(f, 0, true);
    assert_int_equal(recogniser_load(r, path, &error), 0);
    recogniser_ask(r, "and then", 8, same, sizeof(same));
    assert_string_equal(next, same);
    recogniser_destroy(r);
    unlink(path);
    f->model->carry = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_same_texts),
        cmocka_unit_test(events_come_in_their_order),
        cmocka_unit_test(partial_results_do_not_change_the_final_text),
        cmocka_unit_test(cancel_drops_the_utterance_once),
        cmocka_unit_test(a_cancelled_reply_ends_within_a_token),
        cmocka_unit_test(nothing_said_gives_an_empty_text),
        cmocka_unit_test(ask_answers_and_refuses_what_is_too_long),
        cmocka_unit_test(a_conversation_survives_save_and_load),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
