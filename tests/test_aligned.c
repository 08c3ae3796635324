/* Captions aligned with what is heard: a tiny random model against PyTorch, the public rwkv package
 * and searches written out in Python (tests/golden/make_aligned.py), however the sound is split;
 * words and their times; utterances that become long. */
#include "base/file.h"
#include "pipeline/alignment.h"
#include "pipeline/beam.h"
#include "pipeline/features.h"
#include "pipeline/recogniser.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/npy.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN "tests/golden/"

enum {
    LOG_MAX = 1024,
    TIMES = 3, /* that the sound is heard over */
    DELAY_ROWS = 3,
    ROW_SAMPLES = 1280,
};

struct log {
    struct event events[LOG_MAX];
    size_t count;
};

struct fixture {
    struct backend *backend;
    struct model *model;
    struct hearing *hearing;
    float *sound;
    size_t samples;
    char caption[EVENT_TEXT_MAX], reply[EVENT_TEXT_MAX];
    struct log log;
};

static struct npy golden(const char *name)
{
    struct npy a;
    char path[128];
    snprintf(path, sizeof(path), GOLDEN "%s.npy", name);
    assert_int_equal(npy_load(&a, path), 0);
    return a;
}

static void read_line(FILE *in, char *line, size_t size)
{
    assert_non_null(fgets(line, (int)size, in));
    line[strcspn(line, "\n")] = '\0';
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error;
    assert_int_equal(backend_cpu_create(&f->backend, 1), 0);
    if (model_load(&f->model, GOLDEN "aligned.gguf", f->backend, NULL, NULL, &error) ||
        hearing_create(&f->hearing, f->model, &error))
        fail_msg("%s", error.message);
    struct npy pcm = golden("pcm");
    f->samples = TIMES * pcm.count;
    f->sound = malloc(f->samples * sizeof(float));
    for (size_t i = 0; i < f->samples; i++)
        f->sound[i] = pcm.floats[i % pcm.count];
    npy_free(&pcm);
    FILE *in = fopen(GOLDEN "aligned_text.txt", "r");
    read_line(in, f->caption, sizeof(f->caption));
    read_line(in, f->reply, sizeof(f->reply));
    fclose(in);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hearing_destroy(f->hearing);
    model_destroy(f->model);
    f->backend->ops->destroy(f->backend);
    free(f->sound);
    free(f);
    return 0;
}

static void on_event(void *user, const struct event *e)
{
    struct log *log = user;
    assert_true(log->count < LOG_MAX);
    assert_int_equal(strlen(e->text), e->size);
    assert_true(e->word_count <= EVENT_WORDS_MAX);
    log->events[log->count++] = *e;
}

static struct recogniser_config plain(struct fixture *f)
{
    return (struct recogniser_config){
        .partial_ms = 480, .reply = true, .sink = on_event, .user = &f->log};
}

static struct recogniser *create(struct fixture *f, const struct recogniser_config *config)
{
    struct recogniser *r;
    struct error error;
    f->model->decoding.max_tokens = 24;
    f->log.count = 0;
    if (recogniser_create(&r, f->hearing, config, &error))
        fail_msg("%s", error.message);
    return r;
}

static void finish(struct recogniser *r, int64_t time_us)
{
    recogniser_end(r, time_us);
    while (recogniser_go_on(r))
        ;
}

/* The sound, times over, as an utterance that begins at 5 s. */
static void utter(struct recogniser *r, const struct fixture *f, size_t times, size_t chunk)
{
    recogniser_begin(r, 7, 5000000);
    for (size_t n = 0; n < times; n++)
        for (size_t i = 0; i < f->samples; i += chunk)
            recogniser_push(r, f->sound + i, f->samples - i < chunk ? f->samples - i : chunk);
    finish(r, 5000000 + (int64_t)(times * f->samples) * 1000 / 16);
}

static const struct event *find(const struct log *log, enum event_type type)
{
    for (size_t i = 0; i < log->count; i++)
        if (log->events[i].type == type)
            return &log->events[i];
    fail_msg("no event of type %d", (int)type);
    return NULL;
}

/* What the rows give and a beam makes of it, without a recogniser. */
struct stepping {
    struct fixture *f;
    struct state *state;
    struct beam *beam;
    float *logits;
    float *logs; /* [most, vocab] */
    size_t count, most;
    struct beam_token *tokens; /* [most] */
    size_t token_count;
};

static void take_tokens(struct stepping *s)
{
    while (beam_take(s->beam, &s->tokens[s->token_count]))
        s->token_count++;
}

/* ln softmax, in double precision. */
static void take_logarithms(float *x, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)x[i]);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((double)x[i] - log(sum));
}

static void step_rows(struct stepping *s, const struct features_rows *rows)
{
    const struct model *m = s->f->model;
    size_t vocab = backbone_vocab(m->backbone);
    for (size_t i = 0; i < rows->adapter_count; i++) {
        assert_true(s->count < s->most);
        float *logs = s->logs + s->count++ * vocab;
        backbone_push_heard(s->f->hearing->scratch, s->state, 0,
                            rows->adapter + i * backbone_dim(m->backbone), 0, s->logits);
        m->backend->ops->download(m->backend, logs, s->logits, vocab);
        take_logarithms(logs, vocab);
        beam_row(s->beam, logs);
        take_tokens(s);
    }
}

/* The sound, times over, and the silence behind it. */
static void step_sound(struct stepping *s, struct fixture *f, size_t times)
{
    static const float zeros[FEATURES_BLOCK];
    struct features *features;
    struct features_rows rows;
    struct error error;
    size_t total = times * f->samples;
    size_t padded = ((total + ROW_SAMPLES - 1) / ROW_SAMPLES + DELAY_ROWS) * ROW_SAMPLES;
    *s = (struct stepping){.f = f, .most = padded / ROW_SAMPLES};
    s->tokens = calloc(s->most + 1, sizeof(*s->tokens));
    s->logs = calloc(s->most * backbone_vocab(f->model->backbone), sizeof(*s->logs));
    assert_int_equal(beam_create(&s->beam, f->model->language, backbone_vocab(f->model->backbone)),
                     0);
    s->logits = f->backend->ops->alloc(f->backend, backbone_vocab(f->model->backbone));
    assert_int_equal(
        state_create(&s->state, f->backend, backbone_state_shape(f->model->backbone), 1), 0);
    assert_int_equal(features_create(&features, f->hearing, &error), 0);
    for (size_t at = 0, n; at < padded; at += n) {
        const float *from = at < total ? f->sound + at % f->samples : zeros;
        size_t left = at < total ? f->samples - at % f->samples : padded - at;
        n = left < FEATURES_BLOCK ? left : FEATURES_BLOCK;
        features_push(features, from, n, &rows);
        step_rows(s, &rows);
    }
    while (features_end(features, &rows))
        step_rows(s, &rows);
    assert_int_equal(s->count, s->most);
    features_destroy(features);
    beam_end(s->beam);
    take_tokens(s);
}

static void stepping_free(struct stepping *s)
{
    s->f->backend->ops->free(s->f->backend, s->logits);
    state_destroy(s->state);
    beam_destroy(s->beam);
    free(s->tokens);
    free(s->logs);
}

static void rows_give_the_probabilities_of_the_reference(void **state)
{
    struct fixture *f = *state;
    struct npy logs = golden("aligned_logs");
    struct stepping s;
    step_sound(&s, f, 1);
    assert_int_equal(s.count * backbone_vocab(f->model->backbone), logs.count);
    double error = relative_error(s.logs, logs.floats, logs.count);
    printf("%zu rows, log probabilities: relative error %.1e\n", s.count, error);
    assert_true(error < 1e-4);
    stepping_free(&s);
    npy_free(&logs);
}

static void the_likeliest_text_is_that_of_the_reference(void **state)
{
    struct fixture *f = *state;
    struct npy want = golden("aligned_tokens");
    struct stepping s;
    step_sound(&s, f, 1);
    assert_int_equal(s.token_count, want.shape[0]);
    for (size_t i = 0; i < s.token_count; i++) {
        assert_int_equal(s.tokens[i].id, want.ints[2 * i]);
        assert_int_equal(s.tokens[i].row, want.ints[2 * i + 1]);
    }
    stepping_free(&s);
    npy_free(&want);
}

static void the_file_says_how_captions_come(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->model->captions, MODEL_CAPTIONS_ALIGNED);
    assert_int_equal(f->model->delay_rows, DELAY_ROWS);
    assert_int_equal(model_row_ms(f->model), 80);
    assert_true(model_longest_ms(f->model) == MODEL_ENDLESS);
    assert_in_range(model_tail_ms(f->model), 320, 400);
    assert_non_null(f->model->letters);
    assert_non_null(f->model->language);
}

static void captions_and_replies_are_those_of_the_reference(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    struct recogniser *r = create(f, &config);
    struct npy confidences = golden("aligned_confidences");
    utter(r, f, 1, 800);
    recogniser_destroy(r);
    const struct event *caption = find(&f->log, EVENT_UTTERANCE_COMPLETED);
    assert_string_equal(caption->text, f->caption);
    assert_string_equal(find(&f->log, EVENT_REPLY_COMPLETED)->text, f->reply);
    assert_true(fabsf(caption->confidence - confidences.floats[confidences.count - 1]) < 1e-4f);
    npy_free(&confidences);
}

static void words_have_the_times_of_the_reference(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    struct recogniser *r = create(f, &config);
    struct npy words = golden("aligned_words");
    struct npy confidences = golden("aligned_confidences");
    utter(r, f, 1, 800);
    recogniser_destroy(r);
    const struct event *e = find(&f->log, EVENT_UTTERANCE_COMPLETED);
    assert_int_equal(e->word_count, words.shape[0]);
    for (size_t i = 0; i < e->word_count; i++) {
        const struct event_word *w = &e->words[i];
        const int32_t *want = words.ints + 4 * i;
        assert_int_equal(w->at, want[0]);
        assert_int_equal(w->size, want[1]);
        assert_int_equal(w->start_ms, want[2]);
        assert_int_equal(w->end_ms, want[3]);
        assert_true(fabsf(w->confidence - confidences.floats[i]) < 1e-4f);
    }
    npy_free(&words);
    npy_free(&confidences);
}

static void assert_same(const struct event *a, const struct event *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->start_us, b->start_us);
    assert_int_equal(a->end_us, b->end_us);
    assert_int_equal(a->stable_bytes, b->stable_bytes);
    assert_string_equal(a->text, b->text);
    assert_true(a->confidence == b->confidence);
    assert_int_equal(a->word_count, b->word_count);
    assert_memory_equal(a->words, b->words, a->word_count * sizeof(a->words[0]));
}

static void any_split_gives_the_same_events(void **state)
{
    struct fixture *f = *state;
    static const size_t chunks[] = {1, 160, 1000, 48000, 1 << 20};
    static struct log first;
    struct recogniser_config config = plain(f);
    config.min_evidence = 4.0f; /* told of somewhere within */
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct recogniser *r = create(f, &config);
        utter(r, f, 1, chunks[i]);
        recogniser_destroy(r);
        if (i == 0)
            first = f->log;
        assert_int_equal(f->log.count, first.count);
        for (size_t j = 0; j < first.count; j++)
            assert_same(&f->log.events[j], &first.events[j]);
    }
    printf("%zu events\n", first.count);
}

/* What is stable stays: it only grows, by whole words, to which nothing is added any more but
 * signs. */
static void updates_never_change_what_they_said(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    struct recogniser *r = create(f, &config);
    const struct event *before = NULL;
    size_t updates = 0;
    utter(r, f, 1, 800);
    recogniser_destroy(r);
    for (size_t i = 0; i < f->log.count; i++) {
        const struct event *e = &f->log.events[i];
        if (e->type != EVENT_UTTERANCE_UPDATED && e->type != EVENT_UTTERANCE_COMPLETED)
            continue;
        if (before) {
            assert_true(e->stable_bytes >= before->stable_bytes);
            assert_memory_equal(e->text, before->text, before->stable_bytes);
        }
        if (e->word_count) {
            const struct event_word *last = &e->words[e->word_count - 1];
            assert_int_equal(e->stable_bytes, last->at + last->size);
            assert_true(!e->text[e->stable_bytes] || e->text[e->stable_bytes] == ' ');
        }
        updates += e->type == EVENT_UTTERANCE_UPDATED;
        before = e;
    }
    assert_true(updates > 10);
}

static void without_partial_results_there_are_none(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    config.partial_ms = 0;
    struct recogniser *r = create(f, &config);
    utter(r, f, 1, 800);
    recogniser_destroy(r);
    for (size_t i = 0; i < f->log.count; i++)
        assert_int_not_equal(f->log.events[i].type, EVENT_UTTERANCE_UPDATED);
    assert_string_equal(find(&f->log, EVENT_UTTERANCE_COMPLETED)->text, f->caption);
}

static void what_is_short_and_unsure_is_noise(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    config.min_confidence = 1.0f;
    struct recogniser *r = create(f, &config);
    recogniser_begin(r, 7, 0);
    recogniser_push(r, f->sound, 12000);
    finish(r, 750000);
    recogniser_destroy(r);
    assert_int_equal(f->log.count, 2);
    assert_int_equal(f->log.events[1].type, EVENT_UTTERANCE_COMPLETED);
    assert_int_equal(f->log.events[1].size, 0);
    assert_int_equal(f->log.events[1].word_count, 0);
}

static void what_has_no_evidence_is_not_told(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    config.min_evidence = 20.0f;
    struct recogniser *r = create(f, &config);
    recogniser_begin(r, 7, 0);
    recogniser_detect(r, 0.01f);
    recogniser_push(r, f->sound, 12000);
    finish(r, 750000);
    recogniser_destroy(r);
    assert_int_equal(f->log.count, 0);
}

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

static void after_some_seconds_a_sentence_is_an_utterance(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    config.long_ms = 2000;
    struct stepping s;
    step_sound(&s, f, 2);
    char *whole = text_of(f, &s);
    struct recogniser *r = create(f, &config);
    utter(r, f, 2, 1600);
    recogniser_destroy(r);
    size_t parts = check_parts(f, whole);
    assert_true(parts >= 3);
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
    free(whole);
    stepping_free(&s);
}

/* The conversation of a model that carries it on is what was heard, then the caption, read. */
static void after_twice_as_long_a_pause_will_do(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    config.long_ms = 500;
    struct stepping s;
    step_sound(&s, f, 2);
    char *whole = text_of(f, &s);
    struct recogniser *r = create(f, &config);
    utter(r, f, 2, 1600);
    recogniser_destroy(r);
    size_t parts = check_parts(f, whole), sentences = 1; /* the last one's end is the sound's */
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
    free(whole);
    stepping_free(&s);
}

static void the_next_turn_goes_on_from_what_was_heard(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    struct stepping s;
    config.reply = false;
    f->model->carry = true;
    step_sound(&s, f, 1);
    const struct prompt *begin = &f->model->text_begin;
    backbone_push_tokens(f->hearing->scratch, s.state, 0, begin->ids, begin->count, NULL);
    for (size_t i = 0; i < s.token_count; i++)
        backbone_push_tokens(f->hearing->scratch, s.state, 0, &s.tokens[i].id, 1, NULL);
    struct recogniser *r = create(f, &config);
    utter(r, f, 1, 1600);
    float *got = malloc(recogniser_conversation_bytes(r));
    float *want = malloc(recogniser_conversation_bytes(r));
    struct error error;
    assert_int_equal(recogniser_encode(r, got, &error), 0);
    state_encode(s.state, f->model->fingerprint, want);
    assert_memory_equal(got, want, recogniser_conversation_bytes(r));
    assert_int_equal(recogniser_stats(r).tokens, s.token_count);
    f->model->carry = false;
    free(got);
    free(want);
    recogniser_destroy(r);
    stepping_free(&s);
}

/* The file in memory, with a tensor's floats or halves changed. */
static void change(struct gguf *g, const char *name, float scale, float first)
{
    const struct gguf_tensor *t = gguf_find(g, name);
    assert_non_null(t);
    size_t count = t->tensor.rows * t->tensor.cols;
    unsigned char *data = (unsigned char *)(uintptr_t)t->tensor.data; /* of the test's own memory */
    for (size_t i = 0; i < count && t->tensor.type == TENSOR_F16; i++) {
        _Float16 x;
        memcpy(&x, data + 2 * i, 2);
        x = (_Float16)((float)x * scale);
        memcpy(data + 2 * i, &x, 2);
    }
    if (t->tensor.type == TENSOR_F32)
        memcpy(data, &first, sizeof(first));
}

/* The model with a head that is sure, and a CTC head that hears no letters, or some always. */
static struct model *load_sure(struct fixture *f, float blank)
{
    static const char *const path = "aligned-sure.gguf.tmp";
    struct file_map map;
    struct gguf *g;
    struct model *m;
    struct error error;
    assert_int_equal(file_map(&map, GOLDEN "aligned.gguf", &error), 0);
    unsigned char *copy = malloc(map.size);
    memcpy(copy, map.data, map.size);
    assert_int_equal(gguf_open_memory(&g, copy, map.size, &error), 0);
    change(g, "backbone.head.weight", 64.0f, 0.0f);
    change(g, "encoder.phones.bias", 1.0f, blank);
    gguf_close(g);
    assert_int_equal(file_replace(path, copy, map.size, &error), 0);
    file_unmap(&map);
    free(copy);
    if (model_load(&m, path, f->backend, NULL, NULL, &error))
        fail_msg("%s", error.message);
    unlink(path);
    return m;
}

/* At how many places, 80 ms apart, the utterance sounds finished; at each of them it is a sentence.
 */
static size_t finished_places(struct fixture *f, const struct model *m)
{
    struct recogniser_config config = plain(f);
    struct hearing *hearing;
    struct recogniser *r;
    struct error error;
    size_t places = 0;
    f->log.count = 0;
    assert_int_equal(hearing_create(&hearing, m, &error), 0);
    assert_int_equal(recogniser_create(&r, hearing, &config, &error), 0);
    recogniser_begin(r, 7, 0);
    for (size_t i = 0; i + ROW_SAMPLES <= f->samples; i += ROW_SAMPLES) {
        recogniser_push(r, f->sound + i, ROW_SAMPLES);
        if (!recogniser_is_over(r))
            continue;
        const struct event *last = &f->log.events[f->log.count - 1];
        assert_int_equal(last->text[last->size - 1], '.');
        assert_true(last->confidence >= 0.8f);
        places++;
    }
    recogniser_destroy(r);
    hearing_destroy(hearing);
    return places;
}

static void a_sentence_that_is_written_sounds_finished(void **state)
{
    struct fixture *f = *state;
    struct model *quiet = load_sure(f, 100.0f), *loud = load_sure(f, -100.0f);
    size_t places = finished_places(f, quiet);
    printf("finished at %zu places of %zu\n", places, f->samples / ROW_SAMPLES);
    assert_true(places > 0 && places < f->samples / ROW_SAMPLES / 2);
    assert_int_equal(finished_places(f, loud), 0);     /* letters are still to come */
    assert_int_equal(finished_places(f, f->model), 0); /* it is not sure */
    model_destroy(quiet);
    model_destroy(loud);
}

/* Log probabilities in which every row is sure of one class. */
enum { CLASSES = 5 };

static int create_letters(struct letters **l, const char *const *letters, size_t count,
                          struct error *error)
{
    struct gguf_writer w;
    struct gguf *g;
    gguf_writer_init(&w);
    gguf_writer_strings(&w, "earshot.encoder.letters", letters, count);
    struct bytes file = gguf_writer_bytes(&w);
    gguf_writer_finish(&w);
    assert_int_equal(gguf_open_memory(&g, file.data, file.size, error), 0);
    int rc = letters_create(l, g, CLASSES, error);
    gguf_close(g);
    bytes_free(&file);
    return rc;
}

static struct letters *abc(void)
{
    static const char *const letters[CLASSES] = {"", " ", "'", "a", "b"};
    struct letters *l;
    struct error error;
    if (create_letters(&l, letters, CLASSES, &error))
        fail_msg("%s", error.message);
    return l;
}

static void wrong_letters_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[][CLASSES] = {
        {"-", " ", "'", "a", "b"},
        {"", " ", "'", "", "b"},
        {"", " ", "'", "a", "12345678"},
    };
    struct letters *l;
    struct error error;
    assert_int_equal(create_letters(&l, wrong[0], CLASSES - 1, &error), -22);
    assert_non_null(strstr(error.message, "4 letters"));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(create_letters(&l, wrong[i], CLASSES, &error), -22);
        assert_non_null(strstr(error.message, "earshot.encoder.letters: number"));
    }
}

/* One row a character: '-' is the blank. */
static void hear_letters(struct alignment *a, const char *rows)
{
    for (; *rows; rows++) {
        float logs[CLASSES];
        for (size_t i = 0; i < CLASSES; i++)
            logs[i] = logf(0.02f);
        logs[strchr("- 'ab", *rows) - "- 'ab"] = logf(0.92f);
        alignment_row(a, logs);
    }
}

static void check_place(struct alignment *a, const char *word, uint64_t first, uint64_t end,
                        uint64_t from, uint64_t to)
{
    uint64_t got_from = 0, got_to = 0;
    assert_true(alignment_find(a, word, strlen(word), first, end, &got_from, &got_to));
    assert_int_equal(got_from, from);
    assert_int_equal(got_to, to);
}

static void letters_say_where_a_word_is(void **state)
{
    (void)state;
    struct letters *l = abc();
    struct alignment *a;
    assert_int_equal(alignment_create(&a, l, CLASSES), 0);
    alignment_begin(a);
    hear_letters(a, "---aa-b-- -bb-b--");
    check_place(a, "ab", 0, 10, 3, 7);
    check_place(a, "Ab,", 0, 10, 3, 7);
    check_place(a, "\u201cab\u201d", 0, 10, 3, 7);
    check_place(a, "bb", 7, 17, 11, 15); /* a letter twice has a blank between */
    check_place(a, "a", 3, 4, 3, 4);
    check_place(a, "ab", 2, 100, 3, 13); /* two rows of b are better than one */
    uint64_t from, to;
    assert_false(alignment_find(a, "ab", 2, 5, 6, &from, &to)); /* one row is too few */
    assert_false(alignment_find(a, "bb", 2, 5, 7, &from, &to));
    assert_false(alignment_find(a, "ab", 2, 7, 7, &from, &to));
    assert_false(alignment_find(a, "4", 1, 0, 10, &from, &to));
    assert_false(alignment_find(a, "a4", 2, 0, 10, &from, &to));
    assert_false(alignment_find(a, "ac", 2, 0, 10, &from, &to));
    assert_false(alignment_find(a, "...", 3, 0, 10, &from, &to));
    alignment_destroy(a);
    letters_destroy(l);
}

static void old_rows_are_forgotten(void **state)
{
    (void)state;
    struct letters *l = abc();
    struct alignment *a;
    assert_int_equal(alignment_create(&a, l, CLASSES), 0);
    alignment_begin(a);
    hear_letters(a, "ab");
    for (int i = 0; i < 600; i++)
        hear_letters(a, "-");
    hear_letters(a, "ab");
    check_place(a, "ab", 0, 604, 602, 604);
    alignment_begin(a);
    hear_letters(a, "-ab");
    check_place(a, "ab", 0, 3, 1, 3);
    alignment_destroy(a);
    letters_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_says_how_captions_come),
        cmocka_unit_test(rows_give_the_probabilities_of_the_reference),
        cmocka_unit_test(the_likeliest_text_is_that_of_the_reference),
        cmocka_unit_test(captions_and_replies_are_those_of_the_reference),
        cmocka_unit_test(words_have_the_times_of_the_reference),
        cmocka_unit_test(any_split_gives_the_same_events),
        cmocka_unit_test(updates_never_change_what_they_said),
        cmocka_unit_test(without_partial_results_there_are_none),
        cmocka_unit_test(what_is_short_and_unsure_is_noise),
        cmocka_unit_test(what_has_no_evidence_is_not_told),
        cmocka_unit_test(a_hearing_without_end_is_several_utterances),
        cmocka_unit_test(after_some_seconds_a_sentence_is_an_utterance),
        cmocka_unit_test(after_twice_as_long_a_pause_will_do),
        cmocka_unit_test(the_next_turn_goes_on_from_what_was_heard),
        cmocka_unit_test(a_sentence_that_is_written_sounds_finished),
        cmocka_unit_test(wrong_letters_are_refused),
        cmocka_unit_test(letters_say_where_a_word_is),
        cmocka_unit_test(old_rows_are_forgotten),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
