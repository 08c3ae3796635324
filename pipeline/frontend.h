/* 16 kHz samples in, utterances out: log-mel, voice activity, endpointing, pre-roll and tail.
 * Single-threaded, without an operating system; allocates at create only. Any split of the samples
 * gives the same utterances, to the sample.
 */
#ifndef EARSHOT_PIPELINE_FRONTEND_H
#define EARSHOT_PIPELINE_FRONTEND_H

#include "dsp/endpoint.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRONTEND_RATE_HZ = 16000,
    FRONTEND_BLOCK = 1600, /* the most samples a piece of audio has */
};

enum frontend_piece_type {
    FRONTEND_BEGIN, /* an utterance begins */
    FRONTEND_HOLD,  /* push-to-talk: it is one, whatever is heard */
    FRONTEND_AUDIO, /* samples of it, in order */
    FRONTEND_END,   /* it is over */
    FRONTEND_DROP,  /* it is cancelled */
};

struct frontend_piece {
    enum frontend_piece_type type;
    int64_t time_us;      /* place in the stream: of the begin, of the end, of the first sample */
    const float *samples; /* AUDIO: [count], valid until the sink returns */
    size_t count;         /* 1..FRONTEND_BLOCK */
    float speech;         /* the detector's highest probability in this utterance so far */
};

typedef void frontend_sink(void *user, const struct frontend_piece *piece);
/* Whether the open utterance, all of which has been handed on, is over. */
typedef bool frontend_judge(void *user);

struct frontend;

/* config NULL: endpoint_config_default(). 0, -EINVAL or -ENOMEM. */
int frontend_create(struct frontend **out, const struct endpoint_config *config,
                    frontend_sink *sink, void *user);
void frontend_destroy(struct frontend *f);

/* Who is asked in a pause of end_min_ms, with the sink's user; without one all wait end_ms. */
void frontend_set_judge(struct frontend *f, frontend_judge *is_over);

void frontend_push(struct frontend *f, const float *samples, size_t count);

void frontend_hold(struct frontend *f); /* push-to-talk: an utterance begins now, if none is open */
void frontend_finish(
    struct frontend *f); /* the open utterance ends now; also at the stream's end */
void frontend_cancel(struct frontend *f); /* the open utterance is dropped */
/* The stream is over: the detector judges what it was still waiting to hear the end of, then the
 * open utterance ends. */
void frontend_flush(struct frontend *f);
/* Audio is missing here (overrun, another device): the open utterance ends, the detector starts
 * afresh, time goes on by lost samples. */
void frontend_gap(struct frontend *f, uint64_t lost_samples);

/* Between two utterances: goes on with another configuration, which knows of no limit yet. 0,
 * -EINVAL or -ENOMEM: then all stays as it was. */
int frontend_configure(struct frontend *f, const struct endpoint_config *config);

/* From the next utterance on none is longer than a model takes (0: the configuration's length;
 * ENDPOINT_ENDLESS: any), and tail_ms of audio follow the last speech, if end_ms allows it. */
void frontend_limit(struct frontend *f, size_t max_ms, size_t tail_ms);

bool frontend_is_open(const struct frontend *f);
bool frontend_is_held(const struct frontend *f); /* push-to-talk holds the open utterance */
/* No utterance is open, and the newest frame is nothing that one could begin with: whoever pushes
 * live audio may let some of it gather. */
bool frontend_is_quiet(const struct frontend *f);
float frontend_rms_db(const struct frontend *f);
int64_t frontend_time_us(const struct frontend *f);

#endif
