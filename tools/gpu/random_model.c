/* Models of the public sizes: one random piece, again and again. */
#include "tools/gpu/random_model.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_SIZE = 64 };

static const struct model_size sizes[] = {
    {"mini", 128, 2, 256, 8, 8, 8, 8},          {"0.1b", 768, 12, 3072, 64, 64, 32, 128},
    {"0.4b", 1024, 24, 4096, 64, 64, 32, 128},  {"1.5b", 2048, 24, 8192, 96, 96, 64, 256},
    {"2.9b", 2560, 32, 10240, 96, 96, 64, 320},
};

const struct model_size *model_size_find(const char *name)
{
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (strcmp(sizes[i].name, name) == 0)
            return &sizes[i];
    return NULL;
}

static uint64_t next_random(void)
{
    static uint64_t seed = 1;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Whole blocks of every type, and not a power of two: rows that begin at one differ. */
enum { PATTERN_BYTES = 34 * 18 * 2 * 1025 };

/* Random values of about 2^-6: halves and the scales of blocks get their exponents set. */
static void fill_pattern(unsigned char *pattern, enum tensor_type type)
{
    size_t block = tensor_row_bytes(type, TENSOR_BLOCK);

    for (size_t i = 0; i < PATTERN_BYTES; i += 8) {
        uint64_t bits = next_random();

        if (type == TENSOR_F16)
            bits = (bits & 0x83ff83ff83ff83ffu) | 0x2400240024002400u;
        else if (type == TENSOR_BF16)
            bits = (bits & 0x807f807f807f807fu) | 0x3c803c803c803c80u;
        memcpy(pattern + i, &bits, 8);
    }
    for (size_t i = 0; block < 2 * (size_t)TENSOR_BLOCK && i < PATTERN_BYTES; i += block) {
        pattern[i] = 0;
        pattern[i + 1] = type == TENSOR_Q8_0 ? 0x08 : 0x18; /* 2^-13, 2^-9 */
    }
}

void random_tensor(struct gguf_writer *g, const char *name, enum tensor_type type, size_t dims,
                   const size_t *shape)
{
    static unsigned char patterns[TENSOR_BF16 + 1][PATTERN_BYTES];
    static bool filled[TENSOR_BF16 + 1];
    uint64_t dimensions[4];
    size_t rows = 1, bytes;

    if (!filled[type])
        fill_pattern(patterns[type], type);
    filled[type] = true;
    for (size_t i = 0; i < dims; i++) {
        dimensions[dims - 1 - i] = shape[i];
        rows *= i + 1 < dims ? shape[i] : 1;
    }
    bytes = rows * tensor_row_bytes(type, shape[dims - 1]);
    gguf_writer_tensor(g, name, (uint32_t)dims, dimensions, type, NULL, 0);
    for (size_t at = 0; at < bytes; at += PATTERN_BYTES)
        bytes_add(&g->data, patterns[type],
                  bytes - at < PATTERN_BYTES ? bytes - at : (size_t)PATTERN_BYTES);
}

static void add_matrix(struct gguf_writer *g, const char *name, enum tensor_type type, size_t rows,
                       size_t cols)
{
    random_tensor(g, name, type, 2, (const size_t[]){rows, cols});
}

void random_vector(struct gguf_writer *g, const char *name, size_t count, float value)
{
    float *data = malloc(count * sizeof(float));

    if (!data)
        exit(1);
    for (size_t i = 0; i < count; i++)
        data[i] = value;
    gguf_writer_floats(g, name, 1, &count, data);
    free(data);
}

enum { MATRICES = 14 };

struct matrix {
    const char *name;
    size_t rows, cols;
};

static void matrices_of(const struct model_size *s, struct matrix out[MATRICES])
{
    const struct matrix all[MATRICES] = {
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

    memcpy(out, all, sizeof(all));
}

double model_size_products(const struct model_size *s)
{
    struct matrix all[MATRICES];
    double sum = 0.0;

    matrices_of(s, all);
    for (size_t i = 0; i < MATRICES; i++)
        sum += (double)all[i].rows * (double)all[i].cols;
    return sum * (double)s->layers;
}

static void add_block(struct gguf_writer *g, const struct model_size *s, enum tensor_type type,
                      size_t layer)
{
    static const char *const vectors[] = {
        "ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias", "att.x_r",         "att.x_w",
        "att.x_k",    "att.x_v",  "att.x_a",    "att.x_g",  "att.w0",          "att.a0",
        "att.v0",     "att.k_k",  "att.k_a",    "ffn.x_k",  "att.ln_x.weight", "att.ln_x.bias"};
    struct matrix matrices[MATRICES];
    char name[96];
    const size_t heads[] = {s->dim / HEAD_SIZE, HEAD_SIZE};
    float *r_k = calloc(s->dim, sizeof(float));

    if (!r_k)
        exit(1);
    matrices_of(s, matrices);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        snprintf(name, sizeof(name), "backbone.blocks.%zu.%s", layer, vectors[i]);
        random_vector(g, name, s->dim, 0.5f);
    }
    for (size_t i = 0; i < MATRICES; i++) {
        enum tensor_type of = matrices[i].cols % TENSOR_BLOCK ? TENSOR_F16 : type;

        snprintf(name, sizeof(name), "backbone.blocks.%zu.%s", layer, matrices[i].name);
        add_matrix(g, name, of, matrices[i].rows, matrices[i].cols);
    }
    snprintf(name, sizeof(name), "backbone.blocks.%zu.att.r_k", layer);
    gguf_writer_floats(g, name, 2, heads, r_k);
    free(r_k);
}

void random_backbone(struct gguf_writer *g, const struct model_size *s, enum tensor_type type)
{
    gguf_writer_u32(g, "earshot.backbone.dim", (uint32_t)s->dim);
    gguf_writer_u32(g, "earshot.backbone.layers", (uint32_t)s->layers);
    gguf_writer_u32(g, "earshot.backbone.head_size", HEAD_SIZE);
    gguf_writer_u32(g, "earshot.backbone.ffn", (uint32_t)s->ffn);
    gguf_writer_u32(g, "earshot.backbone.vocab", RANDOM_MODEL_VOCAB);
    add_matrix(g, "backbone.emb.weight", type, RANDOM_MODEL_VOCAB, s->dim);
    add_matrix(g, "backbone.head.weight", type, RANDOM_MODEL_VOCAB, s->dim);
    random_vector(g, "backbone.blocks.0.ln0.weight", s->dim, 1.0f);
    random_vector(g, "backbone.blocks.0.ln0.bias", s->dim, 0.0f);
    random_vector(g, "backbone.ln_out.weight", s->dim, 1.0f);
    random_vector(g, "backbone.ln_out.bias", s->dim, 0.0f);
    for (size_t i = 0; i < s->layers; i++)
        add_block(g, s, type, i);
}

struct gguf *random_model(const struct model_size *s, enum tensor_type type, struct bytes *file)
{
    struct gguf_writer g;
    struct gguf *out = NULL;
    struct error error;

    gguf_writer_init(&g);
    random_backbone(&g, s, type);
    *file = gguf_writer_bytes(&g);
    gguf_writer_finish(&g);
    if (gguf_open_memory(&out, file->data, file->size, &error) < 0)
        fprintf(stderr, "random model: %s\n", error.message);
    return out;
}
