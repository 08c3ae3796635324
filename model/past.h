/* Rows of a stream that are still needed by rows to come, contiguous in backend memory: a window
 * into the past that convolutions and attention read in place. When the buffer is full the rows
 * still needed move to its front. Bounded; nothing is allocated after create. Backend thread only.
 *
 *     0 .. first   done with     first .. end   rows     end .. capacity   free
 */
#ifndef EARSHOT_MODEL_PAST_H
#define EARSHOT_MODEL_PAST_H

#include "model/memory.h"

#include <stdbool.h>
#include <stddef.h>

struct past {
    float *data; /* [capacity, dim], of the memory it was made with */
    size_t dim, capacity;
    size_t first, end;
    bool lent; /* to another's rows, in memory that is not its own: rows never move */
};

/* keep: the most rows that stay between appends; add: the most rows of one append. m tells whether
 * there was room. */
void past_init(struct past *h, struct memory *m, size_t keep, size_t add, size_t dim);
/* The same, with room for `lend` rows more while what stays is lent. */
void past_init_to_lend(struct past *h, struct memory *m, size_t keep, size_t add, size_t lend,
                       size_t dim);

/* The same rows in another, made like it. */
void past_copy(struct past *to, const struct past *from, struct backend *be);
/* The same rows in the same memory, with room for `rows` more behind them, which come where
 * from's next ones will: what is lent ends when from appends. False: there is no such room. */
bool past_lend(struct past *to, struct past *from, struct backend *be, size_t rows);

/* Forgets everything and begins with some rows of zeros. */
void past_reset(struct past *h, struct backend *be, size_t zero_rows);

/* The place of rows new rows at the end, to be written by the caller. Moves what is there. */
float *past_append(struct past *h, struct backend *be, size_t rows);

float *past_first(const struct past *h);          /* the oldest row still there */
size_t past_rows(const struct past *h);           /* from there to the end */
void past_drop(struct past *h, size_t rows);      /* the oldest ones */
void past_keep(struct past *h, size_t rows);      /* at most the newest rows */
void past_take_back(struct past *h, size_t rows); /* the newest ones */

#endif
