/* Answers that are made at once are those that are made alone, to the bit: text, and the
 * conversation that each leaves behind. */
#include "pipeline/decode_group.h"
#include "tests/support/recogniser_fixture.h"

enum {
    COUNT = DECODE_GROUP_MAX + 3,
    SHORTEST = 5, /* tokens */
};

/* Of one: its answer, and its conversation afterwards. */
struct outcome {
    char text[EVENT_TEXT_MAX];
    float *conversation;
};

struct outcomes {
    struct outcome of[COUNT];
    size_t bytes; /* of a conversation */
};

static void begin(struct fixture *f, struct recogniser **r, int n)
{
    static const char *const texts[] = {"what is the time", "a", "how do you do",
                                        "tell me a story"};
    const struct sampler_config sampling = {.temperature = 1.0f,
                                            .top_p = 1.0f,
                                            .seed = 1 + (uint64_t)n,
                                            .max_tokens = SHORTEST + 2 * (uint32_t)n};
    const char *text = texts[n % 4];
    *r = create(f, 0, false);
    assert_int_equal(recogniser_ask(*r, text, strlen(text), &sampling), 0);
}

/* The recogniser has ended. */
static void take(struct outcomes *o, int n, struct recogniser *r)
{
    struct error error;
    const char *text = recogniser_answer(r);
    o->bytes = recogniser_conversation_bytes(r);
    o->of[n].conversation = aligned_alloc(64, (o->bytes + 63) / 64 * 64);
    assert_non_null(text);
    strcpy(o->of[n].text, text);
    assert_int_equal(recogniser_encode(r, o->of[n].conversation, &error), 0);
    recogniser_destroy(r);
}

static void free_outcomes(struct outcomes *o)
{
    for (int n = 0; n < COUNT; n++)
        free(o->of[n].conversation);
    free(o);
}

static struct outcomes *make_alone(struct fixture *f)
{
    struct outcomes *o = calloc(1, sizeof(*o));
    for (int n = 0; n < COUNT; n++) {
        struct recogniser *r;
        begin(f, &r, n);
        while (recogniser_go_on(r))
            ;
        take(o, n, r);
    }
    return o;
}

/* Those who still make one, at most as many as a group takes, from number *next on in turn. */
static size_t find_makers(struct recogniser **r, int *next, int *found)
{
    size_t count = 0;
    for (int looked = 0; looked < COUNT && count < DECODE_GROUP_MAX; looked++, ++*next)
        if (r[*next % COUNT] && recogniser_is_making(r[*next % COUNT]))
            found[count++] = *next % COUNT;
    return count;
}

/* A token for some; who has ended leaves its outcome. False: nobody makes anything. */
static bool go_on(struct decode_group *g, struct recogniser **r, int *next, struct outcomes *o)
{
    int found[DECODE_GROUP_MAX];
    struct recogniser *makers[DECODE_GROUP_MAX];
    size_t count = find_makers(r, next, found);
    for (size_t i = 0; i < count; i++)
        makers[i] = r[found[i]];
    recogniser_prepare_together(g, makers, count);
    for (size_t i = 0; i < count; i++) {
        if (recogniser_go_on(makers[i]))
            continue;
        take(o, found[i], makers[i]);
        r[found[i]] = NULL;
    }
    return count > 0;
}

static void compare(const struct outcomes *a, const struct outcomes *b, int without)
{
    for (int n = 0; n < COUNT; n++) {
        if (n == without)
            continue;
        assert_string_equal(a->of[n].text, b->of[n].text);
        assert_memory_equal(a->of[n].conversation, b->of[n].conversation, a->bytes);
    }
}

/* More than a group takes, of different lengths; they come one after the other. */
static void made_at_once_as_made_alone(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r[COUNT] = {NULL};
    struct decode_group *g;
    int next = 0, begun = 0;
    change_model(f);
    assert_int_equal(decode_group_create(&g, f->hearing), 0);
    struct outcomes *alone = make_alone(f), *together = calloc(1, sizeof(*together));
    do {
        if (begun < COUNT) {
            begin(f, &r[begun], begun);
            begun++;
        }
    } while (go_on(g, r, &next, together) || begun < COUNT);
    compare(alone, together, -1);
    assert_string_not_equal(alone->of[1].text,
                            alone->of[5].text); /* texts that could be mixed up */
    decode_group_destroy(g);
    free_outcomes(alone);
    free_outcomes(together);
    restore_model(f);
}

/* One is cancelled, another goes on by itself for some tokens: the others are as they are. */
static void one_that_leaves_changes_nothing_for_others(void **state)
{
    enum { CANCELLED = 2, ALONE = 4 };
    struct fixture *f = *state;
    struct recogniser *r[COUNT];
    struct decode_group *g;
    int next = 0;
    change_model(f);
    assert_int_equal(decode_group_create(&g, f->hearing), 0);
    struct outcomes *alone = make_alone(f), *together = calloc(1, sizeof(*together));
    for (int n = 0; n < COUNT; n++)
        begin(f, &r[n], n);
    for (int i = 0; i < 4; i++)
        assert_true(go_on(g, r, &next, together));
    recogniser_cancel(r[CANCELLED]);
    assert_null(recogniser_answer(r[CANCELLED]));
    recogniser_destroy(r[CANCELLED]);
    r[CANCELLED] = NULL;
    assert_true(recogniser_go_on(r[ALONE]) && recogniser_go_on(r[ALONE]));
    while (go_on(g, r, &next, together))
        ;
    compare(alone, together, CANCELLED);
    decode_group_destroy(g);
    free_outcomes(alone);
    free_outcomes(together);
    restore_model(f);
}

/* What can be chosen by is no more than what was there: nothing is taken twice. */
static void a_token_is_taken_once(void **state)
{
    struct fixture *f = *state;
    struct recogniser *r[2];
    struct decode_group *g;
    change_model(f);
    assert_int_equal(decode_group_create(&g, f->hearing), 0);
    struct outcomes *alone = make_alone(f), *together = calloc(1, sizeof(*together));
    begin(f, &r[0], 0);
    begin(f, &r[1], 1);
    for (bool first = true, second = true; first || second;) {
        for (int again = 0; again < 3; again++)
            recogniser_prepare_together(g, r, 2);
        first = recogniser_go_on(r[0]);
        second = recogniser_go_on(r[1]);
    }
    take(together, 0, r[0]);
    take(together, 1, r[1]);
    for (int n = 0; n < 2; n++)
        assert_string_equal(alone->of[n].text, together->of[n].text);
    decode_group_destroy(g);
    free_outcomes(alone);
    free_outcomes(together);
    restore_model(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_at_once_as_made_alone),
        cmocka_unit_test(one_that_leaves_changes_nothing_for_others),
        cmocka_unit_test(a_token_is_taken_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
