/* A seeded generator fills both sides alike; what is not written shows as poison. */
#include "tests/cuda/pairs.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    GUARD = 8, /* floats behind the end */
};

static uint64_t seed = 1;

unsigned random_bits(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33);
}

float random_unit(void)
{
    return (float)((double)random_bits() / 0x1p30 - 1.0);
}

void expect(struct backends *b, int holds, const char *what)
{
    if (!holds) {
        printf("FAILED: %s\n", what);
        b->failures++;
    }
}

static float *must(float *p)
{
    if (!p) {
        printf("out of memory\n");
        exit(1);
    }
    return p;
}

/* values[count + GUARD] to both. */
static struct pair make(struct backends *b, const float *values, size_t count)
{
    struct pair p = {.of = b, .count = count};

    p.cpu = must(b->cpu->ops->alloc(b->cpu, count + GUARD));
    p.gpu = must(b->gpu->ops->alloc(b->gpu, count + GUARD));
    b->cpu->ops->upload(b->cpu, p.cpu, values, count + GUARD);
    b->gpu->ops->upload(b->gpu, p.gpu, values, count + GUARD);
    return p;
}

static float *nothing(size_t count)
{
    float *values = must(malloc((count + GUARD) * sizeof(float)));

    for (size_t i = 0; i < count + GUARD; i++)
        values[i] = NAN;
    return values;
}

struct pair pair_random(struct backends *b, size_t count, float scale, float shift)
{
    float *values = nothing(count);
    struct pair p;

    for (size_t i = 0; i < count; i++)
        values[i] = random_unit() * scale + shift;
    p = make(b, values, count);
    free(values);
    return p;
}

struct pair pair_of(struct backends *b, const float *from, size_t count)
{
    float *values = nothing(count);
    struct pair p;

    for (size_t i = 0; i < count; i++)
        values[i] = from[i];
    p = make(b, values, count);
    free(values);
    return p;
}

struct pair pair_poisoned(struct backends *b, size_t count)
{
    float *values = nothing(count);
    struct pair p = make(b, values, count);

    free(values);
    return p;
}

void pair_free(struct pair *p)
{
    p->of->cpu->ops->free(p->of->cpu, p->cpu);
    p->of->gpu->ops->free(p->of->gpu, p->gpu);
}

double pair_compare(const char *what, const struct pair *p, double limit)
{
    size_t all = p->count + GUARD;
    float *cpu = must(malloc(all * sizeof(float))), *gpu = must(malloc(all * sizeof(float)));
    double difference = 0.0, size = 0.0, error;
    int clean = 1;

    p->of->cpu->ops->download(p->of->cpu, cpu, p->cpu, all);
    p->of->gpu->ops->download(p->of->gpu, gpu, p->gpu, all);
    for (size_t i = 0; i < p->count; i++) {
        difference += pow((double)gpu[i] - (double)cpu[i], 2.0);
        size += (double)cpu[i] * (double)cpu[i];
    }
    for (size_t i = p->count; i < all; i++)
        clean = clean && isnan(gpu[i]);
    error = size > 0.0 ? sqrt(difference / size) : sqrt(difference);
    if (!(error <= limit) || !clean) {
        printf("FAILED: %s: relative error %.2g, limit %.2g%s\n", what, error, limit,
               clean ? "" : ", written past the end");
        p->of->failures++;
    }
    free(cpu);
    free(gpu);
    return error;
}
