/* A single-producer single-consumer queue of fixed-size messages, copied in and out.
 * Never blocks; a full queue refuses the message. Waking the other side (eventfd) is the caller's.
 * Its memory is there from the start: no later use of it meets a page for the first time.
 */
#ifndef EARSHOT_BASE_QUEUE_H
#define EARSHOT_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct queue;

/* message_size: bytes; capacity: messages, rounded up to a power of two. 0, -EINVAL or -ENOMEM. */
int queue_create(struct queue **out, size_t message_size, size_t capacity);
void queue_destroy(struct queue *queue);

bool queue_push(struct queue *queue, const void *message);       /* producer; false: full */
bool queue_pop(struct queue *queue, void *message);              /* consumer; false: empty */
bool queue_has_room(const struct queue *queue, size_t messages); /* producer */
bool queue_is_empty(const struct queue *queue);                  /* either */

#endif
