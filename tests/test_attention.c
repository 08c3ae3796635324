/* Attention of a backend and the halves that it reads, against scalar C in double; some rows at a
 * time against all at once, bit for bit.
 */
#include "tests/support/backends.h"

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

/* By the definition of the format, in double. */
static double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double mantissa = bits & 1023;
    double value = exponent ? ldexp(1024.0 + mantissa, exponent - 25) : ldexp(mantissa, -24);

    return bits & 0x8000 ? -value : value;
}

static double nearest_half(double x)
{
    int exponent;

    frexp(x, &exponent);
    double step = ldexp(1.0, (exponent < -13 ? -13 : exponent) - 11);
    return fmin(fmax(rint(x / step) * step, -65504.0), 65504.0);
}

static float *as_halves(struct backend *be, const float *x, size_t count, float *rounded)
{
    float *y = be->ops->alloc(be, count / 2 + 1);

    assert_non_null(y);
    be->ops->to_half(be, (uint16_t *)y, x, count);
    for (size_t i = 0; i < count; i++)
        rounded[i] = (float)nearest_half((double)x[i]);
    return y;
}

/* Rows that all see everything give the same bits alone as beside each other. */
static void check_alone(struct backend *be, const struct attention *a)
{
    size_t dim = a->heads * a->head_dim;
    float *alone = poisoned(be, a->rows * dim);

    for (size_t r = 0; r < a->rows; r++) {
        struct attention b = *a;

        b.rows = 1;
        b.history = a->history + a->rows - 1;
        b.q = a->q + r * dim;
        b.y = alone + r * dim;
        be->ops->attention(be, &b);
    }
    check_same("attention, a row alone", alone, a->y, a->rows * dim);
    be->ops->free(be, alone);
}

/* The same with halves: as close to what it must be as with floats. */
static double try_halves(struct backend *be, const struct attention *a, double *want)
{
    size_t dim = a->heads * a->head_dim, count = (a->history + a->rows) * dim;
    float *k = random_floats(be, count, 0.0f, 0.0f), *v = random_floats(be, count, 0.0f, 0.0f);
    float *half_k = as_halves(be, a->k, count, k), *half_v = as_halves(be, a->v, count, v);
    struct attention rounded = *a, halves = *a;
    double worst;

    rounded.k = k;
    rounded.v = v;
    attention_slow(want, &rounded);
    halves.half_k = (const uint16_t *)half_k;
    halves.half_v = (const uint16_t *)half_v;
    halves.k = halves.v = NULL;
    poison(a->y, a->rows * dim);
    be->ops->attention(be, &halves);
    worst = check_close("attention, halves", a->y, want, a->rows * dim, 2e-5);
    if (a->ahead == SIZE_MAX && !a->relative)
        check_alone(be, &halves);
    be->ops->free(be, k);
    be->ops->free(be, v);
    be->ops->free(be, half_k);
    be->ops->free(be, half_v);
    return worst;
}

static void to_half(struct backend *be)
{
    enum { FINITE = 0x7c00, COUNT = 3 * FINITE + 6000 };
    static const float odd[] = {-0.0f, 65519.9f, 65520.0f, -65536.0f,
                                1e30f, -1e30f,   1e-30f,   -1e-8f};
    float *x = random_floats(be, COUNT, 1.0f, 0.0f), *y = poisoned(be, COUNT / 2);
    const uint16_t *halves = (const uint16_t *)y;

    for (uint16_t i = 0; i < FINITE; i++) { /* all there are, and what is in the middle of two */
        x[i] = (float)half_value(i);
        x[FINITE + i] = -x[i];
        x[2 * FINITE + i] = (x[i] + (float)half_value(i ? i - 1 : 0)) / 2.0f;
    }
    memcpy(x + 3 * FINITE, odd, sizeof(odd));
    for (size_t i = 3 * FINITE + ARRAY_SIZE(odd); i < COUNT; i++)
        x[i] *= exp2f((float)(i % 44) - 27.0f);
    be->ops->to_half(be, (uint16_t *)y, x, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(half_value(halves[i]) == nearest_half((double)x[i]));
        assert_int_equal(halves[i] >> 15, signbit(x[i]) != 0);
    }
    for (size_t i = 0; i < 40; i++)
        x[i] = i % 2 ? NAN : -INFINITY;
    be->ops->to_half(be, (uint16_t *)y, x, 40);
    for (size_t i = 0; i < 40; i++)
        assert_true(i % 2 ? (halves[i] & 0x7fff) > 0x7c00 : halves[i] == 0xfbff);
    be->ops->free(be, x);
    be->ops->free(be, y);
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
    if (a.ahead == SIZE_MAX && a.history > 0 && !relative)
        check_alone(be, &a);
    if (a.ahead == 0 && !relative)
        attention_row_by_row(be, &a);
    worst = attention_rounds(be, &a) ? worst : fmax(worst, try_halves(be, &a, want));
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
        {.rows = 7,
         .history = 130,
         .heads = 3,
         .head_dim = 64,
         .window = SIZE_MAX,
         .ahead = SIZE_MAX},
        {.rows = 6,
         .history = 20,
         .heads = 2,
         .head_dim = 250,
         .window = SIZE_MAX,
         .ahead = SIZE_MAX},
        {.rows = 5,
         .history = 70,
         .heads = 1,
         .head_dim = 256,
         .window = SIZE_MAX,
         .ahead = SIZE_MAX},
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

static void test_to_half(void **state)
{
    (void)state;
    on_every_backend(to_half);
}

static void test_attention(void **state)
{
    (void)state;
    on_every_backend(attention);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_half),
        cmocka_unit_test(test_attention),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
