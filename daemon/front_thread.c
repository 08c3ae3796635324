/* The front-end thread: keeps a source open, resamples, finds utterances and passes them on.
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
#include "audio/resample.h"
#include "base/log.h"
#include "daemon/audio_clock.h"
#include "daemon/clock.h"
#include "daemon/engine_private.h"
#include "daemon/journal_ids.h"
#include "dsp/level.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_FIRST_MS = 500,
    RETRY_LAST_MS = 10000,
    IDLE_MS = 1000, /* the longest sleep; a heartbeat each */
    LOST_US = 1000000,
    ANSWER_MS = 20,   /* how often it is looked whether an answer is still wanted */
    WAITING = 64,     /* requests that wait for the source, at most */
    SPARE_PIECES = 2, /* room that audio leaves to what ends it */
    SKIP_US = 20000,  /* what a Cancel drops is listened to for so long at most */
};

struct waiting {
    enum engine_request_type type;
    uint64_t number;
};

struct front {
    struct engine *engine;
    struct ear *ear;
    struct frontend *frontend;
    struct source *source;
    struct resample *resample; /* while open */
    float *in;                 /* [chunk, channels], while open */
    float *out;                /* [resample_bound(chunk)], while open */
    size_t chunk;              /* frames a read takes: 20 ms */
    bool open, ended, muted, paused;
    bool starting;    /* it has neither opened nor failed since it was to open */
    bool quiet;       /* the source knows that nobody speaks */
    bool cancelling;  /* what is heard came before a Cancel that is under way */
    uint64_t skipped; /* samples of it that nobody listened to */
    uint64_t shut;    /* as last obeyed, as the ear's, */
    bool shut_untold;
    uint64_t cancelled; /* and the number of the last cancel */
    uint64_t hold;      /* the request that holds, or held last */
    bool holding;
    bool told_missing; /* the log has it */
    struct config config;
    bool reconfigured; /* the front end does not know of it yet */
    int retry_ms;
    int64_t retry_us; /* when to try again */

    uint64_t id; /* of the last utterance */
    struct audio_clock clock;
    uint32_t begun_stamp;  /* when it began */
    bool begun;            /* the inference thread knows of it, and not of its end */
    uint32_t pauses;       /* that were asked about */
    uint64_t samples_lost; /* to be told */
    int64_t told_lost_us;  /* clock then */
    int64_t heard_us;      /* clock at the last audio, or when push-to-talk was pressed since */
    struct waiting waiting[WAITING];
    size_t waiting_count;
    struct piece piece; /* scratch */
    struct engine_message message;
};

/* The utterance at hand is dropped, or will be. */
static bool is_stale(const struct front *f)
{
    return f->begun_stamp != (uint32_t)atomic_load(&f->ear->stamp);
}

static bool is_to_shut(const struct front *f)
{
    return atomic_load(&f->ear->shut) != f->shut;
}

/* There is something that waits for nothing. */
static bool is_urgent(const struct front *f)
{
    return is_to_shut(f) || atomic_load(&f->ear->cancelled) != f->cancelled;
}

static bool try_to_push(struct front *f, bool audio)
{
    struct queue *pieces = f->ear->pieces;
    return (!audio || queue_has_room(pieces, 1 + SPARE_PIECES)) && queue_push(pieces, &f->piece);
}

/* Whoever mutes does not wait for the model: the device goes first. */
static void push_piece(struct front *f)
{
    struct ear *ear = f->ear;
    bool audio = f->piece.type == PIECE_AUDIO || f->piece.type == PIECE_PAUSE;
    while (!try_to_push(f, audio)) {
        if (atomic_load(&ear->aborted) || atomic_load(&f->engine->gone) || (audio && is_stale(f)))
            return;
        if (f->open && is_to_shut(f))
            f->source->ops->stop(f->source);
        engine_beat(&ear->front_beats);
        engine_nap();
    }
    engine_wake(f->engine->inference_wake);
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
        piece->type = PIECE_AUDIO;
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
    piece->id = f->id;
    piece->time_us = p->time_us;
    piece->speech = p->speech;
    piece->heard_us = f->heard_us;
    piece->wait_us = frontend_time_us(f->frontend) - p->time_us;
    piece->count = p->type == FRONTEND_AUDIO ? p->count : 0;
    if (piece->count)
        memcpy(piece->samples, p->samples, piece->count * sizeof *piece->samples);
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
    f->piece.count = 0;
    push_piece(f);
    while ((verdict = atomic_load(&ear->verdict)) >> 1 != f->pauses) {
        if (atomic_load(&ear->aborted) || atomic_load(&f->engine->gone) || is_stale(f) ||
            is_to_shut(f) || (!f->source->patient && clock_monotonic_us() > limit_us))
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
    f->retry_ms = RETRY_FIRST_MS;
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

static void free_buffers(struct front *f)
{
    resample_destroy(f->resample);
    free(f->in);
    free(f->out);
    f->resample = NULL;
    f->in = f->out = NULL;
}

void front_destroy(struct front *f)
{
    if (!f)
        return;
    free_buffers(f);
    source_destroy(f->source);
    frontend_destroy(f->frontend);
    free(f);
}

static struct engine_message *message(struct front *f, enum engine_message_type type, int64_t value)
{
    f->message.type = type;
    f->message.user = f->ear->user;
    f->message.value = value;
    f->message.number = 0;
    f->message.event.text[0] = '\0';
    return &f->message;
}

static void send(struct front *f)
{
    engine_send(f->engine, f->ear->front_messages, &f->ear->aborted, &f->message);
}

static void tell_source(struct front *f, enum engine_source state, const char *text)
{
    struct engine_message *m = message(f, ENGINE_SOURCE, state);
    snprintf(m->event.text, sizeof m->event.text, "%s", text);
    send(f);
}

static int make_buffers(struct front *f)
{
    struct source *s = f->source;
    f->chunk = (size_t)s->rate_hz / 50;
    int rc = resample_create(&f->resample, s->rate_hz, s->channels);
    if (rc)
        return rc;
    f->in = calloc(f->chunk * (size_t)s->channels, sizeof *f->in);
    f->out = calloc(resample_bound(f->resample, f->chunk) + resample_bound(f->resample, 0),
                    sizeof *f->out);
    return f->in && f->out ? 0 : -ENOMEM;
}

static uint64_t to_samples(const struct front *f, uint64_t frames)
{
    return frames * FRONTEND_RATE_HZ / (uint64_t)f->source->rate_hz;
}

/* At most once a second, and all that is left when the source closes. */
static void tell_lost(struct front *f, bool closing)
{
    int64_t now_us = clock_monotonic_us();
    if (!f->samples_lost || (!closing && now_us < f->told_lost_us + LOST_US))
        return;
    int64_t lost_ms = (int64_t)(f->samples_lost / 16);
    log_event(f->source->once ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, JOURNAL_AUDIO_LOST,
              (struct log_field[]){{"LOST_MS", .number = lost_ms}, {NULL}},
              "%lld ms of audio were lost", (long long)lost_ms);
    message(f, ENGINE_LOST, (int64_t)f->samples_lost);
    send(f);
    f->samples_lost = 0;
    f->told_lost_us = now_us;
}

static void tell_level(struct front *f, float db)
{
    atomic_store_explicit(&f->ear->level_cdb, (int)(db * 100.0f), memory_order_relaxed);
}

static void close_source(struct front *f)
{
    f->source->ops->stop(f->source); /* it may be about to open */
    if (!f->open)
        return;
    tell_lost(f, true);
    free_buffers(f);
    f->open = false;
    tell_level(f, LEVEL_SILENCE_DB);
    frontend_flush(f->frontend);
}

static void retry_later(struct front *f, const struct error *error)
{
    if (!f->told_missing)
        log_event(LOG_LEVEL_WARNING, JOURNAL_NO_DEVICE,
                  (struct log_field[]){{"DEVICE", .text = f->source->name}, {NULL}},
                  "%s; trying again every %d s at most", error->message, RETRY_LAST_MS / 1000);
    f->told_missing = true;
    f->starting = false;
    f->retry_us = clock_monotonic_us() + (int64_t)f->retry_ms * 1000;
    f->retry_ms = f->retry_ms * 2 < RETRY_LAST_MS ? f->retry_ms * 2 : RETRY_LAST_MS;
    tell_source(f, ENGINE_SOURCE_MISSING, error->message);
}

/* Streams come and go by the thousand. */
static enum log_level log_level(const struct front *f)
{
    return f->source->once ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

/* What the model takes. */
static void limit_frontend(struct front *f)
{
    frontend_limit(f->frontend, atomic_load(&f->engine->longest_ms),
                   atomic_load(&f->engine->tail_ms));
}

static void open_source(struct front *f)
{
    struct error error;
    int rc = f->source->ops->start(f->source, &error);
    if (rc == -EINPROGRESS) {
        engine_wait(f->ear->front_wake, f->source->fd, f->source->wait_ms);
        return;
    }
    if (!rc && (rc = make_buffers(f)) != 0) {
        f->source->ops->stop(f->source);
        free_buffers(f);
        error_set(&error, rc, "%s: %s", f->source->name, strerror(-rc));
    }
    if (rc) {
        retry_later(f, &error);
        return;
    }
    limit_frontend(f);
    f->clock.steady = !f->source->once && !f->source->patient;
    f->clock.caught_up = false;
    f->open = true;
    f->starting = f->quiet = f->told_missing = false;
    log_event(log_level(f), JOURNAL_LISTENING,
              (struct log_field[]){{"DEVICE", .text = f->source->name},
                                   {"RATE_HZ", .number = f->source->rate_hz},
                                   {"CHANNELS", .number = f->source->channels},
                                   {NULL}},
              "listening to %s, %d Hz, %d channels", f->source->name, f->source->rate_hz,
              f->source->channels);
    tell_source(f, ENGINE_SOURCE_OPEN, f->source->name);
}

static void lose_source(struct front *f)
{
    struct error error;
    error_set(&error, -EIO, "%s was lost", f->source->name);
    close_source(f);
    retry_later(f, &error);
}

/* What the source lost lies between what it gave and what it will give. True: there was a gap. */
static bool take_lost(struct front *f)
{
    struct source_lost lost = {0};
    f->source->ops->lost(f->source, &lost);
    uint64_t gap = to_samples(f, lost.gap);
    f->samples_lost += gap + to_samples(f, lost.concealed);
    if (gap)
        frontend_gap(f->frontend, gap);
    tell_lost(f, false);
    return gap > 0;
}

static void end_source(struct front *f)
{
    take_lost(f);
    size_t n = resample_flush(f->resample, f->out);
    frontend_push(f->frontend, f->out, n);
    frontend_flush(f->frontend);
    f->ended = true;
    tell_level(f, LEVEL_SILENCE_DB);
    log_write(log_level(f), "%s is over", f->source->name);
}

static void tell_quiet(struct front *f)
{
    bool quiet = frontend_is_quiet(f->frontend);
    if (quiet != f->quiet)
        f->source->ops->set_quiet(f->source, quiet);
    f->quiet = quiet;
}

/* Nothing comes: who spoke may be cut off. */
static void end_if_cut_off(struct front *f)
{
    int64_t quiet_us = (int64_t)f->source->quiet_ms * 1000;
    if (quiet_us && frontend_is_open(f->frontend) && clock_monotonic_us() > f->heard_us + quiet_us)
        frontend_flush(f->frontend);
}

static void wait_for_audio(struct front *f)
{
    audio_clock_caught_up(&f->clock, frontend_time_us(f->frontend), clock_boot_us());
    tell_quiet(f);
    end_if_cut_off(f);
    engine_wait(f->ear->front_wake, f->source->fd, f->source->wait_ms);
}

/* A driver or a file may hold anything. */
static void make_finite(float *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(samples[i]) <= 8.0f))
            samples[i] = 0.0f;
}

/* False: there is nothing now. */
static bool hear_more(struct front *f)
{
    struct source *s = f->source;
    long n = s->ops->read(s, f->in, f->chunk);
    if (n == 0)
        return take_lost(f);
    if (n == -EAGAIN) {
        end_if_cut_off(f);
        if (!f->cancelling)
            engine_nap(); /* who sends nothing of use is not hurried for */
        return true;
    }
    if (n == -ENODATA) {
        end_source(f);
        return true;
    }
    if (n < 0) {
        lose_source(f);
        return true;
    }
    f->retry_ms = RETRY_FIRST_MS;
    f->heard_us = clock_monotonic_us();
    if (s->skims) {
        f->skipped += to_samples(f, (uint64_t)n);
        return true;
    }
    make_finite(f->in, (size_t)n * (size_t)s->channels);
    size_t count = resample_push(f->resample, f->in, (size_t)n, f->out);
    frontend_push(f->frontend, f->out, count);
    tell_level(f, frontend_rms_db(f->frontend));
    return true;
}

static void hear(struct front *f)
{
    if (!hear_more(f))
        wait_for_audio(f);
}

/* What came before a turn was asked for, ended or dropped is heard before it is. A file has nothing
 * that waits. False: that was all. */
static bool begin_catching_up(struct front *f)
{
    if (!f->open || f->ended || f->source->fd < 0)
        return false;
    source_mark(f->source);
    return true;
}

static bool catch_up_on(struct front *f)
{
    engine_beat(&f->ear->front_beats);
    return f->open && !f->ended && !atomic_load(&f->ear->stopping) && hear_more(f);
}

static void catch_up(struct front *f)
{
    if (begin_catching_up(f))
        while (!is_urgent(f) && catch_up_on(f))
            ;
}

/* A client may have sent more than can be heard while somebody waits for his Cancel. */
static void drop_what_came(struct front *f)
{
    int64_t limit_us = clock_monotonic_us() + SKIP_US;
    f->cancelling = true;
    if (begin_catching_up(f))
        while (!is_to_shut(f) && catch_up_on(f))
            f->source->skims = clock_monotonic_us() > limit_us;
    f->source->skims = false;
    if (f->skipped)
        frontend_gap(f->frontend, f->skipped);
    f->skipped = 0;
    f->cancelling = false;
}

static void answer_hold(struct front *f, uint64_t number)
{
    struct engine_message *m = &f->message;
    if (number <= f->cancelled || number <= atomic_load(&f->ear->released)) {
        m->value = -ECANCELED;
        strcpy(m->event.text, "cancelled");
        return;
    }
    if (!f->open || f->ended) {
        m->value = -ENODEV;
        snprintf(m->event.text, sizeof m->event.text, "%s",
                 f->muted    ? "muted"
                 : f->paused ? "paused"
                             : "no audio source");
        return;
    }
    f->heard_us = clock_monotonic_us();
    frontend_hold(f->frontend);
    f->holding = true;
    f->hold = number;
    m->value = (int64_t)f->id;
}

static void begin_starting(struct front *f)
{
    f->starting = true;
    if (!f->ended)
        tell_source(f, ENGINE_SOURCE_STARTING, "");
}

static void tell_number(struct front *f, enum engine_message_type type, int64_t value,
                        uint64_t number)
{
    message(f, type, value)->number = number;
    send(f);
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
    f->retry_ms = RETRY_FIRST_MS;
    if (!muted && !paused) {
        if (was_closed)
            begin_starting(f);
        return;
    }
    close_source(f);
    tell_shut(f);
    tell_source(f, ENGINE_SOURCE_CLOSED, "");
    f->piece.type = PIECE_CLOSED;
    push_piece(f);
}

static void set_source(struct front *f, struct source *s)
{
    close_source(f);
    source_destroy(f->source);
    f->source = s;
    f->ended = f->told_missing = false;
    f->starting = true;
    f->retry_us = 0;
    f->retry_ms = RETRY_FIRST_MS;
}

static int set_device(struct front *f, const char *device, struct error *error)
{
    char spec[SOURCE_NAME_MAX + 16];
    struct source *s;
    int length = snprintf(spec, sizeof spec, *device ? "portaudio:%s" : "portaudio%s", device);
    if (length >= (int)sizeof spec)
        return error_set(error, -EINVAL, "the device's name is too long");
    int rc = source_create(&s, spec, f->config.buffer_ms, error);
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
    limit_frontend(f);
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

static void send_result(struct front *f, const struct waiting *w, int64_t value, const char *text)
{
    struct engine_message *m = message(f, ENGINE_RESULT, value);
    m->number = w->number;
    snprintf(m->event.text, sizeof m->event.text, "%s", text);
    if (w->type == ENGINE_HOLD)
        answer_hold(f, w->number);
    send(f);
}

/* Whoever unmuted first. */
static void answer_waiting(struct front *f)
{
    tell_shut(f);
    for (size_t i = 0; i < f->waiting_count; i++)
        send_result(f, &f->waiting[i], 0, "");
    f->waiting_count = 0;
}

/* A turn waits for a model that loads too. */
static bool waits_for_source(const struct front *f, enum engine_request_type type)
{
    return type == ENGINE_HOLD && f->starting && is_wanted(f) && f->waiting_count < WAITING;
}

static void answer(struct front *f, const struct engine_request *r)
{
    struct waiting w = {r->type, r->number};
    struct error error = {""};
    int64_t value = 0;
    if (r->type == ENGINE_FINISH)
        answer_waiting(f);
    if (r->type == ENGINE_HOLD || r->type == ENGINE_FINISH)
        catch_up(f);
    if (r->type == ENGINE_DEVICE)
        value = set_device(f, r->text, &error);
    else if (r->type == ENGINE_FINISH)
        frontend_finish(f->frontend);

    if (waits_for_source(f, r->type))
        f->waiting[f->waiting_count++] = w;
    else
        send_result(f, &w, value, error.message);
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
    drop_what_came(f);
    frontend_cancel(f->frontend);
    tell_number(f, ENGINE_CANCELLED, 0, number);
}

static void obey_release(struct front *f)
{
    if (f->holding && f->hold <= atomic_load(&f->ear->released)) {
        catch_up(f);
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
        open_source(f);
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
        hear(f);
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
    close_source(f);
    answer_waiting(f);
    f->piece.type = PIECE_STOP;
    push_piece(f);
    atomic_store(&ear->front_ended, true);
    engine_wake(f->engine->inference_wake);
    return NULL;
}
