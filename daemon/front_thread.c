/* The front-end thread: keeps a source open and hears it (front_source.c), finds utterances and
 * passes them on.
 *
 *   closed ──start──► open ──end of file──► ended
 *     ▲  │              │
 *     │  └─failed: wait 0.5 s, 1 s, ... 10 s
 *     └──mute, lost, another device
 *
 * Who unmutes, or asks for a turn, while it is first tried to start is answered when it is open, or
 * has failed. What main says by an atomic (shut, cancelled, released) is looked at between any two
 * pieces of work, and where the thread waits for another.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/front_private.h"
#include "daemon/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    IDLE_MS = 1000,   /* the longest sleep; a heartbeat each */
    ANSWER_MS = 20,   /* how often it is looked whether an answer is still wanted */
    SPARE_PIECES = 2, /* room that audio leaves to what ends it */
};

/* The utterance at hand is dropped, or will be. */
static bool is_stale(const struct front *f)
{
    return f->begun_stamp != (uint32_t)atomic_load(&f->ear->stamp);
}

static bool try_to_push(struct queue *pieces, const struct piece *p, bool audio)
{
    return (!audio || queue_has_room(pieces, 1 + SPARE_PIECES)) && queue_push(pieces, p);
}

/* Whoever mutes does not wait for the model: the device goes first. */
static void push(struct front *f, const struct piece *p)
{
    struct ear *ear = f->ear;
    bool audio = p->type == PIECE_AUDIO || p->type == PIECE_PAUSE;
    while (!try_to_push(ear->pieces, p, audio)) {
        if (atomic_load(&ear->aborted) || atomic_load(&f->engine->gone) || (audio && is_stale(f)))
            return;
        if (f->open && front_is_to_shut(f))
            f->source->ops->stop(f->source);
        engine_beat(&ear->front_beats);
        engine_nap();
    }
    engine_wake(f->engine->inference_wake);
}

static void push_audio(struct front *f)
{
    if (f->audio.count)
        push(f, &f->audio);
    f->audio.count = f->audio.part_count = 0;
}

static void push_piece(struct front *f)
{
    push_audio(f);
    push(f, &f->piece);
}

bool front_offer_audio(struct front *f)
{
    if (queue_is_empty(f->ear->pieces))
        push_audio(f);
    return !f->audio.count;
}

/* The front end hands on 10 ms at a time; a piece that waits is to hold more. */
static void gather_audio(struct front *f, const struct frontend_piece *p)
{
    struct piece *a = &f->audio;
    if (a->count + p->count > FRONTEND_BLOCK || a->part_count == PIECE_PARTS)
        push_audio(f);
    memcpy(a->samples + a->count, p->samples, p->count * sizeof *p->samples);
    a->count += p->count;
    a->parts[a->part_count++] = (struct piece_part){p->speech, p->count};
    a->heard_us = f->heard_us;
    front_offer_audio(f);
}

/* Unique over restarts, increasing: the time when it began. */
static uint64_t next_id(struct front *f, int64_t begin_us)
{
    uint64_t id = audio_clock_begin(&f->clock, begin_us, frontend_time_us(f->frontend),
                                    clock_boot_us(), clock_real_us());
    atomic_store_explicit(&f->ear->date_us, f->clock.date_us, memory_order_relaxed);
    return id;
}

/* Of what a Cancel drops nothing is passed on but the end of what was begun. */
static bool is_wanted_piece(struct front *f, enum frontend_piece_type type)
{
    bool was_begun = f->begun;
    switch (type) {
    case FRONTEND_BEGIN:
        f->begun = !f->cancelling;
        return f->begun;
    case FRONTEND_HOLD:
    case FRONTEND_AUDIO:
        return f->begun && !is_stale(f);
    case FRONTEND_END:
    case FRONTEND_DROP:
        f->begun = false;
        return was_begun;
    }
    return false;
}

static void take_piece(void *user, const struct frontend_piece *p)
{
    struct front *f = user;
    struct piece *piece = &f->piece;
    switch (p->type) {
    case FRONTEND_BEGIN:
        piece->type = PIECE_BEGIN;
        piece->stamp = f->begun_stamp = (uint32_t)atomic_load(&f->ear->stamp) - f->cancelling;
        f->id = next_id(f, p->time_us);
        atomic_store(&f->ear->begun, f->id);
        break;
    case FRONTEND_HOLD:
        piece->type = PIECE_HOLD;
        atomic_store(&f->ear->held, f->id);
        break;
    case FRONTEND_AUDIO:
        break;
    case FRONTEND_END:
        piece->type = PIECE_END;
        audio_clock_end(&f->clock, p->time_us);
        break;
    case FRONTEND_DROP:
        piece->type = PIECE_DROP;
        audio_clock_end(&f->clock, p->time_us);
        break;
    }
    if (!is_wanted_piece(f, p->type))
        return;
    if (p->type == FRONTEND_AUDIO) {
        gather_audio(f, p);
        return;
    }
    piece->id = f->id;
    piece->time_us = p->time_us;
    piece->speech = p->speech;
    piece->heard_us = f->heard_us;
    piece->wait_us = frontend_time_us(f->frontend) - p->time_us;
    push_piece(f);
}

/* A live source does not wait: an answer that takes as long as the silence would is none. A file
 * does, so that its text is the same on any machine. */
static bool is_over(void *user)
{
    struct front *f = user;
    struct ear *ear = f->ear;
    const struct endpoint_config *c = &f->config.endpoint;
    int64_t limit_us = clock_monotonic_us() + (int64_t)(c->end_ms - c->end_min_ms) * 1000;
    uint64_t verdict;
    f->piece.type = PIECE_PAUSE;
    f->piece.pause = ++f->pauses;
    f->piece.heard_us = f->heard_us;
    push_piece(f);
    while ((verdict = atomic_load(&ear->verdict)) >> 1 != f->pauses) {
        if (atomic_load(&ear->aborted) || atomic_load(&f->engine->gone) || is_stale(f) ||
            front_is_to_shut(f) || (!f->source->patient && clock_monotonic_us() > limit_us))
            return false;
        engine_beat(&ear->front_beats);
        engine_wait(ear->front_wake, -1, ANSWER_MS);
    }
    return verdict & 1;
}

int front_create(struct front **out, struct ear *ear, struct source *source,
                 const struct ear_options *options, struct error *error)
{
    struct front *f = calloc(1, sizeof *f);
    if (!f) {
        source_destroy(source);
        return error_set(error, -ENOMEM, "out of memory");
    }
    f->engine = ear->engine;
    f->ear = ear;
    f->source = source;
    f->id = options->last_id;
    audio_clock_init(&f->clock, true, options->last_id);
    f->config = *options->config;
    f->muted = options->config->muted;
    f->shut = f->muted ? EAR_MUTED : 0;
    f->starting = true;
    f->retry_ms = FRONT_RETRY_FIRST_MS;
    f->audio.type = PIECE_AUDIO;
    int rc = frontend_create(&f->frontend, &f->config.endpoint, take_piece, f);
    if (rc) {
        error_set(error, rc, "[speech]: %s", strerror(-rc));
        front_destroy(f);
        return rc;
    }
    frontend_set_judge(f->frontend, is_over);
    *out = f;
    return 0;
}

void front_destroy(struct front *f)
{
    if (!f)
        return;
    front_free_buffers(f);
    source_destroy(f->source);
    frontend_destroy(f->frontend);
    free(f);
}

/* 0 and more: the id of the utterance that is held. */
static int64_t hold(struct front *f, uint64_t number, struct error *error)
{
    if (number <= f->cancelled || number <= atomic_load(&f->ear->released))
        return error_set(error, -ECANCELED, "cancelled");
    if (!f->open || f->ended)
        return error_set(error, -ENODEV, "%s",
                         f->muted    ? "muted"
                         : f->paused ? "paused"
                                     : "no audio source");
    f->heard_us = clock_monotonic_us();
    frontend_hold(f->frontend);
    f->holding = true;
    f->hold = number;
    return (int64_t)f->id;
}

static void begin_starting(struct front *f)
{
    f->starting = true;
    if (!f->ended)
        front_tell_source(f, ENGINE_SOURCE_STARTING, "");
}

static void tell_number(struct front *f, enum engine_message_type type, int64_t value,
                        uint64_t number)
{
    front_message(f, type, value)->number = number;
    front_send(f);
}

static void tell_shut(struct front *f)
{
    if (f->shut_untold)
        tell_number(f, ENGINE_SHUT, (int64_t)(f->shut & 3), f->shut >> 2);
    f->shut_untold = false;
}

/* Each of the two closes the device; when neither does it is opened. */
static void set_shut(struct front *f, bool muted, bool paused)
{
    bool was_closed = f->muted || f->paused;
    f->muted = muted;
    f->paused = paused;
    f->retry_us = 0;
    f->retry_ms = FRONT_RETRY_FIRST_MS;
    if (!muted && !paused) {
        if (was_closed)
            begin_starting(f);
        return;
    }
    front_close_source(f);
    tell_shut(f);
    front_tell_source(f, ENGINE_SOURCE_CLOSED, "");
    f->piece.type = PIECE_CLOSED;
    push_piece(f);
}

static void start_anew(struct front *f)
{
    f->ended = f->told_missing = false;
    f->starting = true;
    f->retry_us = 0;
    f->retry_ms = FRONT_RETRY_FIRST_MS;
}

static void set_source(struct front *f, struct source *s)
{
    front_close_source(f);
    source_destroy(f->source);
    f->source = s;
    start_anew(f);
}

int64_t front_reopen(struct front *f, const struct engine_request *r, struct error *error)
{
    (void)r;
    (void)error;
    front_close_source(f);
    start_anew(f);
    return 0;
}

int64_t front_choose_device(struct front *f, const struct engine_request *r, struct error *error)
{
    const char *device = r->text;
    char spec[SOURCE_NAME_MAX + 16];
    struct source *s;
    int length = snprintf(spec, sizeof spec, *device ? "portaudio:%s" : "portaudio%s", device);
    if (length >= (int)sizeof spec)
        return error_set(error, -EINVAL, "the device's name is too long");
    struct source_options options = config_source(&f->config);
    int rc = source_create(&s, spec, &options, error);
    if (!rc)
        set_source(f, s);
    return rc;
}

/* Between two utterances. */
static void configure(struct front *f)
{
    int rc = frontend_configure(f->frontend, &f->config.endpoint);
    if (rc)
        log_error("[speech] stays as it was: %s", strerror(-rc));
    front_limit_frontend(f);
    f->reconfigured = false;
}

static bool is_wanted(const struct front *f)
{
    return !f->muted && !f->paused && !f->ended;
}

/* Whether there is something to hear, or to open. */
static bool is_listening(const struct front *f)
{
    return atomic_load(&f->ear->opened) && is_wanted(f);
}

static void send_result(struct front *f, uint64_t number, int64_t value, const struct error *error)
{
    struct engine_message *m = front_message(f, ENGINE_RESULT, value);
    m->number = number;
    snprintf(m->event.text, sizeof m->event.text, "%s", error->message);
    front_send(f);
}

/* Whoever unmuted first. */
static void answer_waiting(struct front *f)
{
    tell_shut(f);
    for (size_t i = 0; i < f->waiting_count; i++) {
        struct error error = {""};
        int64_t value = hold(f, f->waiting[i], &error);
        send_result(f, f->waiting[i], value, &error);
    }
    f->waiting_count = 0;
}

/* A turn waits for a source that is about to open, and for a model that loads. */
int64_t front_hold(struct front *f, const struct engine_request *r, struct error *error)
{
    front_catch_up(f);
    if (!f->starting || !is_wanted(f) || f->waiting_count == FRONT_WAITING)
        return hold(f, r->number, error);
    f->waiting[f->waiting_count++] = r->number;
    return REQUEST_LATER;
}

int64_t front_finish(struct front *f, const struct engine_request *r, struct error *error)
{
    (void)r;
    (void)error;
    answer_waiting(f);
    front_catch_up(f);
    frontend_finish(f->frontend);
    return 0;
}

static void answer(struct front *f, const struct engine_request *r)
{
    struct error error = {""};
    int64_t value = request_kinds[r->type].front(f, r, &error);
    if (value != REQUEST_LATER)
        send_result(f, r->number, value, &error);
}

/* Whoever unmutes is told when the device is open, or missing. */
static void obey_shut(struct front *f)
{
    uint64_t shut = atomic_load(&f->ear->shut);
    if (shut != f->shut) {
        f->shut = shut;
        f->shut_untold = true;
        set_shut(f, shut & EAR_MUTED, shut & EAR_PAUSED);
        if (!is_wanted(f))
            answer_waiting(f);
    }
    if (!f->starting || !is_listening(f))
        tell_shut(f);
}

static void obey_cancel(struct front *f)
{
    uint64_t number = atomic_load(&f->ear->cancelled);
    if (number == f->cancelled)
        return;
    f->cancelled = number;
    answer_waiting(f);
    front_drop_what_came(f);
    frontend_cancel(f->frontend);
    tell_number(f, ENGINE_CANCELLED, 0, number);
}

static void obey_release(struct front *f)
{
    if (f->holding && f->hold <= atomic_load(&f->ear->released)) {
        front_catch_up(f);
        frontend_finish(f->frontend);
    }
    if (!f->holding || frontend_is_held(f->frontend))
        return;
    f->holding = false;
    tell_number(f, ENGINE_RELEASED, 0, f->hold);
}

static void take_settings(struct front *f)
{
    struct ear_settings *s = atomic_exchange(&f->ear->front_settings, NULL);
    if (!s)
        return;
    if (s->source)
        set_source(f, s->source);
    s->source = NULL;
    f->config = s->config;
    f->reconfigured = true;
    tell_number(f, ENGINE_CONFIGURED, 0, s->number);
    ear_settings_destroy(s);
}

static void obey(struct front *f)
{
    obey_shut(f);
    obey_cancel(f);
    obey_release(f);
    take_settings(f);
}

static void wait_to_retry(struct front *f)
{
    int64_t left_us = f->retry_us - clock_monotonic_us();
    if (left_us > 0)
        engine_wait(f->ear->front_wake, -1,
                    left_us < IDLE_MS * 1000 ? (int)(left_us / 1000) + 1 : IDLE_MS);
}

/* The source comes before the requests: a turn that is asked for at once finds it open. */
static void go_round(struct front *f)
{
    struct engine_request request;
    obey(f);
    if (is_listening(f) && !f->open && clock_monotonic_us() >= f->retry_us)
        front_open_source(f);
    if (!f->starting)
        answer_waiting(f);
    for (int n = 0; n < ENGINE_REQUESTS && queue_pop(f->ear->front_requests, &request); n++) {
        engine_beat(&f->ear->front_beats);
        obey(f);
        answer(f, &request);
    }
    obey(f);
    if (f->reconfigured && !frontend_is_open(f->frontend))
        configure(f);

    if (!is_listening(f))
        engine_wait(f->ear->front_wake, -1, IDLE_MS);
    else if (f->open)
        front_hear(f);
    else
        wait_to_retry(f);
}

void *front_main(void *front)
{
    struct front *f = front;
    struct ear *ear = f->ear;
    pthread_setname_np(pthread_self(), "earshot-front");
    while (!atomic_load(&ear->stopping) && !(f->ended && f->source->once)) {
        engine_beat(&ear->front_beats);
        go_round(f);
    }
    front_close_source(f);
    answer_waiting(f);
    f->piece.type = PIECE_STOP;
    push_piece(f);
    atomic_store(&ear->front_ended, true);
    engine_wake(f->engine->inference_wake);
    return NULL;
}
