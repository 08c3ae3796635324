#include "tests/cuda/compare.h"
#include "tests/cuda/pairs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Sums of floats in another order; x in fp16 or bf16. */
static const double exact = 4e-6, half = 1e-3, bfloat = 6e-3;

static const size_t dims[] = {1, 16, 33, 250, 1100};

static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0,
                                         TENSOR_Q4_0};

static void report(const char *what, double worst)
{
    printf("  %-34s %.2g\n", what, worst);
}

/* Random values; quantised blocks and halves are random bits with tame exponents. */
static struct tensor random_tensor(enum tensor_type type, size_t rows, size_t cols)
{
    size_t bytes = rows * tensor_row_bytes(type, cols);
    unsigned char *data = malloc(bytes + 1);
    struct tensor t = {type, rows, cols, data};
    size_t block = type == TENSOR_Q8_0 ? 34 : 18;

    for (size_t i = 0; i < bytes; i++)
        data[i] = (unsigned char)random_bits();
    for (size_t i = 0; type == TENSOR_F32 && i < rows * cols; i++)
        ((float *)data)[i] = random_unit();
    for (size_t i = 1; type == TENSOR_F16 && i < bytes; i += 2) /* 2^-7 to 2 */
        data[i] = (unsigned char)((data[i] & 0x83) | (8 + random_bits() % 8) << 2);
    for (size_t i = 1; type == TENSOR_BF16 && i < bytes; i += 2) /* 2^-7 to 2 */
        data[i] = (unsigned char)((data[i] & 0x80) | (0x3c + random_bits() % 4));
    for (size_t i = 1; (type == TENSOR_Q8_0 || type == TENSOR_Q4_0) && i < bytes; i += block)
        data[i] = (unsigned char)((data[i] & 3) | (4 + random_bits() % 4) << 2);
    return t;
}

struct both {
    struct weight *cpu, *gpu;
};

static void reserve(struct backends *b, size_t rows)
{
    expect(b, b->cpu->ops->reserve(b->cpu, rows) == 0, "reserve, cpu");
    expect(b, b->gpu->ops->reserve(b->gpu, rows) == 0, "reserve");
}

static struct both weights(struct backends *b, const struct tensor *t, enum weight_use use,
                           size_t rows)
{
    struct both w = {NULL, NULL};

    expect(b, b->cpu->ops->weight_create(b->cpu, &w.cpu, t, use) == 0, "weight_create, cpu");
    expect(b, b->gpu->ops->weight_create(b->gpu, &w.gpu, t, use) == 0, "weight_create");
    reserve(b, rows);
    return w;
}

static void weights_free(struct backends *b, const struct both *w)
{
    b->cpu->ops->weight_destroy(b->cpu, w->cpu);
    b->gpu->ops->weight_destroy(b->gpu, w->gpu);
}

/* Long sums are less exact on the CPU, which has one sum where a GPU has many. */
static double limit_of(enum tensor_type type, size_t rows, size_t in)
{
    if (rows <= BACKEND_FEW_ROWS || type == TENSOR_F32)
        return exact + 1e-9 * (double)in;
    return type == TENSOR_BF16 ? bfloat : half;
}

/* offset: floats by which x is out of line with vectors. */
static double try_linear(struct backends *b, const struct tensor *t, size_t rows, size_t stride,
                         size_t offset, bool with_bias, enum activation act)
{
    struct both w = weights(b, t, WEIGHT_PRODUCTS, rows);
    struct pair x = pair_random(b, rows * stride + t->cols + offset, 1.0f, 0.0f);
    struct pair bias = pair_random(b, t->rows, 1.0f, 0.0f), y = pair_poisoned(b, rows * t->rows);
    struct pair sum = pair_random(b, rows * t->rows, 1.0f, 0.0f);
    double limit = limit_of(t->type, rows, t->cols), worst;
    char name[96];

    b->cpu->ops->linear(b->cpu, y.cpu, x.cpu + offset, stride, rows, w.cpu,
                        with_bias ? bias.cpu : NULL, act);
    b->gpu->ops->linear(b->gpu, y.gpu, x.gpu + offset, stride, rows, w.gpu,
                        with_bias ? bias.gpu : NULL, act);
    snprintf(name, sizeof(name), "linear %s [%zu, %zu] %zu rows, stride %zu, activation %d",
             tensor_type_name(t->type), t->rows, t->cols, rows, stride, (int)act);
    worst = pair_compare(name, &y, limit);
    if (stride >= t->cols) {
        b->cpu->ops->linear_add(b->cpu, sum.cpu, x.cpu, rows, w.cpu, with_bias ? bias.cpu : NULL);
        b->gpu->ops->linear_add(b->gpu, sum.gpu, x.gpu, rows, w.gpu, with_bias ? bias.gpu : NULL);
        snprintf(name, sizeof(name), "linear_add %s [%zu, %zu] %zu rows", tensor_type_name(t->type),
                 t->rows, t->cols, rows);
        worst = fmax(worst, pair_compare(name, &sum, limit));
    }
    weights_free(b, &w);
    pair_free(&x);
    pair_free(&bias);
    pair_free(&y);
    pair_free(&sum);
    return worst;
}

static void linear(struct backends *b)
{
    static const size_t shapes[][2] = {{1, 32}, {5, 64}, {33, 96}, {40, 8192}, {192, 192}};
    static const size_t counts[] = {1, 2, 3, 4, 5, 8, 9, 32, 40};

    for (size_t n = 0; n < ARRAY_SIZE(types); n++) {
        double few = 0.0, many = 0.0;

        for (size_t s = 0; s < ARRAY_SIZE(shapes); s++) {
            struct tensor t = random_tensor(types[n], shapes[s][0], shapes[s][1]);

            for (size_t r = 0; r < ARRAY_SIZE(counts); r++) {
                double *worst = counts[r] <= BACKEND_FEW_ROWS ? &few : &many;
                enum activation act = (enum activation)((s + r) % (ACTIVATION_SIGMOID + 1));

                if (t.cols > 1000 && counts[r] > 2)
                    continue; /* slow where kernels run on the host */
                *worst = fmax(*worst, try_linear(b, &t, counts[r], t.cols, 0, r & 1, act));
            }
            few = fmax(few, try_linear(b, &t, 3, t.cols / 2, 0, true, ACTIVATION_NONE));
            few = fmax(few, try_linear(b, &t, 2, t.cols + 3, 1, false, ACTIVATION_NONE));
            many = fmax(many, try_linear(b, &t, 33, t.cols / 2, 1, true, ACTIVATION_SILU));
            free((void *)t.data);
        }
        printf("  linear %-5s few rows               %.2g, many %.2g\n", tensor_type_name(types[n]),
               few, many);
    }
}

static void linear_odd(struct backends *b)
{
    static const size_t ins[] = {1, 3, 31, 33, 240, 517};
    double worst = 0.0;

    for (size_t n = 0; n < 3; n++)
        for (size_t i = 0; i < ARRAY_SIZE(ins); i++) {
            struct tensor t = random_tensor(types[n], 19, ins[i]);

            worst = fmax(worst, try_linear(b, &t, 1, ins[i], 0, true, ACTIVATION_NONE));
            worst = fmax(worst, try_linear(b, &t, 2, ins[i], 1, false, ACTIVATION_TANH));
            worst = fmax(worst, try_linear(b, &t, 37, ins[i], 0, true, ACTIVATION_NONE));
            free((void *)t.data);
        }
    report("linear, odd inputs", worst);
}

/* Rows that would leave the range of fp16 as they are. */
static void linear_range(struct backends *b)
{
    static const float scales[] = {1e6f, 1e-9f, 0.0f};
    struct tensor t = random_tensor(TENSOR_F16, 64, 96);
    struct both w = weights(b, &t, WEIGHT_PRODUCTS, 40);
    double worst = 0.0;

    for (size_t i = 0; i < ARRAY_SIZE(scales); i++) {
        struct pair x = pair_random(b, (size_t)40 * 96, scales[i], 0.0f);
        struct pair y = pair_poisoned(b, (size_t)40 * 64);

        b->cpu->ops->linear(b->cpu, y.cpu, x.cpu, 96, 40, w.cpu, NULL, ACTIVATION_NONE);
        b->gpu->ops->linear(b->gpu, y.gpu, x.gpu, 96, 40, w.gpu, NULL, ACTIVATION_NONE);
        worst = fmax(worst, pair_compare("linear of large and small rows", &y, half));
        pair_free(&x);
        pair_free(&y);
    }
    weights_free(b, &w);
    free((void *)t.data);
    report("linear, large and small rows", worst);
}

/* host[count] of both must have the same bits. */
static void expect_same(struct backends *b, const float *x, const float *y, size_t count,
                        const char *what)
{
    float *first = malloc(count * sizeof(float)), *second = malloc(count * sizeof(float));

    b->gpu->ops->download(b->gpu, first, x, count);
    b->gpu->ops->download(b->gpu, second, y, count);
    expect(b, memcmp(first, second, count * sizeof(float)) == 0, what);
    free(first);
    free(second);
}

/* A few rows are the same bits in calls of any size. */
static void few_rows(struct backends *b)
{
    enum { ROWS = BACKEND_FEW_ROWS, OUT = 50, IN = 576, HEADS = 3, HISTORY = 40 };
    static const size_t sizes[] = {1, 2, 3, 7, 8, 9, 31};
    struct pair x = pair_random(b, (size_t)ROWS * IN, 1.0f, 0.0f);
    struct pair y = pair_poisoned(b, (size_t)ROWS * IN), z = pair_poisoned(b, (size_t)ROWS * IN);
    struct pair keys = pair_random(b, (size_t)(HISTORY + ROWS) * IN, 1.0f, 0.0f);
    struct attention a = {.rows = ROWS,
                          .history = HISTORY,
                          .heads = HEADS,
                          .head_dim = IN / HEADS,
                          .window = 17,
                          .q = x.gpu,
                          .k = keys.gpu,
                          .v = keys.gpu,
                          .y = y.gpu,
                          .scale = 0.2f};

    for (size_t n = 0; n < ARRAY_SIZE(types); n++) {
        struct tensor t = random_tensor(types[n], OUT, IN);
        struct both w = weights(b, &t, WEIGHT_PRODUCTS, ROWS);

        b->gpu->ops->linear(b->gpu, y.gpu, x.gpu, IN, ROWS, w.gpu, NULL, ACTIVATION_GELU);
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
            for (size_t r = 0; r < ROWS; r += sizes[i])
                b->gpu->ops->linear(b->gpu, z.gpu + r * OUT, x.gpu + r * IN, IN,
                                    ROWS - r < sizes[i] ? ROWS - r : sizes[i], w.gpu, NULL,
                                    ACTIVATION_GELU);
            expect_same(b, y.gpu, z.gpu, (size_t)ROWS * OUT, "linear, some rows at a time");
        }
        weights_free(b, &w);
        free((void *)t.data);
    }
    b->gpu->ops->attention(b->gpu, &a);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        for (size_t r = 0; r < ROWS; r += sizes[i]) {
            struct attention some = a; /* of a history that is not longer than need be */

            some.rows = ROWS - r < sizes[i] ? ROWS - r : sizes[i];
            some.history = a.window - 1;
            some.q = a.q + r * IN;
            some.k = some.v = a.k + (HISTORY + r - some.history) * IN;
            some.y = z.gpu + r * IN;
            b->gpu->ops->attention(b->gpu, &some);
        }
        expect_same(b, y.gpu, z.gpu, (size_t)ROWS * IN, "attention, some rows at a time");
    }
    pair_free(&x);
    pair_free(&y);
    pair_free(&z);
    pair_free(&keys);
}

/* All types together, more than one launch takes. */
static void linears(struct backends *b)
{
    enum { PRODUCTS = 11, ROWS = 3, IN = 64 };
    struct product cpu[PRODUCTS], gpu[PRODUCTS];
    struct pair x = pair_random(b, (size_t)ROWS * IN, 1.0f, 0.0f), y[PRODUCTS], bias[PRODUCTS];
    struct tensor t[PRODUCTS];
    struct both w[PRODUCTS];
    double worst = 0.0;

    for (size_t i = 0; i < PRODUCTS; i++) {
        enum activation act = i % 3 ? ACTIVATION_NONE : ACTIVATION_TANH;

        t[i] = random_tensor(types[i % ARRAY_SIZE(types)], 9 + 30 * i, IN);
        w[i] = weights(b, &t[i], WEIGHT_PRODUCTS, ROWS);
        y[i] = pair_poisoned(b, ROWS * t[i].rows);
        bias[i] = pair_random(b, t[i].rows, 1.0f, 0.0f);
        cpu[i] = (struct product){y[i].cpu, x.cpu, w[i].cpu, i % 2 ? bias[i].cpu : NULL, act};
        gpu[i] = (struct product){y[i].gpu, x.gpu, w[i].gpu, i % 2 ? bias[i].gpu : NULL, act};
    }
    b->cpu->ops->linears(b->cpu, cpu, PRODUCTS, ROWS);
    b->gpu->ops->linears(b->gpu, gpu, PRODUCTS, ROWS);
    for (size_t i = 0; i < PRODUCTS; i++) {
        worst = fmax(worst, pair_compare("linears", &y[i], exact));
        weights_free(b, &w[i]);
        pair_free(&y[i]);
        pair_free(&bias[i]);
        free((void *)t[i].data);
    }
    pair_free(&x);
    report("linears", worst);
}

static void embed(struct backends *b)
{
    static const uint32_t ids[] = {0, 36, 16, 15, 36};
    uint32_t many[600];
    double worst = 0.0;

    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = random_bits() % 37;
    for (size_t n = 0; n < ARRAY_SIZE(types); n++) {
        struct tensor t = random_tensor(types[n], 37, n < 3 ? 67 : 96);
        struct both w = weights(b, &t, WEIGHT_ROWS, 1);
        struct pair y = pair_poisoned(b, ARRAY_SIZE(ids) * t.cols);
        struct pair z = pair_poisoned(b, ARRAY_SIZE(many) * t.cols);

        b->cpu->ops->embed(b->cpu, y.cpu, ids, ARRAY_SIZE(ids), w.cpu);
        b->gpu->ops->embed(b->gpu, y.gpu, ids, ARRAY_SIZE(ids), w.gpu);
        worst = fmax(worst, pair_compare("embed", &y, 0.0));
        b->cpu->ops->embed(b->cpu, z.cpu, many, ARRAY_SIZE(many), w.cpu);
        b->gpu->ops->embed(b->gpu, z.gpu, many, ARRAY_SIZE(many), w.gpu);
        worst = fmax(worst, pair_compare("embed, many", &z, 0.0));
        weights_free(b, &w);
        pair_free(&y);
        pair_free(&z);
        free((void *)t.data);
    }
    report("embed", worst);
}

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

static double try_norm_shift(struct backends *b, size_t streams, size_t rows, size_t dim,
                             size_t count)
{
    size_t all = streams * rows * dim;
    struct pair x = pair_random(b, all, 3.0f, 1.0f), n = pair_poisoned(b, all);
    struct pair prev = pair_random(b, streams * dim, 1.0f, 0.0f);
    struct pair w = pair_random(b, dim, 1.0f, 1.0f), c = pair_random(b, dim, 1.0f, 0.0f);
    struct pair mu[NORM_SHIFT_MAX], y[NORM_SHIFT_MAX];
    struct norm_shift cpu = {.streams = streams,
                             .rows = rows,
                             .dim = dim,
                             .x = x.cpu,
                             .w = w.cpu,
                             .b = c.cpu,
                             .eps = 1e-5f,
                             .prev = prev.cpu,
                             .n = n.cpu,
                             .count = count};
    struct norm_shift gpu = cpu;
    double worst = 0.0;

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
        worst = fmax(worst, pair_compare("norm_shift", &y[i], 1e-5));
        pair_free(&mu[i]);
        pair_free(&y[i]);
    }
    worst = fmax(worst, pair_compare("norm_shift's last row", &prev, 1e-5));
    pair_free(&x);
    pair_free(&n);
    pair_free(&prev);
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
    struct pair rows[MIX_ROWS], vectors[MIX_VECTORS], y, state;
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
    size_t n = shape.head_size, dim = shape.heads * n, count = shape.streams * shape.rows * dim;
    struct mix m;
    struct rwkv7 cpu, gpu;
    double worst;

    for (size_t i = 0; i < MIX_ROWS; i++)
        m.rows[i] = pair_random(b, count, 1.0f, 0.0f);
    for (size_t i = 0; i < MIX_VECTORS; i++)
        m.vectors[i] = pair_random(b, dim, 1.0f, 0.0f);
    m.y = pair_poisoned(b, count);
    m.state = pair_random(b, shape.streams * dim * n, 1.0f, 0.0f);
    cpu = mix_call(&m, false, shape, first);
    gpu = mix_call(&m, true, shape, first);
    b->cpu->ops->rwkv7(b->cpu, &cpu);
    b->gpu->ops->rwkv7(b->gpu, &gpu);
    worst = pair_compare("rwkv7", &m.y, 2e-5);
    worst = fmax(worst, pair_compare("rwkv7's state", &m.state, 1e-5));
    worst = fmax(worst, pair_compare("rwkv7's v_first", &m.rows[8], 0.0));
    for (size_t i = 0; i < MIX_ROWS; i++)
        pair_free(&m.rows[i]);
    for (size_t i = 0; i < MIX_VECTORS; i++)
        pair_free(&m.vectors[i]);
    pair_free(&m.y);
    pair_free(&m.state);
    return worst;
}

static void rwkv7(struct backends *b)
{
    static const struct rwkv7 shapes[] = {
        {.streams = 1, .rows = 1, .heads = 1, .head_size = 64},
        {.streams = 1, .rows = 20, .heads = 3, .head_size = 64},
        {.streams = 3, .rows = 5, .heads = 2, .head_size = 64},
        {.streams = 5, .rows = 1, .heads = 2, .head_size = 64},
        {.streams = 2, .rows = 4, .heads = 2, .head_size = 32},
        {.streams = 1, .rows = 3, .heads = 1, .head_size = 16},
        {.streams = 1, .rows = 3, .heads = 2, .head_size = 128},
    };
    double worst = 0.0;

    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        worst = fmax(worst, try_rwkv7(b, shapes[i], true));
        worst = fmax(worst, try_rwkv7(b, shapes[i], false));
    }
    report("rwkv7", worst);
}

static void argmax(struct backends *b)
{
    enum { COUNT = 3001 };
    static const size_t places[] = {0, 1, 31, 32, 1023, 1024, 2999, COUNT - 1};
    float x[COUNT];

    for (size_t i = 0; i < COUNT; i++)
        x[i] = random_unit();
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct pair p;

        x[places[i]] = 3.0f;
        x[COUNT - 1] = 3.0f; /* the lower index on a tie */
        p = pair_of(b, x, COUNT);
        expect(b, b->gpu->ops->argmax(b->gpu, p.gpu, COUNT) == places[i], "argmax");
        pair_free(&p);
        x[places[i]] = 0.0f;
    }
    for (size_t i = 0; i < COUNT; i++)
        x[i] = -INFINITY;
    struct pair lowest = pair_of(b, x, COUNT);

    expect(b, b->gpu->ops->argmax(b->gpu, lowest.gpu, COUNT) == 0, "argmax of -inf");
    expect(b, b->gpu->ops->argmax(b->gpu, lowest.gpu, 1) == 0, "argmax of one");
    pair_free(&lowest);
}

static void probability(struct backends *b)
{
    enum { COUNT = 1001 };
    struct pair x = pair_random(b, COUNT, 4.0f, 0.0f);
    double worst = 0.0;

    for (size_t i = 0; i < COUNT; i += 50) {
        double cpu = (double)b->cpu->ops->probability(b->cpu, x.cpu, COUNT, i);

        worst = fmax(worst,
                     fabs((double)b->gpu->ops->probability(b->gpu, x.gpu, COUNT, i) / cpu - 1.0));
    }
    expect(b, worst < 1e-5, "probability");
    pair_free(&x);
    report("probability", worst);
}

static void memory(struct backends *b)
{
    const struct backend_ops *op = b->gpu->ops;
    const float host[] = {1, 2, 3, 4, 5, 6, 7};
    float back[8];
    float *p = op->alloc(b->gpu, 7), *q = op->alloc(b->gpu, 8), *none = op->alloc(b->gpu, 0);

    expect(b, none != NULL && (uintptr_t)p % 64 == 0 && (uintptr_t)q % 64 == 0, "alloc");
    op->download(b->gpu, back, p, 7);
    for (size_t i = 0; i < 7; i++)
        expect(b, back[i] == 0.0f, "fresh memory is zero");
    op->upload(b->gpu, p, host, 7);
    op->move(b->gpu, p + 2, p, 5);
    op->download(b->gpu, back, p, 7);
    expect(b, memcmp(back, (const float[]){1, 2, 1, 2, 3, 4, 5}, 7 * sizeof(float)) == 0,
           "move to higher addresses");
    op->upload(b->gpu, p, host, 7);
    op->move(b->gpu, p, p + 3, 4);
    op->download(b->gpu, back, p, 7);
    expect(b, memcmp(back, (const float[]){4, 5, 6, 7, 5, 6, 7}, 7 * sizeof(float)) == 0,
           "move to lower addresses");
    op->upload(b->gpu, p, host, 7);
    op->zero(b->gpu, q, 8);
    op->copy_rows(b->gpu, q + 1, 3, p, 2, 2, 2);
    op->download(b->gpu, back, q, 8);
    expect(b, memcmp(back, (const float[]){0, 1, 2, 0, 3, 4, 0, 0}, 8 * sizeof(float)) == 0,
           "copy_rows");
    expect(b, op->alloc(b->gpu, SIZE_MAX / 2) == NULL, "too much memory is none");
    op->free(b->gpu, p);
    op->free(b->gpu, q);
    op->free(b->gpu, none);
    op->free(b->gpu, NULL);
}

static void bad_weights(struct backends *b)
{
    static const float f[64];
    const struct tensor bad[] = {
        {TENSOR_Q8_0, 1, 33, f},
        {(enum tensor_type)9, 1, 32, f},
        {TENSOR_F32, SIZE_MAX / 8, 8, f},
        {TENSOR_F32, 0, 8, f},
    };
    struct weight *w = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect(b, b->gpu->ops->weight_create(b->gpu, &w, &bad[i], WEIGHT_PRODUCTS) < 0,
               "a bad weight is refused");
}

int compare_operations(struct backend *be)
{
    static void (*const tests[])(struct backends * b) = {
        memory,   bad_weights, embed,      linear,     linear_odd,  linear_range,
        few_rows, linears,     layer_norm, norm_shift, elementwise, conv_depthwise,
        rope,     attention,   rwkv7,      argmax,     probability,
    };
    struct backends b = {.gpu = be};

    setenv("EARSHOT_ISA", "scalar", 1);
    if (backend_cpu_create(&b.cpu, 1) < 0)
        return 1;
    unsetenv("EARSHOT_ISA");
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
        struct error error;

        tests[i](&b);
        if (be->ops->status(be, &error) < 0) {
            printf("FAILED: %s\n", error.message);
            b.failures++;
            break;
        }
    }
    b.cpu->ops->destroy(b.cpu);
    return b.failures;
}
