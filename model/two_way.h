/* When an encoder that looks both ways computes what. Units (frames, or rows of convolutions) wait
 * here; exact and alone: until the utterance ends, windowed: until a hop and what lies ahead of it
 * is there.
 *
 *     windowed:   ... | left | hop | ahead | ...      the hop's rows are given out, once
 *
 * Windows lie at whole hops, whatever the pushes were, so rows do not depend on them. When that is
 * so is const; the state belongs to the backend's thread and to an encoder's memory.
 */
#ifndef EARSHOT_MODEL_TWO_WAY_H
#define EARSHOT_MODEL_TWO_WAY_H

#include "model/encoder.h"
#include "model/past.h"

#include <stdbool.h>
#include <stddef.h>

struct two_way_window {
    const float *units; /* backend memory [count, unit_dim] */
    size_t count;       /* >= rows * units: at the end with those that make no whole row */
    size_t rows;
    size_t start; /* rows of the utterance before the first */
};

struct two_way_config {
    struct encoder_options options;
    size_t unit_dim;  /* floats of a unit */
    size_t units;     /* of a row */
    size_t max_units; /* the most that come between two calls of two_way_advance */
    size_t max_rows;  /* of an utterance, and of a window */
    size_t padding;   /* units at the end that hold no sample: alone they make no window */
    size_t dim;       /* of a row */
    /* x: [rows, dim], and on to the window for an encoder that pads. */
    void (*encode)(struct encoder_state *e, const struct two_way_window *w, float *x);
};

struct two_way {
    struct two_way_config config;
    struct backend *be;
    size_t left, hop, ahead; /* rows */
    size_t window;           /* rows: left + hop + ahead, or max_rows */
    size_t given;            /* rows a call gives at most */
};

struct two_way_state {
    const struct two_way *way;
    struct encoder_state *encoder; /* that encodes */
    struct past units;
    size_t start;            /* rows of the utterance before the oldest unit */
    size_t done;             /* rows of the utterance that have been encoded */
    float *x;                /* [window, dim], the last one */
    size_t ready, ready_end; /* rows of x that wait to be given */
};

/* -EINVAL when the options make no window that max_rows has room for. */
int two_way_init(struct two_way *t, struct backend *be, const struct two_way_config *c,
                 struct error *error);

/* What follows from all this of an encoder's info: rows, their dim and delay, and how many at once.
 */
void two_way_describe(const struct two_way *t, struct encoder_info *info);

/* Through e's memory. */
void two_way_state_init(struct two_way_state *s, const struct two_way *t, struct encoder_state *e);
void two_way_reset(struct two_way_state *s);

/* The place of so many new units. */
float *two_way_append(struct two_way_state *s, size_t units);

/* Gives rows that are ready, encoding what is due; end: no more units come. At most given. */
size_t two_way_advance(struct two_way_state *s, bool end, float *rows);

#endif
