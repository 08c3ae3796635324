/* The streaming adapter against Conv1d written out, for every kernel, stride and padding of the
 * paper and some more; any split gives the same rows. */
#include "model/adapter.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/npy.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INPUT = 12,
    HIDDEN = 24,
    DIM = 20,
    KERNEL_MAX = 6,
    ROWS_MAX = 40,
    SLOTS_MAX = 32,
};

struct shape {
    size_t kernel, stride, padding; /* kernel 0: no convolution */
};

static const struct shape shapes[] = {
    {0, 1, 0}, {3, 2, 2}, {3, 2, 0}, {3, 2, 1}, {4, 3, 2}, {4, 3, 0}, {5, 4, 2},
    {5, 4, 0}, {1, 1, 0}, {2, 1, 1}, {2, 2, 0}, {6, 1, 5}, {6, 6, 5},
};

struct weights {
    float conv[HIDDEN * KERNEL_MAX * INPUT], conv_b[HIDDEN];
    float proj0[HIDDEN * HIDDEN], proj0_b[HIDDEN], proj2[DIM * HIDDEN], proj2_b[DIM];
};

static struct weights weights;
static float input[ROWS_MAX * INPUT];

static void randomise(float *x, size_t count, unsigned *random)
{
    for (size_t i = 0; i < count; i++) {
        *random = *random * 1664525u + 1013904223u;
        x[i] = (float)(*random >> 8) / 8388608.0f - 1.0f;
    }
}

static int setup(void **context)
{
    (void)context;
    unsigned random = 5;
    randomise((float *)&weights, sizeof(weights) / sizeof(float), &random);
    randomise(input, sizeof(input) / sizeof(float), &random);
    return 0;
}

static struct bytes adapter_file(const struct shape *s)
{
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_u32(&w, "earshot.adapter.kernel", (uint32_t)s->kernel);
    gguf_writer_u32(&w, "earshot.adapter.stride", (uint32_t)s->stride);
    gguf_writer_u32(&w, "earshot.adapter.padding", (uint32_t)s->padding);
    if (s->kernel > 0) {
        gguf_writer_floats(&w, "adapter.conv.weight", 3, (const size_t[]){HIDDEN, s->kernel, INPUT},
                           weights.conv);
        gguf_writer_floats(&w, "adapter.conv.bias", 1, (const size_t[]){HIDDEN}, weights.conv_b);
    }
    gguf_writer_floats(&w, "adapter.proj.0.weight", 2,
                       (const size_t[]){HIDDEN, s->kernel > 0 ? HIDDEN : INPUT}, weights.proj0);
    gguf_writer_floats(&w, "adapter.proj.0.bias", 1, (const size_t[]){HIDDEN}, weights.proj0_b);
    gguf_writer_floats(&w, "adapter.proj.2.weight", 2, (const size_t[]){DIM, HIDDEN},
                       weights.proj2);
    gguf_writer_floats(&w, "adapter.proj.2.bias", 1, (const size_t[]){DIM}, weights.proj2_b);
    struct bytes file = gguf_writer_bytes(&w);
    gguf_writer_finish(&w);
    return file;
}

static void multiply(double *y, const float *w, const float *b, const double *x, size_t out,
                     size_t in)
{
    for (size_t o = 0; o < out; o++) {
        y[o] = b[o];
        for (size_t i = 0; i < in; i++) {
            y[o] += (double)w[o * in + i] * x[i];
        }
    }
}

/* Row j of Conv1d over count rows between zeros, then the two products. */
static void reference_row(const struct shape *s, size_t count, size_t j, float *out)
{
    size_t kernel = s->kernel > 0 ? s->kernel : 1;
    double window[KERNEL_MAX * INPUT];
    double conv[HIDDEN];
    double wide[HIDDEN];
    double y[DIM];
    for (size_t k = 0; k < kernel; k++) {
        size_t at = j * s->stride + k; /* counts the zeros before */
        bool inside = at >= s->padding && at - s->padding < count;
        for (size_t i = 0; i < INPUT; i++) {
            window[k * INPUT + i] = inside ? (double)input[(at - s->padding) * INPUT + i] : 0.0;
        }
    }
    if (s->kernel > 0) {
        multiply(conv, weights.conv, weights.conv_b, window, HIDDEN, kernel * INPUT);
        multiply(wide, weights.proj0, weights.proj0_b, conv, HIDDEN, HIDDEN);
    } else {
        multiply(wide, weights.proj0, weights.proj0_b, window, HIDDEN, INPUT);
    }
    for (size_t i = 0; i < HIDDEN; i++) {
        wide[i] = wide[i] > 0.0 ? wide[i] : 0.0;
    }
    multiply(y, weights.proj2, weights.proj2_b, wide, DIM, HIDDEN);
    for (size_t i = 0; i < DIM; i++) {
        out[i] = (float)y[i];
    }
}

static size_t expected_rows(const struct shape *s, size_t count)
{
    size_t kernel = s->kernel > 0 ? s->kernel : 1;
    size_t padded = count + 2 * s->padding;
    return count > 0 && padded >= kernel ? (padded - kernel) / s->stride + 1 : 0;
}

struct run {
    struct backend *be;
    struct gguf *gguf;
    struct bytes file;
    struct adapter *adapter;
    struct adapter_state *state;
    float *in, *out; /* backend */
};

static void begin(struct run *r, const struct shape *s)
{
    r->file = adapter_file(s);
    assert_int_equal(backend_cpu_create(&r->be, 1), 0);
    assert_int_equal(gguf_open_memory(&r->gguf, r->file.data, r->file.size, NULL), 0);
    assert_int_equal(adapter_load(&r->adapter, r->gguf, r->be, INPUT, NULL), 0);
    assert_int_equal(adapter_state_create(&r->state, r->adapter, 1, ROWS_MAX, NULL), 0);
    r->in = r->be->ops->alloc(r->be, ROWS_MAX * INPUT);
    r->out = r->be->ops->alloc(r->be, 3 * ROWS_MAX * DIM);
    r->be->ops->upload(r->be, r->in, input, ROWS_MAX * INPUT);
}

static void end(struct run *r)
{
    r->be->ops->free(r->be, r->in);
    r->be->ops->free(r->be, r->out);
    adapter_state_destroy(r->state);
    adapter_destroy(r->adapter);
    gguf_close(r->gguf);
    r->be->ops->destroy(r->be);
    bytes_free(&r->file);
}

/* An utterance of count rows in pieces of chunk; the rows land in host. */
static size_t adapt(struct run *r, size_t count, size_t chunk, float *host)
{
    size_t made = 0;
    adapter_reset(r->state, 0);
    for (size_t at = 0; at < count; at += chunk) {
        size_t now = count - at < chunk ? count - at : chunk;
        size_t rows = adapter_push(r->state, r->in + at * INPUT, &now, r->out + made * DIM, NULL);
        assert_true(rows <= adapter_rows_bound(r->adapter, now));
        made += rows;
    }
    size_t rows = adapter_flush(r->state, NULL, r->out + made * DIM, NULL);
    assert_true(rows <= adapter_rows_bound(r->adapter, 1));
    made += rows;
    r->be->ops->download(r->be, host, r->out, made * DIM);
    return made;
}

static void rows_are_those_of_conv1d(void **context)
{
    (void)context;
    float *got = calloc(3 * ROWS_MAX * DIM, sizeof(float));
    float *expected = calloc(3 * ROWS_MAX * DIM, sizeof(float));
    double worst = 0.0;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct run r = {0};
        begin(&r, &shapes[i]);
        assert_int_equal(adapter_dim(r.adapter), DIM);
        for (size_t count = 0; count <= ROWS_MAX; count++) {
            size_t rows = adapt(&r, count, ROWS_MAX, got);
            assert_int_equal(rows, expected_rows(&shapes[i], count));
            for (size_t j = 0; j < rows; j++) {
                reference_row(&shapes[i], count, j, expected + j * DIM);
            }
            double error = rows > 0 ? relative_error(got, expected, rows * DIM) : 0.0;
            worst = error > worst ? error : worst;
        }
        end(&r);
    }
    print_message("largest relative error %.2e\n", worst);
    assert_true(worst < 1e-5);
    free(got);
    free(expected);
}

static void any_split_gives_the_same_rows(void **context)
{
    (void)context;
    float *all = calloc(3 * ROWS_MAX * DIM, sizeof(float));
    float *some = calloc(3 * ROWS_MAX * DIM, sizeof(float));
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct run r = {0};
        begin(&r, &shapes[i]);
        for (size_t count = 1; count <= ROWS_MAX; count += 3) {
            size_t rows = adapt(&r, count, ROWS_MAX, all);
            for (size_t chunk = 1; chunk <= 7; chunk++) {
                assert_int_equal(adapt(&r, count, chunk, some), rows);
                assert_memory_equal(some, all, rows * DIM * sizeof(float));
            }
        }
        end(&r);
    }
    free(all);
    free(some);
}

/* What slot i pushes the n-th time: none, or up to more rows than one product takes of many. */
static size_t piece_of(size_t i, size_t n)
{
    return (i * 7 + n * (3 + i % 4)) % 5 == 0 ? 0
                                              : (i * 11 + n * 5) % (i % 6 == 5 ? ROWS_MAX - 2 : 9);
}

struct beside {
    struct adapter_state *together, *alone[SLOTS_MAX];
    size_t counts[SLOTS_MAX], made[SLOTS_MAX];
    float *in, *out, *single; /* backend */
    float *got, *want;        /* host [SLOTS_MAX * 3 * ROWS_MAX * DIM] */
};

static void beside_begin(struct beside *b, const struct run *r, size_t slots)
{
    size_t most = SLOTS_MAX * 3 * ROWS_MAX * DIM;
    assert_int_equal(adapter_state_create(&b->together, r->adapter, slots, ROWS_MAX, NULL), 0);
    for (size_t i = 0; i < slots; i++)
        assert_int_equal(adapter_state_create(&b->alone[i], r->adapter, 1, ROWS_MAX, NULL), 0);
    b->in = r->be->ops->alloc(r->be, SLOTS_MAX * ROWS_MAX * INPUT);
    b->out = r->be->ops->alloc(r->be, most);
    b->single = r->be->ops->alloc(r->be, 3 * ROWS_MAX * DIM);
    b->got = calloc(most, sizeof(float));
    b->want = calloc(3 * ROWS_MAX * DIM, sizeof(float));
    assert_true(b->in && b->out && b->single && b->got && b->want);
}

static void beside_end(struct beside *b, const struct run *r, size_t slots)
{
    adapter_state_destroy(b->together);
    for (size_t i = 0; i < slots; i++)
        adapter_state_destroy(b->alone[i]);
    r->be->ops->free(r->be, b->in);
    r->be->ops->free(r->be, b->out);
    r->be->ops->free(r->be, b->single);
    free(b->got);
    free(b->want);
}

/* Every slot's rows, pushed alone (or flushed, where it ends), are those of the call. */
static void expect_alone(struct beside *b, const struct run *r, size_t slots, const bool *ends)
{
    const float *got = b->got, *in = b->in;
    for (size_t i = 0; i < slots; i++) {
        size_t made = 0;
        if (!ends)
            made = adapter_push(b->alone[i], in, &b->counts[i], b->single, NULL);
        else if (ends[i])
            made = adapter_flush(b->alone[i], NULL, b->single, NULL);
        assert_int_equal(made, b->made[i]);
        r->be->ops->download(r->be, b->want, b->single, made * DIM);
        assert_memory_equal(got, b->want, made * DIM * sizeof(float));
        got += made * DIM;
        in += b->counts[i] * INPUT;
    }
}

static void push_all(struct beside *b, const struct run *r, size_t slots, size_t n)
{
    float *in = b->in;
    for (size_t i = 0; i < slots; i++) {
        b->counts[i] = piece_of(i, n);
        r->be->ops->upload(r->be, in, input + (n + i) % 3 * INPUT, b->counts[i] * INPUT);
        in += b->counts[i] * INPUT;
    }
    size_t made = adapter_push(b->together, b->in, b->counts, b->out, b->made);
    r->be->ops->download(r->be, b->got, b->out, made * DIM);
    expect_alone(b, r, slots, NULL);
}

/* Some utterances end, and others begin in their slots. */
static void end_some(struct beside *b, const struct run *r, size_t slots, size_t n)
{
    bool ends[SLOTS_MAX];
    for (size_t i = 0; i < slots; i++)
        ends[i] = (i + n) % 3 == 0;
    size_t made = adapter_flush(b->together, ends, b->out, b->made);
    r->be->ops->download(r->be, b->got, b->out, made * DIM);
    expect_alone(b, r, slots, ends);
    for (size_t i = 0; i < slots; i++) {
        if (ends[i]) {
            adapter_reset(b->together, i);
            adapter_reset(b->alone[i], 0);
        }
    }
}

static void a_slot_is_what_it_would_be_alone(void **context)
{
    static const size_t counts[] = {1, 2, 8, SLOTS_MAX};
    (void)context;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]); j++) {
            struct run r = {0};
            struct beside b = {0};
            begin(&r, &shapes[i]);
            beside_begin(&b, &r, counts[j]);
            for (size_t n = 0; n < 12; n++) {
                push_all(&b, &r, counts[j], n);
                if (n % 4 == 3)
                    end_some(&b, &r, counts[j], n);
            }
            beside_end(&b, &r, counts[j]);
            end(&r);
        }
    }
}

static void an_utterance_of_no_rows_gives_none(void **context)
{
    (void)context;
    struct run r = {0};
    begin(&r, &(const struct shape){3, 2, 2});
    const size_t none = 0;
    assert_int_equal(adapter_push(r.state, r.in, &none, r.out, NULL), 0);
    assert_int_equal(adapter_flush(r.state, NULL, r.out, NULL), 0);
    end(&r);
}

static void impossible_shapes_are_refused(void **context)
{
    (void)context;
    static const struct {
        struct shape shape;
        const char *says;
    } wrong[] = {
        {{65, 2, 2}, "earshot.adapter.kernel"},
        {{3, 0, 2}, "earshot.adapter.stride"},
        {{3, 4, 2}, "earshot.adapter.stride"},
        {{3, 2, 3}, "earshot.adapter.padding"},
    };
    struct backend *be = NULL;
    assert_int_equal(backend_cpu_create(&be, 1), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct shape shape = wrong[i].shape;
        struct gguf_writer w;
        gguf_writer_init(&w);
        gguf_writer_u32(&w, "earshot.adapter.kernel", (uint32_t)shape.kernel);
        gguf_writer_u32(&w, "earshot.adapter.stride", (uint32_t)shape.stride);
        gguf_writer_u32(&w, "earshot.adapter.padding", (uint32_t)shape.padding);
        struct bytes file = gguf_writer_bytes(&w);
        struct gguf *g = NULL;
        struct adapter *a = NULL;
        struct error error = {""};
        assert_int_equal(gguf_open_memory(&g, file.data, file.size, NULL), 0);
        assert_int_equal(adapter_load(&a, g, be, INPUT, &error), -EINVAL);
        assert_non_null(strstr(error.message, wrong[i].says));
        gguf_close(g);
        gguf_writer_finish(&w);
        bytes_free(&file);
    }
    be->ops->destroy(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_conv1d),
        cmocka_unit_test(any_split_gives_the_same_rows),
        cmocka_unit_test(a_slot_is_what_it_would_be_alone),
        cmocka_unit_test(an_utterance_of_no_rows_gives_none),
        cmocka_unit_test(impossible_shapes_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
