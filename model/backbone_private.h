/* What loading (backbone_load.c) leaves for the passes (backbone.c). */
#ifndef EARSHOT_MODEL_BACKBONE_PRIVATE_H
#define EARSHOT_MODEL_BACKBONE_PRIVATE_H

#include "model/backbone.h"
#include "model/bind.h"

struct backbone_config {
    size_t dim, layers, heads, head_size, ffn, vocab;
};

/* y = up act(down x) */
struct lora {
    struct weight *down, *up; /* [rank, D], [D, rank] */
    size_t rank;
};

struct backbone_block {
    float *ln1_w, *ln1_b, *ln2_w, *ln2_b;             /* [D] */
    float *x_r, *x_w, *x_k, *x_v, *x_a, *x_g;         /* [D] */
    float *w0, *a0, *v0;                              /* [D]; no v0 in layer 0 */
    struct lora w, a, v, g;                           /* w1, w2, ...; no v in layer 0 */
    float *k_k, *k_a, *r_k;                           /* [D] */
    struct weight *receptance, *key, *value, *output; /* [D, D] */
    float *ln_x_w, *ln_x_b;                           /* [D] */
    float *ffn_x_k;                                   /* [D] */
    struct weight *ffn_key, *ffn_value;               /* [F, D], [D, F] */
};

struct backbone {
    struct backend *be;
    struct backbone_config config;
    struct state_shape shape;
    size_t max_rank;
    struct bind bind;
    struct weight *emb, *head;                  /* [V, D] */
    float *ln0_w, *ln0_b, *ln_out_w, *ln_out_b; /* [D] */
    struct backbone_block *blocks;              /* [layers], owned */
};

#endif
