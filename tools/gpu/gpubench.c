/* The speed of the backbone at the public models' sizes, with random weights, made on the spot:
 *
 *     gpubench 0.1b|0.4b|1.5b|2.9b f16|bf16|q8_0|q4_0 [BACKEND]       BACKEND: cuda
 *
 * Prints tokens a second for one stream and for batches, what part of the memory's bandwidth the
 * weights of one stream take, rows a second of a hearing, and how long a fork takes. Needs memory
 * for four times the model. The whole way from samples to text is `earshot bench`.
 */
#include "kernels/backend.h"
#include "model/backbone.h"
#include "tests/support/gguf_writer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_MAX = 960,
    HEAD_SIZE = 64,
    VOCAB = 65536,
    RUNS = 5,
    STEPS = 50,
    PREFILL = 512,
    COPY_FLOATS = 256 << 20,
};

struct size {
    const char *name;
    size_t dim, layers, ffn, w, a, v, g; /* ranks last */
};

static const struct size sizes[] = {
    {"mini", 128, 2, 256, 8, 8, 8, 8},          {"0.1b", 768, 12, 3072, 64, 64, 32, 128},
    {"0.4b", 1024, 24, 4096, 64, 64, 32, 128},  {"1.5b", 2048, 24, 8192, 96, 96, 64, 256},
    {"2.9b", 2560, 32, 10240, 96, 96, 64, 320},
};

static uint64_t seed = 1;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Random values of about 2^-6: halves and the scales of blocks get their exponents set. */
static void add_matrix(struct gguf_writer *g, const char *name, enum tensor_type type, size_t rows,
                       size_t cols)
{
    size_t bytes = rows * tensor_row_bytes(type, cols),
           block = tensor_row_bytes(type, TENSOR_BLOCK);
    const uint64_t shape[] = {cols, rows};
    unsigned char *data = malloc(bytes + 8);

    if (!data)
        exit(1);
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t bits = next_random();

        if (type == TENSOR_F16)
            bits = (bits & 0x83ff83ff83ff83ffu) | 0x2400240024002400u;
        else if (type == TENSOR_BF16)
            bits = (bits & 0x807f807f807f807fu) | 0x3c803c803c803c80u;
        memcpy(data + i, &bits, 8);
    }
    for (size_t i = 0; block < 2 * (size_t)TENSOR_BLOCK && i < bytes; i += block) {
        data[i] = 0;
        data[i + 1] = type == TENSOR_Q8_0 ? 0x08 : 0x18; /* 2^-13, 2^-9 */
    }
    gguf_writer_tensor(g, name, 2, shape, type, data, bytes);
    free(data);
}

static void add_vector(struct gguf_writer *g, const char *name, size_t count, float value)
{
    float *data = malloc(count * sizeof(float));

    if (!data)
        exit(1);
    for (size_t i = 0; i < count; i++)
        data[i] = value;
    gguf_writer_floats(g, name, 1, &count, data);
    free(data);
}

static void add_block(struct gguf_writer *g, const struct size *s, enum tensor_type type,
                      size_t layer)
{
    static const char *const vectors[] = {
        "ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias", "att.x_r",         "att.x_w",
        "att.x_k",    "att.x_v",  "att.x_a",    "att.x_g",  "att.w0",          "att.a0",
        "att.v0",     "att.k_k",  "att.k_a",    "ffn.x_k",  "att.ln_x.weight", "att.ln_x.bias"};
    const struct {
        const char *name;
        size_t rows, cols;
    } matrices[] = {
        {"att.receptance.weight", s->dim, s->dim},
        {"att.key.weight", s->dim, s->dim},
        {"att.value.weight", s->dim, s->dim},
        {"att.output.weight", s->dim, s->dim},
        {"ffn.key.weight", s->ffn, s->dim},
        {"ffn.value.weight", s->dim, s->ffn},
        {"att.w1", s->w, s->dim},
        {"att.w2", s->dim, s->w},
        {"att.a1", s->a, s->dim},
        {"att.a2", s->dim, s->a},
        {"att.v1", s->v, s->dim},
        {"att.v2", s->dim, s->v},
        {"att.g1", s->g, s->dim},
        {"att.g2", s->dim, s->g},
    };
    char name[96];
    const size_t heads[] = {s->dim / HEAD_SIZE, HEAD_SIZE};
    float *r_k = calloc(s->dim, sizeof(float));

    if (!r_k)
        exit(1);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        snprintf(name, sizeof(name), "backbone.blocks.%zu.%s", layer, vectors[i]);
        add_vector(g, name, s->dim, 0.5f);
    }
    for (size_t i = 0; i < sizeof(matrices) / sizeof(matrices[0]); i++) {
        enum tensor_type of = matrices[i].cols % TENSOR_BLOCK ? TENSOR_F16 : type;

        snprintf(name, sizeof(name), "backbone.blocks.%zu.%s", layer, matrices[i].name);
        add_matrix(g, name, of, matrices[i].rows, matrices[i].cols);
    }
    snprintf(name, sizeof(name), "backbone.blocks.%zu.att.r_k", layer);
    gguf_writer_floats(g, name, 2, heads, r_k);
    free(r_k);
}

/* The model as a file without a name: only the backbone's part. */
static struct gguf *make_model(const struct size *s, enum tensor_type type)
{
    struct gguf_writer g;
    struct gguf *out = NULL;
    struct error error = {"cannot be written"};
    char path[] = "/tmp/gpubench-XXXXXX";
    int fd = mkstemp(path);

    gguf_writer_init(&g);
    gguf_writer_u32(&g, "earshot.backbone.dim", (uint32_t)s->dim);
    gguf_writer_u32(&g, "earshot.backbone.layers", (uint32_t)s->layers);
    gguf_writer_u32(&g, "earshot.backbone.head_size", HEAD_SIZE);
    gguf_writer_u32(&g, "earshot.backbone.ffn", (uint32_t)s->ffn);
    gguf_writer_u32(&g, "earshot.backbone.vocab", VOCAB);
    add_matrix(&g, "backbone.emb.weight", type, VOCAB, s->dim);
    add_matrix(&g, "backbone.head.weight", type, VOCAB, s->dim);
    add_vector(&g, "backbone.blocks.0.ln0.weight", s->dim, 1.0f);
    add_vector(&g, "backbone.blocks.0.ln0.bias", s->dim, 0.0f);
    add_vector(&g, "backbone.ln_out.weight", s->dim, 1.0f);
    add_vector(&g, "backbone.ln_out.bias", s->dim, 0.0f);
    for (size_t i = 0; i < s->layers; i++)
        add_block(&g, s, type, i);
    struct bytes b = gguf_writer_bytes(&g);

    gguf_writer_finish(&g);
    for (size_t at = 0; fd >= 0 && at < b.size;) {
        ssize_t n = write(fd, b.data + at, b.size - at);

        if (n <= 0)
            break;
        at += (size_t)n;
    }
    bytes_free(&b);
    if (fd < 0 || close(fd) < 0 || gguf_open(&out, path, &error) < 0)
        fprintf(stderr, "gpubench: %s\n", error.message);
    unlink(path);
    return out;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Waits for what was started. */
static void wait_for(struct backend *be, const float *p)
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
        double begin = now();

        be->ops->copy(be, y, x, COPY_FLOATS);
        wait_for(be, y);
        best = now() - begin < best ? now() - begin : best;
    }
    be->ops->free(be, x);
    be->ops->free(be, y);
    return x && y ? 2.0 * COPY_FLOATS * sizeof(float) / best : 0.0;
}

struct bench {
    struct backend *be;
    struct backbone *backbone;
    double weight_bytes, bandwidth;
};

/* The fastest of RUNS times STEPS tokens of so many streams. */
static void decode(struct bench *b, size_t streams)
{
    struct state *s = NULL;
    float *logits = b->be->ops->alloc(b->be, streams * VOCAB);
    uint32_t *ids = calloc(streams, sizeof(*ids));
    double best = 1e9;

    bool room = logits && ids &&
                state_create_batch(&s, b->be, backbone_state_shape(b->backbone), streams) == 0;

    for (int run = 0; room && run < RUNS; run++) {
        double begin = now(), took;

        for (int i = 0; i < STEPS; i++) {
            backbone_push_batch(b->backbone, s, ids, logits);
            b->be->ops->argmax(b->be, ids, logits, streams, VOCAB);
        }
        took = (now() - begin) / STEPS;
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
}

static int prefill_and_fork(struct bench *b)
{
    const struct state_shape *shape = backbone_state_shape(b->backbone);
    float *rows = b->be->ops->alloc(b->be, PREFILL * shape->dim);
    struct state *s = NULL, *fork = NULL;
    double best = 1e9, fork_best = 1e9;

    if (!rows || state_create(&s, b->be, shape) < 0 || state_create(&fork, b->be, shape) < 0)
        return -ENOMEM;
    for (int run = 0; run < RUNS; run++) {
        double begin = now(), took;

        backbone_push_rows(b->backbone, s, rows, PREFILL, NULL);
        wait_for(b->be, s->wkv);
        took = now() - begin;
        best = took < best ? took : best;
        begin = now();
        state_copy(fork, s);
        wait_for(b->be, fork->wkv);
        took = now() - begin;
        fork_best = took < fork_best ? took : fork_best;
    }
    printf("hearing, %d rows    %12.0f rows/s\n", PREFILL, PREFILL / best);
    printf("a fork of %.1f MB    %12.1f us\n", (double)state_bytes(s) / 1e6, fork_best * 1e6);
    state_destroy(s);
    state_destroy(fork);
    b->be->ops->free(b->be, rows);
    return 0;
}

static int run(struct backend *be, const struct gguf *g, double weight_bytes)
{
    static const size_t batches[] = {1, 8, 32, 64, 256, BATCH_MAX};
    struct bench b = {.be = be, .weight_bytes = weight_bytes};
    struct error error = {"out of memory"};
    double begin = now();
    int ret = backbone_create(&b.backbone, g, be, BATCH_MAX, &error);

    if (ret == 0)
        ret = be->ops->status(be, &error);
    if (ret == 0) {
        printf("weights %.2f GB      %12.0f ms of loading\n", weight_bytes / 1e9,
               1e3 * (now() - begin));
        b.bandwidth = copy_bandwidth(be);
        printf("copying             %12.1f GB/s\n", b.bandwidth / 1e9);
    }
    for (size_t i = 0; ret == 0 && i < sizeof(batches) / sizeof(batches[0]); i++)
        decode(&b, batches[i]);
    if (ret == 0)
        ret = prefill_and_fork(&b);
    if (ret == 0)
        ret = be->ops->status(be, &error);
    if (ret < 0)
        fprintf(stderr, "gpubench: %s\n", error.message);
    backbone_destroy(b.backbone);
    return ret;
}

static int usage(void)
{
    fprintf(stderr, "gpubench mini|0.1b|0.4b|1.5b|2.9b f16|bf16|q8_0|q4_0 [BACKEND]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum tensor_type type;
    } types[] = {
        {"f16", TENSOR_F16}, {"bf16", TENSOR_BF16}, {"q8_0", TENSOR_Q8_0}, {"q4_0", TENSOR_Q4_0}};
    size_t s = 0, t = 0;
    char why[BACKEND_WHY_MAX];
    struct backend *be;
    struct error error;

    if (argc < 3 || argc > 4)
        return usage();
    while (s < sizeof(sizes) / sizeof(sizes[0]) && strcmp(sizes[s].name, argv[1]) != 0)
        s++;
    while (t < sizeof(types) / sizeof(types[0]) && strcmp(types[t].name, argv[2]) != 0)
        t++;
    if (s == sizeof(sizes) / sizeof(sizes[0]) || t == sizeof(types) / sizeof(types[0]))
        return usage();
    if (backend_create(&be, argc > 3 ? argv[3] : "cuda", 0, 0, why, &error) < 0) {
        fprintf(stderr, "gpubench: %s\n", error.message);
        return 77;
    }
    struct gguf *g = make_model(&sizes[s], types[t].type);
    int ret = -1;

    printf("%s, %s, %s\n", sizes[s].name, types[t].name, be->ops->name);
    if (g) /* embeddings are looked up, not read */
        ret = run(be, g,
                  (double)gguf_size(g) -
                      (double)VOCAB * (double)tensor_row_bytes(types[t].type, sizes[s].dim));
    gguf_close(g);
    be->ops->destroy(be);
    return ret < 0;
}
