/* Utterance samples -> log-mel -> encoder -> adapter: the rows that go into the backbone, with
 * every stage between to be looked at. Any split of the samples gives the same rows.
 * Single-threaded; allocates at create only.
 */
#ifndef EARSHOT_PIPELINE_FEATURES_H
#define EARSHOT_PIPELINE_FEATURES_H

#include "model/hearing.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    FEATURES_RATE_HZ = 16000,
    FEATURES_BLOCK = 1600, /* the most samples a push takes */
};

/* What one call computed; valid until the next. */
struct features_rows {
    const float *mel; /* host [mel_count, bins]; none for encoders that take samples */
    size_t mel_count;
    const float *encoder; /* backend memory [encoder_count, encoder dim] */
    size_t encoder_count;
    const float *phones;  /* host [encoder_count], 1 - P(blank); NULL: the model has no such head */
    const float *letters; /* host [encoder_count, classes], log probabilities; NULL: no letters */
    const float *adapter; /* backend memory [adapter_count, backbone dim] */
    size_t adapter_count;
};

struct features;

/* An ear of the hearing, which must outlive it; its model must have an encoder. 0 or -errno. */
int features_create(struct features **out, struct hearing *hearing, struct error *error);
/* Shows the stages inside the encoder to the tap from now on; NULL: to nobody. Not owned. */
void features_tap(struct features *f, const struct encoder_tap *tap);
void features_destroy(struct features *f);

void features_begin(struct features *f); /* a new utterance */
/* From here to features_rejoin a fork is pushed and ended; then it is as if that had not been. Of
 * the ears of a hearing one at a time. False: the model's captions are prompted, or its encoder
 * does not fork, or not at this place. */
bool features_fork(struct features *f);
void features_rejoin(struct features *f);
void features_push(struct features *f, const float *samples, size_t count,
                   struct features_rows *out);
/* The end of the utterance: to be called until it returns false. */
bool features_end(struct features *f, struct features_rows *out);

#endif
