/* Bytes that grow up to a limit: what waits to be sent, what was said. One thread. */
#ifndef EARSHOT_BRIDGES_BYTES_H
#define EARSHOT_BRIDGES_BYTES_H

#include <stddef.h>

struct bytes {
    char *data; /* [size], and a NUL behind them; owned. NULL: nothing was ever appended */
    size_t size, capacity;
};

/* 0, or -ENOBUFS: more than limit bytes, or -ENOMEM; then they are as they were. */
int bytes_append(struct bytes *b, const void *data, size_t size, size_t limit);
void bytes_drop(struct bytes *b, size_t size); /* the first of them */
void bytes_free(struct bytes *b);

#endif
