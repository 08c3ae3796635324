/* RWKV-7's time mixing against the equations written out in double, and rows one at a time against
 * all at once, bit for bit, the state too.
 */
#include "tests/support/backends.h"

enum { MATRICES = 8, VECTORS = 8 };

static const float eps = 64e-5f;

/* The inputs of a call, as the equations have them, in backend memory. */
struct inputs {
    size_t slots, rows, heads, n;
    size_t count; /* floats of a [slots, rows, heads * n] */
    size_t dim, state_count;
    bool first; /* layer */
    union {
        struct {
            float *r, *g, *k, *v, *w, *a, *v_lora, *v_first;
        };
        float *matrices[MATRICES];
    };
    union {
        struct {
            float *w0, *a0, *v0, *k_k, *k_a, *r_k, *ln_w, *ln_b;
        };
        float *vectors[VECTORS];
    };
    float *state;
};

static struct inputs random_inputs(struct backend *be, size_t slots, size_t rows, size_t heads,
                                   size_t n, bool first)
{
    struct inputs in = {slots, rows, heads, n, .first = first};

    in.dim = heads * n;
    in.count = slots * rows * in.dim;
    in.state_count = slots * heads * n * n;
    for (size_t i = 0; i < MATRICES; i++)
        in.matrices[i] = random_floats(be, in.count, 1.0f, 0.0f);
    for (size_t i = 0; i < VECTORS; i++)
        in.vectors[i] = random_floats(be, in.dim, 1.0f, 0.0f);
    in.state = random_floats(be, in.state_count, 1.0f, 0.0f);
    return in;
}

static void free_inputs(struct backend *be, struct inputs *in)
{
    for (size_t i = 0; i < MATRICES; i++)
        be->ops->free(be, in->matrices[i]);
    for (size_t i = 0; i < VECTORS; i++)
        be->ops->free(be, in->vectors[i]);
    be->ops->free(be, in->state);
}

static double squash(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* w, k, v, kk, a of a head in one row. */
struct mixed {
    double w[256], k[256], v[256], kk[256], a[256];
};

static void mix_slow(const struct inputs *in, size_t at, size_t head, struct mixed *m)
{
    double square = 0.0;

    for (size_t i = 0; i < in->n; i++) {
        size_t p = at + i, c = head * in->n + i;

        m->w[i] = exp(-exp(-0.5) * squash((double)in->w0[c] + (double)in->w[p]));
        m->a[i] = squash((double)in->a0[c] + (double)in->a[p]);
        m->kk[i] = (double)in->k[p] * (double)in->k_k[c];
        m->k[i] = (double)in->k[p] * (1.0 + (m->a[i] - 1.0) * (double)in->k_a[c]);
        m->v[i] = (double)in->v[p];
        if (!in->first)
            m->v[i] += ((double)in->v_first[p] - m->v[i]) *
                       squash((double)in->v0[c] + (double)in->v_lora[p]);
        square += m->kk[i] * m->kk[i];
    }
    for (size_t i = 0; i < in->n && square > 0.0; i++)
        m->kk[i] /= sqrt(square);
}

/* S moves on; y = S r. */
static void recur_slow(const struct inputs *in, size_t at, const struct mixed *m, double *s,
                       double *y)
{
    for (size_t i = 0; i < in->n; i++) {
        double *row = s + i * in->n, sa = 0.0;

        for (size_t j = 0; j < in->n; j++)
            sa -= row[j] * m->kk[j];
        y[at + i] = 0.0;
        for (size_t j = 0; j < in->n; j++) {
            row[j] = row[j] * m->w[j] + sa * m->kk[j] * m->a[j] + m->v[i] * m->k[j];
            y[at + i] += row[j] * (double)in->r[at + j];
        }
    }
}

static void out_slow(const struct inputs *in, size_t at, size_t head, const struct mixed *m,
                     double *y)
{
    double mean = 0.0, var = 0.0, bonus = 0.0;

    for (size_t i = 0; i < in->n; i++) {
        mean += y[at + i] / (double)in->n;
        bonus += (double)in->r[at + i] * m->k[i] * (double)in->r_k[head * in->n + i];
    }
    for (size_t i = 0; i < in->n; i++)
        var += pow(y[at + i] - mean, 2.0) / (double)in->n;
    for (size_t i = 0; i < in->n; i++) {
        size_t c = head * in->n + i;
        double norm = (y[at + i] - mean) / sqrt(var + (double)eps);

        y[at + i] = (norm * (double)in->ln_w[c] + (double)in->ln_b[c] + bonus * m->v[i]) *
                    (double)in->g[at + i];
    }
}

static void rwkv7_slow(const struct inputs *in, double *s, double *y)
{
    struct mixed *m = malloc(sizeof(*m));

    for (size_t i = 0; i < in->slots * in->heads; i++)
        for (size_t t = 0; t < in->rows; t++) {
            size_t head = i % in->heads;
            size_t at = (i / in->heads * in->rows + t) * in->dim + head * in->n;

            mix_slow(in, at, head, m);
            recur_slow(in, at, m, s + i * in->n * in->n, y);
            out_slow(in, at, head, m, y);
        }
    free(m);
}

/* rows rows of one stream, or all rows of all slots: from row `row` of stream `stream` on. */
static void call(struct backend *be, const struct inputs *in, size_t stream, size_t row,
                 size_t slots, size_t rows, float *state, float *y, float *v_first)
{
    size_t at = (stream * in->rows + row) * in->dim, count = slots * rows * in->dim;
    float *scratch[5];
    const float *const from[] = {in->k, in->v, in->w, in->a};

    for (size_t i = 0; i < ARRAY_SIZE(scratch); i++)
        scratch[i] = poisoned(be, count);
    for (size_t i = 0; i < ARRAY_SIZE(from); i++)
        be->ops->copy(be, scratch[i], from[i] + at, count);
    be->ops->rwkv7(be, &(struct rwkv7){
                           .slots = slots,
                           .rows = rows,
                           .heads = in->heads,
                           .head_size = in->n,
                           .y = y + at,
                           .state = state + stream * in->heads * in->n * in->n,
                           .r = in->r + at,
                           .g = in->g + at,
                           .k = scratch[0],
                           .v = scratch[1],
                           .w = scratch[2],
                           .a = scratch[3],
                           .kk = scratch[4],
                           .v_lora = in->first ? NULL : in->v_lora + at,
                           .v_first = v_first + at,
                           .w0 = in->w0,
                           .a0 = in->a0,
                           .v0 = in->v0,
                           .k_k = in->k_k,
                           .k_a = in->k_a,
                           .r_k = in->r_k,
                           .ln_w = in->ln_w,
                           .ln_b = in->ln_b,
                           .eps = eps,
                       });
    for (size_t i = 0; i < ARRAY_SIZE(scratch); i++)
        be->ops->free(be, scratch[i]);
}

static void try_rwkv7(struct backend *be, size_t slots, size_t rows, size_t heads, size_t n,
                      bool first)
{
    struct inputs in = random_inputs(be, slots, rows, heads, n, first);
    float *y = poisoned(be, in.count), *one = poisoned(be, in.count);
    float *v_first = poisoned(be, in.count), *serial = poisoned(be, in.state_count);
    double *want = malloc(in.count * sizeof(double));
    double *want_s = malloc(in.state_count * sizeof(double));
    char name[64];
    double worst;

    be->ops->copy(be, serial, in.state, in.state_count);
    for (size_t i = 0; i < in.state_count; i++)
        want_s[i] = (double)in.state[i];
    rwkv7_slow(&in, want_s, want);
    if (!first)
        be->ops->copy(be, v_first, in.v_first, in.count);
    call(be, &in, 0, 0, slots, rows, in.state, y, v_first);
    worst = check_close("y", y, want, in.count, 1e-4);
    worst = fmax(worst, check_close("state", in.state, want_s, in.state_count, 3e-5));
    check_same("v_first", v_first, first ? in.v : in.v_first, in.count);
    for (size_t b = 0; b < slots; b++)
        for (size_t t = 0; t < rows; t++)
            call(be, &in, b, t, 1, 1, serial, one, v_first);
    check_same("serial y", one, y, in.count);
    check_same("serial state", serial, in.state, in.state_count);
    snprintf(name, sizeof(name), "rwkv7 %zu x %zu x %zu x %zu%s", slots, rows, heads, n,
             first ? ", first layer" : "");
    report(name, worst);
    free_inputs(be, &in);
    be->ops->free(be, y);
    be->ops->free(be, one);
    be->ops->free(be, v_first);
    be->ops->free(be, serial);
    free(want);
    free(want_s);
}

static void rwkv7(struct backend *be)
{
    try_rwkv7(be, 1, 1, 1, 64, true);
    try_rwkv7(be, 1, 70, 3, 64, false);
    try_rwkv7(be, 3, 9, 2, 64, false);
    try_rwkv7(be, 3, 1, 2, 64, true);
    try_rwkv7(be, 2, 5, 2, 32, true);
    try_rwkv7(be, 1, 3, 1, 16, false);
}

/* A key of zeros has no direction: what is left of the state is its decay. */
static void zero_key(struct backend *be)
{
    struct inputs in = random_inputs(be, 1, 1, 1, 64, true);
    float *y = poisoned(be, 64), *v_first = poisoned(be, 64);
    double want[64 * 64];

    be->ops->zero(be, in.k, 64);
    for (size_t i = 0; i < 64 * 64; i++)
        want[i] = (double)in.state[i] *
                  exp(-exp(-0.5) * squash((double)in.w0[i % 64] + (double)in.w[i % 64]));
    call(be, &in, 0, 0, 1, 1, in.state, y, v_first);
    check_close("state", in.state, want, 64 * 64, 1e-6);
    for (size_t i = 0; i < 64; i++)
        assert_true(isfinite(y[i]));
    free_inputs(be, &in);
    be->ops->free(be, y);
    be->ops->free(be, v_first);
}

static void test_rwkv7(void **state)
{
    (void)state;
    on_every_backend(rwkv7);
}

static void test_a_zero_key_leaves_the_decay(void **state)
{
    (void)state;
    on_every_backend(zero_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rwkv7),
        cmocka_unit_test(test_a_zero_key_leaves_the_decay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
