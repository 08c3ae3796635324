/* Turns speech probabilities (one a 10 ms frame) into utterances: begin, end, maximum length.
 * Pure logic over frame counts; the caller keeps the samples (pre-roll, and what endpoint_certain
 * holds back). One thread at a time. Times are those of the probabilities: vad.h's lag VAD_DELAY
 * behind the sound, and the defaults allow for it; only a cut is where the sound is.
 */
#ifndef EARSHOT_DSP_ENDPOINT_H
#define EARSHOT_DSP_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENDPOINT_ENDLESS SIZE_MAX

struct endpoint_config {
    float begin_threshold; /* probability that opens an utterance */
    float end_threshold;   /* probability under which a frame counts as silence */
    int begin_ms;          /* speech needed to open */
    int end_ms;            /* silence that closes */
    int end_min_ms;        /* silence that closes what is known to be over; 0: nothing is */
    int preroll_ms;        /* audio before BEGIN that belongs to it; never into the one before */
    int tail_ms;           /* audio kept after the last speech frame (<= end_ms) */
    int max_ms; /* longest utterance, held or not; what is longer is cut, see endpoint.c */
    int lag_ms; /* of the probabilities behind the sound */
};

enum endpoint_event {
    ENDPOINT_NONE,
    ENDPOINT_BEGIN, /* the utterance began at frame begin_frame */
    ENDPOINT_PAUSE, /* end_min_ms of silence: endpoint_end, if that was all */
    ENDPOINT_END,   /* the utterance ended at frame end_frame (exclusive) */
    ENDPOINT_CUT,   /* it was too long: it ended at end_frame, and the next began there */
};

enum {
    ENDPOINT_CUT_FRAMES = 8, /* a pause worth cutting at, and what a place to cut is judged by */
};

struct endpoint {
    struct endpoint_config config;
    int64_t frame;       /* frames seen */
    int64_t begin_frame; /* of the current or last utterance */
    int64_t end_frame;   /* of the last utterance, exclusive */
    bool open;
    bool held;         /* push-to-talk: the VAD may not close it */
    int speech_frames; /* evidence so far, closed state */
    int silence_frames;
    bool paused;                       /* this silence has been told of as a pause */
    float recent[ENDPOINT_CUT_FRAMES]; /* the last probabilities, by frame modulo the size */
    int64_t cut_frame;                 /* the best place to cut so far; -1: none yet */
    float cut_probability;             /* of speech there */
};

struct endpoint_config endpoint_config_default(void);
/* The same for a model that takes at most max_ms of audio; 0: no limit of its own;
 * ENDPOINT_ENDLESS: nothing is too long. */
struct endpoint_config endpoint_limit(struct endpoint_config config, size_t max_ms);
/* The same with so much audio after the last speech frame, if it had less and end_ms allows it. */
struct endpoint_config endpoint_extend(struct endpoint_config config, size_t tail_ms);
void endpoint_init(struct endpoint *e, const struct endpoint_config *config);

/* One frame's probability. Returns at most one event. */
enum endpoint_event endpoint_push(struct endpoint *e, float probability);

/* Push-to-talk: opens now (ENDPOINT_BEGIN, or NONE when already open; then it is held). */
enum endpoint_event endpoint_hold(struct endpoint *e);

/* In a pause: closes what is open as end_ms of silence would (ENDPOINT_END). */
enum endpoint_event endpoint_end(struct endpoint *e);

/* Closes whatever is open now (ENDPOINT_END or NONE). */
enum endpoint_event endpoint_finish(struct endpoint *e);

/* While open: what comes before this frame belongs to the utterance, however it will end. */
int64_t endpoint_certain(const struct endpoint *e);

#endif
