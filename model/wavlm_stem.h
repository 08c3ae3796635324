/* WavLM's way from samples to the rows of its seven convolutions, 50 a second, as they come in.
 * What depends on the whole utterance (the level to normalise to, the first convolution's
 * GroupNorm) is known at its end only: an exact stem waits for it, one that may not wait uses what
 * has been heard so far. The stem is const; a state of it belongs to the backend's thread and to an
 * encoder's memory.
 */
#ifndef EARSHOT_MODEL_WAVLM_STEM_H
#define EARSHOT_MODEL_WAVLM_STEM_H

#include "model/bind.h"
#include "model/past.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    WAVLM_CONVS = 7,
    WAVLM_KERNEL_MAX = 16,
    WAVLM_ROW = 320,            /* samples from row to row */
    WAVLM_BLOCK = 1600,         /* samples that go through the convolutions at once, live */
    WAVLM_BLOCK_WAITED = 16000, /* and when they waited for the end: weights serve more rows */
    WAVLM_SAMPLES_MAX = 640000, /* an utterance that is waited for: 40 s, whole blocks */
};

struct wavlm_conv {
    size_t in, out, kernel, stride;
    struct weight *weight;  /* [out, kernel in] */
    float *bias;            /* [out], or NULL */
    float *norm_w, *norm_b; /* [out], or NULL */
    size_t max_input;       /* rows of [in] that come at once */
};

/* What the samples so far were like: their level, and the windows of the first convolution. */
struct wavlm_moments {
    double samples, sum, squares;
    double windows, means[WAVLM_KERNEL_MAX],
        products[WAVLM_KERNEL_MAX][WAVLM_KERNEL_MAX]; /* sums */
    float window[WAVLM_KERNEL_MAX];
    size_t filled; /* of window */
};

struct wavlm_stem {
    struct backend *be;
    struct wavlm_conv convs[WAVLM_CONVS];
    size_t reach;           /* samples that a row sees */
    bool group_norm;        /* after the first convolution alone; else LayerNorm after each */
    bool normalise;         /* samples to mean 0 and variance 1 */
    bool waits;             /* for the end of the utterance */
    float *first, *first_b; /* host [out, kernel], [out] (zeros where it has none), owned */
    float *norm_w;          /* host [out], owned: GroupNorm's weight */
    size_t max_rows;        /* of a call */
};

struct wavlm_stem_state {
    const struct wavlm_stem *stem;
    struct past inputs[WAVLM_CONVS]; /* rows of [in] */
    float *samples;                  /* host [WAVLM_SAMPLES_MAX]; when it waits */
    size_t waiting, taken;           /* of samples: there, and gone through the convolutions */
    float *block;                    /* host [WAVLM_BLOCK] */
    size_t filled;                   /* of block */
    float *host_shift, *host_scale;  /* host [out] */
    float *shift, *scale;            /* [out]: GroupNorm of what was heard */
    float *rows;                     /* [max_rows, dim] */
    struct wavlm_moments moments;
};

/* exact: rows as the model was trained. On failure call finish as well. */
int wavlm_stem_init(struct wavlm_stem *s, struct bind *b, bool exact, struct error *error);
void wavlm_stem_finish(struct wavlm_stem *s); /* takes a zeroed one too */
size_t wavlm_stem_dim(const struct wavlm_stem *s);

void wavlm_stem_state_init(struct wavlm_stem_state *s, const struct wavlm_stem *stem,
                           struct memory *m);
void wavlm_stem_reset(struct wavlm_stem_state *s);

/* At most WAVLM_BLOCK samples; returns the rows that are ready, in s->rows until the next call. */
size_t wavlm_stem_push(struct wavlm_stem_state *s, const float *samples, size_t count);

/* As many samples wait as can: the utterance must be flushed, and the next one begun. */
bool wavlm_stem_full(const struct wavlm_stem_state *s);
/* Begins the next utterance with the samples that came after those. */
void wavlm_stem_next(struct wavlm_stem_state *s);

/* The end of the utterance: to be called until it returns 0 rows. */
size_t wavlm_stem_flush(struct wavlm_stem_state *s);

#endif
