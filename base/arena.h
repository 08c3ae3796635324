/* A bump allocator: everything allocated at create, released at once. Not thread-safe. */
#ifndef EARSHOT_BASE_ARENA_H
#define EARSHOT_BASE_ARENA_H

#include <stddef.h>

struct arena;

int arena_create(struct arena **out, size_t bytes); /* 0, -EINVAL or -ENOMEM */
void arena_destroy(struct arena *arena);

/* Zeroed, aligned to 64 bytes; NULL when the arena is spent. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* Forgets every allocation; the memory is zeroed again when it is next handed out. */
void arena_reset(struct arena *arena);
size_t arena_used(const struct arena *arena);

#endif
