/* Samples -> utterances.
 *
 *     samples ─► history ring ──────────────────────────────┐
 *        └─► log-mel ─► vad ─► endpoint ─► begin, end ──────┴─► BEGIN, AUDIO..., END
 *
 * Places in the stream are absolute sample numbers. Audio is handed on as soon as it certainly
 * belongs to the utterance: up to the last speech frame plus the tail. What follows is held in the
 * history until speech resumes (then it is handed on) or the utterance ends (then it is not). In
 * the last quarter of the longest utterance it is held from the best place to cut on
 * (dsp/endpoint.c).
 */
#include "pipeline/frontend.h"

#include "dsp/level.h"
#include "dsp/logmel.h"
#include "dsp/vad.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAME = LOGMEL_HOP,
    FRAME_MS = 10,
    FRAMES_AHEAD = 2, /* of silence, for the log-mel window of the last frame */
};

/* Of begin_threshold: below it speech is some frames away. */
static const float quiet_share = 0.25f;

struct frontend {
    frontend_sink *sink;
    frontend_judge *is_over; /* NULL: nobody knows */
    void *user;
    struct endpoint endpoint;
    struct vad *vad;
    struct logmel *mel;
    struct level level;
    float *history; /* [history_mask + 1], the last samples, by absolute number */
    size_t history_mask;
    uint64_t total;  /* samples so far, lost ones included: the number of the next sample */
    uint64_t origin; /* the number of the first sample of the detector's frame 0 */
    uint64_t handed; /* the number of the next sample to hand on */
    bool open;
    float speech;       /* the highest probability since the utterance began */
    float newest;       /* the newest frame's probability */
    float *frames;      /* [logmel_bound(FRONTEND_BLOCK), VAD_BINS] */
    float *probability; /* [logmel_bound(FRONTEND_BLOCK)] */
};

static int64_t sample_to_us(uint64_t sample)
{
    return (int64_t)(sample / FRONTEND_RATE_HZ * 1000000 +
                     sample % FRONTEND_RATE_HZ * 1000000 / FRONTEND_RATE_HZ);
}

static size_t power_of_two(size_t at_least)
{
    size_t n = 1;
    while (n < at_least)
        n <<= 1;
    return n;
}

/* How far back audio may still be wanted: the pre-roll and the evidence before an opening, the
 * silence that is held while an utterance is open, or its last quarter. */
static size_t history_samples(const struct endpoint_config *c)
{
    size_t ms = (size_t)(c->preroll_ms + c->begin_ms);
    size_t quarter = (size_t)c->max_ms / 4;
    ms = ms > (size_t)c->end_ms ? ms : (size_t)c->end_ms;
    ms = (ms > quarter ? ms : quarter) + 1000;
    return power_of_two(ms * FRAME / FRAME_MS + FRONTEND_BLOCK + LOGMEL_WINDOW);
}

static bool is_valid(const struct endpoint_config *c)
{
    return c->preroll_ms >= 0 && c->begin_ms >= 0 && c->end_ms > 0 && c->tail_ms >= 0 &&
           c->tail_ms <= c->end_ms && c->end_min_ms >= 0 && c->max_ms > c->end_ms &&
           c->lag_ms >= 0 && c->lag_ms <= 500;
}

int frontend_create(struct frontend **out, const struct endpoint_config *config,
                    frontend_sink *sink, void *user)
{
    struct endpoint_config defaults = endpoint_config_default();
    const struct endpoint_config *c = config ? config : &defaults;
    if (!sink || !is_valid(c))
        return -EINVAL;

    struct frontend *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->sink = sink;
    f->user = user;
    endpoint_init(&f->endpoint, c);
    level_init(&f->level);
    size_t size = history_samples(c);
    f->history_mask = size - 1;
    f->history = calloc(size, sizeof(*f->history));
    size_t frames = logmel_bound(FRONTEND_BLOCK);
    f->frames = calloc(frames * VAD_BINS, sizeof(*f->frames));
    f->probability = calloc(frames, sizeof(*f->probability));
    if (!f->history || !f->frames || !f->probability || vad_create(&f->vad) ||
        logmel_create(&f->mel, VAD_BINS)) {
        frontend_destroy(f);
        return -ENOMEM;
    }
    *out = f;
    return 0;
}

void frontend_destroy(struct frontend *f)
{
    if (!f)
        return;
    vad_destroy(f->vad);
    logmel_destroy(f->mel);
    free(f->history);
    free(f->frames);
    free(f->probability);
    free(f);
}

void frontend_set_judge(struct frontend *f, frontend_judge *is_over)
{
    f->is_over = is_over;
}

static void emit(struct frontend *f, enum frontend_piece_type type, uint64_t at)
{
    struct frontend_piece piece = {.type = type, .time_us = sample_to_us(at), .speech = f->speech};
    f->sink(f->user, &piece);
}

/* Hands on the samples before number limit that have not been handed on yet. */
static void hand_on(struct frontend *f, uint64_t limit)
{
    if (limit > f->total)
        limit = f->total;
    while (f->handed < limit) {
        size_t at = (size_t)f->handed & f->history_mask;
        size_t count = (size_t)(limit - f->handed);
        if (count > FRONTEND_BLOCK)
            count = FRONTEND_BLOCK;
        if (count > f->history_mask + 1 - at)
            count = f->history_mask + 1 - at;
        struct frontend_piece piece = {.type = FRONTEND_AUDIO,
                                       .time_us = sample_to_us(f->handed),
                                       .samples = f->history + at,
                                       .count = count,
                                       .speech = f->speech};
        f->sink(f->user, &piece);
        f->handed += count;
    }
}

static uint64_t frame_to_sample(const struct frontend *f, int64_t frame)
{
    return frame < 0 ? f->origin : f->origin + (uint64_t)frame * FRAME;
}

static void open_at(struct frontend *f, uint64_t sample)
{
    uint64_t oldest = f->total > f->history_mask + 1 ? f->total - f->history_mask - 1 : 0;
    if (sample < oldest)
        sample = oldest;
    if (sample > f->handed)
        f->handed = sample; /* never a sample twice: an utterance begins after the last one ended */
    f->open = true;
    emit(f, FRONTEND_BEGIN, f->handed);
}

static void close_at(struct frontend *f, uint64_t sample)
{
    hand_on(f, sample);
    f->open = false;
    emit(f, FRONTEND_END, f->handed);
}

static uint64_t certain_sample(const struct frontend *f)
{
    return frame_to_sample(f, endpoint_certain(&f->endpoint));
}

/* Only what was said is judged: of the silence no more than the tail is handed on. */
static void end_if_over(struct frontend *f)
{
    hand_on(f, certain_sample(f));
    if (!f->is_over || !f->is_over(f->user))
        return;
    endpoint_end(&f->endpoint);
    close_at(f, frame_to_sample(f, f->endpoint.end_frame));
}

static void on_event(struct frontend *f, enum endpoint_event event)
{
    switch (event) {
    case ENDPOINT_BEGIN:
        open_at(f, frame_to_sample(f, f->endpoint.begin_frame));
        break;
    case ENDPOINT_PAUSE:
        end_if_over(f);
        break;
    case ENDPOINT_END:
        close_at(f, frame_to_sample(f, f->endpoint.end_frame));
        break;
    case ENDPOINT_CUT:
        close_at(f, frame_to_sample(f, f->endpoint.end_frame));
        open_at(f, f->handed);
        if (f->endpoint.held)
            emit(f, FRONTEND_HOLD, f->handed);
        break;
    case ENDPOINT_NONE:
        break;
    }
    if (f->open)
        hand_on(f, certain_sample(f));
}

/* At most FRONTEND_BLOCK samples. */
static void detect(struct frontend *f, const float *samples, size_t count)
{
    size_t frames = logmel_push(f->mel, samples, count, f->frames);
    vad_push(f->vad, f->frames, frames, f->probability);
    for (size_t i = 0; i < frames; i++) {
        float probability = f->probability[i];
        enum endpoint_event event = endpoint_push(&f->endpoint, probability);
        if (event == ENDPOINT_BEGIN || event == ENDPOINT_CUT || probability > f->speech)
            f->speech = probability;
        on_event(f, event);
        f->newest = probability;
    }
}

/* At most FRONTEND_BLOCK samples. */
static void push_block(struct frontend *f, const float *samples, size_t count)
{
    size_t at = (size_t)f->total & f->history_mask;
    size_t first = f->history_mask + 1 - at;
    if (first > count)
        first = count;
    memcpy(f->history + at, samples, first * sizeof(float));
    memcpy(f->history, samples + first, (count - first) * sizeof(float));
    f->total += count;
    level_push(&f->level, samples, count);

    detect(f, samples, count);
}

void frontend_push(struct frontend *f, const float *samples, size_t count)
{
    while (count > 0) {
        size_t n = count < FRONTEND_BLOCK ? count : FRONTEND_BLOCK;
        push_block(f, samples, n);
        samples += n;
        count -= n;
    }
}

void frontend_hold(struct frontend *f)
{
    on_event(f, endpoint_hold(&f->endpoint));
    emit(f, FRONTEND_HOLD, f->handed);
}

void frontend_finish(struct frontend *f)
{
    const struct endpoint *e = &f->endpoint;
    /* The newest samples have no frame yet; they belong to the utterance unless it is already
     * silent for longer than the tail. */
    bool speaking = e->held || e->silence_frames * FRAME_MS <= e->config.tail_ms;
    if (endpoint_finish(&f->endpoint) != ENDPOINT_END)
        return;
    close_at(f, speaking ? f->total : frame_to_sample(f, e->end_frame));
}

void frontend_flush(struct frontend *f)
{
    static const float silence[FRAME];
    for (int i = 0; i < VAD_DELAY + FRAMES_AHEAD; i++)
        detect(f, silence, FRAME);
    frontend_gap(f, 0);
}

void frontend_cancel(struct frontend *f)
{
    if (endpoint_finish(&f->endpoint) != ENDPOINT_END)
        return;
    f->open = false;
    f->handed = f->total;
    emit(f, FRONTEND_DROP, f->total);
}

void frontend_gap(struct frontend *f, uint64_t lost_samples)
{
    frontend_finish(f);
    f->total += lost_samples;
    f->origin = f->total;
    f->handed = f->total;
    struct endpoint_config config = f->endpoint.config;
    endpoint_init(&f->endpoint, &config);
    vad_reset(f->vad);
    logmel_reset(f->mel);
}

/* Every sample keeps its number. */
static int grow_history(struct frontend *f, size_t size)
{
    size_t mask = f->history_mask;
    if (size <= mask + 1)
        return 0;
    float *history = calloc(size, sizeof(*history));
    if (!history)
        return -ENOMEM;
    for (size_t i = 0; i <= mask; i++) {
        uint64_t sample = f->total - 1 - i; /* before the first one it is as zero as they are */
        history[sample & (size - 1)] = f->history[sample & mask];
    }
    free(f->history);
    f->history = history;
    f->history_mask = size - 1;
    return 0;
}

int frontend_configure(struct frontend *f, const struct endpoint_config *config)
{
    assert(!f->open);
    int rc = is_valid(config) ? grow_history(f, history_samples(config)) : -EINVAL;
    if (rc == 0)
        f->endpoint.config = *config;
    return rc;
}

void frontend_limit(struct frontend *f, size_t max_ms, size_t tail_ms)
{
    f->endpoint.config = endpoint_extend(endpoint_limit(f->endpoint.config, max_ms), tail_ms);
}

bool frontend_is_open(const struct frontend *f)
{
    return f->open;
}

bool frontend_is_held(const struct frontend *f)
{
    return f->open && f->endpoint.held;
}

bool frontend_is_quiet(const struct frontend *f)
{
    return !f->open && f->newest < f->endpoint.config.begin_threshold * quiet_share;
}

float frontend_rms_db(const struct frontend *f)
{
    return level_rms_db(&f->level);
}

int64_t frontend_time_us(const struct frontend *f)
{
    return sample_to_us(f->total);
}
