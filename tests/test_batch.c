/* Conversations that move side by side are what they would be alone, bit for bit, whoever rests;
 * forks among them; what is never chosen. */
#include "model/batch.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ROWS = 64,
    STEPS = 25,
    HEADER = 64, /* bytes of an encoded state before its floats */
};

static const struct decoding bans_none = {0};

struct fixture {
    struct backend *be;
    struct gguf *gguf;
    struct backbone *backbone;
    struct backbone_scratch *scratch;
    float *rows;   /* backend memory [STEPS, dim] */
    float *logits; /* backend memory [vocab] */
    size_t dim, vocab;
};

static int setup(void **context)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(backend_cpu_create(&f->be, 2), 0);
    assert_int_equal(gguf_open(&f->gguf, "tests/golden/tiny.gguf", NULL), 0);
    assert_int_equal(backbone_load(&f->backbone, f->gguf, f->be, NULL), 0);
    assert_int_equal(backbone_scratch_create(&f->scratch, f->backbone, MAX_ROWS, NULL), 0);
    f->dim = backbone_dim(f->backbone);
    f->vocab = backbone_vocab(f->backbone);
    f->logits = f->be->ops->alloc(f->be, f->vocab);
    f->rows = f->be->ops->alloc(f->be, STEPS * f->dim);
    assert_true(f->logits && f->rows);
    for (size_t i = 0; i < STEPS * f->dim; i++) {
        float value = (float)(i * 7919 % 1000) / 500.0f - 1.0f;
        f->be->ops->upload(f->be, f->rows + i, &value, 1);
    }
    *context = f;
    return 0;
}

static int teardown(void **context)
{
    struct fixture *f = *context;
    f->be->ops->free(f->be, f->logits);
    f->be->ops->free(f->be, f->rows);
    backbone_scratch_destroy(f->scratch);
    backbone_destroy(f->backbone);
    gguf_close(f->gguf);
    f->be->ops->destroy(f->be);
    free(f);
    return 0;
}

static struct batch *make(struct fixture *f, const struct decoding *d, size_t slots)
{
    struct batch *b = NULL;
    struct error error = {""};
    assert_int_equal(batch_create(&b, f->scratch, d, slots, &error), 0);
    return b;
}

static struct state *make_state(struct fixture *f)
{
    struct state *s = NULL;
    assert_int_equal(state_create(&s, f->be, backbone_state_shape(f->backbone)), 0);
    return s;
}

/* What a slot does in a step: some rest, some take a token, some a row. */
static struct turn turn_of(const struct fixture *f, size_t slot, size_t step)
{
    struct turn t = {.type = (enum turn_type)((slot * 5 + step * (slot + 1)) % 3)};
    t.token = (uint32_t)((slot * 31 + step * 17) % f->vocab);
    t.row = f->rows + (slot + step) % STEPS * f->dim;
    return t;
}

/* The same turn alone; the likeliest token after it. */
static uint32_t alone(struct fixture *f, struct state *s, const struct turn *t)
{
    if (t->type == TURN_ROW) {
        backbone_push_rows(f->scratch, s, t->row, 1, f->logits);
    } else {
        backbone_push_tokens(f->scratch, s, &t->token, 1, f->logits);
    }
    return decoding_greedy(&bans_none, f->be, f->logits, f->vocab);
}

static void expect_same(const struct state *a, const struct state *b)
{
    size_t size = state_bytes(a);
    char *x = malloc(size), *y = malloc(size);
    assert_true(x && y);
    state_encode(a, 1, x);
    state_encode(b, 1, y);
    assert_memory_equal(x + HEADER, y + HEADER, size - HEADER);
    free(x);
    free(y);
}

static void check_slots(struct fixture *f, size_t slots)
{
    struct batch *b = make(f, &bans_none, slots);
    struct state *single[MAX_ROWS], *taken = make_state(f);
    for (size_t i = 0; i < slots; i++) {
        single[i] = make_state(f);
    }
    for (size_t step = 0; step < STEPS; step++) {
        struct turn turns[MAX_ROWS];
        uint32_t next[MAX_ROWS];
        for (size_t i = 0; i < slots; i++) {
            turns[i] = turn_of(f, i, step);
        }
        batch_step(b, turns, step % 4 == 3 ? NULL : next);
        for (size_t i = 0; i < slots; i++) {
            if (turns[i].type == TURN_REST) {
                continue;
            }
            uint32_t id = alone(f, single[i], &turns[i]);
            assert_true(step % 4 == 3 || next[i] == id);
        }
    }
    for (size_t i = 0; i < slots; i++) {
        batch_take(b, i, taken);
        expect_same(taken, single[i]);
        state_destroy(single[i]);
    }
    state_destroy(taken);
    batch_destroy(b);
}

static void a_slot_is_what_it_would_be_alone(void **context)
{
    check_slots(*context, 1);
    check_slots(*context, 2);
    check_slots(*context, 13);
    check_slots(*context, BACKEND_FEW_ROWS);
}

static void push(struct batch *b, size_t slot, uint32_t token)
{
    struct turn turns[4] = {{TURN_REST, 0, NULL}};
    turns[slot] = (struct turn){TURN_TOKEN, token, NULL};
    batch_step(b, turns, NULL);
}

static void slots_are_forked_reset_and_exchanged(void **context)
{
    struct fixture *f = *context;
    struct batch *b = make(f, &bans_none, 4);
    struct state *one = make_state(f), *two = make_state(f);
    push(b, 1, 7);
    push(b, 1, 8);
    batch_fork(b, 3, 1);
    push(b, 3, 9);
    batch_take(b, 3, one);
    backbone_push_tokens(f->scratch, two, (const uint32_t[]){7, 8, 9}, 3, NULL);
    expect_same(one, two);
    batch_take(b, 1, one);
    state_reset(two);
    backbone_push_tokens(f->scratch, two, (const uint32_t[]){7, 8}, 2, NULL);
    expect_same(one, two); /* the fork left it as it was */
    batch_put(b, 0, two);
    push(b, 0, 11);
    batch_take(b, 0, one);
    backbone_push_tokens(f->scratch, two, (const uint32_t[]){11}, 1, NULL);
    expect_same(one, two);
    batch_reset(b, 0);
    batch_take(b, 0, one);
    state_reset(two);
    expect_same(one, two);
    state_destroy(one);
    state_destroy(two);
    batch_destroy(b);
}

static void banned_tokens_are_not_next(void **context)
{
    struct fixture *f = *context;
    struct batch *b = make(f, &bans_none, 2);
    struct turn turns[2] = {{TURN_TOKEN, 3, NULL}, {TURN_TOKEN, 4, NULL}};
    uint32_t free_choice[2], next[2];
    batch_step(b, turns, free_choice);
    batch_destroy(b);
    const struct decoding d = {.ban = {free_choice[0], 4000000000u}, .ban_count = 2};
    b = make(f, &d, 2);
    batch_step(b, turns, next);
    assert_int_not_equal(next[0], free_choice[0]);
    assert_true(next[1] == free_choice[1] || free_choice[1] == free_choice[0]);
    batch_destroy(b);
}

static void more_than_can_be_computed_is_refused(void **context)
{
    struct fixture *f = *context;
    struct batch *b = NULL;
    struct error error = {""};
    assert_int_equal(batch_create(&b, f->scratch, &bans_none, MAX_ROWS + 1, &error), -EINVAL);
    assert_non_null(strstr(error.message, "65"));
    assert_int_equal(batch_create(&b, f->scratch, &bans_none, 0, &error), -EINVAL);
    assert_null(b);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_slot_is_what_it_would_be_alone),
        CASE(slots_are_forked_reset_and_exchanged),
        CASE(banned_tokens_are_not_next),
        CASE(more_than_can_be_computed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
