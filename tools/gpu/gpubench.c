/* The speed of a GPU: of the backbone at the public models' sizes, with random weights, made on the
 * spot; of a whole model, from a file:
 *
 *     gpubench 0.1b|0.4b|1.5b|2.9b f16|bf16|q8_0|q4_0 [BACKEND]       BACKEND: cuda
 *     gpubench MODEL.gguf [BACKEND]
 *
 * Of a backbone: tokens a second for one stream and for batches, what part of the memory's
 * bandwidth the weights of one stream take, rows and operations a second of a hearing, how long a
 * fork takes, and how many live streams there can be; it needs memory for four times the model. Of
 * a model: how long hearing takes, and a text after the end of speech. The whole way from samples
 * to text is `earshot bench`.
 */
#include "tools/gpu/measure.h"
#include "tools/gpu/random_model.h"

#include <errno.h>
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
    if (room)
        printf("decode, %3zu streams %12.0f tokens/s  %8.1f us a step  weights at %3.0f %% of "
               "copying\n",
               streams, (double)streams / best, best * 1e6,
               b->bandwidth > 0 ? 100 * b->weight_bytes / best / b->bandwidth : 0.0);
    else
        printf("decode, %3zu streams: no room for their states\n", streams);
    state_destroy(s);
    b->be->ops->free(b->be, logits);
    free(ids);
    free(intakes);
}

static int prefill_and_fork(struct bench *b)
{
    const struct state_shape *shape = backbone_state_shape(b->backbone);
    float *rows = b->be->ops->alloc(b->be, PREFILL * shape->dim);
    struct state *s = NULL, *fork = NULL;
    double best = 1e9, fork_best = 1e9;

    if (!rows || state_create(&s, b->be, shape, 1) < 0 || state_create(&fork, b->be, shape, 1) < 0)
        return -ENOMEM;
    for (int run = 0; run < RUNS; run++) {
        double begin = measure_now(), took;

        backbone_push_rows(b->scratch, s, 0, rows, PREFILL, NULL);
        measure_wait(b->be, s->wkv);
        took = measure_now() - begin;
        best = took < best ? took : best;
        begin = measure_now();
        state_copy(fork, s);
        measure_wait(b->be, fork->wkv);
        took = measure_now() - begin;
        fork_best = took < fork_best ? took : fork_best;
    }
    printf("hearing, %d rows    %12.0f rows/s  %8.1f TFLOP/s\n", PREFILL, PREFILL / best,
           2e-12 * b->products * PREFILL / best);
    printf("a fork of %.1f MB    %12.1f us\n", (double)state_bytes(s) / 1e6, fork_best * 1e6);
    state_destroy(s);
    state_destroy(fork);
    b->be->ops->free(b->be, rows);
    return 0;
}

static int run(struct backend *be, const struct gguf *g, double weight_bytes, double products)
{
    static const size_t batches[] = {1, 8, 32, 64, 256, BATCH_MAX};
    struct bench b = {.be = be, .weight_bytes = weight_bytes, .products = products};
    struct error error = {"out of memory"};
    double begin = measure_now();
    int ret = backbone_load(&b.backbone, g, be, &error);

    if (ret == 0)
        ret = backbone_scratch_create(&b.scratch, b.backbone, BATCH_MAX, &error);
    if (ret == 0)
        ret = be->ops->status(be, &error);
    if (ret == 0) {
        printf("weights %.2f GB      %12.0f ms of loading\n", weight_bytes / 1e9,
               1e3 * (measure_now() - begin));
        b.bandwidth = copy_bandwidth(be);
        printf("copying             %12.1f GB/s\n", b.bandwidth / 1e9);
    }
    for (size_t i = 0; ret == 0 && i < sizeof(batches) / sizeof(batches[0]); i++)
        decode(&b, batches[i]);
    if (ret == 0)
        ret = prefill_and_fork(&b);
    if (ret == 0)
        ret = measure_live(b.scratch, weight_bytes > LARGE ? LIVE_S / 2 : LIVE_S, &error);
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
    fprintf(stderr, "gpubench mini|0.1b|0.4b|1.5b|2.9b f16|bf16|q8_0|q4_0 [BACKEND]\n"
                    "gpubench MODEL.gguf [BACKEND]\n");
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

static int bench_random(struct backend *be, const struct model_size *size, enum tensor_type type)
{
    struct bytes file = {0};
    struct gguf *g = random_model(size, type, &file);
    int ret = -1;

    printf("%s, %s, %s\n", size->name, tensor_type_name(type), be->ops->name);
    if (g) /* embeddings are looked up, not read */
        ret = run(be, g,
                  (double)gguf_size(g) - (double)VOCAB * (double)tensor_row_bytes(type, size->dim),
                  model_size_products(size));
    gguf_close(g);
    bytes_free(&file);
    return ret;
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

int main(int argc, char **argv)
{
    const struct model_size *size = argc > 1 ? model_size_find(argv[1]) : NULL;
    int named = size ? 3 : 2; /* arguments before the backend's */
    enum tensor_type type = TENSOR_F16;

    setvbuf(stdout, NULL, _IOLBF, 0); /* who is killed has told how far it came */
    if (argc < named || argc > named + 1 || (size && !type_of(argv[2], &type)))
        return usage();
    struct backend *be = open_backend(argc > named ? argv[named] : "cuda");

    if (!be)
        return 77;
    int ret = size ? bench_random(be, size, type) : bench_file(be, argv[1]);

    be->ops->destroy(be);
    return ret < 0;
}
