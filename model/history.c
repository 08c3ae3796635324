#include "model/history.h"

#include <assert.h>

int history_init(struct history *h, struct bind *b, size_t keep, size_t add, size_t dim,
                 struct error *error)
{
    /* Twice what must stay, so that moving costs no more than writing once did. */
    *h = (struct history){.dim = dim, .capacity = 2 * keep + add};
    return bind_alloc(b, &h->data, h->capacity, dim, error);
}

void history_reset(struct history *h, struct backend *be, size_t zero_rows)
{
    assert(zero_rows <= h->capacity);
    h->first = 0;
    h->end = zero_rows;
    if (zero_rows > 0) {
        be->ops->zero(be, h->data, zero_rows * h->dim);
    }
}

float *history_append(struct history *h, struct backend *be, size_t rows)
{
    if (rows > h->capacity - h->end) {
        size_t kept = history_rows(h);
        be->ops->move(be, h->data, history_first(h), kept * h->dim);
        h->first = 0;
        h->end = kept;
    }
    assert(rows <= h->capacity - h->end);
    float *place = h->data + h->end * h->dim;
    h->end += rows;
    return place;
}

float *history_first(const struct history *h)
{
    return h->data + h->first * h->dim;
}

size_t history_rows(const struct history *h)
{
    return h->end - h->first;
}

void history_drop(struct history *h, size_t rows)
{
    assert(rows <= history_rows(h));
    h->first += rows;
}

void history_keep(struct history *h, size_t rows)
{
    if (history_rows(h) > rows) {
        h->first = h->end - rows;
    }
}
