/* Slots that move side by side are what each would be alone, bit for bit, whoever rests: beside 1,
 * 7 and 31 others. Forks and resets among them; what is never chosen. */
#include "model/hearing.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 25,
    PASSAGE = 9, /* tokens that a slot takes at once in between */
};

static const size_t counts[] = {1, 2, 8, BACKEND_FEW_ROWS};

struct fixture {
    struct backend *be;
    struct model *model;
    struct hearing *hearing;
    float *rows;   /* backend memory [STEPS, dim] */
    float *logits; /* backend memory [BACKEND_FEW_ROWS, vocab] */
    float *single; /* backend memory [vocab] */
    size_t dim, vocab;
};

static int setup(void **context)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error error;
    assert_non_null(f);
    assert_int_equal(backend_cpu_create(&f->be, 2), 0);
    if (model_load(&f->model, "tests/golden/tiny.gguf", f->be, NULL, NULL, &error) ||
        hearing_create(&f->hearing, f->model, &error))
        fail_msg("%s", error.message);
    f->dim = backbone_dim(f->model->backbone);
    f->vocab = backbone_vocab(f->model->backbone);
    f->logits = f->be->ops->alloc(f->be, BACKEND_FEW_ROWS * f->vocab);
    f->single = f->be->ops->alloc(f->be, f->vocab);
    f->rows = f->be->ops->alloc(f->be, STEPS * f->dim);
    assert_true(f->logits && f->single && f->rows);
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
    f->be->ops->free(f->be, f->single);
    f->be->ops->free(f->be, f->rows);
    hearing_destroy(f->hearing);
    model_destroy(f->model);
    f->be->ops->destroy(f->be);
    free(f);
    return 0;
}

static struct state *make(struct fixture *f, size_t slots)
{
    struct state *s = NULL;
    const struct state_shape *shape = backbone_state_shape(f->model->backbone);
    assert_int_equal(state_create(&s, f->be, shape, slots), 0);
    return s;
}

/* What a slot takes in a step: some rest, some take a token, some a row, some both. */
static struct intake intake_of(const struct fixture *f, size_t slot, size_t step)
{
    return (struct intake){
        .type = (enum intake_type)((slot * 5 + step * (slot + 1)) % 4),
        .token = (uint32_t)((slot * 31 + step * 17) % f->vocab),
        .row = f->rows + (slot + step) % STEPS * f->dim,
    };
}

/* The same alone; logits to f->single. */
static void take_alone(struct fixture *f, struct state *s, const struct intake *in)
{
    struct backbone_scratch *t = f->hearing->scratch;
    switch (in->type) {
    case INTAKE_NOTHING:
        break;
    case INTAKE_TOKEN:
        backbone_push_tokens(t, s, 0, &in->token, 1, f->single);
        break;
    case INTAKE_ROW:
        backbone_push_rows(t, s, 0, in->row, 1, f->single);
        break;
    case INTAKE_HEARD:
        backbone_push_heard(t, s, 0, in->row, 1, in->token, f->single);
        break;
    }
}

static void expect_same_logits(struct fixture *f, size_t slot)
{
    float *got = malloc(f->vocab * sizeof(float)), *want = malloc(f->vocab * sizeof(float));
    assert_true(got && want);
    f->be->ops->download(f->be, got, f->logits + slot * f->vocab, f->vocab);
    f->be->ops->download(f->be, want, f->single, f->vocab);
    assert_memory_equal(got, want, f->vocab * sizeof(float));
    free(got);
    free(want);
}

static void expect_same(const struct state *a, const struct state *b)
{
    size_t size = state_bytes(a);
    char *x = malloc(size), *y = malloc(size);
    assert_true(x && y);
    state_encode(a, 1, x);
    state_encode(b, 1, y);
    assert_memory_equal(x, y, size); /* with how much each took in */
    free(x);
    free(y);
}

static void expect_slot(struct fixture *f, const struct state *slots, size_t slot,
                        const struct state *want)
{
    struct state *taken = make(f, 1);
    state_copy_slot(taken, 0, slots, slot);
    expect_same(taken, want);
    state_destroy(taken);
}

/* Between two steps a slot takes a whole passage. */
static void take_passage(struct fixture *f, struct state *slots, struct state *const *alone,
                         size_t step)
{
    size_t slot = step * 3 % slots->slots;
    uint32_t ids[PASSAGE];
    for (size_t i = 0; i < PASSAGE; i++)
        ids[i] = (uint32_t)((step * 13 + i * 7) % f->vocab);
    backbone_push_tokens(f->hearing->scratch, slots, slot, ids, PASSAGE, NULL);
    backbone_push_tokens(f->hearing->scratch, alone[slot], 0, ids, PASSAGE, NULL);
    backbone_push_rows(f->hearing->scratch, slots, slot, f->rows, 3, f->logits);
    backbone_push_rows(f->hearing->scratch, alone[slot], 0, f->rows, 3, f->single);
    expect_same_logits(f, 0);
}

/* All but the last take a token each. */
static void take_tokens(struct fixture *f, struct state *slots, struct state *const *alone,
                        size_t step)
{
    uint32_t ids[BACKEND_FEW_ROWS];
    for (size_t i = 0; i < slots->slots; i++)
        ids[i] = (uint32_t)((step * 5 + i * 3) % f->vocab);
    if (slots->slots == 1)
        return;
    backbone_step_tokens(f->hearing->scratch, slots, ids, slots->slots - 1, f->logits);
    for (size_t i = 0; i < slots->slots - 1; i++) {
        backbone_push_tokens(f->hearing->scratch, alone[i], 0, &ids[i], 1, f->single);
        expect_same_logits(f, i);
    }
}

static void take_steps(struct fixture *f, struct state *slots, struct state *const *alone)
{
    for (size_t step = 0; step < STEPS; step++) {
        struct intake intakes[BACKEND_FEW_ROWS];
        bool told = step % 4 != 3;
        for (size_t i = 0; i < slots->slots; i++)
            intakes[i] = intake_of(f, i, step);
        backbone_step(f->hearing->scratch, slots, intakes, told ? f->logits : NULL);
        for (size_t i = 0; i < slots->slots; i++) {
            take_alone(f, alone[i], &intakes[i]);
            if (told && intakes[i].type != INTAKE_NOTHING)
                expect_same_logits(f, i);
        }
        if (step % 6 == 5)
            take_passage(f, slots, alone, step);
        take_tokens(f, slots, alone, step);
    }
}

static void a_slot_is_what_it_would_be_alone(void **context)
{
    struct fixture *f = *context;
    for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
        struct state *slots = make(f, counts[n]);
        struct state *alone[BACKEND_FEW_ROWS];
        for (size_t i = 0; i < counts[n]; i++)
            alone[i] = make(f, 1);
        take_steps(f, slots, alone);
        for (size_t i = 0; i < counts[n]; i++) {
            expect_slot(f, slots, i, alone[i]);
            state_destroy(alone[i]);
        }
        state_destroy(slots);
    }
}

static void push(struct fixture *f, struct state *s, size_t slot, uint32_t token)
{
    struct intake intakes[4] = {{INTAKE_NOTHING, 0, NULL}};
    intakes[slot] = (struct intake){INTAKE_TOKEN, token, NULL};
    backbone_step(f->hearing->scratch, s, intakes, NULL);
}

static void slots_are_forked_reset_and_exchanged(void **context)
{
    struct fixture *f = *context;
    struct backbone_scratch *t = f->hearing->scratch;
    struct state *slots = make(f, 4), *want = make(f, 1);
    push(f, slots, 1, 7);
    push(f, slots, 1, 8);
    state_copy_slot(slots, 3, slots, 1);
    push(f, slots, 3, 9);
    backbone_push_tokens(t, want, 0, (const uint32_t[]){7, 8, 9}, 3, NULL);
    expect_slot(f, slots, 3, want);
    state_reset(want);
    backbone_push_tokens(t, want, 0, (const uint32_t[]){7, 8}, 2, NULL);
    expect_slot(f, slots, 1, want); /* the fork left it as it was */
    state_copy_slot(slots, 0, want, 0);
    push(f, slots, 0, 11);
    state_reset_slot(slots, 3);
    push(f, slots, 3, 5);
    backbone_push_tokens(t, want, 0, (const uint32_t[]){11}, 1, NULL);
    expect_slot(f, slots, 0, want);
    state_reset(want);
    expect_slot(f, slots, 2, want); /* which nobody touched */
    backbone_push_tokens(t, want, 0, (const uint32_t[]){5}, 1, NULL);
    expect_slot(f, slots, 3, want);
    state_destroy(slots);
    state_destroy(want);
}

static void banned_tokens_are_not_chosen(void **context)
{
    struct fixture *f = *context;
    const struct intake intakes[2] = {{INTAKE_TOKEN, 3, NULL}, {INTAKE_TOKEN, 4, NULL}};
    struct state *slots = make(f, 2);
    struct decoding *d = &f->model->decoding;
    struct hearing *other;
    uint32_t any[2], allowed[2];
    backbone_step(f->hearing->scratch, slots, intakes, f->logits);
    hearing_choose(f->hearing, f->logits, 2, any);
    d->ban[d->ban_count++] = any[0];
    assert_int_equal(hearing_create(&other, f->model, NULL), 0);
    state_reset(slots);
    backbone_step(other->scratch, slots, intakes, f->logits);
    hearing_choose(other, f->logits, 2, allowed);
    assert_int_not_equal(allowed[0], any[0]);
    assert_true(allowed[1] == any[1] || any[1] == any[0]);
    backbone_step(other->scratch, slots, intakes, f->logits); /* as decoding chooses alone */
    uint32_t alone = decoding_greedy(d, f->be, f->logits, f->vocab);
    hearing_choose(other, f->logits, 2, allowed);
    assert_int_equal(allowed[0], alone);
    hearing_destroy(other);
    state_destroy(slots);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_slot_is_what_it_would_be_alone),
        CASE(slots_are_forked_reset_and_exchanged),
        CASE(banned_tokens_are_not_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
