/* One hearing to text with a tiny random model: what it says means nothing, but it must be the
 * same for every split of the samples, and the events must come in their order. */
#include "pipeline/features.h"
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
    struct hearing *hearing;
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
    if (model_load(&f->model, "tests/golden/tiny.gguf", f->backend, NULL, NULL, &error) ||
        hearing_create(&f->hearing, f->model, &error))
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
    hearing_destroy(f->hearing);
    model_destroy(f->model);
    f->backend->ops->destroy(f->backend);
    free(f->speech);
    free(f);
    return 0;
}

static struct recogniser *create_wary(struct fixture *f, int partial_ms, bool reply,
                                      float min_evidence, float min_confidence)
{
    struct recogniser_config config = {.partial_ms = partial_ms,
                                       .reply = reply,
                                       .min_evidence = min_evidence,
                                       .min_confidence = min_confidence,
                                       .sink = on_event,
                                       .cancelled = cancelled,
                                       .user = &f->log};
    struct recogniser *r;
    struct error error;
    if (recogniser_create(&r, f->hearing, &config, &error))
        fail_msg("%s", error.message);
    f->log.count = 0;
    return r;
}

static struct recogniser *create(struct fixture *f, int partial_ms, bool reply)
{
    return create_wary(f, partial_ms, reply, 0.0f, 0.0f);
}

/* With the whole reply. */
static void finish(struct recogniser *r, int64_t time_us)
{
    recogniser_end(r, time_us);
    while (recogniser_go_on(r))
        ;
}

/* The length of the whole answer, or what recogniser_ask returns, or -ECANCELED. */
static int ask(struct recogniser *r, const char *text, const struct sampler_config *sampling,
               char answer[EVENT_TEXT_MAX])
{
    int rc = recogniser_ask(r, text, strlen(text), sampling);
    if (rc)
        return rc;
    while (recogniser_go_on(r))
        ;
    const char *made = recogniser_answer(r);
    if (!made)
        return -ECANCELED;
    strcpy(answer, made);
    return (int)strlen(answer);
}

static void utter(struct recogniser *r, const struct fixture *f, size_t samples, size_t chunk)
{
    recogniser_begin(r, 7, 0);
    for (size_t i = 0; i < samples; i += chunk)
        recogniser_push(r, f->speech + i, samples - i < chunk ? samples - i : chunk);
    finish(r, (int64_t)samples * 1000 / 16);
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

/* The model as it was before a test changed it. */
static struct model was;

static struct model *change_model(struct fixture *f)
{
    was = *f->model;
    f->model->carry = true;
    return f->model;
}

static void restore_model(struct fixture *f)
{
    *f->model = was;
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
        cmocka_unit_test(nothing_said_gives_an_empty_text),
        cmocka_unit_test(what_has_too_few_phones_is_not_told),
        cmocka_unit_test(what_has_enough_phones_is_told_when_it_has),
        cmocka_unit_test(the_detector_makes_up_for_phones),
        cmocka_unit_test(what_has_sure_words_is_told_at_its_end),
        cmocka_unit_test(what_is_held_is_told_at_once),
        cmocka_unit_test(ask_answers_and_refuses_what_is_too_long),
        cmocka_unit_test(a_model_with_one_prompt_gives_its_text_once),
        cmocka_unit_test(a_text_is_asked_as_the_file_says),
        cmocka_unit_test(turns_are_one_sequence_of_what_was_heard_and_replied),
        cmocka_unit_test(without_replies_the_captions_go_on),
        cmocka_unit_test(a_model_that_does_not_carry_forgets),
        cmocka_unit_test(what_is_cancelled_or_empty_leaves_the_conversation),
        cmocka_unit_test(what_is_not_addressed_is_captioned_and_forgotten),
        cmocka_unit_test(replies_are_drawn_and_captions_are_not),
        cmocka_unit_test(a_question_has_its_own_sampling),
        cmocka_unit_test(a_sum_is_computed),
        cmocka_unit_test(a_text_ends_where_no_more_fits),
        cmocka_unit_test(no_event_holds_half_a_character),
        cmocka_unit_test(two_at_once_hear_what_each_hears_alone),
        cmocka_unit_test(an_ear_binds_no_weight),
        cmocka_unit_test(a_conversation_survives_save_and_load),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
