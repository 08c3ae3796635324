/* Steady state allocates nothing, and memory stays flat over an hour of audio fed fast.
 * Linked with malloc, calloc, realloc and posix_memalign wrapped, to count them. */
#include "pipeline/session.h"
#include "tests/support/speech.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#ifdef __SANITIZE_ADDRESS__
enum { AUDIO_S = 60, TALKS = 25 }; /* an hour would take a quarter of one */
#else
enum { AUDIO_S = 3600, TALKS = 150 };
#endif

static atomic_long allocations; /* any thread adds */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(p, size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_posix_memalign(out, alignment, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(alignment, size);
}

struct chain {
    size_t completed;
};

static void on_event(void *user, const struct event *e)
{
    struct chain *c = user;
    c->completed += e->type == EVENT_UTTERANCE_COMPLETED;
}

static long resident_kb(void)
{
    long pages = 0, ignored;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &ignored, &pages), 2);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void feed(const char *path, int seconds)
{
    struct backend *be;
    struct model *m;
    struct hearing *h;
    struct session *s;
    struct error error;
    struct chain c = {0};
    size_t count;
    float *x = speech_load(&count);
    assert_int_equal(backend_cpu_create(&be, 0), 0);
    if (model_load(&m, path, be, NULL, NULL, &error) || hearing_create(&h, m, &error))
        fail_msg("%s", error.message);
    m->decoding.max_tokens = 8;
    struct recogniser_config config = {
        .partial_ms = 240,
        .reply = true,
        .sampling = {.temperature = 1.0f, .top_p = 0.9f, .frequency_penalty = 0.2f},
        .sink = on_event,
        .user = &c};
    assert_int_equal(session_create(&s, h, &config, &error), 0);
    assert_int_equal(session_begin(s, NULL, &error), 0);

    session_push(s, x, count);
    assert_true(c.completed > 0);
    long before = resident_kb();
    long calls = atomic_load(&allocations);
    for (size_t fed = 0; fed < (size_t)seconds * 16000; fed += count)
        session_push(s, x, count);
    for (size_t i = 0; i < TALKS; i++) /* three minutes without a pause: the middle of an order */
        session_push(s, x + 16000 * 13 / 10, 16000 * 12 / 10);
    long made = atomic_load(&allocations) - calls;
    long grown = resident_kb() - before;
    printf("%zu utterances in %d s: %ld allocations, resident memory %+ld kB\n", c.completed,
           seconds, made, grown);
    assert_int_equal(made, 0);
    assert_true(grown < 1024);

    session_destroy(s);
    hearing_destroy(h);
    model_destroy(m);
    be->ops->destroy(be);
    free(x);
}

static void an_hour_allocates_nothing_and_stays_flat(void **state)
{
    (void)state;
    feed("tests/golden/tiny.gguf", AUDIO_S);
}

static void aligned_captions_allocate_nothing_either(void **state)
{
    (void)state;
    feed("tests/golden/aligned.gguf", AUDIO_S / 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hour_allocates_nothing_and_stays_flat),
        cmocka_unit_test(aligned_captions_allocate_nothing_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
