/* One source on one thread: samples in, events out. A front end finds the utterances and a
 * recogniser writes them. The daemon has the two on threads of their own with a queue in between
 * (daemon/front_thread.c, daemon/inference_pieces.c); everybody else comes in here.
 */
#ifndef EARSHOT_PIPELINE_SESSION_H
#define EARSHOT_PIPELINE_SESSION_H

#include "pipeline/recogniser.h"

struct session;

/* The hearing must outlive it; its model must have an encoder. Nothing is heard before
 * session_begin. 0 or -errno. */
int session_create(struct session **out, struct hearing *hearing,
                   const struct recogniser_config *text, struct error *error);
void session_destroy(struct session *s);

/* A new source begins: what was heard of another is forgotten, its conversation too; ids go on.
 * Allocates. speech: when an utterance begins and ends, NULL for the default; the model's own
 * limits are added. 0, -EINVAL or -ENOMEM: nothing can be heard. */
int session_begin(struct session *s, const struct endpoint_config *speech, struct error *error);

/* 16 kHz samples, as many as there are. */
void session_push(struct session *s, const float *samples, size_t count);
/* The source is over. */
void session_flush(struct session *s);

/* How much of the source was pushed. */
int64_t session_time_us(const struct session *s);
/* To configure it or to ask for its statistics. */
struct recogniser *session_recogniser(struct session *s);

#endif
