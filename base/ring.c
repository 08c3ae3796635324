/* head and tail count samples for ever and wrap as size_t does; head - tail is what waits. Each
 * side keeps its last look at the other's index, so that it touches the other's cache line only
 * when that look says there is not enough:
 *
 *     producer: samples, then head (release)      consumer: head (acquire), then samples
 *     consumer: samples, then tail (release)      producer: tail (acquire), then samples
 */
#include "base/ring.h"

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    CACHE_LINE = 64,
};

struct ring {
    float *samples; /* [mask + 1], owned */
    size_t mask;
    alignas(CACHE_LINE) atomic_size_t head; /* written by the producer alone */
    size_t tail_seen;                       /* the producer's */
    alignas(CACHE_LINE) atomic_size_t tail; /* written by the consumer alone */
    size_t head_seen;                       /* the consumer's */
};

int ring_create(struct ring **out, size_t capacity)
{
    *out = NULL;
    if (capacity == 0 || capacity > SIZE_MAX / sizeof(float) / 4)
        return -EINVAL;
    size_t size = 1;
    while (size < capacity)
        size *= 2;
    struct ring *ring = aligned_alloc(CACHE_LINE, sizeof(*ring));
    if (ring == NULL)
        return -ENOMEM;
    *ring = (struct ring){.mask = size - 1};
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    ring->samples = calloc(size, sizeof(float));
    if (ring->samples == NULL) {
        ring_destroy(ring);
        return -ENOMEM;
    }
    *out = ring;
    return 0;
}

void ring_destroy(struct ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->samples);
    free(ring);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t ring_write(struct ring *ring, const float *samples, size_t count)
{
    size_t capacity = ring->mask + 1;
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (capacity - (head - ring->tail_seen) < count)
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    count = smaller(count, capacity - (head - ring->tail_seen));
    if (count == 0)
        return 0;
    size_t at = head & ring->mask;
    size_t first = smaller(count, capacity - at);
    memcpy(ring->samples + at, samples, first * sizeof(float));
    memcpy(ring->samples, samples + first, (count - first) * sizeof(float));
    atomic_store_explicit(&ring->head, head + count, memory_order_release);
    return count;
}

size_t ring_read(struct ring *ring, float *samples, size_t count)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (ring->head_seen - tail < count)
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
    count = smaller(count, ring->head_seen - tail);
    if (count == 0)
        return 0;
    size_t at = tail & ring->mask;
    size_t first = smaller(count, ring->mask + 1 - at);
    memcpy(samples, ring->samples + at, first * sizeof(float));
    memcpy(samples + first, ring->samples, (count - first) * sizeof(float));
    atomic_store_explicit(&ring->tail, tail + count, memory_order_release);
    return count;
}

size_t ring_available(const struct ring *ring)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    return head - tail;
}

size_t ring_capacity(const struct ring *ring)
{
    return ring->mask + 1;
}
