/* Bytes that grow up to a limit. */
#include "bridges/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int buffer_append(struct buffer *b, const void *data, size_t size, size_t limit)
{
    if (size > limit || b->size > limit - size)
        return -ENOBUFS;
    if (b->size + size + 1 > b->capacity) {
        size_t capacity = 2 * (b->size + size) + 1;
        char *grown = realloc(b->data, capacity);
        if (!grown)
            return -ENOMEM;
        b->data = grown;
        b->capacity = capacity;
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = '\0';
    return 0;
}

void buffer_drop(struct buffer *b, size_t size)
{
    if (!size)
        return;
    b->size -= size;
    memmove(b->data, b->data + size, b->size + 1);
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}
