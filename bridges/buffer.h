/* Bytes that grow up to a limit: what waits to be sent, what was said. One thread. */
#ifndef EARSHOT_BRIDGES_BUFFER_H
#define EARSHOT_BRIDGES_BUFFER_H

#include <stddef.h>

struct buffer {
    char *data; /* [size], and a NUL behind them; owned. NULL: nothing was ever appended */
    size_t size, capacity;
};

/* 0, or -ENOBUFS: more than limit bytes, or -ENOMEM; then they are as they were. */
int buffer_append(struct buffer *b, const void *data, size_t size, size_t limit);
void buffer_drop(struct buffer *b, size_t size); /* the first of them */
void buffer_free(struct buffer *b);

#endif
