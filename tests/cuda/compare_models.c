/* Whole models on two backends: encoders, rows, tokens, states, forks and slots. */
#include "model/hearing.h"
#include "tests/cuda/compare.h"
#include "tests/support/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/"

enum {
    TOKENS = 40,
    FEWER = 16,
    BEFORE = 7,
    SLOTS = 5,
    MANY_SLOTS = 40, /* whose products are the library's */
    MANY_STEPS = 9,
    SECONDS = 1,
    PCM_PER_SECOND = 16000,
    MEL_PER_SECOND = 100
};

/* Row by row nothing is rounded; many rows meet weights of 16 bits and less in their precision. */
static const double limit = 2e-5, rounded = 5e-3;

static int failures;

static void check(const char *model, const char *what, double error, double most)
{
    printf("  %-22s %-36s %.1e\n", model, what, error);
    if (!(error <= most)) {
        printf("FAILED: %s, %s: more than %.1e\n", model, what, most);
        failures++;
    }
}

/* A model on one backend. */
struct side {
    struct backend *be;
    struct model *model;
    struct hearing *hearing;
    struct state *state;
    float *logits; /* backend memory [vocab] */
    size_t vocab;
};

static void close_side(struct side *s)
{
    s->be->ops->free(s->be, s->logits);
    state_destroy(s->state);
    hearing_destroy(s->hearing);
    model_destroy(s->model);
}

static int open_side(struct side *s, struct backend *be, const char *path,
                     const struct encoder_options *options)
{
    struct error error;

    *s = (struct side){.be = be};
    if (model_load(&s->model, path, be, options, NULL, &error) < 0) {
        printf("FAILED: %s\n", error.message);
        failures++;
        return -1;
    }
    s->vocab = backbone_vocab(s->model->backbone);
    s->logits = be->ops->alloc(be, s->vocab);
    if (!s->logits || hearing_create(&s->hearing, s->model, &error) < 0 ||
        state_create(&s->state, be, backbone_state_shape(s->model->backbone), 1) < 0) {
        printf("FAILED: %s: no memory\n", path);
        failures++;
        close_side(s);
        return -1;
    }
    return 0;
}

static float *new_rows(size_t count)
{
    float *rows = calloc(count + 1, sizeof(float));

    if (!rows)
        exit(1);
    return rows;
}

/* Logits after every token, one by one: host [count, vocab]. */
static float *one_by_one(struct side *s, const uint32_t *ids, size_t count)
{
    float *rows = new_rows(count * s->vocab);

    for (size_t i = 0; i < count; i++) {
        backbone_push_tokens(s->hearing->scratch, s->state, 0, ids + i, 1, s->logits);
        s->be->ops->download(s->be, rows + i * s->vocab, s->logits, s->vocab);
    }
    return rows;
}

static float *at_once(struct side *s, const uint32_t *ids, size_t count)
{
    float *row = new_rows(s->vocab);

    backbone_push_tokens(s->hearing->scratch, s->state, 0, ids, count, s->logits);
    s->be->ops->download(s->be, row, s->logits, s->vocab);
    return row;
}

/* A state as bytes, on the heap. */
static void *encoded(const struct side *s)
{
    void *bytes = malloc(state_bytes(s->state));

    if (!bytes)
        exit(1);
    state_encode(s->state, 1, bytes);
    return bytes;
}

static double state_error(const struct side *a, const struct side *b)
{
    float *x = encoded(a), *y = encoded(b);
    size_t header = 64 / sizeof(float), count = state_bytes(a->state) / sizeof(float) - header;
    double error = relative_error(x + header, y + header, count);

    free(x);
    free(y);
    return error;
}

/* A conversation that begins on one side and goes on on the other, as a saved state. */
static void change_sides(struct side *from, struct side *to, const char *name, const char *what,
                         const uint32_t *ids, size_t count, const float *want_last)
{
    void *saved;
    float *last;

    state_reset(from->state);
    free(at_once(from, ids, BEFORE));
    saved = encoded(from);
    state_reset(to->state);
    if (state_decode(to->state, 1, saved, state_bytes(to->state), NULL) < 0)
        check(name, "a state of the other side is read", 1.0, 0.0);
    last = at_once(to, ids + BEFORE, count - BEFORE);
    check(name, what, relative_error(last, want_last, to->vocab), rounded);
    free(saved);
    free(last);
}

/* The golden tokens, from the public package, one by one (as steps that are kept) and at once; then
 * the conversation changes the backend half-way. */
static void tokens(struct side *cpu, struct side *gpu, const char *name, const uint32_t *ids,
                   size_t count, const float *golden)
{
    float *want = one_by_one(cpu, ids, count), *got = one_by_one(gpu, ids, count);
    const float *want_last = want + (size_t)(count - 1) * cpu->vocab;

    if (golden)
        check(name, "logits against the reference", relative_error(got, golden, count * gpu->vocab),
              limit);
    check(name, "logits, one by one", relative_error(got, want, count * gpu->vocab), limit);
    check(name, "state", state_error(gpu, cpu), limit);
    free(got);

    state_reset(gpu->state);
    got = at_once(gpu, ids, count);
    check(name, "logits, at once", relative_error(got, want_last, gpu->vocab), rounded);
    check(name, "state, at once", state_error(gpu, cpu), rounded);
    free(got);

    change_sides(gpu, cpu, name, "half on the GPU, half on the CPU", ids, count, want_last);
    change_sides(cpu, gpu, name, "half on the CPU, half on the GPU", ids, count, want_last);
    free(want);
}

/* A fork that goes its own way leaves what it was forked from as it was. */
static void forks(struct side *s, const char *name, const uint32_t *ids, size_t count)
{
    struct state *fork = NULL;
    float *first, *again;

    if (state_create(&fork, s->be, &s->state->shape, 1) < 0)
        exit(1);
    state_reset(s->state);
    free(at_once(s, ids, BEFORE));
    state_copy(fork, s->state);
    first = one_by_one(s, ids + BEFORE, count - BEFORE);
    struct state *kept = s->state;

    s->state = fork;
    again = one_by_one(s, ids + BEFORE, count - BEFORE);
    s->state = kept;
    check(name, "a fork says the same", relative_error(again, first, (count - BEFORE) * s->vocab),
          0.0);
    state_destroy(fork);
    free(first);
    free(again);
}

/* Steps that were kept are not taken where the rows of a pass have become others. */
static void another_scratch(struct side *s, const char *name, const uint32_t *ids, size_t count)
{
    struct hearing *first = s->hearing;
    float *want, *got;

    state_reset(s->state);
    want = one_by_one(s, ids, count);
    if (hearing_create(&s->hearing, s->model, NULL) < 0)
        exit(1);
    hearing_destroy(first);
    state_reset(s->state);
    got = one_by_one(s, ids, count);
    check(name, "with another scratch the same", relative_error(got, want, count * s->vocab), 0.0);
    free(want);
    free(got);
}

/* What is likeliest after each slot that took something; 0 after others. */
static void choose(struct side *s, float *logits, size_t slots, const struct intake *intakes,
                   uint32_t *next)
{
    hearing_choose(s->hearing, logits, slots, next);
    for (size_t i = 0; i < slots; i++)
        next[i] = intakes[i].type == INTAKE_NOTHING ? 0 : next[i];
}

/* Steps of slots that rest, take tokens, take rows and take both, and more tokens of one of them
 * and of all but the last in between; what each slot is in the end. Host [slots] states behind each
 * other. Both kinds of step, with and without what comes next, come often enough to be kept. */
static char *side_by_side(struct side *s, size_t slots, const uint32_t *ids, size_t count,
                          uint32_t *next)
{
    struct backbone_scratch *scratch = s->hearing->scratch;
    struct state *all = NULL;
    size_t bytes = state_bytes(s->state), dim = backbone_dim(s->model->backbone);
    char *states = malloc(slots * bytes);
    float *row = s->be->ops->alloc(s->be, dim), half = 0.5f;
    float *logits = s->be->ops->alloc(s->be, slots * s->vocab);

    if (!states || !row || !logits || state_create(&all, s->be, &s->state->shape, slots) < 0)
        exit(1);
    for (size_t i = 0; i < dim; i += 3)
        s->be->ops->upload(s->be, row + i, &half, 1);
    for (size_t step = 0; step < count; step++) {
        struct intake intakes[MANY_SLOTS];
        uint32_t tokens[MANY_SLOTS];

        for (size_t i = 0; i < slots; i++) {
            intakes[i].type = (enum intake_type)((step * (i + 1) + i) % 4);
            intakes[i].token = tokens[i] = ids[(step + i) % count];
            intakes[i].row = row;
        }
        backbone_step(scratch, all, intakes, step % 3 == 2 ? logits : NULL);
        if (step % 3 == 2)
            choose(s, logits, slots, intakes, next);
        backbone_push_tokens(scratch, all, 1, ids, 1 + step % 2, NULL);
        backbone_step_tokens(scratch, all, tokens, slots - 1, logits);
    }
    for (size_t i = 0; i < slots; i++) {
        state_copy_slot(s->state, 0, all, i);
        state_encode(s->state, 1, states + i * bytes);
    }
    state_destroy(all);
    s->be->ops->free(s->be, row);
    s->be->ops->free(s->be, logits);
    return states;
}

/* The worst error of [slots] states behind each other. */
static double states_error(const char *got, const char *want, size_t slots, size_t bytes)
{
    const size_t header = 64;
    double worst = 0.0;

    for (size_t i = 0; i < slots; i++) {
        const char *x = got + i * bytes + header, *y = want + i * bytes + header;
        double error = relative_error((const float *)(const void *)x,
                                      (const float *)(const void *)y, (bytes - header) / 4);

        worst = error > worst ? error : worst;
    }
    return worst;
}

static void few_slots(struct side *cpu, struct side *gpu, const char *name, const uint32_t *ids,
                      size_t count)
{
    uint32_t want_next[SLOTS], got_next[SLOTS];
    char *want = side_by_side(cpu, SLOTS, ids, count, want_next);
    char *got = side_by_side(gpu, SLOTS, ids, count, got_next);

    check(name, "states that move side by side",
          states_error(got, want, SLOTS, state_bytes(cpu->state)), limit);
    check(name, "what each says next", memcmp(want_next, got_next, sizeof(want_next)) != 0, 0.0);
    free(want);
    free(got);
}

static void many_slots(struct side *cpu, struct side *gpu, const char *name, const uint32_t *ids)
{
    uint32_t next[MANY_SLOTS];
    char *want = side_by_side(cpu, MANY_SLOTS, ids, MANY_STEPS, next);
    char *got = side_by_side(gpu, MANY_SLOTS, ids, MANY_STEPS, next);

    check(name, "40 states that move side by side",
          states_error(got, want, MANY_SLOTS, state_bytes(cpu->state)), rounded);
    free(want);
    free(got);
}

/* All of the input through encoder and adapter. Host rows. */
static void hear(struct side *s, const float *input, size_t items, float **encoder,
                 size_t *encoder_count, float **adapter, size_t *adapter_count)
{
    const struct encoder *e = s->model->encoder;
    const struct adapter *a = s->model->adapter;
    struct encoder_state *encoding;
    struct adapter_state *adapting;
    size_t dim = e->info.dim, out_dim = adapter_dim(a), made = 1;
    size_t most = (SECONDS + 1) * e->info.rows_per_second + e->info.max_rows;
    float *rows = s->be->ops->alloc(s->be, e->info.max_rows * dim);
    float *out = s->be->ops->alloc(s->be, adapter_rows_bound(a, e->info.max_rows) * out_dim);

    *encoder = new_rows(most * dim);
    *adapter = new_rows(most * out_dim);
    *encoder_count = *adapter_count = 0;
    if (encoder_state_create(&encoding, e, NULL) < 0 ||
        adapter_state_create(&adapting, a, 1, e->info.max_rows, NULL) < 0)
        exit(1);
    for (size_t at = 0; at < items || made > 0;) {
        bool end = at == items;
        size_t now = items - at < e->info.max_input ? items - at : e->info.max_input;
        size_t adapted;

        made = end ? encoder_flush(encoding, rows)
                   : encoder_push(encoding, input + at * e->info.input_dim, now, rows);
        adapted = adapter_push(adapting, rows, &made, out, NULL);
        s->be->ops->download(s->be, *encoder + *encoder_count * dim, rows, made * dim);
        s->be->ops->download(s->be, *adapter + *adapter_count * out_dim, out, adapted * out_dim);
        *encoder_count += made;
        *adapter_count += adapted;
        at += now;
        made += !end; /* there may be more to flush */
    }
    made = adapter_flush(adapting, NULL, out, NULL);
    s->be->ops->download(s->be, *adapter + *adapter_count * out_dim, out, made * out_dim);
    *adapter_count += made;
    encoder_state_destroy(encoding);
    adapter_state_destroy(adapting);
    s->be->ops->free(s->be, rows);
    s->be->ops->free(s->be, out);
}

static void hearing(struct side *cpu, struct side *gpu, const char *name)
{
    const struct encoder_info *info = &cpu->model->encoder->info;
    size_t items = SECONDS * (info->input == ENCODER_INPUT_PCM ? PCM_PER_SECOND : MEL_PER_SECOND);
    float *input = new_rows(items * info->input_dim), *want, *got, *want_out, *got_out;
    size_t rows, rows_too, out, out_too, dim = adapter_dim(cpu->model->adapter);
    unsigned random = 1;

    for (size_t i = 0; i < items * info->input_dim; i++) {
        random = random * 1664525u + 1013904223u;
        input[i] = (float)(random >> 8) / 8388608.0f - 1.0f;
    }
    hear(cpu, input, items, &want, &rows, &want_out, &out);
    hear(gpu, input, items, &got, &rows_too, &got_out, &out_too);
    check(name, "encoder", rows == rows_too ? relative_error(got, want, rows * info->dim) : 1.0,
          rounded);
    check(name, "adapter", out == out_too ? relative_error(got_out, want_out, out * dim) : 1.0,
          rounded);
    free(input);
    free(want);
    free(got);
    free(want_out);
    free(got_out);
}

/* Logits of the last of some rows, each with the token before it. */
static float *heard(struct side *s, const uint32_t *ids, size_t count)
{
    size_t dim = backbone_dim(s->model->backbone);
    float *row = new_rows(dim), *logits = new_rows(s->vocab);
    float *in = s->be->ops->alloc(s->be, dim);
    unsigned random = 3;

    state_reset(s->state);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < dim; j++) {
            random = random * 1664525u + 1013904223u;
            row[j] = (float)(random >> 8) / 8388608.0f - 1.0f;
        }
        s->be->ops->upload(s->be, in, row, dim);
        backbone_push_heard(s->hearing->scratch, s->state, 0, in, 1, ids[i], s->logits);
    }
    s->be->ops->download(s->be, logits, s->logits, s->vocab);
    s->be->ops->free(s->be, in);
    free(row);
    return logits;
}

static void heard_rows(struct side *cpu, struct side *gpu, const char *name, const uint32_t *ids,
                       size_t count)
{
    float *want = heard(cpu, ids, count), *got = heard(gpu, ids, count);

    check(name, "rows, each with a token", relative_error(got, want, cpu->vocab), limit);
    free(want);
    free(got);
}

static void compare_model(struct backend *cpu_backend, struct backend *gpu_backend,
                          const struct encoder_options *options, const char *name,
                          const uint32_t golden_ids[TOKENS], const float *golden)
{
    char path[128];
    uint32_t ids[TOKENS];
    struct side cpu, gpu;

    snprintf(path, sizeof(path), GOLDEN "%s.gguf", name);
    if (open_side(&cpu, cpu_backend, path, options) < 0)
        return;
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = golden_ids[i] % (uint32_t)cpu.vocab;
    if (open_side(&gpu, gpu_backend, path, options) == 0) {
        tokens(&cpu, &gpu, name, ids, golden ? TOKENS : FEWER, golden);
        forks(&gpu, name, ids, FEWER);
        another_scratch(&gpu, name, ids, FEWER);
        few_slots(&cpu, &gpu, name, ids, FEWER - 1);
        if (golden)
            many_slots(&cpu, &gpu, name, ids);
        heard_rows(&cpu, &gpu, name, ids, FEWER);
        if (cpu.model->encoder)
            hearing(&cpu, &gpu, name);
        close_side(&gpu);
    }
    close_side(&cpu);
}

int compare_models(struct backend *be, const char *streaming)
{
    static const char *const names[] = {"tiny",    "aligned",    "generation_old", "generation_new",
                                        "whisper", "wavlm_base", "wavlm_large"};
    struct npy ids, logits;
    struct encoder_options options;
    struct backend *cpu;
    struct error error;

    failures = 0;
    setenv("EARSHOT_ISA", "scalar", 1); /* which rounds nothing */
    if (npy_load(&ids, GOLDEN "tokens.npy") < 0 || npy_load(&logits, GOLDEN "logits.npy") < 0 ||
        ids.count != TOKENS || backend_cpu_create(&cpu, 1) < 0 ||
        encoder_options_parse(&options, streaming) < 0) {
        printf("FAILED: no golden vectors in " GOLDEN "\n");
        return 1;
    }
    unsetenv("EARSHOT_ISA");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (options.streaming != ENCODER_BLOCKS || strcmp(names[i], "whisper") == 0)
            compare_model(cpu, be, &options, names[i], (const uint32_t *)ids.ints,
                          i == 0 ? logits.floats : NULL);
    if (be->ops->status(be, &error) < 0) {
        printf("FAILED: %s\n", error.message);
        failures++;
    }
    cpu->ops->destroy(cpu);
    npy_free(&ids);
    npy_free(&logits);
    return failures;
}
