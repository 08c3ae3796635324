/* The CPU backend: memory, weights, scratch and threads. The operations are in the other files,
 * built once for each instruction set; EARSHOT_ISA=scalar|avx2|avx512|amx forces one, for tests.
 */
#include "kernels/cpu/cpu.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_DEFAULT_MAX 8
#define THREADS_MAX 256
#define WORTH 200000 /* multiplications that pay for waking a thread: 3 to 10 microseconds */
#define LEAST 60000  /* of a task, so that handing it out costs next to nothing */
#define ROUNDS_MAX 12
#define TILES_COUNT ((size_t)1 << 19) /* bf16, 1 MB: what a core's second cache has room for */

size_t backend_cpu_threads(void)
{
    cpu_set_t allowed;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
        cores = CPU_COUNT(&allowed);
    return cores < 1 ? 1 : cores > THREADS_DEFAULT_MAX ? THREADS_DEFAULT_MAX : (size_t)cores;
}

int backend_cpu_create(struct backend **out, int threads)
{
    struct cpu_backend *cpu;
    int ret;

    if (threads < 0 || threads > THREADS_MAX)
        return -EINVAL;
    if (threads == 0)
        threads = (int)backend_cpu_threads();
    cpu = calloc(1, sizeof(*cpu));
    if (!cpu)
        return -ENOMEM;
    ret = -EINVAL;
    cpu->base.ops = cpu_choose(getenv("EARSHOT_ISA"));
    if (!cpu->base.ops)
        goto fail;
    ret = pool_create(&cpu->pool, (size_t)threads);
    if (ret)
        goto fail;
    *out = &cpu->base;
    return 0;
fail:
    cpu_destroy(&cpu->base);
    return ret == -EINVAL ? -EINVAL : -ENOMEM;
}

static void scratch_free(struct cpu_backend *cpu)
{
    free(cpu->numbers);
    cpu_free(&cpu->base, cpu->rows);
    cpu_free(&cpu->base, cpu->panels);
    cpu_free(&cpu->base, cpu->sums);
    cpu->numbers = NULL;
    free(cpu->tiles);
    free(cpu->tile_panels);
    free(cpu->tile_sums);
    free(cpu->heads);
    cpu->rows = cpu->panels = cpu->sums = NULL;
    cpu->tiles = cpu->tile_panels = NULL;
    cpu->tile_sums = cpu->heads = NULL;
    cpu->scratch_widest = 0;
    cpu->scratch_rows = 0;
}

void cpu_destroy(struct backend *be)
{
    struct cpu_backend *cpu = (struct cpu_backend *)be;

    if (!cpu)
        return;
    pool_destroy(cpu->pool);
    scratch_free(cpu);
    free(cpu);
}

int cpu_status(const struct backend *be, struct error *error)
{
    (void)be;
    (void)error;
    return 0;
}

/* Zeros that have no memory before they are touched, where they are large: an ear that has heard
 * little does not pay for the past that it could have. What calloc gave stands before them. */
float *cpu_alloc(struct backend *be, size_t count)
{
    const size_t line = 64; /* of the cache */
    uintptr_t own, lines;

    (void)be;
    if (count > SIZE_MAX / 2 / sizeof(float))
        return NULL;
    own = (uintptr_t)calloc(1, (count + 1) * sizeof(float) + 2 * line);
    if (!own)
        return NULL;
    lines = (own + 2 * line - 1) / line * line;
    ((void **)lines)[-1] = (void *)own;
    return (float *)lines;
}

void cpu_free(struct backend *be, float *p)
{
    (void)be;
    if (p)
        free(((void **)(void *)p)[-1]);
}

void cpu_copy(struct backend *be, float *dst, const float *src, size_t count)
{
    (void)be;
    if (count)
        memcpy(dst, src, count * sizeof(float));
}

void cpu_upload(struct backend *be, float *dst, const float *host, size_t count)
{
    cpu_copy(be, dst, host, count);
}

void cpu_download(struct backend *be, float *host, const float *src, size_t count)
{
    cpu_copy(be, host, src, count);
}

void cpu_move(struct backend *be, float *dst, const float *src, size_t count)
{
    (void)be;
    if (count)
        memmove(dst, src, count * sizeof(float));
}

void cpu_copy_rows(struct backend *be, float *dst, size_t dst_stride, const float *src,
                   size_t src_stride, size_t rows, size_t dim)
{
    (void)be;
    for (size_t r = 0; r < rows; r++)
        memcpy(dst + r * dst_stride, src + r * src_stride, dim * sizeof(float));
}

void cpu_zero(struct backend *be, float *dst, size_t count)
{
    (void)be;
    if (count)
        memset(dst, 0, count * sizeof(float));
}

/* Without touching it, so that it has no memory before it is used. */
static void *alloc_lazily(size_t bytes)
{
    void *p;

    return posix_memalign(&p, 64, bytes) ? NULL : p;
}

/* As many rows as the cache takes, but 32 of any width, and what the last tile may reach past them.
 */
static bool alloc_tiles(struct cpu_backend *cpu, size_t rows)
{
    size_t threads = pool_threads(cpu->pool);
    size_t inputs = (cpu->widest + SEGMENT - 1) / SEGMENT * SEGMENT;

    cpu->tiles_count = (inputs * 32 > TILES_COUNT ? inputs * 32 : TILES_COUNT) + PANEL * SEGMENT;
    cpu->tiles = alloc_lazily(threads * cpu->tiles_count * sizeof(uint16_t));
    cpu->tile_panels = alloc_lazily(threads * TILE_STEPS * 2 * PANEL * SEGMENT * sizeof(uint16_t));
    cpu->tile_sums = alloc_lazily(threads * TILE_ROWS_MAX * 2 * PANEL * sizeof(float));
    cpu->heads = alloc_lazily(threads * 2 * rows * ATTENTION_HEAD * sizeof(float));
    cpu->scratch_rows = rows;
    return cpu->tiles && cpu->tile_panels && cpu->tile_sums && cpu->heads;
}

/* Products of more rows than there is scratch for are cut; attention is not. */
int cpu_reserve(struct backend *be, size_t rows)
{
    struct cpu_backend *cpu = (struct cpu_backend *)be;
    size_t threads = pool_threads(cpu->pool);
    size_t blocks = (cpu->widest + LINEAR_INPUTS - 1) / LINEAR_INPUTS;

    rows = (rows + 31) / 32 * 32;
    if (rows < cpu->scratch_rows)
        rows = cpu->scratch_rows;
    if (cpu->widest <= cpu->scratch_widest && rows == cpu->scratch_rows)
        return 0;
    scratch_free(cpu);
    cpu->rows = cpu_alloc(be, blocks * LINEAR_ROWS * LINEAR_STRIDE);
    cpu->panels = cpu_alloc(be, threads * LINEAR_PANELS * LINEAR_INPUTS * PANEL);
    cpu->sums = cpu_alloc(be, threads * LINEAR_ROWS * LINEAR_PANELS * PANEL);
    cpu->numbers =
        calloc(BACKEND_FEW_ROWS * ((cpu->widest + SEGMENT - 1) / SEGMENT), sizeof(*cpu->numbers));
    if (!cpu->numbers || !cpu->rows || !cpu->panels || !cpu->sums || !alloc_tiles(cpu, rows)) {
        scratch_free(cpu);
        return -ENOMEM;
    }
    cpu->scratch_widest = cpu->widest;
    return 0;
}

/* Calls cost nothing here: nothing is kept of them. */
bool cpu_step_begin(struct backend *be, const void *const key[STEP_KEY_MAX])
{
    (void)be;
    (void)key;
    return true;
}

bool cpu_step_end(struct backend *be)
{
    (void)be;
    return true;
}

struct split {
    size_t items, threads, rounds;
    cpu_part *part;
    void *context;
};

/* Where a task begins. In each round every thread's task is half of what it was in the round before
 * (but in the last): the first read long stretches, and the last let nobody wait long. */
static size_t split_begin(const struct split *s, size_t task)
{
    size_t round = task / s->threads;
    size_t left = s->items >> round; /* when the round begins */
    size_t share = round + 1 < s->rounds ? left / 2 : left;

    return s->items - left + share * (task % s->threads) / s->threads;
}

static void split_task(void *context, size_t task, size_t thread)
{
    const struct split *s = context;
    size_t end = task + 1 < s->threads * s->rounds ? split_begin(s, task + 1) : s->items;

    s->part(s->context, split_begin(s, task), end, thread);
}

void cpu_split(struct backend *be, size_t items, size_t cost, cpu_part *part, void *context)
{
    struct cpu_backend *cpu = (struct cpu_backend *)be;
    struct split s = {.items = items,
                      .threads = pool_threads(cpu->pool),
                      .rounds = 1,
                      .part = part,
                      .context = context};

    if (items == 0)
        return;
    if (s.threads == 1 || items == 1 || items * cost < WORTH) {
        part(context, 0, items, 0);
        return;
    }
    while (s.rounds < ROUNDS_MAX && items * cost / s.threads >> s.rounds > LEAST)
        s.rounds++;
    pool_run(cpu->pool, s.threads * s.rounds, split_task, &s);
}
