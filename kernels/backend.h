/* A backend is a table of operations over rows of floats that live where the backend computes.
 * Model code is written once over this table and reads as the equations. `float *` arguments named
 * with [shape] point into backend memory (from ->alloc) unless they say host. Rows are contiguous.
 * B slots are a leading dimension wherever an operation carries state from row to row.
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

/* One of several products of the same rows, as ->linear: y[rows, out] = act(x W^T + bias). */
struct product {
    float *y;
    const float *x; /* [rows, in] */
    const struct weight *w;
    const float *bias;
    enum activation act;
};

enum { NORM_SHIFT_MAX = 6, STEP_KEY_MAX = 5 };

/* LayerNorm and token shift, for the products of a block together:
 *     n = (x - mean) / sqrt(var + eps) w + b
 *     y[i][s, t] = n[s, t] + (n[s, t - 1] - n[s, t]) mu[i],   n[s, -1] = prev[s]
 * and then prev[s] = n[s, rows - 1]. */
struct norm_shift {
    size_t slots, rows, dim;
    const float *moves; /* [slots]: 0 for one that rests: its prev stays, its y is anything.
                           NULL: all move */
    const float *x;     /* [slots, rows, dim] */
    const float *w, *b; /* [dim] */
    float eps;
    float *prev; /* [slots, dim] */
    float *n;    /* [slots, rows, dim], scratch */
    size_t count;
    const float *mu[NORM_SHIFT_MAX]; /* [dim] */
    float *y[NORM_SHIFT_MAX];        /* [slots, rows, dim] */
};

/* RWKV-7's time mixing between the projections and the output, for each slot and head, N = head
 * size; docs/model.md explains the letters:
 *     w = exp(-exp(-0.5) sigmoid(w0 + w))      a = sigmoid(a0 + a)
 *     kk = k k_k / |k k_k|                     k = k (1 + (a - 1) k_a)
 *     v = v + (v_first - v) sigmoid(v0 + v_lora)
 *     S = S diag(w) + (S (-kk)) (kk a)^T + v k^T;   y = S r        row after row
 *     y = (GroupNorm(y) ln_w + ln_b + (sum r k r_k) v) g
 * Rows are [slots, rows, heads N], vectors [heads N]. */
struct rwkv7 {
    size_t slots, rows, heads, head_size;
    const float *moves; /* as in norm_shift; the state of a slot that rests stays */
    float *y;
    float *state; /* S: [slots, heads, N, N], rows: value, columns: key */
    const float *r, *g;
    float *k, *v, *w, *a; /* in: what the projections gave; overwritten */
    float *kk;            /* scratch */
    const float *v_lora;  /* NULL: the first layer, whose v stays as it is */
    float *v_first;       /* [slots, rows, heads N]. The first layer: out, its v; the others: in */
    const float *w0, *a0, *v0, *k_k, *k_a, *r_k, *ln_w, *ln_b;
    float eps;
};

/* Softmax attention. Scores are scale q k, and with `relative` more: gate[row, head] relative[head,
 * span - 1 + key position - query position]. */
struct attention {
    size_t rows;    /* queries: the last `rows` of history + rows positions */
    size_t history; /* key/value rows before the first query */
    size_t heads, head_dim;
    size_t window;                   /* a row sees itself and window - 1 rows before it */
    size_t ahead;                    /* and so many rows after it */
    const float *q;                  /* [rows, heads * head_dim] */
    const float *k, *v;              /* [history + rows, heads * head_dim] */
    const uint16_t *half_k, *half_v; /* halves in the place of k and v, or NULL */
    float *y;                        /* [rows, heads * head_dim] */
    const float *relative;           /* [heads, 2 span - 1], or NULL */
    const float *gate;               /* [rows, heads], with relative */
    size_t span;                     /* positions differ by less, with relative */
    float scale;
    bool exact; /* all in float32, however many rows */
};

/* What a text has against the tokens that it has already: said_i presence + times_i frequency is
 * taken from logit i. */
struct penalties {
    float *said;  /* [count]: 1 for a token of the text, else 0; NULL: no penalties */
    float *times; /* [count]: how often, earlier times counting less */
    float presence, frequency;
    float decay; /* of times, for every token */
};

enum { DRAW_SCRATCH = 5 };

/* A token to be drawn:
 *     p_i = softmax(logit_i - penalty_i)
 *     kept: in falling order, the lower index first, until their sum reaches top_p, and all as
 *           likely as the last of them; of those the first top_k
 *     q_i = p_i^(1 / temperature) over the kept, normalised
 * In that order, or where all are kept from the last index on, the first at which the sum of q is
 * above unit. */
struct draw {
    size_t count;
    const float *logits; /* [count]; not finite ones are not kept */
    struct penalties penalties;
    float temperature; /* 0: the largest logit, the lowest index on a tie */
    float top_p;       /* above 0; 1: all */
    uint32_t top_k;    /* 0: all */
    double unit;       /* in [0, 1) */
    float *scratch;    /* [DRAW_SCRATCH count], as from ->alloc */
    float *q;          /* [count], out, or NULL */
};

struct backend_ops {
    const char *name;
#define OP(result, name, arguments) result(*name) arguments;
#include "kernels/ops.def"
};

struct backend {
    const struct backend_ops *ops;
};

/* threads 0: one per core, at most 8. Returns 0, -EINVAL or -ENOMEM. */
int backend_cpu_create(struct backend **out, int threads);
size_t backend_cpu_threads(void); /* what 0 comes to */

/* A GPU, by number, or with device -1 the one with the most free memory. need: bytes that must be
 * free there. The thread that creates the backend is the one that uses it. -ENODEV: there is no
 * such device, driver or module; -ENOMEM: no room. */
int backend_cuda_create(struct backend **out, int device, size_t need, struct error *error);

enum { BACKEND_WHY_MAX = 256 };

/* By name: "auto", "cpu", "cuda", "cuda:N". auto takes the GPU if need bytes are free there, else
 * the CPU; why says for what reason. threads: of the CPU. 0 or -errno. */
int backend_create(struct backend **out, const char *name, int threads, size_t need,
                   char why[BACKEND_WHY_MAX], struct error *error);
bool backend_is_name(const char *name); /* one of these */

#ifdef __cplusplus
}
#endif

#endif
