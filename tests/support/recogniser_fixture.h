/* A recogniser with the tiny random model, the sound that it hears, and what it tells. */
#ifndef EARSHOT_TESTS_RECOGNISER_FIXTURE_H
#define EARSHOT_TESTS_RECOGNISER_FIXTURE_H

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

static inline void on_event(void *user, const struct event *e)
{
    struct log *log = user;
    assert_true(log->count < LOG_MAX);
    if (log->finals_only && e->type == EVENT_UTTERANCE_UPDATED)
        return;
    assert_true(e->size < EVENT_TEXT_MAX);
    assert_int_equal(strlen(e->text), e->size);
    log->events[log->count++] = *e;
}

static inline bool cancelled(void *user)
{
    struct log *log = user;
    return log->cancel_after >= 0 && log->cancel_after-- == 0;
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    hearing_destroy(f->hearing);
    model_destroy(f->model);
    f->backend->ops->destroy(f->backend);
    free(f->speech);
    free(f);
    return 0;
}

static inline struct recogniser *create_wary(struct fixture *f, int partial_ms, bool reply,
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

static inline struct recogniser *create(struct fixture *f, int partial_ms, bool reply)
{
    return create_wary(f, partial_ms, reply, 0.0f, 0.0f);
}

/* With the whole reply. */
static inline void finish(struct recogniser *r, int64_t time_us)
{
    recogniser_end(r, time_us);
    while (recogniser_go_on(r))
        ;
}

/* The length of the whole answer, or what recogniser_ask returns, or -ECANCELED. */
static inline int ask(struct recogniser *r, const char *text, const struct sampler_config *sampling,
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

static inline void utter(struct recogniser *r, const struct fixture *f, size_t samples,
                         size_t chunk)
{
    recogniser_begin(r, 7, 0);
    for (size_t i = 0; i < samples; i += chunk)
        recogniser_push(r, f->speech + i, samples - i < chunk ? samples - i : chunk);
    finish(r, (int64_t)samples * 1000 / 16);
}
/* The model as it was before a test changed it. */
static struct model was;

static inline struct model *change_model(struct fixture *f)
{
    was = *f->model;
    f->model->carry = true;
    return f->model;
}

static inline void restore_model(struct fixture *f)
{
    *f->model = was;
}

#endif
