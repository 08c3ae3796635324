/* base/queue: whole messages, in order, under one producer and one consumer; run it under
 * ThreadSanitizer. */
#include "base/queue.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    THREAD_MESSAGES = 300000,
};

struct message {
    uint32_t number;
    char text[28]; /* all of one letter, by the number: a torn message shows */
};

static struct message make_message(uint32_t number)
{
    struct message m = {.number = number};
    memset(m.text, 'a' + (int)(number % 26), sizeof(m.text));
    return m;
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    struct queue *queue;
    struct message m;
    assert_int_equal(queue_create(&queue, sizeof(m), 3), 0);
    assert_false(queue_pop(queue, &m));
    assert_true(queue_has_room(queue, 4));
    assert_false(queue_has_room(queue, 5));
    assert_true(queue_is_empty(queue));
    for (uint32_t i = 0; i < 4; i++) {
        m = make_message(i);
        assert_true(queue_push(queue, &m));
    }
    assert_false(queue_has_room(queue, 1));
    m = make_message(9);
    assert_false(queue_push(queue, &m));
    for (uint32_t i = 0; i < 4; i++) {
        struct message expected = make_message(i);
        assert_false(queue_is_empty(queue));
        assert_true(queue_pop(queue, &m));
        assert_memory_equal(&m, &expected, sizeof(m));
    }
    assert_true(queue_is_empty(queue));
    assert_false(queue_pop(queue, &m));
    queue_destroy(queue);
    queue_destroy(NULL);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    struct queue *queue;
    assert_true(queue_create(&queue, 0, 4) < 0);
    assert_null(queue);
    assert_true(queue_create(&queue, 8, 0) < 0);
    assert_true(queue_create(&queue, 1 << 20, SIZE_MAX / 2) < 0);
}

static void *produce(void *data)
{
    struct queue *queue = data;
    for (uint32_t i = 0; i < THREAD_MESSAGES; i++) {
        struct message m = make_message(i);
        while (!queue_push(queue, &m))
            sched_yield();
    }
    return NULL;
}

static void two_threads_lose_and_tear_nothing(void **state)
{
    (void)state;
    struct queue *queue;
    pthread_t producer;
    assert_int_equal(queue_create(&queue, sizeof(struct message), 32), 0);
    assert_int_equal(pthread_create(&producer, NULL, produce, queue), 0);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < THREAD_MESSAGES; i++) {
        struct message m;
        struct message expected = make_message(i);
        while (!queue_pop(queue, &m))
            sched_yield();
        wrong += memcmp(&m, &expected, sizeof(m)) != 0;
    }
    pthread_join(producer, NULL);
    assert_int_equal(wrong, 0);
    queue_destroy(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(two_threads_lose_and_tear_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
