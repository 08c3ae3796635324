/* The same scheme as ring.c, over whole messages. */
#include "base/queue.h"

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    CACHE_LINE = 64,
};

struct queue {
    unsigned char *messages; /* [mask + 1, message_size], owned */
    size_t message_size;     /* bytes */
    size_t mask;
    alignas(CACHE_LINE) atomic_size_t head; /* written by the producer alone */
    size_t tail_seen;                       /* the producer's */
    alignas(CACHE_LINE) atomic_size_t tail; /* written by the consumer alone */
    size_t head_seen;                       /* the consumer's */
};

int queue_create(struct queue **out, size_t message_size, size_t capacity)
{
    *out = NULL;
    if (message_size == 0 || capacity == 0 || capacity > SIZE_MAX / message_size / 4)
        return -EINVAL;
    size_t size = 1;
    while (size < capacity)
        size *= 2;
    struct queue *queue = aligned_alloc(CACHE_LINE, sizeof(*queue));
    if (queue == NULL)
        return -ENOMEM;
    *queue = (struct queue){.message_size = message_size, .mask = size - 1};
    atomic_init(&queue->head, 0);
    atomic_init(&queue->tail, 0);
    size_t bytes = (size * message_size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    queue->messages = aligned_alloc(CACHE_LINE, bytes);
    if (queue->messages == NULL) {
        queue_destroy(queue);
        return -ENOMEM;
    }
    memset(queue->messages, 0, bytes);
    *out = queue;
    return 0;
}

void queue_destroy(struct queue *queue)
{
    if (queue == NULL)
        return;
    free(queue->messages);
    free(queue);
}

static unsigned char *slot(const struct queue *queue, size_t index)
{
    return queue->messages + (index & queue->mask) * queue->message_size;
}

bool queue_push(struct queue *queue, const void *message)
{
    size_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    if (head - queue->tail_seen > queue->mask) {
        queue->tail_seen = atomic_load_explicit(&queue->tail, memory_order_acquire);
        if (head - queue->tail_seen > queue->mask)
            return false;
    }
    memcpy(slot(queue, head), message, queue->message_size);
    atomic_store_explicit(&queue->head, head + 1, memory_order_release);
    return true;
}

bool queue_pop(struct queue *queue, void *message)
{
    size_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    if (queue->head_seen == tail) {
        queue->head_seen = atomic_load_explicit(&queue->head, memory_order_acquire);
        if (queue->head_seen == tail)
            return false;
    }
    memcpy(message, slot(queue, tail), queue->message_size);
    atomic_store_explicit(&queue->tail, tail + 1, memory_order_release);
    return true;
}

bool queue_has_room(const struct queue *queue, size_t messages)
{
    size_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    size_t tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
    return queue->mask + 1 - (head - tail) >= messages;
}

bool queue_is_empty(const struct queue *queue)
{
    return queue_has_room(queue, queue->mask + 1);
}
