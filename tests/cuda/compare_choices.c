/* Argmax, probabilities and draws, on two backends. */
#include "tests/cuda/operations.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect_largest(struct backends *b, const float *x, size_t count, size_t where,
                           const char *what)
{
    uint32_t best;

    b->gpu->ops->argmax(b->gpu, &best, x, 1, count);
    expect(b, best == where, what);
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
        expect_largest(b, p.gpu, COUNT, places[i], "argmax");
        pair_free(&p);
        x[places[i]] = 0.0f;
    }
    for (size_t i = 0; i < COUNT; i++)
        x[i] = -INFINITY;
    struct pair lowest = pair_of(b, x, COUNT);

    expect_largest(b, lowest.gpu, COUNT, 0, "argmax of -inf");
    expect_largest(b, lowest.gpu, 1, 0, "argmax of one");
    pair_free(&lowest);
}

/* More rows than one launch takes. */
static void argmax_rows(struct backends *b)
{
    enum { ROWS = 1030, COUNT = 37 };
    struct pair x = pair_random(b, (size_t)ROWS * COUNT, 1.0f, 0.0f);
    uint32_t cpu[ROWS], gpu[ROWS];

    b->cpu->ops->argmax(b->cpu, cpu, x.cpu, ROWS, COUNT);
    b->gpu->ops->argmax(b->gpu, gpu, x.gpu, ROWS, COUNT);
    expect(b, memcmp(cpu, gpu, sizeof(cpu)) == 0, "argmax of many rows");
    pair_free(&x);
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

/* Logits of a few likely tokens over a broad floor, some of them the same, one that never is. */
static void random_logits(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (random_unit() + random_unit() + random_unit()) * 4.0f;
    for (size_t i = 0; i + 1 < count; i += 5)
        x[i + 1] = x[i];
    x[count / 2] = count > 2 ? -INFINITY : 0.0f;
}

struct drawing {
    size_t count;
    struct pair logits, said, times, q, scratch;
};

static struct draw draw_on(const struct drawing *t, bool gpu, struct draw d)
{
    d.count = t->count;
    d.logits = gpu ? t->logits.gpu : t->logits.cpu;
    d.scratch = gpu ? t->scratch.gpu : t->scratch.cpu;
    d.penalties.decay = 0.9f;
    if (d.penalties.presence != 0.0f || d.penalties.frequency != 0.0f) {
        d.penalties.said = gpu ? t->said.gpu : t->said.cpu;
        d.penalties.times = gpu ? t->times.gpu : t->times.cpu;
    }
    return d;
}

/* Draws that go on from each other through the penalties; how many of them differ. */
static int try_draws(struct backends *b, const struct drawing *t, const struct draw *how)
{
    struct draw cpu = draw_on(t, false, *how), gpu = draw_on(t, true, *how);
    int differ = 0;

    for (int i = 0; i < 20; i++) {
        uint32_t id;

        cpu.unit = gpu.unit = i == 0 ? 0.0 : i == 1 ? 1.0 - 0x1p-53 : random_bits() * 0x1p-31;
        cpu.q = i == 2 ? t->q.cpu : NULL;
        gpu.q = i == 2 ? t->q.gpu : NULL;
        id = b->cpu->ops->draw(b->cpu, &cpu);
        differ += b->gpu->ops->draw(b->gpu, &gpu) != id;
        if (i == 2)
            pair_compare("what is drawn from", &t->q, 1e-5);
        if (cpu.penalties.said) {
            b->cpu->ops->note(b->cpu, &cpu.penalties, t->count, id, (float)(i % 2));
            b->gpu->ops->note(b->gpu, &gpu.penalties, t->count, id, (float)(i % 2));
        }
    }
    if (cpu.penalties.said) {
        pair_compare("tokens said", &t->said, 0.0);
        pair_compare("times said", &t->times, exact);
    }
    return differ;
}

/* One of hundreds may differ where a unit lies on the boundary of two tokens. */
static void draw(struct backends *b)
{
    static const size_t counts[] = {1, 2, 33, 300, 3001};
    static const struct draw ways[] = {
        {.temperature = 0.0f, .penalties = {.presence = 2.0f}},
        {.temperature = 1.0f, .top_p = 1.0f},
        {.temperature = 1.0f, .top_p = 0.85f},
        {.temperature = 1.0f, .top_p = 0.01f},
        {.temperature = 2.0f, .top_p = 0.99f, .top_k = 7},
        {.temperature = 0.6f, .top_p = 1.0f, .top_k = 20},
        {.temperature = 5.0f, .top_p = 1.0f, .penalties = {.presence = 0.5f, .frequency = 1.0f}},
        {.temperature = 0.3f, .top_p = 0.9f, .penalties = {.presence = -1.0f, .frequency = 0.3f}},
    };
    int differ = 0, all = 0;

    for (size_t n = 0; n < ARRAY_SIZE(counts); n++)
        for (size_t i = 0; i < ARRAY_SIZE(ways); i++, all += 20) {
            struct drawing t = {.count = counts[n]};
            float *x = malloc(t.count * sizeof(float)), *none = calloc(t.count, sizeof(float));

            random_logits(x, t.count);
            t.logits = pair_of(b, x, t.count);
            t.said = pair_of(b, none, t.count);
            t.times = pair_of(b, none, t.count);
            t.q = pair_poisoned(b, t.count);
            t.scratch = pair_poisoned(b, DRAW_SCRATCH * t.count);
            differ += try_draws(b, &t, &ways[i]);
            pair_free(&t.logits);
            pair_free(&t.said);
            pair_free(&t.times);
            pair_free(&t.q);
            pair_free(&t.scratch);
            free(x);
            free(none);
        }
    printf("  draw: %d of %d tokens differ\n", differ, all);
    expect(b, differ * 100 <= all, "the same tokens are drawn");
}

void compare_choices(struct backends *b)
{
    argmax(b);
    argmax_rows(b);
    probability(b);
    draw(b);
}
