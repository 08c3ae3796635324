/* What stays of a turn: with a tiny random model, beside the same rows and tokens pushed one by
 * one. */
#include "tests/support/recogniser_fixture.h"

/* What the backbone should have taken in, fed by hand. */
struct reference {
    const struct fixture *f;
    struct state *state;
    float *logits; /* [vocab] */
    struct features *features;
};

static struct reference reference_create(const struct fixture *f)
{
    struct reference x = {.f = f};
    struct error error;
    assert_int_equal(
        state_create(&x.state, f->backend, backbone_state_shape(f->model->backbone), 1), 0);
    x.logits = f->backend->ops->alloc(f->backend, backbone_vocab(f->model->backbone));
    assert_int_equal(features_create(&x.features, f->hearing, &error), 0);
    return x;
}

static void reference_destroy(struct reference *x)
{
    features_destroy(x->features);
    state_destroy(x->state);
    x->f->backend->ops->free(x->f->backend, x->logits);
}

static void take_prompt(struct reference *x, const struct prompt *p)
{
    if (p->count)
        backbone_push_tokens(x->f->hearing->scratch, x->state, 0, p->ids, p->count, x->logits);
}

static void take_words(struct reference *x, const char *text)
{
    uint32_t ids[64];
    size_t count = tokenizer_encode(x->f->model->tokenizer, text, strlen(text), ids, 64);
    assert_true(count <= 64);
    backbone_push_tokens(x->f->hearing->scratch, x->state, 0, ids, count, x->logits);
}

static void take_rows(struct reference *x, const struct features_rows *rows)
{
    if (rows->adapter_count)
        backbone_push_rows(x->f->hearing->scratch, x->state, 0, rows->adapter, rows->adapter_count,
                           NULL);
}

static void take_speech(struct reference *x, size_t samples)
{
    struct features_rows rows;
    features_begin(x->features);
    for (size_t i = 0; i < samples; i += FEATURES_BLOCK) {
        size_t n = samples - i < FEATURES_BLOCK ? samples - i : FEATURES_BLOCK;
        features_push(x->features, x->f->speech + i, n, &rows);
        take_rows(x, &rows);
    }
    while (features_end(x->features, &rows))
        take_rows(x, &rows);
}

/* The likeliest tokens up to the stop token, or max_tokens and a stop token. Returns how many. */
static size_t take_text(struct reference *x)
{
    const struct model *m = x->f->model;
    size_t vocab = backbone_vocab(m->backbone), count = 0;
    bool stopped = false;
    while (!stopped && count < m->decoding.max_tokens) {
        uint32_t id = decoding_greedy(&m->decoding, x->f->backend, x->logits, vocab);
        backbone_push_tokens(x->f->hearing->scratch, x->state, 0, &id, 1, x->logits);
        stopped = decoding_stops(&m->decoding, id);
        count++;
    }
    if (!stopped)
        backbone_push_tokens(x->f->hearing->scratch, x->state, 0, m->decoding.stop, 1, NULL);
    return count;
}

/* The conversation of a recogniser, by way of its file. */
static struct state *conversation_of(const struct recogniser *r, const struct fixture *f)
{
    struct state *s = NULL;
    struct error error = {""};
    char path[] = "/tmp/earshot-test-state-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(state_create(&s, f->backend, backbone_state_shape(f->model->backbone), 1), 0);
    if (recogniser_save(r, path, &error) || state_load(s, f->model->fingerprint, path, &error))
        fail_msg("%s", error.message);
    unlink(path);
    return s;
}

static bool same_state(const struct state *a, const struct state *b)
{
    const struct state_shape *n = &a->shape;
    size_t rows = n->layers * n->dim;
    return a->rows[0] == b->rows[0] && !memcmp(a->att_shift, b->att_shift, rows * sizeof(float)) &&
           !memcmp(a->wkv, b->wkv, rows * n->head_size * sizeof(float)) &&
           !memcmp(a->ffn_shift, b->ffn_shift, rows * sizeof(float));
}

static bool goes_on_from(const struct recogniser *r, const struct reference *x)
{
    struct state *s = conversation_of(r, x->f);
    bool same = same_state(s, x->state);
    printf("%llu rows and tokens against %llu\n", (unsigned long long)s->rows[0],
           (unsigned long long)x->state->rows[0]);
    state_destroy(s);
    return same;
}

/* A stop token that the model does say: the fifth of a caption. */
static void stop_early(struct fixture *f)
{
    struct model *m = f->model;
    struct reference x = reference_create(f);
    uint32_t id = 0;
    take_prompt(&x, &m->audio_begin);
    take_speech(&x, 40000);
    take_prompt(&x, m->caption.count ? &m->caption : &m->reply);
    for (int i = 0; i < 5; i++) {
        id = decoding_greedy(&m->decoding, f->backend, x.logits, backbone_vocab(m->backbone));
        backbone_push_tokens(f->hearing->scratch, x.state, 0, &id, 1, x.logits);
    }
    m->decoding.stop[m->decoding.stop_count++] = id;
    reference_destroy(&x);
}

/* What public checkpoints have: one prompt, in two arrangements. */
static void one_prompt(struct model *m, bool placeholder)
{
    const struct prompt user = {{23, 86, 116}, 3}, assistant = {{24, 23, 66, 59}, 4};
    m->caption.count = 0;
    m->audio_begin = placeholder ? user : (struct prompt){.count = 0};
    m->reply = placeholder ? assistant : (struct prompt){{23, 66, 59}, 3};
    m->ask = assistant;
    m->text_begin = user;
    m->space = false;
}

static void a_model_with_one_prompt_gives_its_text_once(void **state)
{
    struct fixture *f = *state;
    for (int placeholder = 0; placeholder < 2; placeholder++) {
        struct model *m = change_model(f);
        one_prompt(m, placeholder);
        stop_early(f);
        struct recogniser *r = create(f, 0, true);
        utter(r, f, 40000, 800);
        assert_int_equal(f->log.count, 2); /* no reply beside it */
        assert_int_equal(f->log.events[1].type, EVENT_UTTERANCE_COMPLETED);

        struct reference x = reference_create(f);
        take_prompt(&x, &m->audio_begin);
        take_speech(&x, 40000);
        take_prompt(&x, &m->reply);
        assert_int_equal(recogniser_stats(r).tokens, take_text(&x));
        assert_true(goes_on_from(r, &x));
        reference_destroy(&x);
        recogniser_destroy(r);
        restore_model(f);
    }
}

static void a_sum_is_computed(void **state)
{
    struct fixture *f = *state;
    static char answer[EVENT_TEXT_MAX];
    struct recogniser *r = create(f, 0, false);
    static const struct sampler_config wild = {.temperature = 2.0f, .top_p = 1.0f, .seed = 9};
    assert_true(ask(r, "What is seven times eight?", &wild, answer) > 0);
    assert_string_equal(answer, "Fifty-six.");
    assert_true(ask(r, "1 / 4", NULL, answer) > 0);
    assert_string_equal(answer, "Zero point two five.");
    assert_true(ask(r, "what is seven", NULL, answer) >= 0);
    assert_true(strcmp(answer, "Seven.") != 0);
    recogniser_destroy(r);
}

static void a_text_is_asked_as_the_file_says(void **state)
{
    struct fixture *f = *state;
    char reply[EVENT_TEXT_MAX];
    for (int space = 0; space < 2; space++) {
        struct model *m = change_model(f);
        one_prompt(m, true);
        m->space = space;
        struct recogniser *r = create(f, 0, true);
        assert_true(ask(r, "ab cd", NULL, reply) >= 0);
        struct reference x = reference_create(f);
        take_prompt(&x, &m->text_begin);
        take_words(&x, space ? " ab cd" : "ab cd");
        take_prompt(&x, &m->ask);
        take_text(&x);
        assert_true(goes_on_from(r, &x));
        reference_destroy(&x);
        recogniser_destroy(r);
        restore_model(f);
    }
}

/* Hearing, asking and hearing again, against the same sequence by hand. */
static void check_turns(struct fixture *f, bool reply)
{
    struct model *m = change_model(f);
    char answer[EVENT_TEXT_MAX];
    m->audio_begin = (struct prompt){{65, 66}, 2};
    stop_early(f);
    const struct prompt *prompt = reply ? &m->reply : &m->caption;
    struct recogniser *r = create(f, 240, reply);
    struct reference x = reference_create(f);
    utter(r, f, 40000, 800);
    take_prompt(&x, &m->audio_begin);
    take_speech(&x, 40000);
    take_prompt(&x, prompt);
    take_text(&x);
    assert_true(goes_on_from(r, &x));

    assert_true(ask(r, "and then", NULL, answer) >= 0);
    take_prompt(&x, &m->text_begin);
    take_words(&x, " and then");
    take_prompt(&x, &m->reply);
    take_text(&x);
    assert_true(goes_on_from(r, &x));

    utter(r, f, 24000, 160);
    take_prompt(&x, &m->audio_begin);
    take_speech(&x, 24000);
    take_prompt(&x, prompt);
    take_text(&x);
    assert_true(goes_on_from(r, &x));

    recogniser_reset(r);
    state_reset(x.state);
    assert_true(goes_on_from(r, &x));
    reference_destroy(&x);
    recogniser_destroy(r);
    restore_model(f);
}

static void turns_are_one_sequence_of_what_was_heard_and_replied(void **state)
{
    check_turns(*state, true);
}

static void without_replies_the_captions_go_on(void **state)
{
    check_turns(*state, false);
}

static void a_model_that_does_not_carry_forgets(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r = create(f, 0, true);
    struct reference empty = reference_create(f);
    char answer[EVENT_TEXT_MAX];
    utter(r, f, 40000, 800);
    ask(r, "x", NULL, answer);
    assert_true(goes_on_from(r, &empty));
    reference_destroy(&empty);
    recogniser_destroy(r);
}

static void what_is_cancelled_or_empty_leaves_the_conversation(void **state)
{
    struct fixture *f = *state;
    struct model *m = change_model(f);
    struct recogniser *r = create(f, 0, true);
    char answer[EVENT_TEXT_MAX];
    utter(r, f, 40000, 800);
    struct state *before = conversation_of(r, f);

    const long looks[] = {3, (long)m->decoding.max_tokens + 3}; /* in the caption, in the reply */
    for (size_t i = 0; i < 2; i++) {
        f->log.count = 0;
        f->log.cancel_after = looks[i];
        utter(r, f, 40000, 800);
        assert_true(f->log.cancel_after < 0);
    }
    f->log.cancel_after = 3;
    assert_int_equal(ask(r, "x", NULL, answer), -ECANCELED);
    f->log.cancel_after = -1;
    recogniser_begin(r, 8, 0);
    recogniser_push(r, f->speech, 16000);
    recogniser_cancel(r);
    recogniser_begin(r, 9, 0); /* nothing was said */
    recogniser_end(r, 0);

    m->decoding = (struct decoding){.stop_count = 1, .max_tokens = 9}; /* a stop at once */
    struct reference x = reference_create(f);
    state_copy(x.state, before);
    take_prompt(&x, &m->audio_begin);
    take_speech(&x, 40000);
    take_prompt(&x, &m->caption);
    m->decoding.stop[0] =
        decoding_greedy(&m->decoding, f->backend, x.logits, backbone_vocab(m->backbone));
    f->log.count = 0;
    utter(r, f, 40000, 800);
    assert_int_equal(f->log.events[1].size, 0);

    struct state *after = conversation_of(r, f);
    assert_true(same_state(before, after));
    state_destroy(before);
    state_destroy(after);
    reference_destroy(&x);
    recogniser_destroy(r);
    restore_model(f);
}

static void address_nothing(void *user, struct event *caption)
{
    (void)user;
    assert_int_equal(strlen(caption->text), caption->size);
    assert_true(caption->size > 0);
    caption->addressed = false;
}

static void what_is_not_addressed_is_captioned_and_forgotten(void **state)
{
    struct fixture *f = *state;
    change_model(f);
    struct recogniser *r = create(f, 240, true);
    utter(r, f, 40000, 800);
    assert_true(f->log.events[0].type == EVENT_UTTERANCE_STARTED);
    for (size_t i = 0; i < f->log.count; i++)
        if (f->log.events[i].type == EVENT_UTTERANCE_COMPLETED)
            assert_true(f->log.events[i].addressed);
    recogniser_destroy(r);

    struct recogniser_config config = {
        .reply = true, .sink = on_event, .address = address_nothing, .user = &f->log};
    struct error error;
    assert_int_equal(recogniser_create(&r, f->hearing, &config, &error), 0);
    struct state *before = conversation_of(r, f);
    f->log.count = 0;
    utter(r, f, 40000, 800);
    assert_int_equal(f->log.count, 2); /* no reply */
    assert_int_equal(f->log.events[1].type, EVENT_UTTERANCE_COMPLETED);
    assert_false(f->log.events[1].addressed);
    struct state *after = conversation_of(r, f);
    assert_true(same_state(before, after));
    state_destroy(before);
    state_destroy(after);
    recogniser_destroy(r);
    restore_model(f);
}

static void a_conversation_survives_save_and_load(void **state)
{
    struct fixture *f = *state;
    change_model(f);
    struct recogniser *r = create(f, 0, true);
    struct error error;
    char path[] = "/tmp/earshot-test-state-XXXXXX", next[EVENT_TEXT_MAX], same[EVENT_TEXT_MAX];
    static struct log first;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    utter(r, f, 30000, 800);
    assert_int_equal(recogniser_save(r, path, &error), 0);
    f->log.count = 0;
    utter(r, f, 40000, 800);
    first = f->log;
    ask(r, "and then", NULL, next);
    struct state *expected = conversation_of(r, f);
    recogniser_destroy(r);

    r = create(f, 0, true);
    ask(r, "something else", NULL, same);
    assert_int_equal(recogniser_load(r, path, &error), 0);
    utter(r, f, 40000, 800);
    assert_int_equal(f->log.count, first.count);
    for (size_t i = 0; i < first.count; i++)
        assert_string_equal(f->log.events[i].text, first.events[i].text);
    ask(r, "and then", NULL, same);
    assert_string_equal(next, same);
    struct state *got = conversation_of(r, f);
    assert_true(same_state(got, expected));
    state_destroy(got);
    state_destroy(expected);
    recogniser_destroy(r);
    unlink(path);
    restore_model(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_with_one_prompt_gives_its_text_once),
        cmocka_unit_test(a_sum_is_computed),
        cmocka_unit_test(a_text_is_asked_as_the_file_says),
        cmocka_unit_test(turns_are_one_sequence_of_what_was_heard_and_replied),
        cmocka_unit_test(without_replies_the_captions_go_on),
        cmocka_unit_test(a_model_that_does_not_carry_forgets),
        cmocka_unit_test(what_is_cancelled_or_empty_leaves_the_conversation),
        cmocka_unit_test(what_is_not_addressed_is_captioned_and_forgotten),
        cmocka_unit_test(a_conversation_survives_save_and_load),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
