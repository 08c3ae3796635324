/* RWKV-7's recurrence and the steps around it against the equations written out in double, and rows
 * one at a time against all at once, bit for bit, the state too.
 */
#include "tests/support/backends.h"

struct inputs {
    size_t streams, rows, heads, n, count; /* count: floats of a [streams, rows, heads * n] */
    float *r, *w, *k, *v, *kk, *a;
};

static struct inputs random_inputs(struct backend *be, size_t streams, size_t rows, size_t heads,
                                   size_t n)
{
    size_t count = streams * rows * heads * n;
    struct inputs in = {streams, rows, heads, n, count};

    in.r = random_floats(be, count, 1.0f, 0.0f);
    in.w = random_floats(be, count, 0.2f, 0.8f);
    in.k = random_floats(be, count, 0.5f, 0.0f);
    in.v = random_floats(be, count, 1.0f, 0.0f);
    in.kk = random_floats(be, count, 1.0f, 0.0f);
    in.a = random_floats(be, count, 0.5f, 0.5f);
    for (size_t h = 0; h < count; h += n) { /* kk has length one */
        float square = 0.0f;

        for (size_t i = 0; i < n; i++)
            square += in.kk[h + i] * in.kk[h + i];
        for (size_t i = 0; i < n; i++)
            in.kk[h + i] /= sqrtf(square);
    }
    return in;
}

static void free_inputs(struct backend *be, struct inputs *in)
{
    be->ops->free(be, in->r);
    be->ops->free(be, in->w);
    be->ops->free(be, in->k);
    be->ops->free(be, in->v);
    be->ops->free(be, in->kk);
    be->ops->free(be, in->a);
}

/* One head of one stream at one time; at: its place. */
static void step_slow(const struct inputs *in, double *s, double *y, size_t at)
{
    for (size_t i = 0; i < in->n; i++) {
        double *row = s + i * in->n, sa = 0.0;

        for (size_t j = 0; j < in->n; j++)
            sa -= row[j] * (double)in->kk[at + j];
        y[at + i] = 0.0;
        for (size_t j = 0; j < in->n; j++) {
            row[j] = row[j] * (double)in->w[at + j] +
                     sa * (double)in->kk[at + j] * (double)in->a[at + j] +
                     (double)in->v[at + i] * (double)in->k[at + j];
            y[at + i] += row[j] * (double)in->r[at + j];
        }
    }
}

static void try_wkv7(struct backend *be, size_t streams, size_t rows, size_t heads, size_t n)
{
    struct inputs in = random_inputs(be, streams, rows, heads, n);
    size_t size = streams * heads * n * n, dim = heads * n;
    float *s = random_floats(be, size, 1.0f, 0.0f), *serial = poisoned(be, size);
    float *y = poisoned(be, in.count), *one = poisoned(be, in.count);
    double *want_s = malloc(size * sizeof(double)), *want = malloc(in.count * sizeof(double));
    char name[64];
    double worst;

    be->ops->copy(be, serial, s, size);
    for (size_t i = 0; i < size; i++)
        want_s[i] = (double)s[i];
    for (size_t h = 0; h < streams * heads; h++)
        for (size_t t = 0; t < rows; t++)
            step_slow(&in, want_s + h * n * n, want, (h / heads * rows + t) * dim + h % heads * n);
    be->ops->wkv7(be, y, s, in.r, in.w, in.k, in.v, in.kk, in.a, streams, rows, heads, n);
    worst = check_close("y", y, want, in.count, 3e-5);
    worst = fmax(worst, check_close("state", s, want_s, size, 3e-5));
    for (size_t b = 0; b < streams; b++)
        for (size_t t = 0; t < rows; t++) {
            size_t at = (b * rows + t) * dim;

            be->ops->wkv7(be, one + at, serial + b * heads * n * n, in.r + at, in.w + at, in.k + at,
                          in.v + at, in.kk + at, in.a + at, 1, 1, heads, n);
        }
    check_same("serial y", one, y, in.count);
    check_same("serial state", serial, s, size);
    snprintf(name, sizeof(name), "wkv7 %zu x %zu x %zu x %zu", streams, rows, heads, n);
    report(name, worst);
    free_inputs(be, &in);
    be->ops->free(be, s);
    be->ops->free(be, serial);
    be->ops->free(be, y);
    be->ops->free(be, one);
    free(want_s);
    free(want);
}

static void wkv7(struct backend *be)
{
    try_wkv7(be, 1, 1, 1, 64);
    try_wkv7(be, 1, 70, 3, 64);
    try_wkv7(be, 3, 9, 2, 64);
    try_wkv7(be, 2, 5, 2, 32);
    try_wkv7(be, 1, 3, 1, 16);
}

static double squash(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

struct mix_rows {
    size_t rows, dim;
    float *k, *v, *v_first, *v_lora, *w_lora, *a_lora, *kk;
    float *w0, *a0, *v0, *k_k, *k_a;
};

/* The operation on rows from..to; w and a replace w_lora and a_lora, as the model does it. */
static void mix(struct backend *be, const struct mix_rows *x, size_t from, size_t to, bool first)
{
    size_t at = from * x->dim;
    struct rwkv7_mix m = {
        .rows = to - from,
        .dim = x->dim,
        .head_size = 64,
        .k = x->k + at,
        .v = x->v + at,
        .v_first = x->v_first + at,
        .v_lora = first ? NULL : x->v_lora + at,
        .w_lora = x->w_lora + at,
        .a_lora = x->a_lora + at,
        .w = x->w_lora + at,
        .a = x->a_lora + at,
        .kk = x->kk + at,
        .w0 = x->w0,
        .a0 = x->a0,
        .v0 = x->v0,
        .k_k = x->k_k,
        .k_a = x->k_a,
    };

    be->ops->rwkv7_mix(be, &m);
}

static struct mix_rows random_mix(struct backend *be, size_t rows, size_t dim)
{
    struct mix_rows x = {rows, dim};
    float **const matrices[] = {&x.k, &x.v, &x.v_first, &x.v_lora, &x.w_lora, &x.a_lora};
    float **const vectors[] = {&x.w0, &x.a0, &x.v0, &x.k_k, &x.k_a};

    for (size_t i = 0; i < ARRAY_SIZE(matrices); i++)
        *matrices[i] = random_floats(be, rows * dim, 2.0f, 0.0f);
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
        *vectors[i] = random_floats(be, dim, 1.0f, 0.0f);
    x.kk = poisoned(be, rows * dim);
    return x;
}

static void free_mix(struct backend *be, struct mix_rows *x)
{
    float *const all[] = {x->k,  x->v,  x->v_first, x->v_lora, x->w_lora, x->a_lora,
                          x->kk, x->w0, x->a0,      x->v0,     x->k_k,    x->k_a};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        be->ops->free(be, all[i]);
}

static void try_mix(struct backend *be, size_t rows, size_t dim, bool first)
{
    uint64_t start = seed;
    struct mix_rows x = random_mix(be, rows, dim), serial;
    size_t count = rows * dim;
    double *k = malloc(count * sizeof(double)), *v = malloc(count * sizeof(double));
    double *v1 = malloc(count * sizeof(double)), *w = malloc(count * sizeof(double));
    double *a = malloc(count * sizeof(double)), *kk = malloc(count * sizeof(double)), worst = 0.0;

    seed = start;
    serial = random_mix(be, rows, dim);
    for (size_t i = 0; i < count; i++) {
        size_t c = i % dim;

        w[i] = exp(-exp(-0.5) * squash((double)x.w0[c] + (double)x.w_lora[i]));
        a[i] = squash((double)x.a0[c] + (double)x.a_lora[i]);
        k[i] = (double)x.k[i] * (1.0 + (a[i] - 1.0) * (double)x.k_a[c]);
        kk[i] = (double)x.k[i] * (double)x.k_k[c];
        v1[i] = (double)(first ? x.v[i] : x.v_first[i]);
        v[i] = (double)x.v[i];
        if (!first)
            v[i] += (v1[i] - v[i]) * squash((double)x.v0[c] + (double)x.v_lora[i]);
    }
    for (size_t h = 0; h < count; h += 64) {
        double square = 0.0;

        for (size_t i = 0; i < 64; i++)
            square += kk[h + i] * kk[h + i];
        for (size_t i = 0; i < 64; i++)
            kk[h + i] /= sqrt(square);
    }
    if (first)
        poison(x.v_first, count);
    mix(be, &x, 0, rows, first);
    worst = fmax(worst, check_close("k", x.k, k, count, 1e-6));
    worst = fmax(worst, check_close("v", x.v, v, count, 1e-6));
    worst = fmax(worst, check_close("v_first", x.v_first, v1, count, 0.0));
    worst = fmax(worst, check_close("w", x.w_lora, w, count, 1e-6));
    worst = fmax(worst, check_close("a", x.a_lora, a, count, 1e-6));
    worst = fmax(worst, check_close("kk", x.kk, kk, count, 1e-6));
    report(first ? "rwkv7_mix, layer 0" : "rwkv7_mix", worst);
    for (size_t r = 0; r < rows; r++)
        mix(be, &serial, r, r + 1, first);
    check_same("row k", serial.k, x.k, count);
    check_same("row v", serial.v, x.v, count);
    check_same("row w", serial.w_lora, x.w_lora, count);
    check_same("row a", serial.a_lora, x.a_lora, count);
    check_same("row kk", serial.kk, x.kk, count);
    free_mix(be, &x);
    free_mix(be, &serial);
    free(k);
    free(v);
    free(v1);
    free(w);
    free(a);
    free(kk);
}

static void rwkv7_mix(struct backend *be)
{
    try_mix(be, 1, 64, true);
    try_mix(be, 60, 192, true);
    try_mix(be, 60, 192, false);
}

static void mix_of_zero(struct backend *be)
{
    struct mix_rows x = random_mix(be, 1, 64);

    be->ops->zero(be, x.k, 64);
    mix(be, &x, 0, 1, false);
    for (size_t i = 0; i < 64; i++)
        assert_true(x.kk[i] == 0.0f);
    free_mix(be, &x);
}

static void try_out(struct backend *be, size_t rows, size_t dim)
{
    size_t count = rows * dim;
    float *y = random_floats(be, count, 2.0f, 0.5f), *serial = poisoned(be, count);
    float *r = random_floats(be, count, 1.0f, 0.0f), *k = random_floats(be, count, 1.0f, 0.0f);
    float *v = random_floats(be, count, 1.0f, 0.0f), *g = random_floats(be, count, 1.0f, 0.0f);
    float *r_k = random_floats(be, dim, 1.0f, 0.0f);
    float *w = random_floats(be, dim, 1.0f, 0.0f), *b = random_floats(be, dim, 1.0f, 0.0f);
    double *want = malloc(count * sizeof(double));
    struct rwkv7_out o = {rows, dim, 64, y, r, k, v, g, r_k, w, b, 64e-5f};

    for (size_t h = 0; h < count; h += 64) {
        double mean = 0.0, var = 0.0, bonus = 0.0;

        for (size_t i = h; i < h + 64; i++) {
            mean += (double)y[i] / 64.0;
            bonus += (double)r[i] * (double)k[i] * (double)r_k[i % dim];
        }
        for (size_t i = h; i < h + 64; i++)
            var += pow((double)y[i] - mean, 2.0) / 64.0;
        for (size_t i = h; i < h + 64; i++)
            want[i] = (((double)y[i] - mean) / sqrt(var + 64e-5) * (double)w[i % dim] +
                       (double)b[i % dim] + bonus * (double)v[i]) *
                      (double)g[i];
    }
    be->ops->copy(be, serial, y, count);
    be->ops->rwkv7_out(be, &o);
    report("rwkv7_out", check_close("rwkv7_out", y, want, count, 3e-6));
    for (size_t t = 0; t < rows; t++) {
        size_t at = t * dim;
        struct rwkv7_out one = {1,      dim,    64,  serial + at, r + at, k + at,
                                v + at, g + at, r_k, w,           b,      64e-5f};

        be->ops->rwkv7_out(be, &one);
    }
    check_same("rwkv7_out row", serial, y, count);
    be->ops->free(be, y);
    be->ops->free(be, serial);
    be->ops->free(be, r);
    be->ops->free(be, k);
    be->ops->free(be, v);
    be->ops->free(be, g);
    be->ops->free(be, r_k);
    be->ops->free(be, w);
    be->ops->free(be, b);
    free(want);
}

static void rwkv7_out(struct backend *be)
{
    try_out(be, 1, 64);
    try_out(be, 200, 192);
}

static void test_wkv7(void **state)
{
    (void)state;
    on_every_backend(wkv7);
}

static void test_rwkv7_mix(void **state)
{
    (void)state;
    on_every_backend(rwkv7_mix);
}

static void test_rwkv7_mix_of_a_zero_key_is_zero(void **state)
{
    (void)state;
    on_every_backend(mix_of_zero);
}

static void test_rwkv7_out(void **state)
{
    (void)state;
    on_every_backend(rwkv7_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wkv7),
        cmocka_unit_test(test_rwkv7_mix),
        cmocka_unit_test(test_rwkv7_mix_of_a_zero_key_is_zero),
        cmocka_unit_test(test_rwkv7_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
