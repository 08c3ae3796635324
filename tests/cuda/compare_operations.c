/* Memory, refusals, and the parts that compare_*.c have. */
#include "tests/cuda/compare.h"
#include "tests/cuda/operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void report(const char *what, double worst)
{
    printf("  %-34s %.2g\n", what, worst);
}

void reserve(struct backends *b, size_t rows)
{
    expect(b, b->cpu->ops->reserve(b->cpu, rows) == 0, "reserve, cpu");
    expect(b, b->gpu->ops->reserve(b->gpu, rows) == 0, "reserve");
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

/* More than any buffer on the way holds, and less: what was read is not read again. */
static void uploads(struct backends *b)
{
    static const size_t counts[] = {1, 7, 1000003, 3, 700000, 1};
    const struct backend_ops *op = b->gpu->ops;

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        float *host = calloc(counts[i], sizeof(float));
        float *p = op->alloc(b->gpu, counts[i]);
        size_t wrong = 0;

        if (!host || !p)
            exit(1);
        for (size_t j = 0; j < counts[i]; j++)
            host[j] = (float)(j % 8191 + i);
        op->upload(b->gpu, p, host, counts[i]);
        memset(host, 0xff, counts[i] * sizeof(float));
        op->download(b->gpu, host, p, counts[i]);
        for (size_t j = 0; j < counts[i]; j++)
            wrong += host[j] != (float)(j % 8191 + i);
        expect(b, wrong == 0, "memory of the host may be used again after an upload");
        op->free(b->gpu, p);
        free(host);
    }
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

typedef void test(struct backends *b);

static int compare(struct backend *be, test *const *tests, size_t count)
{
    struct backends b = {.gpu = be};

    setenv("EARSHOT_ISA", "scalar", 1);
    if (backend_cpu_create(&b.cpu, 1) < 0)
        return 1;
    unsetenv("EARSHOT_ISA");
    for (size_t i = 0; i < count; i++) {
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

int compare_operations(struct backend *be)
{
    static test *const tests[] = {
        memory, uploads, bad_weights, compare_products, compare_rows, compare_choices,
    };

    return compare(be, tests, ARRAY_SIZE(tests));
}

int compare_part(struct backend *be, const char *part)
{
    static const struct {
        const char *name;
        test *test;
    } parts[] = {
        {"rwkv7", compare_rwkv7}, {"norm", compare_norms}, {"linear_few", compare_few_rows}};

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (strcmp(parts[i].name, part) == 0)
            return compare(be, &parts[i].test, 1);
    return -1;
}
