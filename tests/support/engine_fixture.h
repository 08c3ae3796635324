/* An engine with its real threads, and what it has told. */
#ifndef EARSHOT_TESTS_ENGINE_FIXTURE_H
#define EARSHOT_TESTS_ENGINE_FIXTURE_H

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

static inline struct config config_for(const char *source)
{
    struct config c;
    config_init(&c);
    snprintf(c.source, sizeof c.source, "%s", source);
    c.threads = 1;
    log_set_level(LOG_LEVEL_ERROR);
    return c;
}

static inline void take_event(struct seen *s, const struct event *e)
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

static inline void take(struct seen *s)
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

static inline int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes messages until *counter is at least wanted. */
static inline void wait_for(struct seen *s, const int *counter, int wanted)
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

static inline int open_ear(struct seen *s, const struct config *c, struct error *error)
{
    struct source *source;
    struct ear_options options = {.config = c, .pieces = 512};
    struct source_options how = config_source(c);
    int rc = source_create(&source, c->source, &how, error);
    return rc ? rc : ear_create(&s->ear, s->engine, source, &options, error);
}

static inline struct seen start(const struct config *c, const char *model)
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
static inline int64_t ask_for(struct seen *s, enum engine_request_type type, bool flag,
                              const char *text)
{
    struct engine_request r = {.type = type, .number = ++number, .flag = flag};
    snprintf(r.text, sizeof r.text, "%s", text);
    assert_int_equal(ear_request(s->ear, &r), 0);
    wait_for(s, &s->results, s->results + 1);
    assert_int_equal(s->last.number, number);
    return s->last.value;
}

static inline void wait_for_source(struct seen *s, enum engine_source source)
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

static inline void shut(struct seen *s, unsigned what)
{
    ear_shut(s->ear, what, ++number);
    wait_for(s, &s->results, s->results + 1);
    assert_int_equal(s->shut, number);
    assert_int_equal(s->shut_value, what);
}

static inline void cancel(struct seen *s)
{
    ear_cancel(s->ear, ++number);
    wait_for(s, &s->results, s->results + 1);
    assert_int_equal(s->last.type, ENGINE_CANCELLED);
    assert_int_equal(s->last.number, number);
}

static inline void stop(struct seen *s)
{
    int64_t begin = now_ms();
    engine_stop(s->engine);
    wait_for(s, &s->stopped, 1);
    engine_destroy(s->engine);
    printf("stopped in %lld ms\n", (long long)(now_ms() - begin));
}
#endif
