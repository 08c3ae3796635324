/* base/ring: order and count under one producer and one consumer; run it under ThreadSanitizer. */
#include "base/ring.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    THREAD_SAMPLES = 2000000,
};

static void capacity_is_the_next_power_of_two(void **state)
{
    (void)state;
    struct ring *ring;
    assert_int_equal(ring_create(&ring, 100), 0);
    assert_int_equal(ring_capacity(ring), 128);
    ring_destroy(ring);
    assert_int_equal(ring_create(&ring, 1), 0);
    assert_int_equal(ring_capacity(ring), 1);
    ring_destroy(ring);
    ring_destroy(NULL);
}

static void absurd_sizes_are_refused(void **state)
{
    (void)state;
    struct ring *ring;
    assert_true(ring_create(&ring, 0) < 0);
    assert_null(ring);
    assert_true(ring_create(&ring, SIZE_MAX) < 0);
    assert_null(ring);
}

static void a_full_ring_takes_what_fits(void **state)
{
    (void)state;
    struct ring *ring;
    float samples[16];
    for (int i = 0; i < 16; i++)
        samples[i] = (float)i;
    assert_int_equal(ring_create(&ring, 8), 0);
    assert_int_equal(ring_write(ring, samples, 5), 5);
    assert_int_equal(ring_write(ring, samples + 5, 11), 3);
    assert_int_equal(ring_write(ring, samples, 1), 0);
    assert_int_equal(ring_available(ring), 8);
    float read[16];
    assert_int_equal(ring_read(ring, read, 16), 8);
    assert_memory_equal(read, samples, 8 * sizeof(float));
    assert_int_equal(ring_read(ring, read, 1), 0);
    assert_int_equal(ring_available(ring), 0);
    ring_destroy(ring);
}

static void samples_keep_their_order_across_the_end(void **state)
{
    (void)state;
    struct ring *ring;
    assert_int_equal(ring_create(&ring, 16), 0);
    float written = 0.0f;
    float expected = 0.0f;
    for (size_t round = 0; round < 200; round++) {
        float buffer[13];
        size_t count = round % 13 + 1;
        for (size_t i = 0; i < count; i++)
            buffer[i] = written + (float)i;
        written += (float)ring_write(ring, buffer, count);
        size_t got = ring_read(ring, buffer, (round * 7) % 13 + 1);
        for (size_t i = 0; i < got; i++)
            assert_true(buffer[i] == expected++);
    }
    assert_true(expected > 500.0f);
    ring_destroy(ring);
}

static void *produce(void *data)
{
    struct ring *ring = data;
    float buffer[97];
    uint32_t next = 0;
    while (next < THREAD_SAMPLES) {
        size_t count = next % 97 + 1;
        if (count > THREAD_SAMPLES - next)
            count = THREAD_SAMPLES - next;
        for (size_t i = 0; i < count; i++)
            buffer[i] = (float)(next + i);
        size_t written = ring_write(ring, buffer, count);
        next += (uint32_t)written;
        if (written == 0)
            sched_yield();
    }
    return NULL;
}

static void two_threads_lose_and_change_nothing(void **state)
{
    (void)state;
    struct ring *ring;
    pthread_t producer;
    float buffer[61];
    assert_int_equal(ring_create(&ring, 256), 0);
    assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
    uint32_t next = 0;
    uint32_t wrong = 0;
    while (next < THREAD_SAMPLES) {
        size_t got = ring_read(ring, buffer, next % 61 + 1);
        for (size_t i = 0; i < got; i++)
            wrong += buffer[i] != (float)(next + i);
        next += (uint32_t)got;
        if (got == 0)
            sched_yield();
    }
    pthread_join(producer, NULL);
    assert_int_equal(wrong, 0);
    assert_int_equal(next, THREAD_SAMPLES);
    assert_int_equal(ring_available(ring), 0);
    ring_destroy(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_is_the_next_power_of_two),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(a_full_ring_takes_what_fits),
        cmocka_unit_test(samples_keep_their_order_across_the_end),
        cmocka_unit_test(two_threads_lose_and_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
