/* The audio callback: whole frames only, and every frame that does not fit is counted. */
#include "audio/capture_rt.h"
#include "tests/support/test.h"

enum {
    FRAMES = 64,
    CHANNELS = 2,
};

static void make(struct capture_rt *rt, size_t samples)
{
    *rt = (struct capture_rt){.channels = CHANNELS};
    assert_int_equal(ring_create(&rt->ring, samples), 0);
}

static void samples_arrive_in_order(void **state)
{
    (void)state;
    struct capture_rt rt;
    float in[FRAMES * CHANNELS], out[FRAMES * CHANNELS];
    make(&rt, 1024);
    for (int i = 0; i < FRAMES * CHANNELS; i++)
        in[i] = (float)i;
    assert_int_equal(capture_rt_callback(in, NULL, FRAMES, NULL, 0, &rt), paContinue);
    assert_int_equal(ring_read(rt.ring, out, FRAMES * CHANNELS), FRAMES * CHANNELS);
    assert_memory_equal(in, out, sizeof in);
    assert_int_equal(atomic_load(&rt.lost), 0);
    assert_int_equal(atomic_load(&rt.frames), FRAMES);
    ring_destroy(rt.ring);
}

static void what_does_not_fit_is_counted(void **state)
{
    (void)state;
    struct capture_rt rt;
    float in[FRAMES * CHANNELS] = {0};
    make(&rt, 256); /* 128 frames */
    for (int i = 0; i < 5; i++)
        capture_rt_callback(in, NULL, 50, NULL, 0, &rt);
    assert_int_equal(atomic_load(&rt.frames), 250);
    assert_int_equal(ring_available(rt.ring) % CHANNELS, 0);
    assert_int_equal(ring_available(rt.ring) / CHANNELS + atomic_load(&rt.lost), 250);
    assert_true(atomic_load(&rt.lost) >= 250 - 128);
    ring_destroy(rt.ring);
}

static void a_device_overflow_is_counted(void **state)
{
    (void)state;
    struct capture_rt rt;
    float in[FRAMES * CHANNELS] = {0};
    make(&rt, 256);
    capture_rt_callback(in, NULL, FRAMES, NULL, paInputOverflow, &rt);
    capture_rt_callback(NULL, NULL, FRAMES, NULL, paInputOverflow, &rt);
    assert_int_equal(atomic_load(&rt.overflows), 2);
    ring_destroy(rt.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_arrive_in_order),
        cmocka_unit_test(what_does_not_fit_is_counted),
        cmocka_unit_test(a_device_overflow_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
