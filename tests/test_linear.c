/* The CPU backend against the obvious scalar C, in double: every instruction set that this machine
 * has, odd sizes, outputs poisoned with NaN before each call. A row's result must be the same bits
 * whatever number of rows, few or many, and whatever number of threads computes it. Where many rows
 * are rounded to bf16, so are the reference's, and the sums must be as good as any.
 */
#include "kernels/half.h"
#include "kernels/tensor.h"
#include "tests/support/backends.h"

#include <errno.h>
#include <stdbool.h>

static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0,
                                         TENSOR_Q4_0};

/* A matrix of random bytes that are sane numbers of the type. */
static struct tensor random_tensor(enum tensor_type type, size_t rows, size_t cols)
{
    size_t bytes = tensor_row_bytes(type, cols) * rows;
    uint8_t *p = malloc(bytes);
    struct tensor t = {type, rows, cols, p};

    assert_non_null(p);
    assert_true(bytes > 0);
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)next_random();
    for (size_t i = 0; i < rows * cols; i++) {
        float f = uniform();
        uint32_t bits;
        uint16_t half;

        memcpy(&bits, &f, sizeof(bits));
        switch (type) {
        case TENSOR_F32:
            memcpy(p + 4 * i, &f, sizeof(f));
            break;
        case TENSOR_F16: /* exponent 1 .. 14, some subnormals */
            half = (uint16_t)((next_random() & 0x83ff) | (next_random() % 15) << 10);
            memcpy(p + 2 * i, &half, sizeof(half));
            break;
        case TENSOR_BF16:
            half = (uint16_t)(bits >> 16);
            memcpy(p + 2 * i, &half, sizeof(half));
            break;
        case TENSOR_Q8_0:
        case TENSOR_Q4_0: /* the scale is the first two bytes of every block */
            half = (uint16_t)((next_random() & 0x3ff) | 7 << 10);
            if (type == TENSOR_Q4_0)
                half = (uint16_t)(half + (4 << 10));
            if (i % TENSOR_BLOCK == 0)
                memcpy(p + i / TENSOR_BLOCK * (type == TENSOR_Q8_0 ? 34 : 18), &half, sizeof(half));
            break;
        }
    }
    return t;
}

/* ---- tensor.h ---- */

static void test_tensor_values(void **state)
{
    float f32[] = {1.5f, -2.0f};
    uint16_t f16[] = {0x3c00, 0xc000, 0x0001, 0x7c00, 0x83ff};
    uint16_t bf16[] = {0x3f80, 0xc040};
    uint8_t q8[34] = {0x00, 0x38, 1, 0xff, 0x80};          /* d = 0.5 */
    uint8_t q4[18] = {0x00, 0x3c, 0x0f, 0x80, 0x88, 0x88}; /* d = 1 */
    float out[32];

    (void)state;
    tensor_row_to_float(&(struct tensor){TENSOR_F32, 2, 1, f32}, 1, out);
    assert_true(out[0] == -2.0f);
    tensor_row_to_float(&(struct tensor){TENSOR_F16, 1, 5, f16}, 0, out);
    assert_true(out[0] == 1.0f && out[1] == -2.0f && out[2] == 0x1p-24f && isinf(out[3]));
    assert_true(out[4] == -1023 * 0x1p-24f);
    tensor_row_to_float(&(struct tensor){TENSOR_BF16, 1, 2, bf16}, 0, out);
    assert_true(out[0] == 1.0f && out[1] == -3.0f);
    tensor_row_to_float(&(struct tensor){TENSOR_Q8_0, 1, 32, q8}, 0, out);
    assert_true(out[0] == 0.5f && out[1] == -0.5f && out[2] == -64.0f && out[3] == 0.0f);
    tensor_row_to_float(&(struct tensor){TENSOR_Q4_0, 1, 32, q4}, 0, out);
    assert_true(out[0] == 7.0f && out[16] == -8.0f && out[1] == -8.0f && out[17] == 0.0f);
}

static void test_tensor_bad_shapes_have_no_size(void **state)
{
    (void)state;
    assert_int_equal(tensor_row_bytes(TENSOR_Q8_0, 64), 68);
    assert_int_equal(tensor_row_bytes(TENSOR_Q4_0, 64), 36);
    assert_int_equal(tensor_row_bytes(TENSOR_Q4_0, 33), 0);
    assert_int_equal(tensor_row_bytes((enum tensor_type)7, 32), 0);
    assert_int_equal(tensor_row_bytes(TENSOR_F32, SIZE_MAX / 2), 0);
    assert_null(tensor_type_name((enum tensor_type)7));
    assert_string_equal(tensor_type_name(TENSOR_Q8_0), "Q8_0");
}

/* ---- linear ---- */

struct linear_case {
    size_t out, in;
};

static const struct linear_case linear_cases[] = {
    {1, 32}, {5, 64}, {16, 32}, {33, 96}, {100, 544}, {192, 192}, {70, 1056},
};

enum inputs {
    AS_THEY_ARE,
    BFLOATS,       /* and the weights too */
    WHOLE_NUMBERS, /* of 16 bits, 32 inputs at a time */
};

static bool is_quantised(const struct tensor *t)
{
    return t->type == TENSOR_Q8_0 || t->type == TENSOR_Q4_0;
}

/* What a product makes of its inputs. */
static enum inputs inputs_of(const struct backend *be, const struct tensor *t, size_t rows)
{
    if (rounds(be, rows) && t->type != TENSOR_F32)
        return BFLOATS;
    return is_quantised(t) ? WHOLE_NUMBERS : AS_THEY_ARE;
}

/* out [32]: x in whole numbers; in floats, so that halves are rounded to the same side. */
static void whole_numbers(double *out, const float *x)
{
    const float most = 127 * 256;
    float largest = 0;

    for (size_t i = 0; i < TENSOR_BLOCK; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    for (size_t i = 0; i < TENSOR_BLOCK; i++) {
        float scaled = largest > 0 ? x[i] * (most / largest) : 0;

        out[i] = (double)truncf(scaled + (scaled < 0 ? -0.5f : 0.5f)) * (double)(largest / most);
    }
}

static void round_row(double *out, const float *x, size_t count, enum inputs how)
{
    for (size_t i = 0; i < count; i++)
        if (how == AS_THEY_ARE || how == BFLOATS)
            out[i] = (double)(how == BFLOATS ? bfloat(x[i]) : x[i]);
        else if (i % TENSOR_BLOCK == 0)
            whole_numbers(out + i, x + i);
}

/* want[rows, out] = act(x W^T + b), the weights through tensor_row_to_float. */
static void linear_slow(double *want, const float *x, size_t x_stride, size_t rows,
                        const struct tensor *t, const float *bias, enum activation act,
                        enum inputs how)
{
    float *w = malloc(t->cols * sizeof(float));
    double *row = malloc(t->cols * sizeof(double));

    assert_true(w && row);
    for (size_t r = 0; r < rows; r++) {
        round_row(row, x + r * x_stride, t->cols, how);
        for (size_t o = 0; o < t->rows; o++) {
            double s = bias ? (double)bias[o] : 0.0;

            tensor_row_to_float(t, o, w);
            for (size_t i = 0; i < t->cols; i++)
                s += row[i] * (double)(how == BFLOATS ? bfloat(w[i]) : w[i]);
            want[r * t->rows + o] = activate(s, act);
        }
    }
    free(row);
    free(w);
}

static double try_linear(struct backend *be, const struct tensor *t, size_t rows, size_t x_stride,
                         bool with_bias, enum activation act)
{
    float *x = random_floats(be, rows * x_stride + t->cols, 1.0f, 0.0f);
    float *bias = with_bias ? random_floats(be, t->rows, 1.0f, 0.0f) : NULL;
    float *y = poisoned(be, rows * t->rows + 1);
    double *want = malloc(rows * t->rows * sizeof(double));
    struct weight *w;
    double worst;

    assert_int_equal(be->ops->weight_create(be, &w, t, WEIGHT_PRODUCTS), 0);
    assert_int_equal(be->ops->reserve(be, rows), 0);
    be->ops->linear(be, y, x, x_stride, rows, w, bias, act);
    linear_slow(want, x, x_stride, rows, t, bias, act, inputs_of(be, t, rows));
    /* sums of `in` terms up to 1, one after the other */
    worst = check_close(tensor_type_name(t->type), y, want, rows * t->rows,
                        2e-6 + 4e-8 * (double)t->cols);
    assert_true(isnan(y[rows * t->rows])); /* nothing past the end */
    be->ops->weight_destroy(be, w);
    be->ops->free(be, x);
    be->ops->free(be, y);
    be->ops->free(be, bias);
    free(want);
    return worst;
}

static void linear_matches(struct backend *be)
{
    static const size_t counts[] = {1, 2, 3, 7, 12, 13, 32, 33, 100};

    for (size_t n = 0; n < ARRAY_SIZE(types); n++) {
        double worst = 0.0;

        for (size_t c = 0; c < ARRAY_SIZE(linear_cases); c++) {
            struct tensor t = random_tensor(types[n], linear_cases[c].out, linear_cases[c].in);

            for (size_t r = 0; r < ARRAY_SIZE(counts); r++)
                worst = fmax(worst, try_linear(be, &t, counts[r], t.cols, r & 1, ACTIVATION_NONE));
            worst = fmax(worst, try_linear(be, &t, 5, t.cols / 2, true, ACTIVATION_NONE));
            worst = fmax(worst, try_linear(be, &t, 1, t.cols, true, ACTIVATION_GELU));
            worst = fmax(worst, try_linear(be, &t, 9, t.cols + 3, true, ACTIVATION_SILU));
            worst = fmax(worst, try_linear(be, &t, 50, t.cols / 2, true, ACTIVATION_GELU));
            free((void *)t.data);
        }
        report(tensor_type_name(types[n]), worst);
    }
}

static void test_linear_matches_scalar(void **state)
{
    (void)state;
    on_every_backend(linear_matches);
}

/* Rows of which one has a NaN, one an infinity, and one only what hardly differs from zero. */
static void linear_not_finite(struct backend *be)
{
    static const enum tensor_type quantised[] = {TENSOR_Q8_0, TENSOR_Q4_0};
    static const size_t counts[] = {4, 40};
    enum { OUT = 33, IN = 96 };

    for (size_t n = 0; n < ARRAY_SIZE(quantised) * ARRAY_SIZE(counts); n++) {
        struct tensor t = random_tensor(quantised[n / 2], OUT, IN);
        size_t rows = counts[n % 2];
        float *x = random_floats(be, rows * IN, 1.0f, 0.0f), *y = poisoned(be, rows * OUT);
        struct weight *w;

        x[0 * IN + 40] = NAN;
        x[1 * IN + 5] = -INFINITY;
        for (size_t i = 0; i < IN; i++)
            x[2 * IN + i] = i % 2 ? 1e-36f : 0.0f;
        assert_int_equal(be->ops->weight_create(be, &w, &t, WEIGHT_PRODUCTS), 0);
        assert_int_equal(be->ops->reserve(be, rows), 0);
        be->ops->linear(be, y, x, IN, rows, w, NULL, ACTIVATION_NONE);
        for (size_t i = 0; i < rows * OUT; i++)
            assert_int_equal(isfinite(y[i]) != 0, i / OUT > 1);
        for (size_t i = 2 * OUT; i < 3 * OUT; i++)
            assert_true(fabsf(y[i]) < 1e-30f);
        be->ops->weight_destroy(be, w);
        be->ops->free(be, x);
        be->ops->free(be, y);
        free((void *)t.data);
    }
}

static void test_what_is_not_finite_stays_in_its_row(void **state)
{
    (void)state;
    on_every_backend(linear_not_finite);
}

static void linear_odd_inputs(struct backend *be)
{
    static const enum tensor_type plain[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16};
    static const size_t ins[] = {1, 3, 31, 33, 240, 517};

    for (size_t n = 0; n < ARRAY_SIZE(plain); n++)
        for (size_t i = 0; i < ARRAY_SIZE(ins); i++) {
            struct tensor t = random_tensor(plain[n], 19, ins[i]);

            try_linear(be, &t, 1, ins[i], true, ACTIVATION_NONE);
            try_linear(be, &t, 2, ins[i], false, ACTIVATION_RELU);
            try_linear(be, &t, 40, ins[i], true, ACTIVATION_TANH);
            free((void *)t.data);
        }
}

static void test_linear_takes_odd_inputs(void **state)
{
    (void)state;
    on_every_backend(linear_odd_inputs);
}

/* The first rows, in calls of `count` rows: what linear gives, and what linear_add adds to nothing.
 */
static void linear_in_calls(struct backend *be, const struct weight *w, const struct tensor *t,
                            const float *x, const float *bias, size_t rows, size_t count, float *y,
                            float *added)
{
    poison(y, rows * t->rows);
    be->ops->zero(be, added, rows * t->rows);
    for (size_t r = 0; r < rows; r += count) {
        size_t now = rows - r < count ? rows - r : count;

        be->ops->linear(be, y + r * t->rows, x + r * t->cols, t->cols, now, w, bias,
                        ACTIVATION_SILU);
        be->ops->linear_add(be, added + r * t->rows, x + r * t->cols, now, w, bias);
    }
}

/* y and added: [rows, out] of whoever was first; the others must equal them, in calls of any size
 * on the same side of BACKEND_FEW_ROWS; of any size at all where many rows are computed as few. */
static void linear_splits(struct backend *be, const struct tensor *t, const float *x, size_t rows,
                          const float *bias, float *y, float *added)
{
    static const size_t counts[] = {1, 2, 3, 7, 12, 33, 513};
    bool is_few = rows <= BACKEND_FEW_ROWS, any = is_quantised(t) && !rounds(be, rows);
    size_t total = rows * t->rows, first = is_few || any ? 0 : 5, sizes = is_few ? 5 : 7;
    float *once = malloc(total * sizeof(float)), *sums = malloc(total * sizeof(float));
    struct weight *w;

    assert_non_null(once);
    assert_non_null(sums);
    assert_int_equal(be->ops->weight_create(be, &w, t, WEIGHT_PRODUCTS), 0);
    assert_int_equal(be->ops->reserve(be, rows), 0);
    linear_in_calls(be, w, t, x, bias, rows, rows, once, sums);
    if (isnan(y[0])) {
        memcpy(y, once, total * sizeof(float));
        memcpy(added, sums, total * sizeof(float));
    }
    check_same("threads", once, y, total);
    check_same("threads, add", sums, added, total);
    for (size_t c = first; c < sizes; c++) {
        size_t some = counts[c] * 3 < rows ? counts[c] * 3 : rows;

        linear_in_calls(be, w, t, x, bias, some, counts[c], once, sums);
        check_same("rows", once, y, some * t->rows);
        check_same("rows, add", sums, added, some * t->rows);
    }
    be->ops->weight_destroy(be, w);
    free(once);
    free(sums);
}

static void linear_splits_on_all(const struct tensor *t, size_t rows)
{
    float *x = malloc(rows * t->cols * sizeof(float));
    float *y = malloc(rows * t->rows * sizeof(float));
    float *added = malloc(rows * t->rows * sizeof(float));
    float *bias = malloc(t->rows * sizeof(float));

    assert_true(x && y && added && bias);
    for (size_t j = 0; j < rows * t->cols; j++)
        x[j] = uniform();
    for (size_t j = 0; j < t->rows; j++)
        bias[j] = uniform();
    poison(y, rows * t->rows);
    for (int threads = 1; threads <= 3; threads++) {
        struct backend *be;

        if (backend_cpu_create(&be, threads) != 0)
            break;
        linear_splits(be, t, x, rows, bias, y, added);
        be->ops->destroy(be);
    }
    free(x);
    free(y);
    free(added);
    free(bias);
}

/* Together as one after the other. */
static void linears_are_products(struct backend *be)
{
    enum { ROWS = 5, IN = 64 };
    float *x = random_floats(be, ROWS * IN, 1.0f, 0.0f), *bias = random_floats(be, 100, 1.0f, 0.0f);
    struct product p[ARRAY_SIZE(types)];
    struct weight *w[ARRAY_SIZE(types)];
    struct tensor t[ARRAY_SIZE(types)];

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        t[i] = random_tensor(types[i], 19 + i * 20, IN);
        assert_int_equal(be->ops->weight_create(be, &w[i], &t[i], WEIGHT_PRODUCTS), 0);
        p[i] = (struct product){poisoned(be, ROWS * t[i].rows), x, w[i], i % 2 ? bias : NULL,
                                i % 3 ? ACTIVATION_NONE : ACTIVATION_TANH};
    }
    assert_int_equal(be->ops->reserve(be, ROWS), 0);
    be->ops->linears(be, p, ARRAY_SIZE(types), ROWS);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        float *one = poisoned(be, ROWS * t[i].rows);

        be->ops->linear(be, one, x, IN, ROWS, w[i], p[i].bias, p[i].act);
        check_same("linears", p[i].y, one, ROWS * t[i].rows);
        be->ops->free(be, one);
        be->ops->free(be, p[i].y);
        be->ops->weight_destroy(be, w[i]);
        free((void *)t[i].data);
    }
    be->ops->free(be, x);
    be->ops->free(be, bias);
}

static void test_linears_are_products(void **state)
{
    (void)state;
    on_every_backend(linears_are_products);
}

static void test_linear_rows_do_not_depend_on_rows_or_threads(void **state)
{
    enum { OUT = 390, IN = 544 }; /* large enough for the threads, at one row too */

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(isas); i++) {
        setenv("EARSHOT_ISA", isas[i], 1);
        for (size_t n = 0; n < ARRAY_SIZE(types); n++) {
            struct tensor t = random_tensor(types[n], OUT, IN);

            linear_splits_on_all(&t, BACKEND_FEW_ROWS);
            linear_splits_on_all(&t, 1100);
            free((void *)t.data);
        }
    }
    unsetenv("EARSHOT_ISA");
}

static void linear_activations(struct backend *be)
{
    static const char *const names[] = {"none", "gelu", "relu",   "relu^2",
                                        "silu", "tanh", "sigmoid"};
    enum { COUNT = 6001 };
    float one = 1.0f;
    struct tensor t = {TENSOR_F32, 1, 1, &one};
    float *x = be->ops->alloc(be, COUNT), *y = be->ops->alloc(be, COUNT);
    double want[COUNT];
    struct weight *w;

    for (size_t i = 0; i < COUNT; i++)
        x[i] = ((float)i - 3000.0f) / (i % 2 ? 100.0f : 1000.0f);
    assert_int_equal(be->ops->weight_create(be, &w, &t, WEIGHT_PRODUCTS), 0);
    assert_int_equal(be->ops->reserve(be, COUNT), 0);
    for (int act = ACTIVATION_NONE; act <= ACTIVATION_SIGMOID; act++) {
        double relative = 0.0;

        poison(y, COUNT);
        be->ops->linear(be, y, x, 1, COUNT, w, NULL, (enum activation)act);
        for (size_t i = 0; i < COUNT; i++) {
            want[i] = activate((double)x[i], (enum activation)act);
            if (want[i] != 0.0)
                relative = fmax(relative, fabs((double)y[i] / want[i] - 1.0));
        }
        report(names[act], check_close(names[act], y, want, COUNT, 1e-6));
        if (act != ACTIVATION_GELU)
            assert_true(relative < 1e-6);
    }
    x[0] = NAN;
    x[1] = INFINITY;
    x[2] = -INFINITY;
    be->ops->linear(be, y, x, 1, 3, w, NULL, ACTIVATION_SIGMOID);
    assert_true(isnan(y[0]) && y[1] == 1.0f && y[2] >= 0.0f && y[2] < 1e-37f);
    be->ops->linear(be, y, x, 1, 3, w, NULL, ACTIVATION_TANH);
    assert_true(isnan(y[0]) && y[1] == 1.0f && y[2] == -1.0f);
    be->ops->weight_destroy(be, w);
    be->ops->free(be, x);
    be->ops->free(be, y);
}

static void test_activations(void **state)
{
    (void)state;
    on_every_backend(linear_activations);
}

static void test_bad_weights_are_refused(void **state)
{
    float f[64] = {0};
    struct backend *be;
    struct weight *w;

    (void)state;
    assert_int_equal(backend_cpu_create(&be, -1), -EINVAL);
    assert_int_equal(backend_cpu_create(&be, 0), 0);
    assert_int_equal(
        be->ops->weight_create(be, &w, &(struct tensor){TENSOR_Q8_0, 1, 33, f}, WEIGHT_PRODUCTS),
        -EINVAL);
    assert_int_equal(be->ops->weight_create(be, &w, &(struct tensor){(enum tensor_type)9, 1, 32, f},
                                            WEIGHT_PRODUCTS),
                     -EINVAL);
    assert_int_equal(be->ops->weight_create(
                         be, &w, &(struct tensor){TENSOR_F32, SIZE_MAX / 8, 8, f}, WEIGHT_PRODUCTS),
                     -EINVAL);
    assert_null(be->ops->alloc(be, SIZE_MAX / 2));
    be->ops->destroy(be);
}

static void embed_is_exact(struct backend *be)
{
    static const uint32_t ids[] = {0, 16, 15, 36, 36};

    for (size_t n = 0; n < ARRAY_SIZE(types); n++) {
        struct tensor t = random_tensor(types[n], 37, 64);
        float *y = poisoned(be, ARRAY_SIZE(ids) * 64);
        float want[64];
        struct weight *w;

        assert_int_equal(be->ops->weight_create(be, &w, &t, WEIGHT_ROWS), 0);
        be->ops->embed(be, y, ids, ARRAY_SIZE(ids), w);
        for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
            tensor_row_to_float(&t, ids[i], want);
            check_same("embed", y + i * 64, want, 64);
        }
        be->ops->weight_destroy(be, w);
        be->ops->free(be, y);
        free((void *)t.data);
    }
}

static void test_embed_is_exact(void **state)
{
    (void)state;
    on_every_backend(embed_is_exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensor_values),
        cmocka_unit_test(test_tensor_bad_shapes_have_no_size),
        cmocka_unit_test(test_linear_matches_scalar),
        cmocka_unit_test(test_what_is_not_finite_stays_in_its_row),
        cmocka_unit_test(test_linear_takes_odd_inputs),
        cmocka_unit_test(test_linears_are_products),
        cmocka_unit_test(test_linear_rows_do_not_depend_on_rows_or_threads),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_bad_weights_are_refused),
        cmocka_unit_test(test_embed_is_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
