/* Norms, convolutions, attention, and RWKV-7's recurrence, on two backends. */
#include "tests/cuda/operations.h"

#include <math.h>
#include <stdlib.h>

static const size_t dims[] = {1, 16, 33, 250, 1100};

static void layer_norm(struct backends *b)
{
    static const size_t counts[] = {1, 3, 40};
    double worst = 0.0;

    for (size_t n = 0; n < ARRAY_SIZE(dims) * ARRAY_SIZE(counts); n++) {
        size_t dim = dims[n % ARRAY_SIZE(dims)], rows = counts[n / ARRAY_SIZE(dims)];
        struct pair x = pair_random(b, rows * dim, 3.0f, 5.0f), y = pair_poisoned(b, rows * dim);
        struct pair w = pair_random(b, dim, 1.0f, 1.0f), c = pair_random(b, dim, 1.0f, 0.0f);

        b->cpu->ops->layer_norm(b->cpu, y.cpu, x.cpu, rows, dim, w.cpu, c.cpu, 1e-5f);
        b->gpu->ops->layer_norm(b->gpu, y.gpu, x.gpu, rows, dim, w.gpu, c.gpu, 1e-5f);
        worst = fmax(worst, pair_compare("layer_norm", &y, 1e-5));
        b->cpu->ops->layer_norm(b->cpu, x.cpu, x.cpu, rows, dim, w.cpu, c.cpu, 1e-5f);
        b->gpu->ops->layer_norm(b->gpu, x.gpu, x.gpu, rows, dim, w.gpu, c.gpu, 1e-5f);
        worst = fmax(worst, pair_compare("layer_norm in place", &x, 1e-5));
        pair_free(&x);
        pair_free(&y);
        pair_free(&w);
        pair_free(&c);
    }
    report("layer_norm", worst);
}

/* 1 for a slot that moves, 0 for one that rests: the second of every three. */
static struct pair some_move(struct backends *b, size_t slots)
{
    float *values = malloc(slots * sizeof(float));
    struct pair p;

    for (size_t i = 0; i < slots; i++)
        values[i] = i % 3 == 1 ? 0.0f : 1.0f;
    p = pair_of(b, values, slots);
    free(values);
    return p;
}

/* y of a slot that rests is anything: the same then, for the comparison. */
static void rest_alike(struct backends *b, const struct pair *y, size_t slots)
{
    size_t size = y->count / slots;

    for (size_t i = 1; i < slots; i += 3) {
        b->cpu->ops->zero(b->cpu, y->cpu + i * size, size);
        b->gpu->ops->zero(b->gpu, y->gpu + i * size, size);
    }
}

static double try_norm_shift(struct backends *b, size_t slots, size_t rows, size_t dim,
                             size_t count)
{
    size_t all = slots * rows * dim;
    struct pair x = pair_random(b, all, 3.0f, 1.0f), n = pair_poisoned(b, all);
    struct pair prev = pair_random(b, slots * dim, 1.0f, 0.0f);
    struct pair moves = some_move(b, slots);
    struct pair w = pair_random(b, dim, 1.0f, 1.0f), c = pair_random(b, dim, 1.0f, 0.0f);
    struct pair mu[NORM_SHIFT_MAX], y[NORM_SHIFT_MAX];
    struct norm_shift cpu = {.slots = slots,
                             .rows = rows,
                             .dim = dim,
                             .moves = slots > 1 ? moves.cpu : NULL,
                             .x = x.cpu,
                             .w = w.cpu,
                             .b = c.cpu,
                             .eps = 1e-5f,
                             .prev = prev.cpu,
                             .n = n.cpu,
                             .count = count};
    struct norm_shift gpu = cpu;
    double worst = 0.0;

    gpu.moves = slots > 1 ? moves.gpu : NULL;
    gpu.x = x.gpu;
    gpu.w = w.gpu;
    gpu.b = c.gpu;
    gpu.prev = prev.gpu;
    gpu.n = n.gpu;
    for (size_t i = 0; i < count; i++) {
        mu[i] = pair_random(b, dim, 1.0f, 0.0f);
        y[i] = pair_poisoned(b, all);
        cpu.mu[i] = mu[i].cpu;
        gpu.mu[i] = mu[i].gpu;
        cpu.y[i] = y[i].cpu;
        gpu.y[i] = y[i].gpu;
    }
    b->cpu->ops->norm_shift(b->cpu, &cpu);
    b->gpu->ops->norm_shift(b->gpu, &gpu);
    for (size_t i = 0; i < count; i++) {
        rest_alike(b, &y[i], slots);
        worst = fmax(worst, pair_compare("norm_shift", &y[i], 1e-5));
        pair_free(&mu[i]);
        pair_free(&y[i]);
    }
    worst = fmax(worst, pair_compare("norm_shift's last row", &prev, 1e-5));
    pair_free(&x);
    pair_free(&n);
    pair_free(&prev);
    pair_free(&moves);
    pair_free(&w);
    pair_free(&c);
    return worst;
}

static void norm_shift(struct backends *b)
{
    double worst = 0.0;

    for (size_t i = 0; i < ARRAY_SIZE(dims); i++) {
        worst = fmax(worst, try_norm_shift(b, 1, 1, dims[i], NORM_SHIFT_MAX));
        worst = fmax(worst, try_norm_shift(b, 5, 1, dims[i], 1));
        worst = fmax(worst, try_norm_shift(b, 1, 20, dims[i], NORM_SHIFT_MAX));
        worst = fmax(worst, try_norm_shift(b, 3, 7, dims[i], 2));
    }
    b->gpu->ops->norm_shift(b->gpu, &(struct norm_shift){.slots = 3, .dim = 16}); /* no rows */
    report("norm_shift", worst);
}

static void elementwise(struct backends *b)
{
    static const size_t counts[] = {1, 7, 50};
    double worst = 0.0;

    for (size_t n = 0; n < ARRAY_SIZE(dims) * ARRAY_SIZE(counts); n++) {
        size_t dim = dims[n % ARRAY_SIZE(dims)], rows = counts[n / ARRAY_SIZE(dims)];
        struct pair x = pair_random(b, rows * dim * 2, 4.0f, 0.0f);
        struct pair y = pair_poisoned(b, rows * dim), shift = pair_random(b, dim, 1.0f, 0.0f);
        struct pair scale = pair_random(b, dim, 1.0f, 0.0f), bias = pair_random(b, dim, 1, 0);
        struct pair gate = pair_poisoned(b, rows * dim);
        enum activation act = (enum activation)(n % (ACTIVATION_SIGMOID + 1));

        b->cpu->ops->affine(b->cpu, y.cpu, x.cpu, rows, dim, shift.cpu, scale.cpu, bias.cpu, act);
        b->gpu->ops->affine(b->gpu, y.gpu, x.gpu, rows, dim, shift.gpu, scale.gpu, bias.gpu, act);
        worst = fmax(worst, pair_compare("affine", &y, exact));
        b->cpu->ops->add(b->cpu, y.cpu, x.cpu, rows * dim);
        b->gpu->ops->add(b->gpu, y.gpu, x.gpu, rows * dim);
        worst = fmax(worst, pair_compare("add", &y, exact));
        b->cpu->ops->affine(b->cpu, y.cpu, y.cpu, rows, dim, NULL, NULL, NULL, ACTIVATION_GELU);
        b->gpu->ops->affine(b->gpu, y.gpu, y.gpu, rows, dim, NULL, NULL, NULL, ACTIVATION_GELU);
        worst = fmax(worst, pair_compare("affine of nothing, in place", &y, exact));
        b->cpu->ops->glu(b->cpu, y.cpu, x.cpu, rows, dim);
        b->gpu->ops->glu(b->gpu, y.gpu, x.gpu, rows, dim);
        worst = fmax(worst, pair_compare("glu", &y, exact));
        b->cpu->ops->relative_gate(b->cpu, gate.cpu, x.cpu, scale.cpu, rows, dim);
        b->gpu->ops->relative_gate(b->gpu, gate.gpu, x.gpu, scale.gpu, rows, dim);
        worst = fmax(worst, pair_compare("relative_gate", &gate, exact));
        pair_free(&x);
        pair_free(&y);
        pair_free(&gate);
        pair_free(&shift);
        pair_free(&scale);
        pair_free(&bias);
    }
    report("affine, add, glu, relative_gate", worst);
}

static void conv_depthwise(struct backends *b)
{
    static const size_t kernels[] = {1, 3, 9};
    double worst = 0.0;

    for (size_t n = 0; n < ARRAY_SIZE(dims) * ARRAY_SIZE(kernels); n++) {
        size_t dim = dims[n % ARRAY_SIZE(dims)], kernel = kernels[n / ARRAY_SIZE(dims)], rows = 13;
        struct pair x = pair_random(b, (rows + kernel - 1) * dim, 1.0f, 0.0f);
        struct pair w = pair_random(b, kernel * dim, 1.0f, 0.0f), c = pair_random(b, dim, 1, 0);
        struct pair y = pair_poisoned(b, rows * dim);

        b->cpu->ops->conv_depthwise(b->cpu, y.cpu, x.cpu, rows, dim, w.cpu, n & 1 ? c.cpu : NULL,
                                    kernel, ACTIVATION_SILU);
        b->gpu->ops->conv_depthwise(b->gpu, y.gpu, x.gpu, rows, dim, w.gpu, n & 1 ? c.gpu : NULL,
                                    kernel, ACTIVATION_SILU);
        worst = fmax(worst, pair_compare("conv_depthwise", &y, exact));
        pair_free(&x);
        pair_free(&w);
        pair_free(&c);
        pair_free(&y);
    }
    report("conv_depthwise", worst);
}

static void rope(struct backends *b)
{
    static const size_t sizes[] = {2, 10, 64, 96};
    static const uint64_t positions[] = {0, 5, 1800000};
    double worst = 0.0;

    for (size_t n = 0; n < ARRAY_SIZE(sizes) * ARRAY_SIZE(positions); n++) {
        size_t size = sizes[n % ARRAY_SIZE(sizes)], rows = 9, heads = 1 + n % 3;
        uint64_t position = positions[n / ARRAY_SIZE(sizes)];
        struct pair x = pair_random(b, rows * heads * size, 1.0f, 0.0f);

        b->cpu->ops->rope(b->cpu, x.cpu, rows, heads, size, position, 10000.0f);
        b->gpu->ops->rope(b->gpu, x.gpu, rows, heads, size, position, 10000.0f);
        worst = fmax(worst, pair_compare("rope", &x, exact));
        pair_free(&x);
    }
    report("rope", worst);
}

static void to_half(struct backends *b)
{
    static const float values[] = {0.0f,         -0.0f,   65504.0f, 65519.9f, 65520.0f, -1e30f,
                                   INFINITY,     NAN,     0x1p-24f, 0x1p-25f, 0x3p-26f, 1e-30f,
                                   0x1.ffep-15f, 2049.0f, 2051.0f,  -3.14159f};
    enum { COUNT = ARRAY_SIZE(values) };
    struct pair x = pair_of(b, values, COUNT), y = pair_poisoned(b, COUNT / 2);
    float got[COUNT / 2];

    b->cpu->ops->to_half(b->cpu, (uint16_t *)y.cpu, x.cpu, COUNT);
    b->gpu->ops->to_half(b->gpu, (uint16_t *)y.gpu, x.gpu, COUNT);
    b->gpu->ops->download(b->gpu, got, y.gpu, COUNT / 2);
    for (size_t i = 0; i < COUNT; i++) {
        uint16_t cpu = ((const uint16_t *)y.cpu)[i], gpu = ((const uint16_t *)got)[i];
        bool is_nan = (cpu & 0x7fff) > 0x7c00 && (gpu & 0x7fff) > 0x7c00;

        expect(b, isnan(values[i]) ? is_nan : cpu == gpu, "a half");
    }
    pair_free(&x);
    pair_free(&y);
}

/* The same of what is kept as halves, into y; a and c: the two's. */
static double try_halves(struct backends *b, struct attention *a, struct attention *c,
                         const struct pair *k, const struct pair *v)
{
    size_t dim = a->heads * a->head_dim;
    struct pair y = pair_poisoned(b, a->rows * dim);
    size_t count = (a->history + a->rows) * dim;
    struct pair half_k = pair_poisoned(b, count / 2 + 1), half_v = pair_poisoned(b, count / 2 + 1);
    double worst;

    b->cpu->ops->to_half(b->cpu, (uint16_t *)half_k.cpu, k->cpu, count);
    b->cpu->ops->to_half(b->cpu, (uint16_t *)half_v.cpu, v->cpu, count);
    b->gpu->ops->to_half(b->gpu, (uint16_t *)half_k.gpu, k->gpu, count);
    b->gpu->ops->to_half(b->gpu, (uint16_t *)half_v.gpu, v->gpu, count);
    a->half_k = (const uint16_t *)half_k.cpu, a->half_v = (const uint16_t *)half_v.cpu;
    c->half_k = (const uint16_t *)half_k.gpu, c->half_v = (const uint16_t *)half_v.gpu;
    a->k = a->v = c->k = c->v = NULL;
    a->y = y.cpu, c->y = y.gpu;
    b->cpu->ops->attention(b->cpu, a);
    b->gpu->ops->attention(b->gpu, c);
    worst = pair_compare("attention, halves", &y, 1e-5);
    pair_free(&y);
    pair_free(&half_k);
    pair_free(&half_v);
    return worst;
}

static double try_attention(struct backends *b, struct attention a, bool relative)
{
    size_t dim = a.heads * a.head_dim, positions = a.history + a.rows;
    struct pair q = pair_random(b, a.rows * dim, 4.0f, 0.0f), y = pair_poisoned(b, a.rows * dim);
    struct pair k = pair_random(b, positions * dim, 4.0f, 0.0f);
    struct pair v = pair_random(b, positions * dim, 1.0f, 0.0f);
    struct pair bias = pair_random(b, a.heads * (2 * positions + 5), 3.0f, 0.0f);
    struct pair gate = pair_random(b, a.rows * a.heads, 1.0f, 1.0f);
    struct attention c = a;
    double worst;

    a.scale = c.scale = 0.125f;
    a.span = c.span = positions + 3;
    a.q = q.cpu, a.k = k.cpu, a.v = v.cpu, a.y = y.cpu;
    c.q = q.gpu, c.k = k.gpu, c.v = v.gpu, c.y = y.gpu;
    if (relative) {
        a.relative = bias.cpu, a.gate = gate.cpu;
        c.relative = bias.gpu, c.gate = gate.gpu;
    }
    reserve(b, a.rows);
    b->cpu->ops->attention(b->cpu, &a);
    b->gpu->ops->attention(b->gpu, &c);
    worst = pair_compare("attention", &y, 1e-5);
    worst = fmax(worst, try_halves(b, &a, &c, &k, &v));
    pair_free(&q);
    pair_free(&k);
    pair_free(&v);
    pair_free(&y);
    pair_free(&bias);
    pair_free(&gate);
    return worst;
}

static void attention(struct backends *b)
{
    static const struct attention tries[] = {
        {.rows = 1, .history = 0, .heads = 1, .head_dim = 8, .window = 1},
        {.rows = 5, .history = 0, .heads = 2, .head_dim = 20, .window = 3},
        {.rows = 40, .history = 0, .heads = 3, .head_dim = 64, .window = 16},
        {.rows = 33, .history = 70, .heads = 3, .head_dim = 64, .window = 64},
        {.rows = 20, .history = 100, .heads = 2, .head_dim = 100, .window = 50},
        {.rows = 17, .history = 10, .heads = 1, .head_dim = 65, .window = 1000},
        {.rows = 12, .history = 3, .heads = 1, .head_dim = 250, .window = 7},
        {.rows = 70, .heads = 2, .head_dim = 64, .window = SIZE_MAX, .ahead = SIZE_MAX},
        {.rows = 70, .history = 9, .heads = 2, .head_dim = 24, .window = 7, .ahead = 5},
    };
    double worst = 0.0;

    for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
        worst = fmax(worst, try_attention(b, tries[i], false));
        worst = fmax(worst, try_attention(b, tries[i], true));
    }
    report("attention", worst);
}

enum { MIX_ROWS = 9, MIX_VECTORS = 8 };

/* Rows r, g, k, v, w, a, kk, v_lora, v_first; vectors as in the struct; y and state. */
struct mix {
    struct pair rows[MIX_ROWS], vectors[MIX_VECTORS], y, state, moves;
};

static struct rwkv7 mix_call(const struct mix *m, bool gpu, struct rwkv7 c, bool first)
{
    float *r[MIX_ROWS], *v[MIX_VECTORS];

    for (size_t i = 0; i < MIX_ROWS; i++)
        r[i] = gpu ? m->rows[i].gpu : m->rows[i].cpu;
    for (size_t i = 0; i < MIX_VECTORS; i++)
        v[i] = gpu ? m->vectors[i].gpu : m->vectors[i].cpu;
    c.y = gpu ? m->y.gpu : m->y.cpu;
    c.state = gpu ? m->state.gpu : m->state.cpu;
    if (c.slots > 1)
        c.moves = gpu ? m->moves.gpu : m->moves.cpu;
    c.r = r[0], c.g = r[1], c.k = r[2], c.v = r[3], c.w = r[4], c.a = r[5], c.kk = r[6];
    c.v_lora = first ? NULL : r[7];
    c.v_first = r[8];
    c.w0 = v[0], c.a0 = v[1], c.v0 = v[2], c.k_k = v[3], c.k_a = v[4], c.r_k = v[5];
    c.ln_w = v[6], c.ln_b = v[7];
    c.eps = 64e-5f;
    return c;
}

static double try_rwkv7(struct backends *b, struct rwkv7 shape, bool first)
{
    size_t n = shape.head_size, dim = shape.heads * n, count = shape.slots * shape.rows * dim;
    struct mix m;
    struct rwkv7 cpu, gpu;
    double worst;

    for (size_t i = 0; i < MIX_ROWS; i++)
        m.rows[i] = pair_random(b, count, 1.0f, 0.0f);
    for (size_t i = 0; i < MIX_VECTORS; i++)
        m.vectors[i] = pair_random(b, dim, 1.0f, 0.0f);
    m.y = pair_poisoned(b, count);
    m.state = pair_random(b, shape.slots * dim * n, 1.0f, 0.0f);
    m.moves = some_move(b, shape.slots);
    cpu = mix_call(&m, false, shape, first);
    gpu = mix_call(&m, true, shape, first);
    b->cpu->ops->rwkv7(b->cpu, &cpu);
    b->gpu->ops->rwkv7(b->gpu, &gpu);
    rest_alike(b, &m.y, shape.slots);
    rest_alike(b, &m.rows[8], shape.slots);
    worst = pair_compare("rwkv7", &m.y, 2e-5);
    worst = fmax(worst, pair_compare("rwkv7's state", &m.state, 1e-5));
    worst = fmax(worst, pair_compare("rwkv7's v_first", &m.rows[8], 0.0));
    for (size_t i = 0; i < MIX_ROWS; i++)
        pair_free(&m.rows[i]);
    for (size_t i = 0; i < MIX_VECTORS; i++)
        pair_free(&m.vectors[i]);
    pair_free(&m.y);
    pair_free(&m.state);
    pair_free(&m.moves);
    return worst;
}

void compare_rwkv7(struct backends *b)
{
    static const struct rwkv7 shapes[] = {
        {.slots = 1, .rows = 1, .heads = 1, .head_size = 64},
        {.slots = 1, .rows = 20, .heads = 3, .head_size = 64},
        {.slots = 3, .rows = 5, .heads = 2, .head_size = 64},
        {.slots = 5, .rows = 1, .heads = 2, .head_size = 64},
        {.slots = 2, .rows = 4, .heads = 2, .head_size = 32},
        {.slots = 1, .rows = 3, .heads = 1, .head_size = 16},
        {.slots = 1, .rows = 3, .heads = 2, .head_size = 128},
    };
    double worst = 0.0;

    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        worst = fmax(worst, try_rwkv7(b, shapes[i], true));
        worst = fmax(worst, try_rwkv7(b, shapes[i], false));
    }
    report("rwkv7", worst);
}

void compare_norms(struct backends *b)
{
    layer_norm(b);
    norm_shift(b);
}

void compare_rows(struct backends *b)
{
    compare_norms(b);
    elementwise(b);
    conv_depthwise(b);
    rope(b);
    to_half(b);
    attention(b);
    compare_rwkv7(b);
}
