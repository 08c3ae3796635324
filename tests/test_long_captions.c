/* Aligned captions that become long are several utterances, of which nothing is lost. */
#include "tests/support/aligned_fixture.h"

/* The text that the pieces make. */
static char *text_of(struct fixture *f, const struct stepping *s)
{
    char *text = calloc(s->token_count + 1, 16);
    for (size_t i = 0, at = 0; i < s->token_count; i++) {
        size_t size;
        const char *bytes = tokenizer_bytes(f->model->tokenizer, s->tokens[i].id, &size);
        memcpy(text + at, bytes, size);
        at += size;
    }
    return text;
}

static const char *without_space(const char *text)
{
    return text + strspn(text, " ");
}

/* No word of a long hearing is lost, doubled or late, and the conversation is one. Returns the
 * number of utterances. */
static size_t check_parts(struct fixture *f, const char *whole)
{
    const struct event *started = NULL;
    const struct event *last = NULL;
    size_t parts = 0;
    whole = without_space(whole);
    for (size_t i = 0; i < f->log.count; i++) {
        const struct event *e = &f->log.events[i];
        if (e->type == EVENT_UTTERANCE_STARTED) {
            started = e;
            assert_int_equal(e->continues, parts > 0);
            if (last)
                assert_int_equal(e->start_us, last->end_us);
        }
        if (e->type != EVENT_UTTERANCE_COMPLETED)
            continue;
        assert_int_equal(e->id, started->id);
        assert_int_equal(e->id - 7, e->start_us - 5000000);
        assert_true(!last || e->id > last->id);
        assert_memory_equal(e->text, whole, e->size);
        whole = without_space(whole + e->size);
        for (size_t j = 1; j < e->word_count; j++) {
            assert_true(e->words[j].start_ms >= e->words[j - 1].end_ms);
            assert_true(e->words[j].end_ms >= e->words[j].start_ms);
        }
        assert_true(e->start_us + e->words[e->word_count - 1].end_ms * 1000ll <= e->end_us);
        last = e;
        parts++;
    }
    assert_string_equal(whole, "");
    return parts;
}

static void a_hearing_without_end_is_several_utterances(void **state)
{
    struct fixture *f = *state;
    enum { MINUTES_8 = 64 };
    struct recogniser_config config = plain(f);
    config.partial_ms = 0;
    struct stepping s;
    step_sound(&s, f, MINUTES_8);
    char *whole = text_of(f, &s);
    struct recogniser *r = create(f, &config);
    utter(r, f, MINUTES_8, 1600);
    size_t parts = check_parts(f, whole);
    printf("%zu bytes in %zu utterances\n", strlen(whole), parts);
    assert_true(parts >= 2);
    for (size_t i = 0, n = 0; i < f->log.count; i++) {
        const struct event *e = &f->log.events[i];
        if (e->type == EVENT_UTTERANCE_COMPLETED && ++n < parts)
            assert_true(e->text[e->size - 1] == '.' || e->size > 2048);
    }
    free(whole);

    f->log.count = 0;
    utter(r, f, 1, 1600); /* and after it all is as before */
    assert_string_equal(find(&f->log, EVENT_UTTERANCE_COMPLETED)->text, f->caption);
    recogniser_destroy(r);
    stepping_free(&s);
}

/* The sound twice over, of which nothing is lost. Returns the number of utterances. */
static size_t hear_long(struct fixture *f, int long_ms)
{
    struct recogniser_config config = plain(f);
    config.long_ms = long_ms;
    struct stepping s;
    step_sound(&s, f, 2);
    char *whole = text_of(f, &s);
    struct recogniser *r = create(f, &config);
    utter(r, f, 2, 1600);
    recogniser_destroy(r);
    size_t parts = check_parts(f, whole);
    free(whole);
    stepping_free(&s);
    return parts;
}

static void after_some_seconds_a_sentence_is_an_utterance(void **state)
{
    struct fixture *f = *state;
    assert_true(hear_long(f, 2000) >= 3);
    const struct event *before = NULL;
    for (size_t i = 0; i < f->log.count; i++) {
        const struct event *e = &f->log.events[i];
        if (e->type != EVENT_UTTERANCE_COMPLETED)
            continue;
        if (before) {
            assert_int_equal(before->text[before->size - 1], '.');
            assert_true(e->start_us + e->words[0].start_ms * 1000ll > before->start_us + 1500000);
        }
        before = e;
    }
    /* The reply is to all of it. */
    const struct event *reply = find(&f->log, EVENT_REPLY_COMPLETED);
    assert_int_equal(reply->id, f->log.events[f->log.count - 1].id);
}

static void after_twice_as_long_a_pause_will_do(void **state)
{
    struct fixture *f = *state;
    size_t parts = hear_long(f, 500), sentences = 1; /* the last one's end is the sound's */
    const struct event *before = NULL;
    for (size_t i = 0; i < f->log.count; i++) {
        const struct event *e = &f->log.events[i];
        if (e->type != EVENT_UTTERANCE_COMPLETED)
            continue;
        int64_t begins_us = e->start_us + e->words[0].start_ms * 1000ll;
        bool sentence = before && before->text[before->size - 1] == '.';
        sentences += sentence;
        assert_true(!before || sentence || begins_us >= before->start_us + 750000);
        before = e;
    }
    printf("%zu utterances, %zu sentences\n", parts, sentences);
    assert_true(sentences < parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hearing_without_end_is_several_utterances),
        cmocka_unit_test(after_some_seconds_a_sentence_is_an_utterance),
        cmocka_unit_test(after_twice_as_long_a_pause_will_do),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
