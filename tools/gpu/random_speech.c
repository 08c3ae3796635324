/* A whole model with random weights: WavLM of the public size, an adapter to 12.5 rows a second, a
 * vocabulary of all pairs of bytes, and prompts. */
#include "tools/gpu/random_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CONVS = 7, POSITION_ROWS = 128, BUCKETS = 320, MAX_DISTANCE = 800, BYTE_VALUES = 256 };

struct wavlm_size {
    const char *name;
    size_t dim, layers, heads, ffn, conv, groups;
};

static const struct wavlm_size sizes[] = {
    {"wavlm-large", 1024, 24, 16, 4096, 512, 16},
    {"wavlm-mini", 64, 2, 2, 128, 32, 4},
};

static const uint32_t kernels[CONVS] = {10, 3, 3, 3, 3, 2, 2},
                      strides[CONVS] = {5, 2, 2, 2, 2, 2, 2};

static void add_settings(struct gguf_writer *g, const struct wavlm_size *w)
{
    uint32_t dims[CONVS];

    for (size_t i = 0; i < CONVS; i++)
        dims[i] = (uint32_t)w->conv;
    gguf_writer_string(g, "earshot.encoder.type", "wavlm");
    gguf_writer_u32(g, "earshot.encoder.dim", (uint32_t)w->dim);
    gguf_writer_u32(g, "earshot.encoder.layers", (uint32_t)w->layers);
    gguf_writer_u32(g, "earshot.encoder.heads", (uint32_t)w->heads);
    gguf_writer_u32(g, "earshot.encoder.ffn", (uint32_t)w->ffn);
    gguf_writer_array(g, "earshot.encoder.conv.dims", GGUF_U32, dims, sizeof(uint32_t), CONVS);
    gguf_writer_array(g, "earshot.encoder.conv.kernels", GGUF_U32, kernels, sizeof(uint32_t),
                      CONVS);
    gguf_writer_array(g, "earshot.encoder.conv.strides", GGUF_U32, strides, sizeof(uint32_t),
                      CONVS);
    gguf_writer_u32(g, "earshot.encoder.position.kernel", POSITION_ROWS);
    gguf_writer_u32(g, "earshot.encoder.position.groups", (uint32_t)w->groups);
    gguf_writer_u32(g, "earshot.encoder.relative.buckets", BUCKETS);
    gguf_writer_u32(g, "earshot.encoder.relative.max_distance", MAX_DISTANCE);
    gguf_writer_string(g, "earshot.encoder.conv.norm", "layer");
    gguf_writer_bool(g, "earshot.encoder.norm_first", true);
    gguf_writer_bool(g, "earshot.encoder.normalise", true);
    gguf_writer_f32(g, "earshot.encoder.layer_norm_eps", 1e-5f);
}

/* A matrix [out, in] with its bias. */
static void add_linear(struct gguf_writer *g, const char *prefix, const char *name,
                       enum tensor_type type, size_t out, size_t in)
{
    char full[96];

    snprintf(full, sizeof(full), "%s%s.weight", prefix, name);
    random_tensor(g, full, type, 2, (const size_t[]){out, in});
    snprintf(full, sizeof(full), "%s%s.bias", prefix, name);
    random_vector(g, full, out, 0.0f);
}

static void add_norm(struct gguf_writer *g, const char *prefix, const char *name, size_t dim)
{
    char full[96];

    snprintf(full, sizeof(full), "%s%s.weight", prefix, name);
    random_vector(g, full, dim, 1.0f);
    snprintf(full, sizeof(full), "%s%s.bias", prefix, name);
    random_vector(g, full, dim, 0.0f);
}

static void add_stem(struct gguf_writer *g, const struct wavlm_size *w)
{
    for (size_t i = 0; i < CONVS; i++) {
        char prefix[48], full[96];

        snprintf(prefix, sizeof(prefix), "encoder.conv.%zu.", i);
        snprintf(full, sizeof(full), "%sweight", prefix);
        random_tensor(g, full, TENSOR_F16, 3,
                      (const size_t[]){w->conv, kernels[i], i ? w->conv : 1});
        snprintf(full, sizeof(full), "%sbias", prefix);
        random_vector(g, full, w->conv, 0.0f);
        add_norm(g, prefix, "norm", w->conv);
    }
    add_norm(g, "encoder.proj.", "norm", w->conv);
    add_linear(g, "encoder.", "proj", TENSOR_F16, w->dim, w->conv);
    random_tensor(g, "encoder.position.weight", TENSOR_F16, 3,
                  (const size_t[]){w->dim, POSITION_ROWS, w->dim / w->groups});
    random_vector(g, "encoder.position.bias", w->dim, 0.0f);
    add_norm(g, "encoder.", "ln", w->dim);
    float *relative = calloc(BUCKETS * w->heads, sizeof(float));

    if (!relative)
        exit(1);
    gguf_writer_floats(g, "encoder.relative.weight", 2, (const size_t[]){BUCKETS, w->heads},
                       relative);
    free(relative);
}

static void add_layer(struct gguf_writer *g, const struct wavlm_size *w, size_t layer)
{
    static const char *const square[] = {"attn.q", "attn.k", "attn.v", "attn.out"};
    static const float gate[2 * 128];
    char prefix[48], full[96];

    snprintf(prefix, sizeof(prefix), "encoder.blocks.%zu.", layer);
    add_norm(g, prefix, "ln1", w->dim);
    add_norm(g, prefix, "ln2", w->dim);
    for (size_t i = 0; i < sizeof(square) / sizeof(square[0]); i++)
        add_linear(g, prefix, square[i], TENSOR_F16, w->dim, w->dim);
    add_linear(g, prefix, "ffn.0", TENSOR_F16, w->ffn, w->dim);
    add_linear(g, prefix, "ffn.2", TENSOR_F16, w->dim, w->ffn);
    snprintf(full, sizeof(full), "%sattn.gate.weight", prefix);
    gguf_writer_floats(g, full, 2, (const size_t[]){2, w->dim / w->heads}, gate);
    snprintf(full, sizeof(full), "%sattn.gate.bias", prefix);
    random_vector(g, full, 2, 0.0f);
    snprintf(full, sizeof(full), "%sattn.gate.scale", prefix);
    random_vector(g, full, w->heads, 1.0f);
}

static void add_adapter(struct gguf_writer *g, size_t in, size_t out)
{
    gguf_writer_u32(g, "earshot.adapter.kernel", 4);
    gguf_writer_u32(g, "earshot.adapter.stride", 4);
    gguf_writer_u32(g, "earshot.adapter.padding", 0);
    random_tensor(g, "adapter.conv.weight", TENSOR_F16, 3, (const size_t[]){in, 4, in});
    random_vector(g, "adapter.conv.bias", in, 0.0f);
    add_linear(g, "adapter.", "proj.0", TENSOR_F16, in, in);
    add_linear(g, "adapter.", "proj.2", TENSOR_F16, out, in);
}

/* None, every byte, and then pairs of bytes with a zero behind them. */
static void add_vocabulary(struct gguf_writer *g)
{
    static uint8_t bytes[3 * RANDOM_MODEL_VOCAB];
    static uint32_t lengths[RANDOM_MODEL_VOCAB];
    size_t size = 0;

    for (size_t i = 1; i < RANDOM_MODEL_VOCAB; i++) {
        uint8_t *token = bytes + size;

        lengths[i] = i <= BYTE_VALUES ? 1 : 3;
        token[0] = (uint8_t)(i <= BYTE_VALUES ? i - 1 : i / BYTE_VALUES);
        if (lengths[i] == 3)
            token[1] = (uint8_t)(i % BYTE_VALUES);
        size += lengths[i];
    }
    gguf_writer_array(g, "earshot.vocab.bytes", GGUF_U8, bytes, 1, size);
    gguf_writer_array(g, "earshot.vocab.lengths", GGUF_U32, lengths, sizeof(uint32_t),
                      RANDOM_MODEL_VOCAB);
}

static void add_prompts(struct gguf_writer *g)
{
    static const char *const keys[] = {"earshot.prompt.audio_begin", "earshot.prompt.caption",
                                       "earshot.prompt.reply", "earshot.prompt.text_begin"};
    static const uint32_t two[] = {24, 258}, none[] = {0};

    gguf_writer_string(g, "general.architecture", "earshot");
    gguf_writer_string(g, "general.name", "random");
    gguf_writer_u32(g, "earshot.format_version", 1);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        gguf_writer_array(g, keys[i], GGUF_U32, two, sizeof(uint32_t), 2);
    gguf_writer_bool(g, "earshot.prompt.space", false);
    gguf_writer_array(g, "earshot.decode.stop", GGUF_U32, two, sizeof(uint32_t), 1);
    gguf_writer_array(g, "earshot.decode.ban", GGUF_U32, none, sizeof(uint32_t), 1);
    gguf_writer_u32(g, "earshot.decode.max_tokens", 500);
    gguf_writer_bool(g, "earshot.conversation.carry", true);
}

static bool write_all(int fd, const struct bytes *b)
{
    for (size_t at = 0; at < b->size;) {
        ssize_t now = write(fd, b->data + at, b->size - at);

        if (now <= 0)
            return false;
        at += (size_t)now;
    }
    return true;
}

bool random_speech_model(const char *encoder, const struct model_size *s, enum tensor_type type,
                         char *path)
{
    const struct wavlm_size *w = NULL;
    struct gguf_writer g;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (strcmp(sizes[i].name, encoder) == 0)
            w = &sizes[i];
    if (!w) {
        fprintf(stderr, "%s: not an encoder (wavlm-large, wavlm-mini)\n", encoder);
        return false;
    }
    gguf_writer_init(&g);
    add_prompts(&g);
    add_settings(&g, w);
    add_stem(&g, w);
    for (size_t i = 0; i < w->layers; i++)
        add_layer(&g, w, i);
    add_adapter(&g, w->dim, s->dim);
    random_backbone(&g, s, type);
    add_vocabulary(&g);
    struct bytes file = gguf_writer_bytes(&g);
    int fd = memfd_create("random model", 0);
    bool written = fd >= 0 && write_all(fd, &file);

    gguf_writer_finish(&g);
    bytes_free(&file);
    snprintf(path, RANDOM_MODEL_PATH, "/proc/self/fd/%d", fd);
    if (!written)
        fprintf(stderr, "random model: no memory for it\n");
    return written;
}
