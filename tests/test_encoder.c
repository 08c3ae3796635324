/* Any split of the audio gives the same rows, bit for bit. What the rows are is test_model's. */
#include "model/encoder.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/npy.h"
#include "tests/support/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAMES = 1201, /* odd, and longer than any history */
};

struct fixture {
    struct backend *be;
    struct gguf *gguf;
    struct encoder *encoder;
    float *frames; /* [FRAMES, bins] */
    float *rows;   /* backend, [FRAMES, dim] */
};

static int setup(void **context)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(backend_cpu_create(&f->be, 2), 0);
    assert_int_equal(gguf_open(&f->gguf, "tests/golden/tiny.gguf", NULL), 0);
    assert_int_equal(encoder_create(&f->encoder, f->gguf, f->be, NULL, NULL), 0);
    size_t bins = f->encoder->info.input_dim;
    f->frames = calloc(FRAMES * bins, sizeof(float));
    f->rows = f->be->ops->alloc(f->be, FRAMES * f->encoder->info.dim);
    assert_true(f->frames && f->rows);
    unsigned random = 1;
    for (size_t i = 0; i < FRAMES * bins; i++) {
        random = random * 1664525u + 1013904223u;
        f->frames[i] = (float)(random >> 8) / 8388608.0f - 1.0f;
    }
    *context = f;
    return 0;
}

static int teardown(void **context)
{
    struct fixture *f = *context;
    f->be->ops->free(f->be, f->rows);
    free(f->frames);
    encoder_destroy(f->encoder);
    gguf_close(f->gguf);
    f->be->ops->destroy(f->be);
    free(f);
    return 0;
}

/* The rows of an utterance pushed in pieces of chunk frames, on the heap; each push within its
 * bound. */
static float *encode(struct fixture *f, size_t frames, size_t chunk, size_t *rows)
{
    struct encoder *e = f->encoder;
    size_t dim = e->info.dim;
    size_t made = 0;
    e->ops->reset(e);
    for (size_t at = 0; at < frames; at += chunk) {
        size_t count = frames - at < chunk ? frames - at : chunk;
        size_t now =
            e->ops->push(e, f->frames + at * e->info.input_dim, count, f->rows + made * dim);
        assert_true(now <= e->info.max_rows);
        made += now;
    }
    made += e->ops->flush(e, f->rows + made * dim);
    float *host = calloc(made * dim + 1, sizeof(host[0]));
    assert_non_null(host);
    f->be->ops->download(f->be, host, f->rows, made * dim);
    *rows = made;
    return host;
}

static void any_split_gives_the_same_rows(void **context)
{
    struct fixture *f = *context;
    static const size_t chunks[] = {1, 2, 3, 7, 16, 64, 99};
    size_t rows = 0;
    float *all = encode(f, FRAMES, f->encoder->info.max_input, &rows);
    assert_int_equal(rows, FRAMES / 2);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        size_t count = 0;
        float *some = encode(f, FRAMES, chunks[i], &count);
        assert_int_equal(count, rows);
        assert_memory_equal(some, all, rows * f->encoder->info.dim * sizeof(float));
        free(some);
    }
    free(all);
}

static void rows_never_change_with_what_follows(void **context)
{
    struct fixture *f = *context;
    size_t rows = 0;
    size_t count = 0;
    float *all = encode(f, FRAMES, 100, &rows);
    float *start = encode(f, 333, 10, &count);
    assert_int_equal(count, 166);
    assert_memory_equal(start, all, count * f->encoder->info.dim * sizeof(float));
    free(all);
    free(start);
}

static void a_row_needs_two_frames(void **context)
{
    struct fixture *f = *context;
    for (size_t frames = 0; frames <= 5; frames++) {
        size_t rows = 0;
        free(encode(f, frames, 1, &rows));
        assert_int_equal(rows, frames / 2);
    }
}

static void rows_are_finite_for_extreme_frames(void **context)
{
    struct fixture *f = *context;
    size_t bins = f->encoder->info.input_dim;
    for (size_t i = 0; i < 200 * bins; i++) {
        f->frames[i] = i / bins % 2 ? 1e6f : -1e6f;
    }
    size_t rows = 0;
    float *all = encode(f, 200, 100, &rows);
    for (size_t i = 0; i < rows * f->encoder->info.dim; i++) {
        assert_true(isfinite(all[i]));
    }
    free(all);
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
    size_t rows = 0;
    free(encode(f, FRAMES, 100, &rows));
    free(encode(f, FRAMES, 1, &rows));
    f->be->ops = ops;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(any_split_gives_the_same_rows),
        CASE(rows_never_change_with_what_follows),
        CASE(a_row_needs_two_frames),
        CASE(rows_are_finite_for_extreme_frames),
        CASE(nothing_is_allocated_after_create),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
