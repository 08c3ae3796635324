/* Moves the rows that are kept to the front, and counts. */
#include "model/past.h"

#include <assert.h>

void past_init_to_lend(struct past *h, struct memory *m, size_t keep, size_t add, size_t lend,
                       size_t dim)
{
    /* An eighth more than must stay: rows are moved eight times, which is nothing beside what it
     * takes to make them, and a state is half as large as with room for twice as many. */
    size_t spare = lend > keep / 8 ? lend : keep / 8;
    *h = (struct past){.dim = dim, .capacity = keep + spare + add};
    h->data = memory_rows(m, h->capacity, dim);
}

void past_init(struct past *h, struct memory *m, size_t keep, size_t add, size_t dim)
{
    past_init_to_lend(h, m, keep, add, 0, dim);
}

void past_reset(struct past *h, struct backend *be, size_t zero_rows)
{
    assert(zero_rows <= h->capacity);
    h->first = 0;
    h->end = zero_rows;
    if (zero_rows > 0) {
        be->ops->zero(be, h->data, zero_rows * h->dim);
    }
}

void past_copy(struct past *to, const struct past *from, struct backend *be)
{
    assert(to->capacity == from->capacity && to->dim == from->dim);
    to->first = 0;
    to->end = past_rows(from);
    if (to->end > 0)
        be->ops->copy(be, to->data, past_first(from), to->end * to->dim);
}

static void make_room(struct past *h, struct backend *be, size_t rows)
{
    size_t kept = past_rows(h);
    if (rows <= h->capacity - h->end)
        return;
    assert(!h->lent);
    be->ops->move(be, h->data, past_first(h), kept * h->dim);
    h->first = 0;
    h->end = kept;
}

bool past_lend(struct past *to, struct past *from, struct backend *be, size_t rows)
{
    if (rows > from->capacity - past_rows(from))
        return false;
    make_room(from, be, rows);
    *to = *from;
    to->lent = true;
    return true;
}

float *past_append(struct past *h, struct backend *be, size_t rows)
{
    make_room(h, be, rows);
    assert(rows <= h->capacity - h->end);
    float *place = h->data + h->end * h->dim;
    h->end += rows;
    return place;
}

float *past_first(const struct past *h)
{
    return h->data + h->first * h->dim;
}

size_t past_rows(const struct past *h)
{
    return h->end - h->first;
}

void past_drop(struct past *h, size_t rows)
{
    assert(rows <= past_rows(h));
    h->first += rows;
}

void past_keep(struct past *h, size_t rows)
{
    if (past_rows(h) > rows) {
        h->first = h->end - rows;
    }
}

void past_take_back(struct past *h, size_t rows)
{
    assert(rows <= past_rows(h));
    h->end -= rows;
}
