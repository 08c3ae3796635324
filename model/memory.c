/* A list of what was allocated, and whether all of it could be. */
#include "model/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

struct memory_item {
    float *rows; /* either: of the backend */
    void *host;  /* or */
};

void memory_init(struct memory *m, struct backend *be)
{
    *m = (struct memory){.backend = be};
}

void memory_finish(struct memory *m)
{
    for (size_t i = m->count; i-- > 0;) {
        free(m->items[i].host);
        if (m->items[i].rows)
            m->backend->ops->free(m->backend, m->items[i].rows);
    }
    free(m->items);
    *m = (struct memory){0};
}

/* A zeroed item that memory_finish will release, or NULL. */
static struct memory_item *new_item(struct memory *m)
{
    if (m->count == m->capacity) {
        size_t capacity = m->capacity ? 2 * m->capacity : 8;
        struct memory_item *items = realloc(m->items, capacity * sizeof(items[0]));
        m->failed = m->failed || !items;
        if (!items)
            return NULL;
        m->items = items;
        m->capacity = capacity;
    }
    m->items[m->count] = (struct memory_item){0};
    return &m->items[m->count++];
}

float *memory_rows(struct memory *m, size_t rows, size_t dim)
{
    struct memory_item *item = m->failed ? NULL : new_item(m);
    if (!item)
        return NULL;
    if (dim > 0 && rows <= SIZE_MAX / sizeof(float) / dim)
        item->rows = m->backend->ops->alloc(m->backend, rows * dim);
    m->failed = !item->rows;
    return item->rows;
}

void *memory_host(struct memory *m, size_t count, size_t size)
{
    struct memory_item *item = m->failed ? NULL : new_item(m);
    if (!item)
        return NULL;
    item->host = calloc(count ? count : 1, size);
    m->failed = !item->host;
    return item->host;
}

void memory_reserve(struct memory *m, size_t rows)
{
    m->failed = m->failed || m->backend->ops->reserve(m->backend, rows) < 0;
}

int memory_check(const struct memory *m, const char *what, struct error *error)
{
    return m->failed ? error_set(error, -ENOMEM, "no memory for %s", what) : 0;
}
