/* A recogniser whose captions are aligned, with a tiny random model, what it tells, and the same
 * rows stepped one by one. */
#ifndef EARSHOT_TESTS_ALIGNED_FIXTURE_H
#define EARSHOT_TESTS_ALIGNED_FIXTURE_H

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

static inline struct npy golden(const char *name)
{
    struct npy a;
    char path[128];
    snprintf(path, sizeof(path), GOLDEN "%s.npy", name);
    assert_int_equal(npy_load(&a, path), 0);
    return a;
}

static inline void read_line(FILE *in, char *line, size_t size)
{
    assert_non_null(fgets(line, (int)size, in));
    line[strcspn(line, "\n")] = '\0';
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    hearing_destroy(f->hearing);
    model_destroy(f->model);
    f->backend->ops->destroy(f->backend);
    free(f->sound);
    free(f);
    return 0;
}

static inline void on_event(void *user, const struct event *e)
{
    struct log *log = user;
    assert_true(log->count < LOG_MAX);
    assert_int_equal(strlen(e->text), e->size);
    assert_true(e->word_count <= EVENT_WORDS_MAX);
    log->events[log->count++] = *e;
}

static inline struct recogniser_config plain(struct fixture *f)
{
    return (struct recogniser_config){
        .partial_ms = 480, .reply = true, .sink = on_event, .user = &f->log};
}

static inline struct recogniser *create(struct fixture *f, const struct recogniser_config *config)
{
    struct recogniser *r;
    struct error error;
    f->model->decoding.max_tokens = 24;
    f->log.count = 0;
    if (recogniser_create(&r, f->hearing, config, &error))
        fail_msg("%s", error.message);
    return r;
}

static inline void finish(struct recogniser *r, int64_t time_us)
{
    recogniser_end(r, time_us);
    while (recogniser_go_on(r))
        ;
}

/* The sound, times over, as an utterance that begins at 5 s. */
static inline void utter(struct recogniser *r, const struct fixture *f, size_t times, size_t chunk)
{
    recogniser_begin(r, 7, 5000000);
    for (size_t n = 0; n < times; n++)
        for (size_t i = 0; i < f->samples; i += chunk)
            recogniser_push(r, f->sound + i, f->samples - i < chunk ? f->samples - i : chunk);
    finish(r, 5000000 + (int64_t)(times * f->samples) * 1000 / 16);
}

static inline const struct event *find(const struct log *log, enum event_type type)
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

static inline void take_tokens(struct stepping *s)
{
    while (beam_take(s->beam, &s->tokens[s->token_count]))
        s->token_count++;
}

/* ln softmax, in double precision. */
static inline void take_logarithms(float *x, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)x[i]);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((double)x[i] - log(sum));
}

static inline void step_rows(struct stepping *s, const struct features_rows *rows)
{
    const struct model *m = s->f->model;
    size_t vocab = backbone_vocab(m->backbone);
    for (size_t i = 0; i < rows->adapter_count; i++) {
        assert_true(s->count < s->most);
        float *logs = s->logs + s->count++ * vocab;
        backbone_push_heard(s->f->hearing->scratch, s->state, 0,
                            rows->adapter + i * backbone_dim(m->backbone), 1, 0, s->logits);
        m->backend->ops->download(m->backend, logs, s->logits, vocab);
        take_logarithms(logs, vocab);
        beam_row(s->beam, logs);
        take_tokens(s);
    }
}

/* The sound, times over, and the silence behind it. */
static inline void step_sound(struct stepping *s, struct fixture *f, size_t times)
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
    const struct beam_config config = {
        .vocab = backbone_vocab(f->model->backbone),
        .language = f->model->language,
    };
    assert_int_equal(beam_create(&s->beam, &config), 0);
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

static inline void stepping_free(struct stepping *s)
{
    s->f->backend->ops->free(s->f->backend, s->logits);
    state_destroy(s->state);
    beam_destroy(s->beam);
    free(s->tokens);
    free(s->logs);
}
#endif
