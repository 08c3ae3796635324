/* Rows of a stream that are still needed by rows to come, contiguous in backend memory: a window
 * into the past that convolutions and attention read in place. When the buffer is full the rows
 * still needed move to its front. Bounded; nothing is allocated after create. Backend thread only.
 *
 *     0 .. first   done with     first .. end   rows     end .. capacity   free
 */
#ifndef EARSHOT_MODEL_HISTORY_H
#define EARSHOT_MODEL_HISTORY_H

#include "model/bind.h"

#include <stddef.h>

struct history {
    float *data; /* [capacity, dim], owned by the bind it was made with */
    size_t dim, capacity;
    size_t first, end;
};

/* keep: the most rows that stay between appends; add: the most rows of one append. */
int history_init(struct history *h, struct bind *b, size_t keep, size_t add, size_t dim,
                 struct error *error);

/* Forgets everything and begins with some rows of zeros. */
void history_reset(struct history *h, struct backend *be, size_t zero_rows);

/* The place of rows new rows at the end, to be written by the caller. Moves what is there. */
float *history_append(struct history *h, struct backend *be, size_t rows);

float *history_first(const struct history *h);     /* the oldest row still there */
size_t history_rows(const struct history *h);      /* from there to the end */
void history_drop(struct history *h, size_t rows); /* the oldest ones */
void history_keep(struct history *h, size_t rows); /* at most the newest rows */

#endif
