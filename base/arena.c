#include "base/arena.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARENA_ALIGNMENT = 64, /* a cache line, and the widest vector */
};

struct arena {
    unsigned char *memory; /* [size], owned */
    size_t size;           /* bytes, a multiple of the alignment */
    size_t used;           /* bytes, a multiple of the alignment */
};

static size_t round_up(size_t bytes)
{
    return (bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
}

int arena_create(struct arena **out, size_t bytes)
{
    *out = NULL;
    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return -EINVAL;
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena == NULL)
        return -ENOMEM;
    arena->size = round_up(bytes);
    arena->memory = aligned_alloc(ARENA_ALIGNMENT, arena->size);
    if (arena->memory == NULL) {
        arena_destroy(arena);
        return -ENOMEM;
    }
    *out = arena;
    return 0;
}

void arena_destroy(struct arena *arena)
{
    if (arena == NULL)
        return;
    free(arena->memory);
    free(arena);
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    size_t left = arena->size - arena->used;
    if (bytes > left)
        return NULL;
    void *memory = arena->memory + arena->used;
    memset(memory, 0, bytes);
    arena->used += round_up(bytes);
    return memory;
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
