/* Products of every type, size and number of rows, on two backends. */
#include "tests/cuda/operations.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* x in fp16 or bf16. */
static const double half = 1e-3, bfloat = 6e-3, whole = 2e-4;

static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0,
                                         TENSOR_Q4_0};

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

/* Long sums are less exact on the CPU, which has one sum where a GPU has many, and with quantised
 * weights it makes the inputs whole numbers of 14 bits or more; and where there are only a few
 * sums, all of them may have cancelled to little. */
static double limit_of(const struct tensor *t, size_t rows)
{
    bool quantised = t->type == TENSOR_Q8_0 || t->type == TENSOR_Q4_0;
    double inputs = quantised && rows <= BACKEND_FEW_ROWS ? whole : exact;
    double sums = (inputs + 1e-9 * (double)t->cols) * (rows * t->rows < 16 ? 10 : 1);

    if (rows <= BACKEND_FEW_ROWS || t->type == TENSOR_F32)
        return sums;
    return t->type == TENSOR_BF16 ? bfloat : half;
}

/* offset: floats by which x is out of line with vectors. */
static double try_linear(struct backends *b, const struct tensor *t, size_t rows, size_t stride,
                         size_t offset, bool with_bias, enum activation act)
{
    struct both w = weights(b, t, WEIGHT_PRODUCTS, rows);
    struct pair x = pair_random(b, rows * stride + t->cols + offset, 1.0f, 0.0f);
    struct pair bias = pair_random(b, t->rows, 1.0f, 0.0f), y = pair_poisoned(b, rows * t->rows);
    struct pair sum = pair_random(b, rows * t->rows, 1.0f, 0.0f);
    double limit = limit_of(t, rows), worst;
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

/* Scales of blocks up to the largest there is; many rows meet them in fp16. */
static void linear_large_blocks(struct backends *b)
{
    static const struct {
        enum tensor_type type;
        uint16_t scale; /* fp16 */
    } cases[] = {
        {TENSOR_Q8_0, 0x6000 /* 512 */},   {TENSOR_Q8_0, 0x6080 /* 576 */},
        {TENSOR_Q8_0, 0x7bff /* 65504 */}, {TENSOR_Q8_0, 0xfbff /* -65504 */},
        {TENSOR_Q4_0, 0x7000 /* 8192 */},  {TENSOR_Q4_0, 0x7bff},
    };
    double worst = 0.0;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct tensor t = random_tensor(cases[i].type, 40, 96);
        size_t block = tensor_row_bytes(t.type, TENSOR_BLOCK);
        unsigned char *last = (unsigned char *)t.data + (size_t)40 * 3 * block - block;

        memcpy(last, &cases[i].scale, sizeof(cases[i].scale));
        last[2] = 0x80; /* -128; 0 and -8 */
        worst = fmax(worst, try_linear(b, &t, 40, 96, 0, true, ACTIVATION_NONE));
        worst = fmax(worst, try_linear(b, &t, 2, 96, 0, true, ACTIVATION_NONE));
        free((void *)t.data);
    }
    report("linear, blocks of large scales", worst);
}

/* The same calls again and again, until a backend keeps them: each time they are done once. */
static void linear_kept(struct backends *b)
{
    enum { OUT = 48, IN = 64, TIMES = 5 };
    static const size_t counts[] = {3, 40};
    double worst = 0.0;

    for (size_t n = 0; n < ARRAY_SIZE(types) * ARRAY_SIZE(counts); n++) {
        size_t rows = counts[n % ARRAY_SIZE(counts)];
        struct tensor t = random_tensor(types[n / ARRAY_SIZE(counts)], OUT, IN);
        struct both w = weights(b, &t, WEIGHT_PRODUCTS, rows);
        struct pair x = pair_random(b, rows * IN, 1.0f, 0.0f);
        struct pair y = pair_random(b, rows * OUT, 1.0f, 0.0f);
        const void *const key[STEP_KEY_MAX] = {x.gpu, y.gpu};

        for (int i = 0; i < TIMES; i++) {
            b->cpu->ops->linear_add(b->cpu, y.cpu, x.cpu, rows, w.cpu, NULL);
            do {
                if (!b->gpu->ops->step_begin(b->gpu, key))
                    break;
                b->gpu->ops->linear_add(b->gpu, y.gpu, x.gpu, rows, w.gpu, NULL);
            } while (!b->gpu->ops->step_end(b->gpu));
        }
        worst = fmax(worst, pair_compare("linear_add, kept", &y, limit_of(&t, rows)));
        weights_free(b, &w);
        pair_free(&x);
        pair_free(&y);
        free((void *)t.data);
    }
    report("linear_add, kept", worst);
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
void compare_few_rows(struct backends *b)
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
        worst = fmax(worst, pair_compare("linears", &y[i], limit_of(&t[i], ROWS)));
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

void compare_products(struct backends *b)
{
    embed(b);
    linear(b);
    linear_odd(b);
    linear_range(b);
    linear_large_blocks(b);
    linear_kept(b);
    compare_few_rows(b);
    linears(b);
}
