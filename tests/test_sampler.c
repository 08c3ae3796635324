/* Greedy choice, what is never chosen, what ends a text. */
#include "model/sampler.h"
#include "tests/support/test.h"

enum {
    VOCAB = 10,
};

static uint32_t next(const struct sampler *s, const float *host)
{
    struct backend *be = NULL;
    assert_int_equal(backend_cpu_create(&be, 1), 0);
    float *logits = be->ops->alloc(be, VOCAB);
    be->ops->upload(be, logits, host, VOCAB);
    uint32_t id = sampler_next(s, be, logits, VOCAB);
    be->ops->free(be, logits);
    be->ops->destroy(be);
    return id;
}

static void the_largest_logit_is_chosen(void **context)
{
    (void)context;
    const struct sampler s = {0};
    assert_int_equal(next(&s, (const float[VOCAB]){-3, -1, -2, -9, -9, -9, -9, -9, -9, -9}), 1);
    assert_int_equal(next(&s, (const float[VOCAB]){0, 0, 0, 0, 0, 0, 0, 0, 0, 2}), 9);
}

static void the_lowest_id_wins_a_tie(void **context)
{
    (void)context;
    const struct sampler s = {0};
    assert_int_equal(next(&s, (const float[VOCAB]){0, 1, 0, 1, 1, 0, 0, 0, 0, 1}), 1);
}

static void banned_ids_are_never_chosen(void **context)
{
    (void)context;
    const struct sampler s = {.ban = {0, 3, 4000000000u}, .ban_count = 3};
    assert_int_equal(next(&s, (const float[VOCAB]){9, 1, 2, 8, 0, 0, 0, 0, 0, 1}), 2);
}

static void stop_ids_end_a_text(void **context)
{
    (void)context;
    const struct sampler s = {.stop = {24, 0}, .stop_count = 2};
    assert_true(sampler_stops(&s, 24));
    assert_true(sampler_stops(&s, 0));
    assert_false(sampler_stops(&s, 23));
    assert_false(sampler_stops(&(const struct sampler){0}, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_logit_is_chosen),
        cmocka_unit_test(the_lowest_id_wins_a_tie),
        cmocka_unit_test(banned_ids_are_never_chosen),
        cmocka_unit_test(stop_ids_end_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
