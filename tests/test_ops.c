/* The row operations of a backend, all but linear, attention and the recurrence, against scalar C
 * in double, and one row at a time against all at once, bit for bit.
 */
#include "tests/support/backends.h"

static const size_t dims[] = {1, 16, 33, 192, 250};

static void layer_norm(struct backend *be)
{
    static const size_t counts[] = {1, 3, 300};
    double worst = 0.0;

    for (size_t n = 0; n < ARRAY_SIZE(dims) * ARRAY_SIZE(counts); n++) {
        size_t dim = dims[n % ARRAY_SIZE(dims)], rows = counts[n / ARRAY_SIZE(dims)];
        float *x = random_floats(be, rows * dim, 3.0f, 5.0f);
        float *w = random_floats(be, dim, 1.0f, 1.0f), *b = random_floats(be, dim, 1.0f, 0.0f);
        float *y = poisoned(be, rows * dim), *one = poisoned(be, dim);
        double *want = malloc(rows * dim * sizeof(double));

        be->ops->layer_norm(be, y, x, rows, dim, w, b, 1e-5f);
        for (size_t r = 0; r < rows; r++) {
            double mean = 0.0, var = 0.0;

            for (size_t i = 0; i < dim; i++)
                mean += (double)x[r * dim + i] / (double)dim;
            for (size_t i = 0; i < dim; i++)
                var += pow((double)x[r * dim + i] - mean, 2.0) / (double)dim;
            for (size_t i = 0; i < dim; i++)
                want[r * dim + i] =
                    ((double)x[r * dim + i] - mean) / sqrt(var + 1e-5) * (double)w[i] +
                    (double)b[i];
            be->ops->layer_norm(be, one, x + r * dim, 1, dim, w, b, 1e-5f);
            check_same("layer_norm row", one, y + r * dim, dim);
        }
        worst = fmax(worst, check_close("layer_norm", y, want, rows * dim, 5e-6));
        be->ops->layer_norm(be, x, x, rows, dim, w, b, 1e-5f);
        check_same("layer_norm in place", x, y, rows * dim);
        be->ops->free(be, x);
        be->ops->free(be, y);
        be->ops->free(be, w);
        be->ops->free(be, b);
        be->ops->free(be, one);
        free(want);
    }
    report("layer_norm", worst);
}

static void elementwise(struct backend *be)
{
    static const size_t counts[] = {1, 7, 1000};

    for (size_t n = 0; n < ARRAY_SIZE(dims) * ARRAY_SIZE(counts); n++) {
        size_t dim = dims[n % ARRAY_SIZE(dims)], rows = counts[n / ARRAY_SIZE(dims)];
        float *x = random_floats(be, rows * dim * 2, 4.0f, 0.0f);
        float *shift = random_floats(be, dim, 1.0f, 0.0f), *scale = random_floats(be, dim, 1, 0);
        float *y = poisoned(be, rows * dim), *one = poisoned(be, dim);
        double *want = malloc(rows * dim * sizeof(double));

        be->ops->affine(be, y, x, rows, dim, shift, scale, NULL, ACTIVATION_NONE);
        for (size_t i = 0; i < rows * dim; i++)
            want[i] = ((double)x[i] - (double)shift[i % dim]) * (double)scale[i % dim];
        check_close("affine", y, want, rows * dim, 1e-6);
        be->ops->affine(be, y, x, rows, dim, NULL, scale, shift, ACTIVATION_GELU);
        for (size_t i = 0; i < rows * dim; i++)
            want[i] = activate((double)x[i] * (double)scale[i % dim] + (double)shift[i % dim],
                               ACTIVATION_GELU);
        check_close("affine with bias", y, want, rows * dim, 2e-6);
        be->ops->affine(be, y, x, rows, dim, NULL, NULL, NULL, ACTIVATION_NONE);
        check_same("affine of nothing", y, x, rows * dim);
        be->ops->affine(be, y, x, rows, dim, shift, scale, NULL, ACTIVATION_NONE);
        for (size_t i = 0; i < rows * dim; i++)
            want[i] = ((double)x[i] - (double)shift[i % dim]) * (double)scale[i % dim];

        be->ops->add(be, y, x, rows * dim);
        for (size_t i = 0; i < rows * dim; i++)
            want[i] += (double)x[i];
        check_close("add", y, want, rows * dim, 2e-6);

        poison(y, rows * dim);
        be->ops->glu(be, y, x, rows, dim);
        for (size_t i = 0; i < rows * dim; i++) {
            const float *row = x + i / dim * 2 * dim;

            want[i] = (double)row[i % dim] / (1.0 + exp(-(double)row[dim + i % dim]));
        }
        check_close("glu", y, want, rows * dim, 1e-6);
        be->ops->glu(be, one, x + (rows - 1) * 2 * dim, 1, dim);
        check_same("glu row", one, y + (rows - 1) * dim, dim);
        be->ops->free(be, x);
        be->ops->free(be, y);
        be->ops->free(be, one);
        be->ops->free(be, shift);
        be->ops->free(be, scale);
        free(want);
    }
}

static void conv_depthwise(struct backend *be)
{
    static const size_t kernels[] = {1, 3, 9};
    double worst = 0.0;

    for (size_t n = 0; n < ARRAY_SIZE(dims) * ARRAY_SIZE(kernels); n++) {
        size_t dim = dims[n % ARRAY_SIZE(dims)], kernel = kernels[n / ARRAY_SIZE(dims)], rows = 90;
        float *x = random_floats(be, (rows + kernel - 1) * dim, 1.0f, 0.0f);
        float *w = random_floats(be, kernel * dim, 1.0f, 0.0f), *b = random_floats(be, dim, 1, 0);
        float *y = poisoned(be, rows * dim), *one = poisoned(be, dim);
        double *want = malloc(rows * dim * sizeof(double));

        be->ops->conv_depthwise(be, y, x, rows, dim, w, b, kernel, ACTIVATION_SILU);
        for (size_t i = 0; i < rows * dim; i++) {
            double s = (double)b[i % dim];

            for (size_t j = 0; j < kernel; j++)
                s += (double)w[j * dim + i % dim] * (double)x[i + j * dim];
            want[i] = activate(s, ACTIVATION_SILU);
        }
        worst = fmax(worst, check_close("conv_depthwise", y, want, rows * dim, 2e-6));
        for (size_t r = 0; r < rows; r++) {
            be->ops->conv_depthwise(be, one, x + r * dim, 1, dim, w, b, kernel, ACTIVATION_SILU);
            check_same("conv_depthwise row", one, y + r * dim, dim);
        }
        be->ops->free(be, x);
        be->ops->free(be, y);
        be->ops->free(be, one);
        be->ops->free(be, w);
        be->ops->free(be, b);
        free(want);
    }
    report("conv_depthwise", worst);
}

static void rope(struct backend *be)
{
    static const size_t heads[] = {1, 3};
    static const size_t sizes[] = {2, 10, 64, 96};
    static const uint64_t positions[] = {0, 5, 1800000};
    double worst = 0.0;

    for (size_t n = 0; n < 2 * 4 * 3; n++) {
        size_t h = heads[n % 2], size = sizes[n / 2 % 4], rows = 65, dim = h * size,
               half = size / 2;
        uint64_t position = positions[n / 8];
        float *x = random_floats(be, rows * dim, 1.0f, 0.0f), *y = poisoned(be, rows * dim);
        double *want = malloc(rows * dim * sizeof(double));

        be->ops->copy(be, y, x, rows * dim);
        be->ops->rope(be, y, rows, h, size, position, 10000.0f);
        for (size_t i = 0; i < rows * dim; i++) {
            size_t at = i % size, pair = at % half;
            double angle =
                (double)(position + i / dim) * pow(10000.0, -2.0 * (double)pair / (double)size);
            double other = (double)(at < half ? x[i + half] : x[i - half]);

            want[i] = (double)x[i] * cos(angle) + (at < half ? -1.0 : 1.0) * other * sin(angle);
        }
        worst = fmax(worst, check_close("rope", y, want, rows * dim, 1e-6));
        for (size_t r = 0; r < rows; r++)
            be->ops->rope(be, x + r * dim, 1, h, size, position + r, 10000.0f);
        check_same("rope row", x, y, rows * dim);
        be->ops->free(be, x);
        be->ops->free(be, y);
        free(want);
    }
    report("rope", worst);
}

static void relative_gate(struct backend *be)
{
    size_t rows = 77, heads = 3;
    float *x = random_floats(be, rows * heads * 2, 6.0f, 0.0f), *y = poisoned(be, rows * heads);
    float *scale = random_floats(be, heads, 2.0f, 0.0f);
    double *want = malloc(rows * heads * sizeof(double));

    be->ops->relative_gate(be, y, x, scale, rows, heads);
    for (size_t i = 0; i < rows * heads; i++)
        want[i] =
            activate((double)x[2 * i], ACTIVATION_SIGMOID) *
                (activate((double)x[2 * i + 1], ACTIVATION_SIGMOID) * (double)scale[i % heads] -
                 1.0) +
            2.0;
    report("relative_gate", check_close("relative_gate", y, want, rows * heads, 1e-6));
    be->ops->free(be, x);
    be->ops->free(be, y);
    be->ops->free(be, scale);
    free(want);
}

/* n of one row of x, [dim]. */
static void norm_slow(double *n, const float *x, size_t dim, const float *w, const float *b)
{
    double mean = 0.0, var = 0.0;

    for (size_t i = 0; i < dim; i++)
        mean += (double)x[i] / (double)dim;
    for (size_t i = 0; i < dim; i++)
        var += pow((double)x[i] - mean, 2.0) / (double)dim;
    for (size_t i = 0; i < dim; i++)
        n[i] = ((double)x[i] - mean) / sqrt(var + 1e-5) * (double)w[i] + (double)b[i];
}

static void try_norm_shift(struct backend *be, size_t slots, size_t rows, size_t dim, size_t count)
{
    size_t all = slots * rows * dim;
    float *x = random_floats(be, all, 3.0f, 1.0f), *prev = random_floats(be, slots * dim, 1, 0);
    float *w = random_floats(be, dim, 1.0f, 1.0f), *b = random_floats(be, dim, 1.0f, 0.0f);
    float *n = poisoned(be, all), *before = poisoned(be, slots * dim), *one = poisoned(be, dim);
    double *norm = malloc(all * sizeof(double)), *want = malloc(all * sizeof(double));
    struct norm_shift s = {.slots = slots, .rows = rows, .dim = dim, .x = x, .w = w, .b = b};

    s.eps = 1e-5f;
    s.prev = prev;
    s.n = n;
    s.count = count;
    be->ops->copy(be, before, prev, slots * dim);
    for (size_t i = 0; i < count; i++) {
        s.mu[i] = random_floats(be, dim, 1.0f, 0.0f);
        s.y[i] = poisoned(be, all);
    }
    be->ops->norm_shift(be, &s);
    for (size_t r = 0; r < slots * rows; r++)
        norm_slow(norm + r * dim, x + r * dim, dim, w, b);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < all; j++) {
            size_t r = j / dim;
            double past = r % rows ? norm[j - dim] : (double)before[r / rows * dim + j % dim];

            want[j] = norm[j] + (past - norm[j]) * (double)s.mu[i][j % dim];
        }
        check_close("norm_shift", s.y[i], want, all, 1e-5);
    }
    for (size_t i = 0; i < slots; i++)
        check_close("norm_shift's last row", prev + i * dim, norm + (i * rows + rows - 1) * dim,
                    dim, 5e-6);
    for (size_t r = 0; r < slots * rows; r++) { /* one row at a time */
        struct norm_shift t = s;

        t.slots = t.rows = t.count = 1;
        t.x = x + r * dim;
        t.prev = before + r / rows * dim;
        t.y[0] = one;
        be->ops->norm_shift(be, &t);
        check_same("norm_shift row", one, s.y[0] + r * dim, dim);
    }
    check_same("norm_shift's last row, row by row", before, prev, slots * dim);
    for (size_t i = 0; i < count; i++) {
        be->ops->free(be, (float *)s.mu[i]);
        be->ops->free(be, s.y[i]);
    }
    be->ops->free(be, x);
    be->ops->free(be, prev);
    be->ops->free(be, w);
    be->ops->free(be, b);
    be->ops->free(be, n);
    be->ops->free(be, before);
    be->ops->free(be, one);
    free(norm);
    free(want);
}

static void norm_shift(struct backend *be)
{
    static const size_t counts[] = {1, 5, 200};

    for (size_t i = 0; i < ARRAY_SIZE(dims); i++)
        for (size_t j = 0; j < ARRAY_SIZE(counts); j++) {
            try_norm_shift(be, 1, counts[j], dims[i], NORM_SHIFT_MAX);
            try_norm_shift(be, 3, counts[j], dims[i], 1);
        }
}

static void argmax(struct backend *be)
{
    float *x = random_floats(be, 1001, 1.0f, 0.0f);
    uint32_t best, rows[7];

    for (size_t i = 0; i < 1001; i++) {
        x[i] += 3.0f;
        be->ops->argmax(be, &best, x, 1, 1001);
        assert_int_equal(best, i);
        x[1000] = i < 1000 ? x[i] : x[1000];
        be->ops->argmax(be, &best, x, 1, 1001);
        assert_int_equal(best, i); /* the lowest on a tie */
        x[i] = x[1000] = -1.0f;
    }
    for (size_t i = 0; i < 7; i++)
        x[i * 143 + 20 * i] = 5.0f;
    be->ops->argmax(be, rows, x, 7, 143);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(rows[i], 20 * i);
    be->ops->argmax(be, &best, x, 1, 1);
    assert_int_equal(best, 0);
    be->ops->free(be, x);
}

static void probability(struct backend *be)
{
    enum { COUNT = 1001 };
    float *x = random_floats(be, COUNT, 4.0f, 0.0f);
    double total = 0.0, sum = 0.0, worst = 0.0;

    x[7] = -INFINITY;
    for (size_t i = 0; i < COUNT; i++)
        sum += exp((double)x[i]);
    for (size_t i = 0; i < COUNT; i++) {
        if (i == 7)
            continue;
        double got = (double)be->ops->probability(be, x, COUNT, i);
        double error = fabs(got - exp((double)x[i]) / sum) / (exp((double)x[i]) / sum);
        worst = error > worst ? error : worst;
        total += got;
    }
    printf("probability: greatest relative error %.2g\n", worst);
    assert_true(worst < 1e-5);
    assert_true(fabs(total - 1.0) < 1e-5);
    x[3] = 500.0f;
    assert_true(be->ops->probability(be, x, COUNT, 4) == 0.0f);
    assert_true(be->ops->probability(be, x, COUNT, 3) == 1.0f);
    be->ops->free(be, x);
}

static void memory(struct backend *be)
{
    float host[5] = {1, 2, 3, 4, 5}, back[5];
    float *p = be->ops->alloc(be, 5), *q = be->ops->alloc(be, 6), *none = be->ops->alloc(be, 0);

    assert_non_null(none);
    for (size_t i = 0; i < 5; i++)
        assert_true(p[i] == 0.0f);
    be->ops->upload(be, p, host, 5);
    be->ops->move(be, p + 1, p, 4);
    be->ops->zero(be, p, 1);
    be->ops->download(be, back, p, 5);
    assert_true(back[0] == 0.0f && back[1] == 1.0f && back[4] == 4.0f);
    be->ops->upload(be, p, host, 5);
    be->ops->zero(be, q, 6);
    be->ops->copy_rows(be, q + 1, 3, p, 2, 2, 2);
    be->ops->download(be, back, q + 1, 5);
    assert_true(back[0] == 1.0f && back[1] == 2.0f && back[2] == 0.0f);
    assert_true(back[3] == 3.0f && back[4] == 4.0f);
    be->ops->free(be, p);
    be->ops->free(be, q);
    be->ops->free(be, none);
    be->ops->free(be, NULL);
}

static void test_layer_norm(void **state)
{
    (void)state;
    on_every_backend(layer_norm);
}

static void test_elementwise(void **state)
{
    (void)state;
    on_every_backend(elementwise);
}

static void test_conv_depthwise(void **state)
{
    (void)state;
    on_every_backend(conv_depthwise);
}

static void test_rope(void **state)
{
    (void)state;
    on_every_backend(rope);
}

static void test_relative_gate(void **state)
{
    (void)state;
    on_every_backend(relative_gate);
}

static void test_norm_shift(void **state)
{
    (void)state;
    on_every_backend(norm_shift);
}

static void test_probability(void **state)
{
    (void)state;
    on_every_backend(probability);
}

static void test_argmax(void **state)
{
    (void)state;
    on_every_backend(argmax);
}

static void test_memory(void **state)
{
    (void)state;
    on_every_backend(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_norm),     cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_conv_depthwise), cmocka_unit_test(test_rope),
        cmocka_unit_test(test_norm_shift),     cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_probability),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_relative_gate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
