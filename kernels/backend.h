/* A backend is a table of operations over rows of floats that live where the backend computes.
 * Model code is written once over this table and reads as the equations. `float *` arguments named
 * with [shape] point into backend memory (from ->alloc) unless they say host. Rows are contiguous.
 * B streams are a leading dimension wherever an operation carries state from row to row.
 * One thread uses a backend at a time. Operations cannot fail: sizes are checked when a model is
 * bound; a device error is latched and read with ->status. None allocates after ->reserve.
 */
#ifndef EARSHOT_KERNELS_BACKEND_H
#define EARSHOT_KERNELS_BACKEND_H

#include "base/error.h"
#include "kernels/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct backend;
struct weight; /* a matrix packed for the backend, [out, in] */

enum weight_use {
    WEIGHT_PRODUCTS, /* linear */
    WEIGHT_ROWS,     /* embed */
};

/* Up to so many rows in a call of linear or attention, a row's result is the same bits whatever
 * their number. From there on it may be rounded otherwise, to bf16 where the processor multiplies
 * that faster, but still depends on no other row. So who promises the same bits however the audio
 * came makes no call larger than this whose rows depend on it. */
enum { BACKEND_FEW_ROWS = 32 };

enum activation {
    ACTIVATION_NONE,
    ACTIVATION_GELU, /* exact: x Phi(x), by erf */
    ACTIVATION_RELU,
    ACTIVATION_RELU_SQUARED,
    ACTIVATION_SILU,
    ACTIVATION_TANH,
    ACTIVATION_SIGMOID,
};

/* RWKV-7's elementwise step between the projections and the recurrence; see modrwkv equations in
 * docs/model.md. All rows [rows, dim]; vectors [dim]; head size 64 divides dim. */
struct rwkv7_mix {
    size_t rows, dim, head_size;
    float *k;       /* in: Wk x.  out: k (1 + (a - 1) k_a) */
    float *v;       /* in: Wv x.  out: v + (v_first - v) sigmoid(v0 + v_lora), if v_lora */
    float *v_first; /* out when v_lora is NULL (layer 0): a copy of v;  in otherwise */
    const float *v_lora;
    const float *w_lora; /* in: tanh(x_w w1) w2 */
    const float *a_lora; /* in: (x_a a1) a2 */
    float *w;            /* out: exp(-exp(-0.5) sigmoid(w0 + w_lora)), may alias w_lora */
    float *a;            /* out: sigmoid(a0 + a_lora), may alias a_lora */
    float *kk;           /* out: normalise_per_head(k * k_k) */
    const float *w0, *a0, *v0, *k_k, *k_a;
};

/* y = (GroupNorm(y) ln_x + (sum_head(r k r_k)) v) g */
struct rwkv7_out {
    size_t rows, dim, head_size;
    float *y; /* in: S r;  out */
    const float *r, *k, *v, *g;
    const float *r_k; /* [dim] */
    const float *ln_w, *ln_b;
    float eps;
};

/* Softmax attention. Scores are scale q k, and with `relative` more: gate[row, head] relative[head,
 * span - 1 + key position - query position]. */
struct attention {
    size_t rows;    /* queries: the last `rows` of history + rows positions */
    size_t history; /* key/value rows before the first query */
    size_t heads, head_dim;
    size_t window;         /* a row sees itself and window - 1 rows before it */
    size_t ahead;          /* and so many rows after it */
    const float *q;        /* [rows, heads * head_dim] */
    const float *k, *v;    /* [history + rows, heads * head_dim] */
    float *y;              /* [rows, heads * head_dim] */
    const float *relative; /* [heads, 2 span - 1], or NULL */
    const float *gate;     /* [rows, heads], with relative */
    size_t span;           /* positions differ by less, with relative */
    float scale;
};

struct backend_ops {
    const char *name;
    void (*destroy)(struct backend *be);
    int (*status)(const struct backend *be, struct error *error); /* 0, or the first error */

    /* Memory: zeroed, 64-byte aligned; NULL when there is none left. */
    float *(*alloc)(struct backend *be, size_t count);
    void (*free)(struct backend *be, float *p);
    void (*copy)(struct backend *be, float *dst, const float *src, size_t count);
    void (*move)(struct backend *be, float *dst, const float *src, size_t count); /* may overlap */
    void (*zero)(struct backend *be, float *dst, size_t count);
    /* rows of dim floats, from rows src_stride apart to rows dst_stride apart; no overlap. */
    void (*copy_rows)(struct backend *be, float *dst, size_t dst_stride, const float *src,
                      size_t src_stride, size_t rows, size_t dim);
    void (*upload)(struct backend *be, float *dst, const float *host, size_t count);
    void (*download)(struct backend *be, float *host, const float *src, size_t count);

    /* Packs a matrix for one use; t->data must outlive the weight (it may be used in place). 0 or
     * -errno. */
    int (*weight_create)(struct backend *be, struct weight **out, const struct tensor *t,
                         enum weight_use use);
    void (*weight_destroy)(struct backend *be, struct weight *w);
    /* Makes scratch for calls of up to rows rows with the weights created so far. 0 or -ENOMEM. */
    int (*reserve)(struct backend *be, size_t rows);

    /* y[rows, out] = act(x W^T + bias). Row i of x begins at x + i * x_stride and has `in` floats;
     * rows may overlap (x_stride < in), which makes a convolution over time one call. bias: [out]
     * or NULL. */
    void (*linear)(struct backend *be, float *y, const float *x, size_t x_stride, size_t rows,
                   const struct weight *w, const float *bias, enum activation act);
    /* y[rows, out] += x W^T + bias */
    void (*linear_add)(struct backend *be, float *y, const float *x, size_t rows,
                       const struct weight *w, const float *bias);

    void (*layer_norm)(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                       const float *w, const float *b, float eps);
    /* y = act((x - shift) * scale + bias), vectors [dim]; a NULL shift, scale or bias is left out.
     */
    void (*affine)(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                   const float *shift, const float *scale, const float *bias, enum activation act);
    void (*add)(struct backend *be, float *y, const float *x, size_t count); /* y += x */
    /* y[rows, dim] = x[:, :dim] * sigmoid(x[:, dim:]) */
    void (*glu)(struct backend *be, float *y, const float *x, size_t rows, size_t dim);

    /* Depthwise over rows: y[t] = act(b + sum_j w[j] x[t + j]); x has kernel - 1 rows of history
     * before row 0 of the call: x [kernel - 1 + rows, dim], w [kernel, dim]. */
    void (*conv_depthwise)(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                           const float *w, const float *b, size_t kernel, enum activation act);
    /* Rotary positions, half-split pairs, in place: x [rows, heads * head_dim], first row at
     * position. */
    void (*rope)(struct backend *be, float *x, size_t rows, size_t heads, size_t head_dim,
                 uint64_t position, float base);
    void (*attention)(struct backend *be, const struct attention *a);
    /* WavLM's gate of the relative positions: y[t, h] = s(x0) (s(x1) scale[h] - 1) + 2, s the
     * sigmoid and x0, x1 = x[t, h, 0..1];  y [rows, heads], scale [heads]. */
    void (*relative_gate)(struct backend *be, float *y, const float *x, const float *scale,
                          size_t rows, size_t heads);

    /* y[count, dim] = rows of w, created for rows; ids: host. */
    void (*embed)(struct backend *be, float *y, const uint32_t *ids, size_t count,
                  const struct weight *w);

    /* Token shift: y[b, t] = x[b, t] + (x[b, t - 1] - x[b, t]) * mu, x[b, -1] = prev[b].
     * x, y [streams, rows, dim], prev [streams, dim], mu [dim]. */
    void (*shift_lerp)(struct backend *be, float *y, const float *x, const float *prev,
                       const float *mu, size_t streams, size_t rows, size_t dim);
    void (*rwkv7_mix)(struct backend *be, const struct rwkv7_mix *m);
    /* The recurrence, per stream and head: S = S diag(w) + (S (-kk)) (kk a)^T + v k^T;  y = S r.
     * state [streams, heads, N, N] (rows: value, columns: key), the others
     * [streams, rows, heads * N]. */
    void (*wkv7)(struct backend *be, float *y, float *state, const float *r, const float *w,
                 const float *k, const float *v, const float *kk, const float *a, size_t streams,
                 size_t rows, size_t heads, size_t head_size);
    void (*rwkv7_out)(struct backend *be, const struct rwkv7_out *o);

    /* The index of the largest of x[count], the lowest on a tie. */
    uint32_t (*argmax)(struct backend *be, const float *x, size_t count);
    /* softmax(x)[index], x[count]; entries may be -inf, that at index not. */
    float (*probability)(struct backend *be, const float *x, size_t count, size_t index);
};

struct backend {
    const struct backend_ops *ops;
};

/* threads 0: one per core, at most 8. Returns 0, -EINVAL or -ENOMEM. */
int backend_cpu_create(struct backend **out, int threads);

#ifdef __cplusplus
}
#endif

#endif
