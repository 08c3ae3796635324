/* The const part of the backbone: its shape and its weights, from the file. */
#include "model/backbone_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BACKBONE_HEAD_SIZE = 64,
    BACKBONE_DIM_MAX = 1 << 16,
    BACKBONE_VOCAB_MAX = 1 << 22,
};

static int read_config(struct backbone *b, struct error *error)
{
    struct backbone_config *c = &b->config;
    const struct {
        const char *key;
        size_t most;
        size_t *value;
    } keys[] = {
        {"earshot.backbone.dim", BACKBONE_DIM_MAX, &c->dim},
        {"earshot.backbone.layers", gguf_tensor_count(b->bind.gguf), &c->layers},
        {"earshot.backbone.head_size", BACKBONE_DIM_MAX, &c->head_size},
        {"earshot.backbone.ffn", 8 * BACKBONE_DIM_MAX, &c->ffn},
        {"earshot.backbone.vocab", BACKBONE_VOCAB_MAX, &c->vocab},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        int r = bind_u32(&b->bind, keys[i].key, 1, keys[i].most, keys[i].value, error);
        if (r < 0) {
            return r;
        }
    }
    if (c->head_size != BACKBONE_HEAD_SIZE || c->dim % c->head_size != 0) {
        return error_set(error, -ENOTSUP,
                         "%s: heads of %zu in a backbone of dim %zu; only whole "
                         "heads of %d are computed",
                         gguf_path(b->bind.gguf), c->head_size, c->dim, BACKBONE_HEAD_SIZE);
    }
    c->heads = c->dim / c->head_size;
    b->shape = (struct state_shape){c->layers, c->dim, c->heads, c->head_size};
    return 0;
}

static int bind_ends(struct backbone *b, struct error *error)
{
    size_t dim = b->config.dim;
    size_t vocab = b->config.vocab;
    const struct bind_entry entries[] = {
        {"emb.weight", {vocab, dim}, .table = &b->emb},
        {"blocks.0.ln0.weight", {dim}, .vector = &b->ln0_w},
        {"blocks.0.ln0.bias", {dim}, .vector = &b->ln0_b},
        {"ln_out.weight", {dim}, .vector = &b->ln_out_w},
        {"ln_out.bias", {dim}, .vector = &b->ln_out_b},
        {"head.weight", {vocab, dim}, .matrix = &b->head},
    };
    return bind_tensors(&b->bind, "backbone.", entries, sizeof(entries) / sizeof(entries[0]),
                        error);
}

/* One low-rank pair; the rank is the file's choice. */
static int bind_lora(struct backbone *b, const char *prefix, const char *down, const char *up,
                     struct lora *lora, struct error *error)
{
    size_t dim = b->config.dim;
    size_t shape[2];
    int r = bind_shape(&b->bind, prefix, down, 2, shape, error);
    if (r < 0)
        return r;
    lora->rank = shape[0];
    b->max_rank = lora->rank > b->max_rank ? lora->rank : b->max_rank;
    const struct bind_entry entries[] = {
        {down, {lora->rank, dim}, .matrix = &lora->down},
        {up, {dim, lora->rank}, .matrix = &lora->up},
    };
    return bind_tensors(&b->bind, prefix, entries, sizeof(entries) / sizeof(entries[0]), error);
}

/* Layer 0 has no use for v0, v1, v2: its v is v_first. Some files have them all the same. */
static int bind_loras(struct backbone *b, const char *prefix, size_t layer, struct error *error)
{
    struct backbone_block *l = &b->blocks[layer];
    int r = bind_lora(b, prefix, "att.w1", "att.w2", &l->w, error);
    if (r == 0) {
        r = bind_lora(b, prefix, "att.a1", "att.a2", &l->a, error);
    }
    if (r == 0) {
        r = bind_lora(b, prefix, "att.g1", "att.g2", &l->g, error);
    }
    if (r < 0 || layer == 0) {
        return r;
    }
    const struct bind_entry v0 = {"att.v0", {b->config.dim}, .vector = &l->v0};
    r = bind_tensors(&b->bind, prefix, &v0, 1, error);
    return r < 0 ? r : bind_lora(b, prefix, "att.v1", "att.v2", &l->v, error);
}

static int bind_block(struct backbone *b, size_t layer, struct error *error)
{
    struct backbone_block *l = &b->blocks[layer];
    size_t dim = b->config.dim;
    size_t ffn = b->config.ffn;
    const struct bind_entry entries[] = {
        {"ln1.weight", {dim}, .vector = &l->ln1_w},
        {"ln1.bias", {dim}, .vector = &l->ln1_b},
        {"ln2.weight", {dim}, .vector = &l->ln2_w},
        {"ln2.bias", {dim}, .vector = &l->ln2_b},
        {"att.x_r", {dim}, .vector = &l->x_r},
        {"att.x_w", {dim}, .vector = &l->x_w},
        {"att.x_k", {dim}, .vector = &l->x_k},
        {"att.x_v", {dim}, .vector = &l->x_v},
        {"att.x_a", {dim}, .vector = &l->x_a},
        {"att.x_g", {dim}, .vector = &l->x_g},
        {"att.w0", {dim}, .vector = &l->w0},
        {"att.a0", {dim}, .vector = &l->a0},
        {"att.k_k", {dim}, .vector = &l->k_k},
        {"att.k_a", {dim}, .vector = &l->k_a},
        {"att.r_k", {b->config.heads, b->config.head_size}, .vector = &l->r_k},
        {"att.receptance.weight", {dim, dim}, .matrix = &l->receptance},
        {"att.key.weight", {dim, dim}, .matrix = &l->key},
        {"att.value.weight", {dim, dim}, .matrix = &l->value},
        {"att.output.weight", {dim, dim}, .matrix = &l->output},
        {"att.ln_x.weight", {dim}, .vector = &l->ln_x_w},
        {"att.ln_x.bias", {dim}, .vector = &l->ln_x_b},
        {"ffn.x_k", {dim}, .vector = &l->ffn_x_k},
        {"ffn.key.weight", {ffn, dim}, .matrix = &l->ffn_key},
        {"ffn.value.weight", {dim, ffn}, .matrix = &l->ffn_value},
    };
    char prefix[48];
    snprintf(prefix, sizeof(prefix), "backbone.blocks.%zu.", layer);
    int r = bind_tensors(&b->bind, prefix, entries, sizeof(entries) / sizeof(entries[0]), error);
    return r < 0 ? r : bind_loras(b, prefix, layer, error);
}

static int bind_all(struct backbone *b, struct error *error)
{
    int r = read_config(b, error);
    if (r == 0) {
        r = bind_ends(b, error);
    }
    if (r < 0)
        return r;
    b->blocks = calloc(b->config.layers, sizeof(b->blocks[0]));
    if (!b->blocks) {
        return error_set(error, -ENOMEM, "%s: no memory for the backbone", gguf_path(b->bind.gguf));
    }
    for (size_t i = 0; r == 0 && i < b->config.layers; i++) {
        r = bind_block(b, i, error);
    }
    return r;
}

int backbone_load(struct backbone **out, const struct gguf *g, struct backend *be,
                  struct error *error)
{
    *out = NULL;
    struct backbone *b = calloc(1, sizeof(*b));
    if (!b) {
        return error_set(error, -ENOMEM, "%s: no memory for the backbone", gguf_path(g));
    }
    b->be = be;
    bind_init(&b->bind, g, be);
    int r = bind_all(b, error);
    if (r < 0) {
        backbone_destroy(b);
        return r;
    }
    *out = b;
    return 0;
}

void backbone_destroy(struct backbone *b)
{
    if (!b) {
        return;
    }
    bind_finish(&b->bind);
    free(b->blocks);
    free(b);
}

const struct state_shape *backbone_state_shape(const struct backbone *b)
{
    return &b->shape;
}

size_t backbone_dim(const struct backbone *b)
{
    return b->config.dim;
}

size_t backbone_vocab(const struct backbone *b)
{
    return b->config.vocab;
}

struct backend *backbone_backend(const struct backbone *b)
{
    return b->be;
}
