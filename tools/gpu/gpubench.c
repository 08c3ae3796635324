/* The speed of a GPU: of the backbone at the public models' sizes, with random weights, made on the
 * spot; of a whole model, from a file:
 *
 *     gpubench [OPTION...] 0.1b|0.4b|1.5b|2.9b f16|bf16|q8_0|q4_0 [BACKEND]       BACKEND: cuda
 *     gpubench [--figures FILE] MODEL.gguf [BACKEND]
 *
 * Of a backbone: tokens a second for one stream and for batches, what part of the memory's
 * bandwidth the weights of one stream take, rows and operations a second of a hearing, how long a
 * fork takes, and how many live streams there can be; it needs memory for four times the model. Of
 * a model: how long hearing takes, and a text after the end of speech. The whole way from samples
 * to text is `earshot bench`. With one of these options only what they name is measured:
 *
 *     --batches N,...    decoding of so many streams
 *     --prefill N,...    hearing, so many rows a pass
 *     --live N,...       live streams, until they are too many
 *     --encoder NAME     WavLM of the public size (wavlm-large) before the backbone, as a model
 *     --figures FILE     each figure besides as a line of FILE: what, name, value, unit, by tabs
 */
#include "tools/gpu/measure.h"
#include "tools/gpu/random_model.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BATCH_MAX = 960,
    VOCAB = RANDOM_MODEL_VOCAB,
    RUNS = 5,
    STEPS = 50,
    PREFILL = 512,
    COPY_FLOATS = 256 << 20,
};

#define LIVE_S 3.0 /* of speech, of every number of streams */
#define LARGE 3e9  /* bytes of weights: half of it is enough of a wait */

double measure_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void measure_wait(struct backend *be, const float *p)
{
    float one;

    be->ops->download(be, &one, p, 1);
}

/* Bytes read and written a second by a long copy; 0 without memory for one. */
static double copy_bandwidth(struct backend *be)
{
    float *x = be->ops->alloc(be, COPY_FLOATS), *y = be->ops->alloc(be, COPY_FLOATS);
    double best = 1e9;

    for (int i = 0; x && y && i < 2 * RUNS; i++) {
        double begin = measure_now();

        be->ops->copy(be, y, x, COPY_FLOATS);
        measure_wait(be, y);
        best = measure_now() - begin < best ? measure_now() - begin : best;
    }
    be->ops->free(be, x);
    be->ops->free(be, y);
    return x && y ? 2.0 * COPY_FLOATS * sizeof(float) / best : 0.0;
}

enum { LIST_MAX = 12 };

struct list {
    size_t count, n[LIST_MAX];
};

/* What is measured. */
struct plan {
    struct list batches, prefill, live;
    const char *encoder, *figures;
};

static const struct plan everything = {
    .batches = {6, {1, 8, 32, 64, 256, BATCH_MAX}},
    .prefill = {2, {PREFILL, 64}},
    .live = {11, {1, 8, 16, 32, 64, 96, 128, 192, 256, 384, 480}},
};

struct bench {
    struct backend *be;
    struct backbone *backbone;
    struct backbone_scratch *scratch;
    double weight_bytes, bandwidth;
    double products; /* weights that a row of a hearing meets */
};

/* The fastest of RUNS times STEPS tokens of so many streams. */
static void decode(struct bench *b, size_t streams)
{
    struct state *s = NULL;
    float *logits = b->be->ops->alloc(b->be, streams * VOCAB);
    uint32_t *ids = calloc(streams, sizeof(*ids));
    struct intake *intakes = calloc(streams, sizeof(*intakes));
    double best = 1e9;

    bool room = logits && ids && intakes &&
                state_create(&s, b->be, backbone_state_shape(b->backbone), streams) == 0;

    for (int run = 0; room && run < RUNS; run++) {
        double begin = measure_now(), took;

        for (int i = 0; i < STEPS; i++) {
            for (size_t slot = 0; slot < streams; slot++)
                intakes[slot] = (struct intake){INTAKE_TOKEN, ids[slot], NULL};
            backbone_step(b->scratch, s, intakes, logits);
            b->be->ops->argmax(b->be, ids, logits, streams, VOCAB);
        }
        took = (measure_now() - begin) / STEPS;
        best = took < best ? took : best;
    }
    if (room) {
        double part = b->bandwidth > 0 ? 100 * b->weight_bytes / best / b->bandwidth : 0.0;

        printf("decode, %3zu streams %12.0f tokens/s  %8.1f us a step  weights at %3.0f %% of "
               "copying\n",
               streams, (double)streams / best, best * 1e6, part);
        measure_figure((double)streams / best, "tokens/s", "decode, %zu streams", streams);
        measure_figure(part, "% of copying", "weights, %zu streams", streams);
    } else {
        printf("decode, %3zu streams: no room for their states\n", streams);
    }
    state_destroy(s);
    b->be->ops->free(b->be, logits);
    free(ids);
    free(intakes);
}

/* PREFILL rows, so many a pass. */
static int prefill(struct bench *b, size_t pass_rows, struct error *error)
{
    const struct state_shape *shape = backbone_state_shape(b->backbone);
    float *rows = b->be->ops->alloc(b->be, PREFILL * shape->dim);
    struct backbone_scratch *scratch = NULL;
    struct state *s = NULL;
    double best = 1e9;
    int rc = backbone_scratch_create(&scratch, b->backbone, pass_rows, error);

    if (rc == 0 && (!rows || state_create(&s, b->be, shape, 1) < 0))
        rc = error_set(error, -ENOMEM, "out of memory");
    for (int i = 0; rc == 0 && i < RUNS; i++) {
        double begin = measure_now(), took;

        backbone_push_rows(scratch, s, 0, rows, PREFILL, NULL);
        measure_wait(b->be, s->wkv);
        took = measure_now() - begin;
        best = took < best ? took : best;
    }
    if (rc == 0) {
        double flops = 2.0 * b->products * PREFILL / best;

        printf("hearing, %3zu a pass  %12.0f rows/s  %8.1f TFLOP/s\n", pass_rows, PREFILL / best,
               1e-12 * flops);
        measure_figure(PREFILL / best, "rows/s", "hearing, %zu rows a pass", pass_rows);
        measure_figure(1e-12 * flops, "TFLOP/s", "hearing, %zu rows a pass", pass_rows);
    }
    state_destroy(s);
    backbone_scratch_destroy(scratch);
    b->be->ops->free(b->be, rows);
    return rc;
}

static int fork_state(struct bench *b, struct error *error)
{
    const struct state_shape *shape = backbone_state_shape(b->backbone);
    struct state *s = NULL, *fork = NULL;
    double best = 1e9;
    int rc = state_create(&s, b->be, shape, 1);

    if (rc == 0)
        rc = state_create(&fork, b->be, shape, 1);
    for (int i = 0; rc == 0 && i < RUNS; i++) {
        double begin = measure_now(), took;

        state_copy(fork, s);
        measure_wait(b->be, fork->wkv);
        took = measure_now() - begin;
        best = took < best ? took : best;
    }
    if (rc == 0) {
        printf("a fork of %.1f MB    %12.1f us\n", (double)state_bytes(s) / 1e6, best * 1e6);
        measure_figure(best * 1e6, "us", "a fork");
    } else {
        error_set(error, rc, "out of memory");
    }
    state_destroy(s);
    state_destroy(fork);
    return rc;
}

static int load(struct bench *b, const struct gguf *g, struct error *error)
{
    double begin = measure_now(), took;
    int rc = backbone_load(&b->backbone, g, b->be, error);

    if (rc == 0)
        rc = backbone_scratch_create(&b->scratch, b->backbone, BATCH_MAX, error);
    if (rc == 0)
        rc = b->be->ops->status(b->be, error);
    if (rc < 0)
        return rc;
    took = measure_now() - begin;
    b->bandwidth = copy_bandwidth(b->be);
    printf("weights %.2f GB      %12.0f ms of loading\n", b->weight_bytes / 1e9, 1e3 * took);
    printf("copying             %12.1f GB/s\n", b->bandwidth / 1e9);
    measure_figure(1e3 * took, "ms", "loading");
    measure_figure(b->bandwidth / 1e9, "GB/s", "copying");
    return 0;
}

static int run(struct backend *be, const struct gguf *g, double weight_bytes, double products,
               const struct plan *plan)
{
    struct bench b = {.be = be, .weight_bytes = weight_bytes, .products = products};
    struct error error = {"out of memory"};
    int ret = load(&b, g, &error);

    for (size_t i = 0; ret == 0 && i < plan->batches.count; i++)
        decode(&b, plan->batches.n[i]);
    for (size_t i = 0; ret == 0 && i < plan->prefill.count; i++)
        ret = prefill(&b, plan->prefill.n[i], &error);
    if (ret == 0 && plan->prefill.count > 0)
        ret = fork_state(&b, &error);
    if (ret == 0 && plan->live.count > 0)
        ret = measure_live(b.scratch, weight_bytes > LARGE ? LIVE_S / 2 : LIVE_S, plan->live.n,
                           plan->live.count, &error);
    if (ret == 0)
        ret = be->ops->status(be, &error);
    if (ret < 0)
        fprintf(stderr, "gpubench: %s\n", error.message);
    backbone_scratch_destroy(b.scratch);
    backbone_destroy(b.backbone);
    return ret;
}

static int usage(void)
{
    fprintf(stderr, "gpubench [--batches N,...] [--prefill N,...] [--live N,...] [--encoder NAME] "
                    "[--figures FILE]\n"
                    "         mini|0.1b|0.4b|1.5b|2.9b f16|bf16|q8_0|q4_0 [BACKEND]\n"
                    "gpubench [--figures FILE] MODEL.gguf [BACKEND]\n");
    return 2;
}

static struct backend *open_backend(const char *name)
{
    char why[BACKEND_WHY_MAX];
    struct backend *be = NULL;
    struct error error;

    if (backend_create(&be, name, 0, 0, why, &error) < 0)
        fprintf(stderr, "gpubench: %s\n", error.message);
    return be;
}

static int bench_file(struct backend *be, const char *path)
{
    struct model *m = NULL;
    struct error error;
    int ret = model_load(&m, path, be, NULL, NULL, &error);

    if (ret == 0) {
        printf("%s, %s\n", m->name, be->ops->name);
        ret = measure_hearing(m, &error);
    }
    if (ret == 0)
        ret = be->ops->status(be, &error);
    if (ret < 0)
        fprintf(stderr, "gpubench: %s\n", error.message);
    model_destroy(m);
    return ret;
}

static int bench_random(struct backend *be, const struct model_size *size, enum tensor_type type,
                        const struct plan *plan)
{
    struct bytes file = {0};
    struct gguf *g = random_model(size, type, &file);
    int ret = -1;

    printf("%s, %s, %s\n", size->name, tensor_type_name(type), be->ops->name);
    if (g) /* embeddings are looked up, not read */
        ret = run(be, g,
                  (double)gguf_size(g) - (double)VOCAB * (double)tensor_row_bytes(type, size->dim),
                  model_size_products(size), plan);
    gguf_close(g);
    bytes_free(&file);
    return ret;
}

static int bench_speech(struct backend *be, const struct model_size *size, enum tensor_type type,
                        const char *encoder)
{
    char path[RANDOM_MODEL_PATH];

    if (!random_speech_model(encoder, size, type, path))
        return -1;
    printf("%s before %s, %s: ", encoder, size->name, tensor_type_name(type));
    return bench_file(be, path);
}

/* False: none is called so. */
static bool type_of(const char *name, enum tensor_type *type)
{
    static const struct {
        const char *name;
        enum tensor_type type;
    } types[] = {
        {"f16", TENSOR_F16}, {"bf16", TENSOR_BF16}, {"q8_0", TENSOR_Q8_0}, {"q4_0", TENSOR_Q4_0}};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, name) == 0) {
            *type = types[i].type;
            return true;
        }
    return false;
}

/* False: no numbers from 1 to most. */
static bool read_list(struct list *l, const char *text, size_t most)
{
    for (l->count = 0; l->count < LIST_MAX; text++) {
        char *end;
        unsigned long n = strtoul(text, &end, 10);

        if (end == text || n < 1 || n > most)
            return false;
        l->n[l->count++] = n;
        if (*end != ',')
            return *end == '\0';
        text = end;
    }
    return false;
}

static bool read_options(int argc, char **argv, struct plan *plan)
{
    static const struct option options[] = {
        {"batches", required_argument, NULL, 'b'}, {"prefill", required_argument, NULL, 'p'},
        {"live", required_argument, NULL, 'l'},    {"encoder", required_argument, NULL, 'e'},
        {"figures", required_argument, NULL, 'f'}, {0},
    };
    bool good = true;

    for (int c; good && (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'b')
            good = read_list(&plan->batches, optarg, BATCH_MAX);
        else if (c == 'p')
            good = read_list(&plan->prefill, optarg, PREFILL);
        else if (c == 'l')
            good = read_list(&plan->live, optarg, BATCH_MAX / 2);
        else if (c == 'e')
            plan->encoder = optarg;
        else if (c == 'f')
            plan->figures = optarg;
        else
            good = false;
    }
    return good;
}

/* A plan that names nothing is everything. */
static struct plan completed(struct plan plan)
{
    struct plan all = everything;

    all.figures = plan.figures;
    return plan.encoder || plan.batches.count + plan.prefill.count + plan.live.count > 0 ? plan
                                                                                         : all;
}

int main(int argc, char **argv)
{
    struct plan plan = {0};
    bool good = read_options(argc, argv, &plan);

    argc -= optind;
    argv += optind;
    const struct model_size *size = good && argc > 0 ? model_size_find(argv[0]) : NULL;
    int named = size ? 2 : 1; /* arguments before the backend's */
    enum tensor_type type = TENSOR_F16;

    setvbuf(stdout, NULL, _IOLBF, 0); /* who is killed has told how far it came */
    if (!good || argc < named || argc > named + 1 || (size && !type_of(argv[1], &type)))
        return usage();
    plan = completed(plan);
    struct backend *be = open_backend(argc > named ? argv[named] : "cuda");

    if (!be)
        return 77;
    int ret = 0;

    if (plan.figures)
        ret = measure_figures_open(plan.figures, argv[0], size ? argv[1] : "");
    if (ret == 0)
        ret = !size          ? bench_file(be, argv[0])
              : plan.encoder ? bench_speech(be, size, type, plan.encoder)
                             : bench_random(be, size, type, &plan);
    be->ops->destroy(be);
    measure_figures_close();
    return ret < 0;
}
