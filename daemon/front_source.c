/* The front-end thread's source: opened, heard, lost, tried again and closed. What is heard of it
 * goes to the front end, resampled; what was lost of it is told.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/front_private.h"
#include "daemon/journal_ids.h"
#include "dsp/level.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_LAST_MS = 10000,
    LOST_US = 1000000,
    OFFER_MS = 20,   /* between two offers of audio that was gathered */
    SKIP_US = 20000, /* what a Cancel drops is listened to for so long at most */
    CHUNK_US = 20000,
    AHEAD_US = 5000000, /* of audio, that comes as fast as it may; a spoken order in a file */
    TURN_US = 200,      /* for a chunk of what is beyond that; it takes half as long */
    NAP_US = 2000,
};

bool front_is_to_shut(const struct front *f)
{
    return atomic_load(&f->ear->shut) != f->shut;
}

/* There is something that waits for nothing. */
static bool is_urgent(const struct front *f)
{
    return front_is_to_shut(f) || atomic_load(&f->ear->cancelled) != f->cancelled;
}

void front_free_buffers(struct front *f)
{
    resample_destroy(f->resample);
    free(f->in);
    free(f->out);
    f->resample = NULL;
    f->in = f->out = NULL;
}

struct engine_message *front_message(struct front *f, enum engine_message_type type, int64_t value)
{
    f->message.type = type;
    f->message.user = f->ear->user;
    f->message.value = value;
    f->message.number = 0;
    f->message.event.text[0] = '\0';
    return &f->message;
}

void front_send(struct front *f)
{
    engine_send(f->engine, f->ear->front_messages, &f->ear->aborted, &f->message);
}

void front_tell_source(struct front *f, enum engine_source state, const char *text)
{
    struct engine_message *m = front_message(f, ENGINE_SOURCE, state);
    snprintf(m->event.text, sizeof m->event.text, "%s", text);
    front_send(f);
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
    front_message(f, ENGINE_LOST, (int64_t)f->samples_lost);
    front_send(f);
    f->samples_lost = 0;
    f->told_lost_us = now_us;
}

static void tell_level(struct front *f, float db)
{
    atomic_store_explicit(&f->ear->level_cdb, (int)(db * 100.0f), memory_order_relaxed);
}

void front_close_source(struct front *f)
{
    f->source->ops->stop(f->source); /* it may be about to open */
    if (!f->open)
        return;
    tell_lost(f, true);
    front_free_buffers(f);
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
    front_tell_source(f, ENGINE_SOURCE_MISSING, error->message);
}

/* Streams come and go by the thousand. */
static enum log_level log_level(const struct front *f)
{
    return f->source->once ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

/* What the model takes. */
void front_limit_frontend(struct front *f)
{
    frontend_limit(f->frontend, atomic_load(&f->engine->longest_ms),
                   atomic_load(&f->engine->tail_ms));
}

void front_open_source(struct front *f)
{
    struct error error;
    int rc = f->source->ops->start(f->source, &error);
    if (rc == -EINPROGRESS) {
        engine_wait(f->ear->front_wake, f->source->fd, f->source->wait_ms);
        return;
    }
    if (!rc && (rc = make_buffers(f)) != 0) {
        f->source->ops->stop(f->source);
        front_free_buffers(f);
        error_set(&error, rc, "%s: %s", f->source->name, strerror(-rc));
    }
    if (rc) {
        retry_later(f, &error);
        return;
    }
    front_limit_frontend(f);
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
    front_tell_source(f, ENGINE_SOURCE_OPEN, f->source->name);
}

static void lose_source(struct front *f)
{
    struct error error;
    error_set(&error, -EIO, "%s was lost", f->source->name);
    front_close_source(f);
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

/* Nothing comes: who spoke may be cut off. Where the daemon itself stood still, what was sent
 * meanwhile is yet to be read. */
static void end_if_cut_off(struct front *f)
{
    int64_t quiet_us = (int64_t)f->source->quiet_ms * 1000;
    int64_t now_us = clock_monotonic_us();
    if (quiet_us && now_us > f->looked_us + quiet_us)
        f->heard_us = now_us;
    f->looked_us = now_us;
    if (quiet_us && frontend_is_open(f->frontend) && now_us > f->heard_us + quiet_us)
        frontend_flush(f->frontend);
}

static void wait_for_audio(struct front *f)
{
    audio_clock_caught_up(&f->clock, frontend_time_us(f->frontend), clock_boot_us());
    tell_quiet(f);
    end_if_cut_off(f);
    int wait_ms = f->source->wait_ms;
    if (!front_offer_audio(f) && wait_ms > OFFER_MS)
        wait_ms = OFFER_MS;
    engine_wait(f->ear->front_wake, f->source->fd, wait_ms);
}

/* A driver or a file may hold anything. */
static void make_finite(float *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(samples[i]) <= 8.0f))
            samples[i] = 0.0f;
}

/* Ears whose audio comes much faster than time goes by hear it one after the other, so that all of
 * them together leave the machine to those that hear as people speak. */
static void wait_for_turn(struct front *f)
{
    int64_t now_us = clock_monotonic_us();
    f->due_us = (f->due_us > now_us ? f->due_us : now_us) + CHUNK_US;
    if (f->source->patient || f->due_us < now_us + AHEAD_US)
        return;
    int_fast64_t turn_us, next_us = atomic_load(&f->engine->turn_us);
    do
        turn_us = next_us > now_us ? next_us : now_us;
    while (!atomic_compare_exchange_weak(&f->engine->turn_us, &next_us, turn_us + TURN_US));
    while (clock_monotonic_us() + NAP_US < turn_us)
        engine_nap();
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
    f->retry_ms = FRONT_RETRY_FIRST_MS;
    f->heard_us = clock_monotonic_us();
    if (s->skims) {
        f->skipped += to_samples(f, (uint64_t)n);
        return true;
    }
    wait_for_turn(f);
    make_finite(f->in, (size_t)n * (size_t)s->channels);
    size_t count = resample_push(f->resample, f->in, (size_t)n, f->out);
    frontend_push(f->frontend, f->out, count);
    tell_level(f, frontend_rms_db(f->frontend));
    return true;
}

void front_hear(struct front *f)
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

void front_catch_up(struct front *f)
{
    if (begin_catching_up(f))
        while (!is_urgent(f) && catch_up_on(f))
            ;
}

/* A client may have sent more than can be heard while somebody waits for his Cancel. */
void front_drop_what_came(struct front *f)
{
    int64_t limit_us = clock_monotonic_us() + SKIP_US;
    f->cancelling = true;
    if (begin_catching_up(f))
        while (!front_is_to_shut(f) && catch_up_on(f))
            f->source->skims = clock_monotonic_us() > limit_us;
    f->source->skims = false;
    if (f->skipped)
        frontend_gap(f->frontend, f->skipped);
    f->skipped = 0;
    f->cancelling = false;
}
