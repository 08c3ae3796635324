/* The row operations of a backend, all but linear and the recurrence, against scalar C in double,
 * and one row at a time against all at once, bit for bit.
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

/* Whether queries, keys, values and weights are rounded to bf16. */
static bool attention_rounds(const struct backend *be, const struct attention *a)
{
    return rounds(be, a->rows) && !a->exact && a->head_dim == 64 && a->history == 0 &&
           a->window >= a->rows && a->ahead >= a->rows;
}

static double slow_score(const struct attention *a, size_t row, size_t head, size_t p)
{
    size_t dim = a->heads * a->head_dim, at = head * a->head_dim;
    double score = 0.0;

    for (size_t i = 0; i < a->head_dim; i++)
        score += (double)a->q[row * dim + at + i] * (double)a->k[p * dim + at + i];
    score *= (double)a->scale;
    if (a->relative) {
        size_t distance = a->span - 1 + p - (a->history + row);

        score += (double)a->gate[row * a->heads + head] *
                 (double)a->relative[head * (2 * a->span - 1) + distance];
    }
    return score;
}

static void attention_slow(double *want, const struct attention *a)
{
    size_t dim = a->heads * a->head_dim, positions = a->history + a->rows;
    double *e = malloc(positions * sizeof(double));

    for (size_t n = 0; n < a->rows * a->heads; n++) {
        size_t row = n / a->heads, at = n % a->heads * a->head_dim, itself = a->history + row;
        size_t first = itself + 1 > a->window ? itself + 1 - a->window : 0, last = itself;
        double m = -INFINITY, z = 0.0;

        while (last + 1 < positions && last - itself < a->ahead)
            last++;
        for (size_t p = first; p <= last; p++) {
            e[p] = slow_score(a, row, n % a->heads, p);
            m = fmax(m, e[p]);
        }
        for (size_t p = first; p <= last; p++)
            z += e[p] = exp(e[p] - m);
        for (size_t i = 0; i < a->head_dim; i++) {
            want[row * dim + at + i] = 0.0;
            for (size_t p = first; p <= last; p++)
                want[row * dim + at + i] += e[p] / z * (double)a->v[p * dim + at + i];
        }
    }
    free(e);
}

/* Only what each row may see is given, as a streaming caller would. */
static void attention_row_by_row(struct backend *be, const struct attention *a)
{
    size_t dim = a->heads * a->head_dim;
    float *one = poisoned(be, dim);

    for (size_t r = 0; r < a->rows; r++) {
        size_t there = a->history + r + 1, seen = there < a->window ? there : a->window;
        struct attention b = *a;

        b.rows = 1;
        b.history = seen - 1;
        b.q = a->q + r * dim;
        b.k = a->k + (there - seen) * dim;
        b.v = a->v + (there - seen) * dim;
        b.y = one;
        poison(one, dim);
        be->ops->attention(be, &b);
        check_same("attention row", one, a->y + r * dim, dim);
    }
    be->ops->free(be, one);
}

static float *rounded(struct backend *be, const float *x, size_t count)
{
    float *y = be->ops->alloc(be, count);

    assert_non_null(y);
    for (size_t i = 0; i < count; i++)
        y[i] = bfloat(x[i]);
    return y;
}

/* The reference gets rounded queries, keys and values where the backend rounds; what remains is
 * half a last place of bf16 for the weights, whose sum with |v| <= 1 is 1. */
static double check_rounded(struct backend *be, const struct attention *a, double *want)
{
    size_t dim = a->heads * a->head_dim, positions = a->history + a->rows;
    float *q = rounded(be, a->q, a->rows * dim), *k = rounded(be, a->k, positions * dim);
    float *v = rounded(be, a->v, positions * dim);
    struct attention b = *a;
    double worst;

    b.q = q;
    b.k = k;
    b.v = v;
    attention_slow(want, &b);
    worst = check_close("attention, rounded", a->y, want, a->rows * dim, 0x1p-9 + 1e-5);
    be->ops->free(be, q);
    be->ops->free(be, k);
    be->ops->free(be, v);
    return worst;
}

static double try_attention(struct backend *be, struct attention a, bool relative)
{
    size_t dim = a.heads * a.head_dim, positions = a.history + a.rows;
    float *q = random_floats(be, a.rows * dim, 4.0f, 0.0f), *y = poisoned(be, a.rows * dim);
    float *k = random_floats(be, positions * dim, 4.0f, 0.0f);
    float *v = random_floats(be, positions * dim, 1.0f, 0.0f);
    float *bias = random_floats(be, a.heads * (2 * positions + 5), 3.0f, 0.0f);
    float *gate = random_floats(be, a.rows * a.heads, 1.0f, 1.0f);
    double *want = malloc(a.rows * dim * sizeof(double)), worst;

    a.q = q;
    a.k = k;
    a.v = v;
    a.y = y;
    a.scale = 0.125f;
    if (relative) {
        a.relative = bias;
        a.gate = gate;
        a.span = positions + 3;
    }
    assert_int_equal(be->ops->reserve(be, positions), 0);
    be->ops->attention(be, &a);
    if (attention_rounds(be, &a)) {
        worst = check_rounded(be, &a, want);
    } else {
        attention_slow(want, &a);
        worst = check_close("attention", y, want, a.rows * dim, 2e-5);
    }
    if (a.ahead == 0 && !relative)
        attention_row_by_row(be, &a);
    be->ops->free(be, q);
    be->ops->free(be, k);
    be->ops->free(be, v);
    be->ops->free(be, y);
    be->ops->free(be, bias);
    be->ops->free(be, gate);
    free(want);
    return worst;
}

static void attention(struct backend *be)
{
    static const struct attention tries[] = {
        {.rows = 1, .history = 0, .heads = 1, .head_dim = 8, .window = 1},
        {.rows = 5, .history = 0, .heads = 2, .head_dim = 20, .window = 3},
        {.rows = 40, .history = 0, .heads = 3, .head_dim = 64, .window = 16},
        {.rows = 33, .history = 70, .heads = 3, .head_dim = 64, .window = 64},
        {.rows = 90, .history = 200, .heads = 2, .head_dim = 48, .window = 100},
        {.rows = 60, .history = 10, .heads = 1, .head_dim = 65, .window = 1000},
        {.rows = 150, .heads = 2, .head_dim = 64, .window = SIZE_MAX, .ahead = SIZE_MAX},
        {.rows = 70, .history = 9, .heads = 2, .head_dim = 24, .window = 7, .ahead = 5},
        {.rows = 33, .heads = 3, .head_dim = 64, .window = SIZE_MAX, .ahead = SIZE_MAX},
        {.rows = 257, .heads = 1, .head_dim = 64, .window = SIZE_MAX, .ahead = SIZE_MAX},
        {.rows = 70,
         .heads = 2,
         .head_dim = 64,
         .window = SIZE_MAX,
         .ahead = SIZE_MAX,
         .exact = true},
    };
    double worst[2] = {0.0, 0.0};

    for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
        double *w = &worst[attention_rounds(be, &tries[i])];

        *w = fmax(*w, try_attention(be, tries[i], false));
        *w = fmax(*w, try_attention(be, tries[i], true));
    }
    report("attention", worst[0]);
    report("attention, rounded", worst[1]);
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

static void test_attention(void **state)
{
    (void)state;
    on_every_backend(attention);
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
        cmocka_unit_test(test_attention),      cmocka_unit_test(test_norm_shift),
        cmocka_unit_test(test_argmax),         cmocka_unit_test(test_probability),
        cmocka_unit_test(test_memory),         cmocka_unit_test(test_relative_gate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
