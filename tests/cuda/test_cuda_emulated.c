/* The CUDA backend's kernels and host code, compiled as C++ and run on the host: operations and
 * models against the CPU, with the threads of a block in two orders; and what becomes of errors.
 */
#include "kernels/cuda/module.h"
#include "tests/cuda/compare.h"
#include "tests/cuda/emulation/emulation.h"
#include "tests/cuda/pairs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct cuda_module earshot_cuda_module;

static int failures;

static void check(int holds, const char *what)
{
    printf("%s: %s\n", holds ? "ok" : "FAILED", what);
    failures += !holds;
}

static struct backend *open_backend(void)
{
    struct backend *be = NULL;
    struct error error;

    if (earshot_cuda_module.create(&be, -1, 0, &error) < 0)
        printf("FAILED: %s\n", error.message);
    return be;
}

static void compare_all(enum emulation_order order)
{
    struct backend *be = open_backend();

    printf("threads %s\n", order == EMULATION_FORWARDS ? "forwards" : "backwards");
    emulation_set_order(order);
    failures += compare_operations(be);
    if (order == EMULATION_FORWARDS) {
        failures += compare_models(be, "windowed:400,200,100"); /* exact takes 30 s of audio */
        failures += compare_models(be, "blocks:20,40");
    }
    be->ops->destroy(be);
    emulation_set_order(EMULATION_FORWARDS);
}

/* Calls of two operations, twice as they are and then as a graph. */
static void steps_are_kept(void)
{
    struct backend *be = open_backend();
    float *x = be->ops->alloc(be, 64), *y = be->ops->alloc(be, 64), back[64];
    const void *const key[STEP_KEY_MAX] = {x, y}, *const other[STEP_KEY_MAX] = {y, x};
    const float one = 1.0f;
    size_t graphs = emulation_graphs();
    int made = 0;

    be->ops->upload(be, x, &one, 1);
    for (int i = 0; i < 10; i++) {
        if (!be->ops->step_begin(be, key))
            continue;
        be->ops->add(be, x, x, 64);
        be->ops->add(be, y, x, 64);
        be->ops->step_end(be);
        made++;
    }
    check(made == 2 && emulation_graphs() == graphs + 9, "calls are made twice, then kept");
    be->ops->download(be, back, y, 64);
    check(back[0] == 2046.0f && back[1] == 0.0f, "kept calls do what they did");
    check(be->ops->step_begin(be, other), "another key is another step");
    be->ops->step_end(be);
    be->ops->free(be, y);
    check(be->ops->step_begin(be, key), "freed memory is forgotten");
    be->ops->step_end(be);
    be->ops->free(be, x);
    be->ops->destroy(be);
}

/* Calls that a capture forbids; x: float[64], other: memory to be given back. */
static void allocate(struct backend *be, float *x, float *other)
{
    (void)x;
    (void)other;
    be->ops->free(be, be->ops->alloc(be, 64));
}

static void give_back(struct backend *be, float *x, float *other)
{
    (void)x;
    be->ops->free(be, other);
}

static void read_back(struct backend *be, float *x, float *other)
{
    float host[64];

    (void)other;
    be->ops->download(be, host, x, 64);
}

static void write_to(struct backend *be, float *x, float *other)
{
    static const float host[64];

    (void)other;
    be->ops->upload(be, x + 1, host, 63);
}

/* x0 is doubled ten times, with something in each step that cannot be captured. Returns the
 * backend. */
static struct backend *double_with(void (*forbidden)(struct backend *, float *, float *), float *x0)
{
    struct backend *be = open_backend();
    float *x = be->ops->alloc(be, 64), *other, back[64];
    const void *const key[STEP_KEY_MAX] = {x};
    const float one = 1.0f;

    be->ops->upload(be, x, &one, 1);
    for (int i = 0; i < 10; i++) {
        other = be->ops->alloc(be, 64);
        do {
            if (!be->ops->step_begin(be, key))
                break;
            be->ops->add(be, x, x, 64);
            forbidden(be, x, other);
        } while (!be->ops->step_end(be));
        if (forbidden != give_back)
            be->ops->free(be, other);
    }
    be->ops->download(be, back, x, 64);
    *x0 = back[0];
    be->ops->free(be, x);
    return be;
}

/* A capture that fails is given up, and the calls are made as they are: each time once. */
static void captures_may_fail(void)
{
    static void (*const forbidden[])(struct backend *, float *, float *) = {allocate, give_back,
                                                                            read_back, write_to};
    struct error error;
    float x0;

    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        size_t graphs = emulation_graphs(), refusals = emulation_refusals();

        setenv("EARSHOT_CUDA_GRAPHS", "1", 1);
        struct backend *be = double_with(forbidden[i], &x0);

        check(emulation_refusals() > refusals && emulation_graphs() == graphs,
              "a capture with such a call fails");
        check(x0 == 1024.0f && be->ops->status(be, &error) == 0, "and the calls are made without");
        be->ops->destroy(be);
    }
    setenv("EARSHOT_CUDA_GRAPHS", "must", 1);
    struct backend *be = double_with(allocate, &x0);

    check(be->ops->status(be, &error) < 0 && strstr(error.message, "captur"), error.message);
    be->ops->destroy(be);
}

/* Many keys: the oldest go, nothing grows. */
static void old_steps_are_forgotten(void)
{
    struct backend *be = open_backend();
    float *x = be->ops->alloc(be, 64);
    int made = 0;

    for (size_t i = 0; i < 300; i++) {
        const void *const key[STEP_KEY_MAX] = {x, (void *)(i % 100 * 16)};

        if (be->ops->step_begin(be, key)) {
            be->ops->add(be, x, x, 64);
            be->ops->step_end(be);
            made++;
        }
    }
    check(made == 300, "what comes again too late is made again");
    be->ops->free(be, x);
    be->ops->destroy(be);
}

/* An error of the device, wherever it comes: named once, nothing hangs, answers are harmless. */
static void errors_are_latched(void)
{
    static float weights[64 * 64];
    const struct tensor t = {TENSOR_F32, 64, 64, weights};
    int named = 0, silent = 0;

    for (int after = 0; after < 40; after++) {
        struct backend *be = open_backend();
        struct error error = {""}, again = {""};
        float *x = be->ops->alloc(be, 64), *y = be->ops->alloc(be, 64), back[64];
        struct weight *w = NULL;
        uint32_t best;

        emulation_fail_after(after);
        int made = be->ops->weight_create(be, &w, &t, WEIGHT_PRODUCTS) == 0;

        for (int i = 0; made && i < 3; i++) {
            const void *const key[STEP_KEY_MAX] = {x, y};

            if (!be->ops->step_begin(be, key))
                continue;
            be->ops->linear(be, y, x, 64, 1, w, NULL, ACTIVATION_NONE);
            be->ops->add(be, x, y, 64);
            be->ops->step_end(be);
        }
        be->ops->download(be, back, x, 64);
        if (be->ops->status(be, &error) == 0) {
            silent++;
        } else {
            check(strstr(error.message, "cuda:0") && strstr(error.message, "illegal"),
                  error.message);
            be->ops->layer_norm(be, y, x, 1, 64, x, x, 1e-5f);
            be->ops->argmax(be, &best, x, 1, 64);
            be->ops->status(be, &again);
            check(strcmp(error.message, again.message) == 0, "the first error stays");
            check(be->ops->alloc(be, 4) == NULL && back[5] == 0.0f, "nothing is given out");
            named++;
        }
        emulation_fail_after(-1);
        be->ops->weight_destroy(be, w);
        be->ops->free(be, x);
        be->ops->free(be, y);
        be->ops->destroy(be);
    }
    check(named > 10 && silent > 0, "errors were met on the way, and none at the end");
}

static void too_little_memory_is_told(void)
{
    static float weights[64 * 64];
    const struct tensor t = {TENSOR_F32, 64, 64, weights};
    struct backend *be = NULL;
    struct weight *w = NULL;
    struct error error;

    emulation_set_memory((size_t)100 << 20);
    check(earshot_cuda_module.create(&be, -1, (size_t)200 << 20, &error) < 0 &&
              strstr(error.message, "100 MB are free, 200 MB are needed"),
          error.message);
    be = open_backend();
    emulation_set_memory(1000);
    check(be->ops->alloc(be, 1000) == NULL, "no memory is NULL");
    check(be->ops->weight_create(be, &w, &t, WEIGHT_PRODUCTS) < 0, "no weight without memory");
    check(be->ops->status(be, &error) == 0, "which is no error of the device");
    emulation_set_memory((size_t)-1);
    void *nothing = be->ops->alloc(be, 0);
    check(nothing != NULL, "and passes");
    be->ops->free(be, nothing);
    be->ops->destroy(be);
}

/* An error of the device that an allocation meets is not taken for too little memory. */
static void errors_are_not_too_little_memory(void)
{
    static float weights[64 * 64];
    const struct tensor t = {TENSOR_Q8_0, 8, 64, weights};
    struct backend *be = open_backend();
    struct weight *w = NULL;
    struct error error = {""};

    emulation_fail_after(0);
    check(be->ops->alloc(be, 64) == NULL && be->ops->status(be, &error) < 0 &&
              strstr(error.message, "alloc: an illegal"),
          error.message);
    emulation_fail_after(-1);
    be->ops->destroy(be);
    for (int after = 0; after < 4; after++) { /* values, scales, a stage of the host, one more */
        be = open_backend();
        emulation_fail_after(after);
        check(be->ops->weight_create(be, &w, &t, WEIGHT_PRODUCTS) == -EIO &&
                  be->ops->status(be, &error) < 0 &&
                  strstr(error.message, "weight_create: an illegal"),
              error.message);
        emulation_fail_after(-1);
        be->ops->destroy(be);
    }
    for (int after = 0; after < 4; after++) { /* each piece of the scratch */
        be = open_backend();
        check(be->ops->weight_create(be, &w, &t, WEIGHT_PRODUCTS) == 0, "a weight");
        emulation_fail_after(after);
        check(be->ops->reserve(be, 64) == -EIO && be->ops->status(be, &error) < 0 &&
                  strstr(error.message, "reserve: an illegal"),
              error.message);
        emulation_fail_after(-1);
        be->ops->weight_destroy(be, w);
        be->ops->destroy(be);
    }
}

/* Many rows of a weight that nothing was reserved for. */
static void a_forgotten_reserve_is_named(void)
{
    static float weights[64 * 64];
    static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_Q4_0};
    struct error error;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const struct tensor small = {TENSOR_F16, 8, 32, weights}, t = {types[i], 8, 64, weights};
        struct backend *be = open_backend();
        float *x = be->ops->alloc(be, (size_t)40 * 64), *y = be->ops->alloc(be, (size_t)40 * 8);
        struct weight *w = NULL, *other = NULL;

        check(be->ops->weight_create(be, &other, &small, WEIGHT_PRODUCTS) == 0 &&
                  (i == 0 || be->ops->reserve(be, 40) == 0) && /* for the small one */
                  be->ops->weight_create(be, &w, &t, WEIGHT_PRODUCTS) == 0,
              "a weight");
        be->ops->linear(be, y, x, 64, 1, w, NULL, ACTIVATION_NONE);
        check(be->ops->status(be, &error) == 0, "few rows need nothing");
        be->ops->linear(be, y, x, 64, 40, w, NULL, ACTIVATION_NONE);
        check(be->ops->status(be, &error) < 0 && strstr(error.message, "reserved"), error.message);
        be->ops->weight_destroy(be, w);
        be->ops->weight_destroy(be, other);
        be->ops->free(be, x);
        be->ops->free(be, y);
        be->ops->destroy(be);
    }
}

static void what_cannot_be_computed_is_named(void)
{
    struct backend *be = open_backend();
    struct error error;

    be->ops->rwkv7(be, &(struct rwkv7){.slots = 1, .rows = 1, .heads = 1, .head_size = 48});
    check(be->ops->status(be, &error) < 0 && strstr(error.message, "rwkv7"), error.message);
    be->ops->destroy(be);
}

static void no_such_device(void)
{
    struct backend *be = NULL;
    struct error error;

    check(earshot_cuda_module.create(&be, 3, 0, &error) < 0 && strstr(error.message, "3"),
          error.message);
}

/* What a device holds for the process goes back with the last backend, or when there comes none. */
static void contexts_go_back(void)
{
    struct backend *first, *second = NULL;
    struct error error;

    emulation_set_memory((size_t)100 << 20);
    check(earshot_cuda_module.create(&second, -1, (size_t)200 << 20, &error) < 0 &&
              emulation_contexts() == 0,
          "no room, no context");
    emulation_set_memory((size_t)-1);
    emulation_fail_after(0);
    check(earshot_cuda_module.create(&second, -1, 0, &error) < 0 && emulation_contexts() == 0,
          "no start, no context");
    emulation_fail_after(-1);
    first = open_backend();
    check(emulation_contexts() == 1, "a context of the device that was chosen");
    second = open_backend();
    first->ops->destroy(first);
    check(emulation_contexts() > 0, "which stays for another backend");
    second->ops->destroy(second);
    check(emulation_contexts() == 0, "and goes with the last");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    setenv("EARSHOT_CUDA_GRAPHS", "must", 1); /* a capture that fails is a failure */
    compare_all(EMULATION_FORWARDS);
    compare_all(EMULATION_BACKWARDS);
    steps_are_kept();
    captures_may_fail();
    old_steps_are_forgotten();
    errors_are_latched();
    errors_are_not_too_little_memory();
    too_little_memory_is_told();
    a_forgotten_reserve_is_named();
    what_cannot_be_computed_is_named();
    no_such_device();
    contexts_go_back();
    printf("%d failures\n", failures);
    return failures > 0;
}
