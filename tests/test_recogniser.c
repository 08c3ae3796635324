/* One hearing to text with a tiny random model: what it says means nothing, but it must be the
 * same for every split of the samples, and the events must come in their order. */
#include "pipeline/decode.h"
#include "tests/support/recogniser_fixture.h"

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

static void a_reply_that_is_dropped_is_completed_as_far_as_it_is(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 0, true);
    static char whole[EVENT_TEXT_MAX];
    utter(r, f, 40000, 800);
    strcpy(whole, f->log.events[f->log.count - 1].text);
    f->log.count = 0;
    recogniser_begin(r, 7, 0);
    recogniser_push(r, f->speech, 40000);
    recogniser_end(r, 1);
    for (int i = 0; i < 5; i++)
        assert_true(recogniser_go_on(r));
    recogniser_cancel(r);
    assert_false(recogniser_is_making(r) || recogniser_go_on(r));
    const struct event *last = &f->log.events[f->log.count - 1];
    assert_int_equal(last->type, EVENT_REPLY_COMPLETED);
    assert_true(last->size > 0 && last->size < strlen(whole));
    assert_memory_equal(last->text, whole, last->size);
    recogniser_destroy(r);
}

static const struct backend_ops *sound_ops;
static bool failed;

static int status_of_failed(const struct backend *be, struct error *error)
{
    return failed ? -EIO : sound_ops->status(be, error);
}

static void fail_at_argmax(struct backend *be, uint32_t *best, const float *x, size_t rows,
                           size_t count)
{
    sound_ops->argmax(be, best, x, rows, count);
    failed = true;
}

/* A GPU tells of what went wrong when it is waited for. */
static void what_a_failed_backend_chooses_is_not_told(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 0, true);
    struct backend_ops failing = *f->backend->ops;
    static struct event last;
    recogniser_begin(r, 7, 0);
    recogniser_push(r, f->speech, 40000);
    recogniser_end(r, 1);
    for (int i = 0; i < 5; i++)
        assert_true(recogniser_go_on(r));
    last = f->log.events[f->log.count - 1];
    assert_int_equal(last.type, EVENT_REPLY_UPDATED);
    sound_ops = f->backend->ops;
    failing.status = status_of_failed;
    failing.argmax = fail_at_argmax;
    f->backend->ops = &failing;
    f->log.count = 0;
    while (recogniser_go_on(r))
        ;
    f->backend->ops = sound_ops;
    assert_int_equal(f->log.count, 1);
    assert_int_equal(f->log.events[0].type, EVENT_REPLY_COMPLETED);
    assert_string_equal(f->log.events[0].text, last.text);
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

/* The most phones that 300 ms of the speech have for this model, by its own head. */
static float most_phones(struct fixture *f, size_t samples)
{
    float recent[15] = {0}, most = 0.0f;
    size_t at = 0;
    struct features *features;
    struct features_rows rows;
    assert_int_equal(features_create(&features, f->hearing, NULL), 0);
    for (size_t i = 0; i < samples + FEATURES_BLOCK; i += FEATURES_BLOCK) {
        size_t left = i < samples ? samples - i : 0;
        if (left > 0)
            features_push(features, f->speech + i, left < FEATURES_BLOCK ? left : FEATURES_BLOCK,
                          &rows);
        else
            features_end(features, &rows);
        assert_true(rows.encoder_count == 0 || rows.phones);
        for (size_t j = 0; j < rows.encoder_count; j++) {
            float sum = 0.0f;
            recent[at++ % 15] = rows.phones[j];
            for (size_t k = 0; k < 15; k++)
                sum += recent[k];
            most = sum > most ? sum : most;
        }
    }
    features_destroy(features);
    return most;
}

static void what_has_too_few_phones_is_not_told(void **state)
{
    struct fixture *f = *state;
    float most = most_phones(f, 40000);
    printf("at most %.3f phones in 300 ms\n", (double)most);
    assert_true(most > 0.0f && most < 15.0f);

    struct recogniser *r = create_wary(f, 240, true, most + 1.2f, 1.0f);
    utter(r, f, 40000, 800);
    assert_int_equal(f->log.count, 0);
    recogniser_begin(r, 8, 0);
    recogniser_push(r, f->speech, 20000);
    assert_false(recogniser_is_hearing(r));
    recogniser_cancel(r);
    assert_int_equal(f->log.count, 0);
    recogniser_destroy(r);
}

static void what_has_enough_phones_is_told_when_it_has(void **state)
{
    struct fixture *f = *state;
    static char want[EVENT_TEXT_MAX];
    struct recogniser *r = create(f, 0, false);
    utter(r, f, 40000, 800);
    strcpy(want, f->log.events[1].text);
    recogniser_destroy(r);

    r = create_wary(f, 0, false, most_phones(f, 40000) * 0.999f, 0.0f);
    recogniser_begin(r, 8, 0);
    assert_int_equal(f->log.count, 0);
    recogniser_push(r, f->speech, 40000);
    assert_int_equal(f->log.count, 1);
    recogniser_end(r, 0);
    assert_int_equal(f->log.count, 2);
    assert_int_equal(f->log.events[0].type, EVENT_UTTERANCE_STARTED);
    assert_string_equal(f->log.events[1].text, want);
    recogniser_destroy(r);
}

static bool is_told(struct recogniser *r, struct fixture *f, float speech)
{
    recogniser_begin(r, 8, 0);
    recogniser_detect(r, speech);
    recogniser_push(r, f->speech, 40000);
    bool told = recogniser_is_hearing(r);
    recogniser_cancel(r);
    return told;
}

static void the_detector_makes_up_for_phones(void **state)
{
    struct fixture *f = *state;
    float most = most_phones(f, 40000);
    struct recogniser *r = create_wary(f, 0, false, most + 1.0f, 0.0f);
    assert_false(is_told(r, f, 0.5f));
    assert_false(is_told(r, f, 0.8f));
    assert_true(is_told(r, f, 0.99f));
    recogniser_destroy(r);

    r = create_wary(f, 0, false, most - 0.5f, 0.0f);
    assert_true(is_told(r, f, 0.5f));
    assert_false(is_told(r, f, 0.1f));
    recogniser_destroy(r);
}

static float sure(struct backend *be, const float *x, size_t count, size_t index)
{
    (void)be;
    (void)x;
    (void)count;
    (void)index;
    return 1.0f;
}

static void what_has_sure_words_is_told_at_its_end(void **state)
{
    struct fixture *f = *state;
    const struct backend_ops *ops = f->backend->ops;
    struct backend_ops sure_ops = *ops;
    struct recogniser *r = create_wary(f, 240, false, most_phones(f, 40000) + 0.5f, 0.0f);
    utter(r, f, 40000, 800);
    assert_int_equal(f->log.count, 0);
    sure_ops.probability = sure;
    f->backend->ops = &sure_ops;
    recogniser_begin(r, 8, 0);
    recogniser_push(r, f->speech, 40000);
    assert_int_equal(f->log.count, 0);
    recogniser_end(r, 0);
    assert_int_equal(f->log.count, 2);
    assert_int_equal(f->log.events[0].type, EVENT_UTTERANCE_STARTED);
    assert_int_equal(f->log.events[0].size, 0);
    assert_int_equal(f->log.events[1].type, EVENT_UTTERANCE_COMPLETED);
    assert_true(f->log.events[1].size > 0);
    f->backend->ops = ops;
    recogniser_destroy(r);
}

static void what_is_held_is_told_at_once(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create_wary(f, 0, false, 15.0f, 1.0f);
    recogniser_hold(r);
    assert_int_equal(f->log.count, 0);
    recogniser_begin(r, 8, 0);
    assert_false(recogniser_is_hearing(r));
    recogniser_hold(r);
    recogniser_hold(r);
    assert_true(recogniser_is_hearing(r));
    assert_int_equal(f->log.count, 1);
    recogniser_end(r, 0);
    assert_int_equal(f->log.count, 2);
    assert_int_equal(f->log.events[1].type, EVENT_UTTERANCE_COMPLETED);
    recogniser_destroy(r);
}

static void ask_answers_and_refuses_what_is_too_long(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 0, true);
    char first[EVENT_TEXT_MAX], again[EVENT_TEXT_MAX];
    int n = ask(r, "who are you", NULL, first);
    assert_true(n >= 0);
    assert_int_equal(strlen(first), n);
    assert_int_equal(ask(r, "who are you", NULL, again), n);
    assert_string_equal(first, again);
    static char huge[100000];
    memset(huge, 'x', sizeof(huge) - 1);
    assert_int_equal(ask(r, huge, NULL, again), -E2BIG);
    f->log.cancel_after = 0;
    assert_int_equal(ask(r, "x", NULL, again), -ECANCELED);
    f->log.cancel_after = -1;
    recogniser_destroy(r);
}

static void replies_are_drawn_and_captions_are_not(void **state)
{
    struct fixture *f = *state;
    static struct log first, again, other, greedy;
    struct log *const logs[] = {&first, &again, &other, &greedy};
    static const uint64_t seeds[] = {4, 4, 5, 0};
    for (size_t i = 0; i < 4; i++) {
        struct recogniser_config config = {
            .reply = true,
            .sampling = {.temperature = i < 3 ? 1.5f : 0.0f, .top_p = 1.0f, .seed = seeds[i]},
            .sink = on_event,
            .user = &f->log};
        struct recogniser *r;
        struct error error;
        assert_int_equal(recogniser_create(&r, f->hearing, &config, &error), 0);
        f->log.count = 0;
        utter(r, f, 40000, 800);
        *logs[i] = f->log;
        recogniser_destroy(r);
        assert_string_equal(logs[i]->events[1].text, first.events[1].text);
    }
    const char *text = first.events[first.count - 1].text;
    assert_string_equal(again.events[again.count - 1].text, text);
    assert_string_not_equal(other.events[other.count - 1].text, text);
    assert_string_not_equal(greedy.events[greedy.count - 1].text, text);
}

static void a_question_has_its_own_sampling(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 0, true);
    char greedy[EVENT_TEXT_MAX], drawn[EVENT_TEXT_MAX], again[EVENT_TEXT_MAX];
    const struct sampler_config hot = {.temperature = 2.0f, .top_p = 1.0f, .seed = 9};
    const struct sampler_config short_text = {.max_tokens = 3};
    ask(r, "x", NULL, greedy);
    ask(r, "x", &hot, drawn);
    ask(r, "x", &hot, again);
    assert_string_not_equal(greedy, drawn);
    assert_string_equal(drawn, again);
    uint64_t before = recogniser_stats(r).tokens;
    ask(r, "x", &short_text, again);
    assert_int_equal(recogniser_stats(r).tokens - before, 3);
    recogniser_destroy(r);
}

static void tokens_that_come_three_times_are_a_circle(void **state)
{
    (void)state;
    static const struct {
        const char *tokens; /* an id each */
        bool circles;
    } cases[] = {
        {"", false},
        {"aaaaaaaaaaa", false}, /* of one: "ha ha ha" */
        {"aaaaaaaaaaaa", true},
        {"xabcdabcdabcd", true},
        {"xabcdabcdabc", false},
        {"abcdabcdabcde", false},
        {"abcabcabcabc", false}, /* of three */
        {"abcdefgabcdefgabcdefg", true},
        {"abcdefgabcdefgabcdefh", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t ids[32];
        struct decode d = {.ids = ids, .tokens = strlen(cases[i].tokens)};
        for (size_t n = 0; n < d.tokens; n++)
            ids[n] = (uint32_t)cases[i].tokens[n];
        if (decode_circles(&d) != cases[i].circles)
            fail_msg("%s", cases[i].tokens);
    }
}

/* A token that was said is likelier than before: soon no other is. */
/* This model does so soon after a "v", and here it cannot stop. */
static void an_answer_that_goes_in_circles_ends(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 0, true);
    size_t stops = f->model->decoding.stop_count;
    char answer[EVENT_TEXT_MAX];
    const struct sampler_config endless = {.max_tokens = 1000};
    const struct sampler_config fond = {
        .frequency_penalty = -5.0f, .penalty_decay = 1.0f, .max_tokens = 1000};
    f->model->decoding.stop_count = 0;
    ask(r, "v", &endless, answer);
    uint64_t ended = recogniser_stats(r).tokens;
    printf("%llu tokens\n", (unsigned long long)ended);
    assert_in_range(ended, 12, 999);
    ask(r, "v", &fond, answer); /* who is asked to repeat itself may */
    assert_int_equal(recogniser_stats(r).tokens - ended, 1000);
    f->model->decoding.stop_count = stops;
    recogniser_destroy(r);
}

static void a_text_ends_where_no_more_fits(void **state)
{
    struct fixture *f = *state;
    struct model *m = change_model(f);
    struct recogniser *r = create(f, 0, true);
    char answer[EVENT_TEXT_MAX];
    const struct sampler_config endless = {
        .temperature = 3.0f, .top_p = 1.0f, .seed = 4, .max_tokens = 65536};
    m->decoding.stop_count = 0;
    uint64_t before = recogniser_stats(r).tokens;
    assert_true(ask(r, "x", &endless, answer) > EVENT_TEXT_MAX / 2);
    uint64_t made = recogniser_stats(r).tokens - before;
    printf("%zu bytes of %llu tokens\n", strlen(answer), (unsigned long long)made);
    assert_true(made < 2 * EVENT_TEXT_MAX);
    recogniser_destroy(r);
    restore_model(f);
}

/* Most tokens of the tiny model are single bytes, and hot it says them in any order. */
static void check_text(const char *text)
{
    char whole[EVENT_TEXT_MAX];
    struct text x;
    text_init(&x, whole, sizeof(whole));
    text_append(&x, text, strlen(text));
    assert_string_equal(whole, text);
    assert_int_equal(x.tail_size, 0);
    text_trim(&x); /* nor begins or ends with white space */
    assert_string_equal(whole, text);
}

static void no_event_holds_half_a_character(void **state)
{
    struct fixture *f = *state;
    struct model *m = change_model(f);
    size_t characters = 0;
    m->decoding.max_tokens = 200;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct recogniser_config config = {
            .reply = true,
            .sampling = {.temperature = 3.0f, .top_p = 1.0f, .seed = seed},
            .sink = on_event,
            .user = &f->log};
        struct recogniser *r;
        struct error error;
        assert_int_equal(recogniser_create(&r, f->hearing, &config, &error), 0);
        f->log.count = 0;
        utter(r, f, 40000, 800);
        for (size_t i = 0; i < f->log.count; i++)
            check_text(f->log.events[i].text);
        for (const char *p = f->log.events[f->log.count - 1].text; *p; p++)
            characters += (*p & 0xe0) == 0xc0;
        recogniser_destroy(r);
    }
    printf("%zu characters of two bytes\n", characters);
    assert_true(characters > 0);
    restore_model(f);
}

/* One hears the speech, the other its second half: as each does alone. */
static void two_at_once_hear_what_each_hears_alone(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 40000, CHUNK = 800 };
    static struct log alone[2], together[2];
    const float *heard[2] = {f->speech, f->speech + f->samples / 2};
    struct recogniser *r[2];
    struct recogniser_config config = {.partial_ms = 240, .reply = true, .sink = on_event};
    for (int i = 0; i < 2; i++) {
        struct log *log = &alone[i];
        *log = together[i] = (struct log){.cancel_after = -1, .finals_only = true};
        config.user = log;
        assert_int_equal(recogniser_create(&r[i], f->hearing, &config, NULL), 0);
        recogniser_begin(r[i], 7, 0);
        recogniser_push(r[i], heard[i], COUNT);
        finish(r[i], COUNT * 1000 / 16);
        recogniser_destroy(r[i]);
    }
    for (int i = 0; i < 2; i++) {
        config.user = &together[i];
        assert_int_equal(recogniser_create(&r[i], f->hearing, &config, NULL), 0);
        recogniser_begin(r[i], 7, 0);
    }
    for (size_t at = 0; at < COUNT; at += CHUNK)
        for (int i = 0; i < 2; i++)
            recogniser_push(r[i], heard[i] + at, CHUNK);
    for (int i = 0; i < 2; i++)
        recogniser_end(r[i], COUNT * 1000 / 16);
    assert_true(recogniser_is_making(r[0]) && recogniser_is_making(r[1]));
    for (bool first = true, second = true; first || second;) { /* replies, a token in turn */
        first = recogniser_go_on(r[0]);
        second = recogniser_go_on(r[1]);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(together[i].count, alone[i].count);
        for (size_t j = 0; j < alone[i].count; j++)
            assert_string_equal(together[i].events[j].text, alone[i].events[j].text);
        recogniser_destroy(r[i]);
    }
}

/* A second ear is a second state: it costs memory and binds nothing of the model. */
static void an_ear_binds_no_weight(void **state)
{
    struct fixture *f = *state;
    const struct backend_ops *ops = f->backend->ops;
    struct backend_ops without = *ops;
    struct recogniser_config config = {.reply = true};
    struct recogniser *r[3];
    without.weight_create = NULL;
    f->backend->ops = &without;
    for (int i = 0; i < 3; i++)
        assert_int_equal(recogniser_create(&r[i], f->hearing, &config, NULL), 0);
    for (int i = 0; i < 3; i++)
        recogniser_destroy(r[i]);
    f->backend->ops = ops;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_same_texts),
        cmocka_unit_test(events_come_in_their_order),
        cmocka_unit_test(partial_results_do_not_change_the_final_text),
        cmocka_unit_test(cancel_drops_the_utterance_once),
        cmocka_unit_test(a_cancelled_reply_ends_within_a_token),
        cmocka_unit_test(a_reply_that_is_dropped_is_completed_as_far_as_it_is),
        cmocka_unit_test(what_a_failed_backend_chooses_is_not_told),
        cmocka_unit_test(nothing_said_gives_an_empty_text),
        cmocka_unit_test(what_has_too_few_phones_is_not_told),
        cmocka_unit_test(what_has_enough_phones_is_told_when_it_has),
        cmocka_unit_test(the_detector_makes_up_for_phones),
        cmocka_unit_test(what_has_sure_words_is_told_at_its_end),
        cmocka_unit_test(what_is_held_is_told_at_once),
        cmocka_unit_test(ask_answers_and_refuses_what_is_too_long),
        cmocka_unit_test(replies_are_drawn_and_captions_are_not),
        cmocka_unit_test(a_question_has_its_own_sampling),
        cmocka_unit_test(tokens_that_come_three_times_are_a_circle),
        cmocka_unit_test(an_answer_that_goes_in_circles_ends),
        cmocka_unit_test(a_text_ends_where_no_more_fits),
        cmocka_unit_test(no_event_holds_half_a_character),
        cmocka_unit_test(two_at_once_hear_what_each_hears_alone),
        cmocka_unit_test(an_ear_binds_no_weight),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
