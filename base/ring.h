/* A single-producer single-consumer ring of float samples, lock-free and wait-free.
 * One thread writes, one other thread reads; each index has that thread as its single writer.
 */
#ifndef EARSHOT_BASE_RING_H
#define EARSHOT_BASE_RING_H

#include <stddef.h>

struct ring;

/* capacity: samples, rounded up to a power of two. Returns 0, -EINVAL (0 or absurd) or -ENOMEM. */
int ring_create(struct ring **out, size_t capacity);
void ring_destroy(struct ring *ring);

/* Writes at most count samples; returns how many fitted. Producer only. RT safe. */
size_t ring_write(struct ring *ring, const float *samples, size_t count);

/* Reads at most count samples; returns how many there were. Consumer only. RT safe. */
size_t ring_read(struct ring *ring, float *samples, size_t count);

/* Samples waiting to be read; a lower bound for the consumer, an upper one for the producer. */
size_t ring_available(const struct ring *ring);
size_t ring_capacity(const struct ring *ring);

#endif
