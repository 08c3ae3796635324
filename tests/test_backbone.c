/* Rows at once, one at a time and in passes of any length are the same, bit for bit. What the
 * logits are is test_model's. */
#include "model/backbone.h"
#include "tests/support/npy.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOKENS = 150, /* more than two passes of 64 */
};

struct fixture {
    struct backend *be;
    struct gguf *gguf;
    struct backbone *backbone;
    struct backbone_scratch *scratch;
    struct state *state;
    float *logits; /* backend, [vocab] */
    uint32_t ids[TOKENS];
};

struct result {
    float *logits; /* [vocab] */
    float *state;  /* as state_encode writes it */
    size_t vocab, state_size;
};

static int setup(void **context)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(backend_cpu_create(&f->be, 2), 0);
    assert_int_equal(gguf_open(&f->gguf, "tests/golden/tiny.gguf", NULL), 0);
    assert_int_equal(backbone_load(&f->backbone, f->gguf, f->be, NULL), 0);
    assert_int_equal(backbone_scratch_create(&f->scratch, f->backbone, 64, NULL), 0);
    assert_int_equal(state_create(&f->state, f->be, backbone_state_shape(f->backbone), 1), 0);
    f->logits = f->be->ops->alloc(f->be, backbone_vocab(f->backbone));
    for (size_t i = 0; i < TOKENS; i++) {
        f->ids[i] = (uint32_t)(i * 7919 % backbone_vocab(f->backbone));
    }
    *context = f;
    return 0;
}

static int teardown(void **context)
{
    struct fixture *f = *context;
    f->be->ops->free(f->be, f->logits);
    state_destroy(f->state);
    backbone_scratch_destroy(f->scratch);
    backbone_destroy(f->backbone);
    gguf_close(f->gguf);
    f->be->ops->destroy(f->be);
    free(f);
    return 0;
}

static struct result result(struct fixture *f)
{
    struct result r = {.vocab = backbone_vocab(f->backbone)};
    r.state_size = state_bytes(f->state);
    r.logits = malloc(r.vocab * sizeof(float));
    r.state = malloc(r.state_size);
    assert_true(r.logits && r.state);
    f->be->ops->download(f->be, r.logits, f->logits, r.vocab);
    state_encode(f->state, 1, r.state);
    return r;
}

static void release(struct result *r)
{
    free(r->logits);
    free(r->state);
}

static void same(struct fixture *f, const struct result *expected)
{
    struct result got = result(f);
    assert_memory_equal(got.logits, expected->logits, got.vocab * sizeof(float));
    assert_memory_equal(got.state, expected->state, got.state_size);
    release(&got);
}

static void push_in_chunks(struct fixture *f, size_t chunk)
{
    state_reset(f->state);
    for (size_t at = 0; at < TOKENS; at += chunk) {
        size_t left = TOKENS - at;
        backbone_push_tokens(f->scratch, f->state, 0, f->ids + at, left < chunk ? left : chunk,
                             left <= chunk ? f->logits : NULL);
    }
    assert_int_equal(f->state->rows[0], TOKENS);
}

static struct result few_at_once(struct fixture *f)
{
    push_in_chunks(f, BACKEND_FEW_ROWS);
    return result(f);
}

static struct result at_once(struct fixture *f)
{
    push_in_chunks(f, TOKENS);
    return result(f);
}

static void serial_and_batched_are_the_same(void **context)
{
    struct fixture *f = *context;
    static const size_t chunks[] = {1, 2, 7, 31};
    struct result all = few_at_once(f);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        push_in_chunks(f, chunks[i]);
        same(f, &all);
    }
    release(&all);
}

/* Many rows may be rounded to bf16. */
static void many_at_once_are_nearly_the_same(void **context)
{
    struct fixture *f = *context;
    static const size_t chunks[] = {33, 64, 65, TOKENS};
    struct result few = few_at_once(f);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        push_in_chunks(f, chunks[i]);
        struct result many = result(f);
        double error = relative_error(many.logits, few.logits, few.vocab);
        printf("  %zu at once: relative error %.1e\n", chunks[i], error);
        assert_true(error < 1e-2);
        release(&many);
    }
    release(&few);
}

static void the_length_of_a_pass_does_not_matter(void **context)
{
    struct fixture *f = *context;
    static const size_t lengths[] = {1, 3, BACKEND_FEW_ROWS};
    struct result all = few_at_once(f);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct backbone_scratch *other = NULL;
        assert_int_equal(backbone_scratch_create(&other, f->backbone, lengths[i], NULL), 0);
        state_reset(f->state);
        backbone_push_tokens(other, f->state, 0, f->ids, TOKENS, f->logits);
        same(f, &all);
        backbone_scratch_destroy(other);
    }
    release(&all);
}

static void rows_in_the_place_of_embeddings_are_tokens(void **context)
{
    struct fixture *f = *context;
    size_t dim = backbone_dim(f->backbone);
    const struct gguf_tensor *emb = gguf_find(f->gguf, "backbone.emb.weight");
    float *host = malloc(TOKENS * dim * sizeof(float));
    float *rows = f->be->ops->alloc(f->be, TOKENS * dim);
    assert_true(emb && host && rows);
    for (size_t i = 0; i < TOKENS; i++) {
        tensor_row_to_float(&emb->tensor, f->ids[i], host + i * dim);
    }
    f->be->ops->upload(f->be, rows, host, TOKENS * dim);
    struct result all = at_once(f);
    state_reset(f->state);
    backbone_push_rows(f->scratch, f->state, 0, rows, TOKENS, f->logits);
    same(f, &all);
    release(&all);
    f->be->ops->free(f->be, rows);
    free(host);
}

static void a_fork_goes_on_as_its_origin(void **context)
{
    struct fixture *f = *context;
    struct state *fork = NULL;
    assert_int_equal(state_create(&fork, f->be, backbone_state_shape(f->backbone), 1), 0);
    state_reset(f->state);
    backbone_push_tokens(f->scratch, f->state, 0, f->ids, 70, NULL);
    state_copy(fork, f->state);
    backbone_push_tokens(f->scratch, f->state, 0, f->ids + 70, TOKENS - 70, f->logits);
    struct result all = result(f);
    state_copy(f->state, fork);
    backbone_push_tokens(f->scratch, fork, 0, f->ids + 3, 40, f->logits); /* thrown away */
    backbone_push_tokens(f->scratch, f->state, 0, f->ids + 70, TOKENS - 70, f->logits);
    same(f, &all);
    state_destroy(fork);
    release(&all);
}

static void no_rows_change_nothing(void **context)
{
    struct fixture *f = *context;
    struct result all = at_once(f);
    backbone_push_tokens(f->scratch, f->state, 0, f->ids, 0, f->logits);
    backbone_push_rows(f->scratch, f->state, 0, NULL, 0, f->logits);
    same(f, &all);
    release(&all);
}

static void nothing_is_allocated_after_create(void **context)
{
    struct fixture *f = *context;
    const struct backend_ops *ops = f->be->ops;
    struct backend_ops without = *ops;
    without.alloc = NULL;
    without.reserve = NULL;
    without.weight_create = NULL;
    f->be->ops = &without;
    backbone_push_tokens(f->scratch, f->state, 0, f->ids, TOKENS, f->logits);
    f->be->ops = ops;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(serial_and_batched_are_the_same),
        CASE(many_at_once_are_nearly_the_same),
        CASE(the_length_of_a_pass_does_not_matter),
        CASE(rows_in_the_place_of_embeddings_are_tokens),
        CASE(a_fork_goes_on_as_its_origin),
        CASE(no_rows_change_nothing),
        CASE(nothing_is_allocated_after_create),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
