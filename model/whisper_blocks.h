/* Whisper in blocks: rows come while there is speech. A block is `block` rows, and `ahead` more
 * that come again in the next ones; these see each other and the `left` rows before them, whose
 * keys and values are kept. The convolutions go on from block to block. What a block is lies in the
 * utterance alone, so any split of the frames gives the same rows.
 *
 *     ... | left, kept | block | ahead |    blocks are given, and at the end what is left
 *
 * When a block would pass the last position, the encoder starts over: the past is forgotten, the
 * stem's last WHISPER_WARM_ROWS rows are run again at the first positions and not given out, and
 * the block comes behind them. So an utterance may last for hours.
 * Sizes are const; the state belongs to the backend's thread and to an encoder's memory.
 */
#ifndef EARSHOT_MODEL_WHISPER_BLOCKS_H
#define EARSHOT_MODEL_WHISPER_BLOCKS_H

#include "model/bind.h"
#include "model/encoder.h"
#include "model/past.h"
#include "model/transformer.h"

#include <stddef.h>

enum {
    WHISPER_CONV = 3,       /* kernel of conv1 and conv2 */
    WHISPER_WARM_ROWS = 100 /* about: whole blocks */
};

static const float whisper_eps = 1e-5f;
static const float whisper_silence = -1.5f; /* (log10(1e-10) + 4) / 4 */
static const float whisper_range = 2.0f;    /* 8 / 4 */

/* What is before and after the layers. */
struct whisper_stem {
    size_t dim, bins, positions;
    struct weight *conv1, *conv2; /* [E, 3 bins], [E, 3 E] */
    float *conv1_b, *conv2_b;     /* [E] */
    float *position;              /* [positions, E] */
    float *ln_post_w, *ln_post_b; /* [E] */
};

struct whisper_blocks {
    struct backend *be;
    const struct whisper_stem *stem;
    size_t block, ahead, left, warm; /* rows */
};

struct whisper_blocks_state {
    const struct whisper_blocks *blocks;
    struct encoder_state *encoder; /* whose tap is shown the stages */
    struct transformer_state *layers;
    float highest;      /* of the utterance's frames so far */
    float *host;        /* [BACKEND_FEW_ROWS, bins]: frames of a push, clamped */
    struct past frames; /* rows of [bins]; the oldest is the one before the next block's first */
    struct past halves; /* rows of [E], 100 a second: conv1's, from the one before that on */
    struct past recent; /* rows of [E]: the stem's, without positions */
    size_t waiting;     /* the last of them, which have not been given */
    float *rows;        /* [block + ahead, E]: scratch */
    size_t position;    /* of the next block's first row */
};

/* block, left and ahead of the options, or of the file, or 16, 400 and 0. -EINVAL when they do not
 * go with the model. */
int whisper_blocks_read(struct whisper_blocks *b, const struct bind *bind,
                        const struct whisper_stem *stem, const struct encoder_options *o,
                        struct error *error);

/* Through e's memory; layers: made for runs of a block that see `left` rows. */
void whisper_blocks_state_init(struct whisper_blocks_state *s, const struct whisper_blocks *b,
                               struct encoder_state *e, struct transformer_state *layers);
void whisper_blocks_reset(struct whisper_blocks_state *s);
/* Whether the positions last for so many rows more. */
bool whisper_blocks_last(const struct whisper_blocks_state *s, size_t rows);
/* What was heard, but for the layers' past. */
void whisper_blocks_copy(struct whisper_blocks_state *to, const struct whisper_blocks_state *from);
/* As of an encoder; at most BACKEND_FEW_ROWS frames and rows. */
size_t whisper_blocks_push(struct whisper_blocks_state *s, const float *input, size_t count,
                           float *rows);
size_t whisper_blocks_flush(struct whisper_blocks_state *s, float *rows);

#endif
