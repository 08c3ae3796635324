/* Keeps what was said, if so set: a thread that encodes and writes an utterance when it is over and
 * has become text. What the inference thread calls copies into a queue and returns at once; where
 * the disk does not keep up, utterances go unrecorded, and the log has it.
 */
#ifndef EARSHOT_DAEMON_RECORDER_H
#define EARSHOT_DAEMON_RECORDER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RECORDER_PATH_MAX = 512, /* bytes with the NUL */
};

struct recorder_config {
    bool keep;
    char directory[RECORDER_PATH_MAX]; /* as places_recordings reads it */
    int max_mb;                        /* 10^6 bytes of files */
    int max_days;                      /* 0: any age */
};

struct recorder;

/* Main thread. Destroy, after the last call from elsewhere, waits until what came is written. 0 or
 * -errno. */
int recorder_create(struct recorder **out, struct error *error);
void recorder_destroy(struct recorder *r);

/* All of these: one thread, and never waits. r NULL: nothing is recorded. */

/* From the next utterance on; until then nothing is kept. */
void recorder_configure(struct recorder *r, const struct recorder_config *config);
void recorder_begin(struct recorder *r, uint64_t id);
/* samples: [count], 16 kHz, at most FRONTEND_BLOCK. */
void recorder_push(struct recorder *r, const float *samples, size_t count);
void recorder_text(struct recorder *r, const char *text); /* no empty one */
void recorder_reply(struct recorder *r, const char *reply);
/* The utterance is over: kept if it had a text. */
void recorder_end(struct recorder *r);

#endif
