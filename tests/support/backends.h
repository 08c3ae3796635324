/* What the tests of the kernels share: backends of every instruction set that this machine has,
 * random and poisoned rows, comparisons. Each test program uses its own copy.
 */
#ifndef EARSHOT_TESTS_SUPPORT_BACKENDS_H
#define EARSHOT_TESTS_SUPPORT_BACKENDS_H

#include "kernels/backend.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *const isas[] = {"scalar", "avx2", "avx512", "amx"};

static uint64_t seed, digest;

typedef void backend_test(struct backend *be);

/* Runs a test on every instruction set with 1, 2 and 3 threads. Random numbers begin anew each
 * time, and all that was compared must have had the same bits whatever the number of threads. */
static inline void on_every_backend(backend_test *test)
{
    for (size_t i = 0; i < ARRAY_SIZE(isas); i++) {
        uint64_t first = 0;

        setenv("EARSHOT_ISA", isas[i], 1);
        for (int threads = 1; threads <= 3; threads++) {
            struct backend *be;

            if (backend_cpu_create(&be, threads) != 0) {
                printf("%s: not on this machine\n", isas[i]);
                break;
            }
            printf("%s, threads: %d\n", be->ops->name, threads);
            seed = 1;
            digest = 0xcbf29ce484222325u;
            test(be);
            assert_int_equal(be->ops->status(be, NULL), 0);
            be->ops->destroy(be);
            if (threads == 1)
                first = digest;
            assert_true(digest == first);
        }
    }
    unsetenv("EARSHOT_ISA");
}

static inline uint32_t next_random(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

/* Uniform in [-1, 1). */
static inline float uniform(void)
{
    return (float)((double)next_random() / 0x1p30 - 1.0);
}

static inline float *random_floats(struct backend *be, size_t count, float scale, float shift)
{
    float *p = be->ops->alloc(be, count);

    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (size_t i = 0; i < count; i++)
        p[i] = uniform() * scale + shift;
    return p;
}

static inline void poison(float *p, size_t count)
{
    for (size_t i = 0; i < count; i++)
        p[i] = NAN;
}

static inline float *poisoned(struct backend *be, size_t count)
{
    float *p = be->ops->alloc(be, count);

    assert_non_null(p);
    poison(p, count);
    return p;
}

static inline void digest_add(const float *p, size_t count)
{
    const unsigned char *bytes = (const unsigned char *)p;

    for (size_t i = 0; i < count * sizeof(float); i++)
        digest = (digest ^ bytes[i]) * 0x100000001b3u;
}

/* The largest |got - want| / (1 + |want|) must not pass the limit. */
static inline double check_close(const char *what, const float *got, const double *want,
                                 size_t count, double limit)
{
    double worst = 0.0;

    digest_add(got, count);
    for (size_t i = 0; i < count; i++) {
        double error = fabs((double)got[i] - want[i]) / (1.0 + fabs(want[i]));

        if (!(error <= limit))
            fail_msg("%s: [%zu] is %g, not %g", what, i, (double)got[i], want[i]);
        worst = error > worst ? error : worst;
    }
    return worst;
}

/* Whether calls of so many rows may round to bf16 what they multiply. */
static inline bool rounds(const struct backend *be, size_t rows)
{
    return rows > BACKEND_FEW_ROWS && strcmp(be->ops->name, "cpu-amx") == 0;
}

/* The nearest bf16, the even one of two. */
static inline float bfloat(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    bits += 0x7fff + (bits >> 16 & 1);
    bits &= 0xffff0000;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static inline void report(const char *what, double worst)
{
    printf("  %-40s max error %.2g\n", what, worst);
}

static inline void check_same(const char *what, const float *got, const float *want, size_t count)
{
    if (memcmp(got, want, count * sizeof(float)) == 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (memcmp(got + i, want + i, sizeof(float)) != 0)
            fail_msg("%s: [%zu] is %.9g, not %.9g", what, i, (double)got[i], (double)want[i]);
}

static inline double activate(double x, enum activation act)
{
    switch (act) {
    case ACTIVATION_NONE:
        return x;
    case ACTIVATION_GELU:
        return x * 0.5 * erfc(-x / sqrt(2.0));
    case ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case ACTIVATION_RELU_SQUARED:
        return x > 0 ? x * x : 0;
    case ACTIVATION_SILU:
        return x / (1 + exp(-x));
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-x));
    }
    return NAN;
}

#endif
