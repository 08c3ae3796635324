/* A block of n rows, r its first one's place in the utterance and p in the positions:
 *
 *     mel_t = max(mel_t, M_t - 2)                   M_t: the largest value of frames 0 .. t
 *     x = gelu(conv2(gelu(conv1(mel))))             zeros before the first frame; row r needs frame
 *     x = x + positions[p .. p + n - 1]             2 r + 2, at the end a frame of zeros
 *     x = ln_post(layers(x))                        over the past's keys and values and its own
 */
#include "model/whisper_blocks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    BLOCK_ROWS = 16, /* where neither the caller nor the file says */
    LEFT_ROWS = 400,
    LEFT_MAX = 4096,
};

static int read_shape(struct whisper_blocks *b, const struct bind *bind,
                      const struct encoder_options *o, struct error *error)
{
    uint32_t there;
    b->block = o->block;
    b->left = o->left;
    if (o->block > 0)
        return 0;
    if (gguf_get_u32(bind->gguf, "earshot.encoder.block", &there, NULL) == -ENOENT) {
        b->block = BLOCK_ROWS;
        b->left = LEFT_ROWS;
        return 0;
    }
    int rc = bind_u32(bind, "earshot.encoder.block", 1, BACKEND_FEW_ROWS, &b->block, error);
    return rc < 0 ? rc : bind_u32(bind, "earshot.encoder.left", 0, LEFT_MAX, &b->left, error);
}

int whisper_blocks_read(struct whisper_blocks *b, const struct bind *bind,
                        const struct whisper_stem *stem, const struct encoder_options *o,
                        struct error *error)
{
    int rc = read_shape(b, bind, o, error);
    if (rc < 0)
        return rc;
    b->be = bind->backend;
    b->stem = stem;
    b->warm = b->block > 0 ? (WHISPER_WARM_ROWS + b->block / 2) / b->block * b->block : 0;
    if (b->block == 0 || b->block > BACKEND_FEW_ROWS || b->left > LEFT_MAX ||
        b->warm + b->block > stem->positions)
        return error_set(error, -EINVAL,
                         "%s: blocks of %zu rows that see %zu before them: a block is 1 to %d "
                         "rows, what it sees at most %d, and %zu positions must have room for one",
                         gguf_path(bind->gguf), b->block, b->left, BACKEND_FEW_ROWS, LEFT_MAX,
                         stem->positions);
    return 0;
}

int whisper_blocks_init(struct whisper_blocks *b, struct bind *bind, struct transformer *layers,
                        struct error *error)
{
    const struct whisper_stem *s = b->stem;
    /* Frames wait until they make a block: at most two a row, and those around them. */
    past_init(&b->frames, &bind->memory, 2 * b->block + 2, BACKEND_FEW_ROWS, s->bins);
    past_init(&b->halves, &bind->memory, 1, 2 * b->block, s->dim);
    past_init(&b->recent, &bind->memory, b->warm, b->block, s->dim);
    int rc = memory_check(&bind->memory, "the encoder", error);
    b->layers = layers;
    b->host = calloc(BACKEND_FEW_ROWS * s->bins, sizeof(float));
    if (rc == 0 && (!b->host || b->be->ops->reserve(b->be, BACKEND_FEW_ROWS) < 0))
        rc = error_set(error, -ENOMEM, "%s: no memory for the encoder", gguf_path(bind->gguf));
    return rc;
}

void whisper_blocks_finish(struct whisper_blocks *b)
{
    free(b->host);
}

void whisper_blocks_reset(struct whisper_blocks *b)
{
    b->highest = whisper_silence;
    b->position = 0;
    past_reset(&b->frames, b->be, 1);
    past_reset(&b->halves, b->be, 1);
    past_reset(&b->recent, b->be, 0);
    transformer_forget(b->layers);
}

/* No frame lies more than a range below the highest so far. */
static void clamp_frames(struct whisper_blocks *b, const float *input, size_t count)
{
    size_t bins = b->stem->bins;
    for (size_t t = 0; t < count; t++) {
        const float *in = input + t * bins;
        float *out = b->host + t * bins;
        for (size_t i = 0; i < bins; i++)
            b->highest = in[i] > b->highest ? in[i] : b->highest;
        float lowest = b->highest - whisper_range;
        for (size_t i = 0; i < bins; i++)
            out[i] = in[i] > lowest ? in[i] : lowest;
    }
}

/* The stem's next rows, x [rows, E], from frames that are there. */
static void convolve(struct whisper_blocks *b, float *x, size_t rows)
{
    const struct backend_ops *op = b->be->ops;
    const struct whisper_stem *s = b->stem;
    size_t calls = 2 * rows > BACKEND_FEW_ROWS ? 2 : 1;
    size_t frames = 2 * rows / calls;
    float *halves = past_append(&b->halves, b->be, 2 * rows);
    for (size_t i = 0; i < calls; i++)
        op->linear(b->be, halves + i * frames * s->dim,
                   past_first(&b->frames) + i * frames * s->bins, s->bins, frames, s->conv1,
                   s->conv1_b, ACTIVATION_GELU);
    op->linear(b->be, x, past_first(&b->halves), 2 * s->dim, rows, s->conv2, s->conv2_b,
               ACTIVATION_GELU);
    past_drop(&b->frames, 2 * rows);
    past_drop(&b->halves, 2 * rows);
}

/* x [rows, E], at the next positions, in place. */
static void run_layers(struct whisper_blocks *b, const struct encoder *e, float *x, size_t rows)
{
    size_t dim = b->stem->dim;
    b->be->ops->add(b->be, x, b->stem->position + b->position * dim, rows * dim);
    encoder_show(e, "stem", x, rows, dim);
    transformer_run(b->layers, e, x, rows);
    b->position += rows;
}

/* x: scratch [block, E]. */
static void start_over(struct whisper_blocks *b, struct encoder *e, float *x)
{
    const struct encoder_tap *tap = e->tap;
    size_t count = b->block * b->stem->dim;
    transformer_forget(b->layers);
    b->position = 0;
    e->tap = NULL; /* these rows were shown */
    for (size_t at = 0; at < past_rows(&b->recent); at += b->block) {
        b->be->ops->copy(b->be, x, past_first(&b->recent) + at * b->stem->dim, count);
        run_layers(b, e, x, b->block);
    }
    e->tap = tap;
}

/* The next rows of the utterance, x [rows, E] with room for a block: a block, or its last rows. */
static void encode(struct whisper_blocks *b, struct encoder *e, float *x, size_t rows)
{
    const struct backend_ops *op = b->be->ops;
    const struct whisper_stem *s = b->stem;
    if (b->position + b->block > s->positions)
        start_over(b, e, x);
    encoder_show(e, "mel", past_first(&b->frames) + s->bins, 2 * rows, s->bins);
    convolve(b, x, rows);
    op->copy(b->be, past_append(&b->recent, b->be, rows), x, rows * s->dim);
    past_keep(&b->recent, b->warm);
    run_layers(b, e, x, rows);
    op->layer_norm(b->be, x, x, rows, s->dim, s->ln_post_w, s->ln_post_b, whisper_eps);
}

size_t whisper_blocks_push(struct whisper_blocks *b, struct encoder *e, const float *input,
                           size_t count, float *rows)
{
    size_t bins = b->stem->bins;
    size_t made = 0;
    assert(count <= BACKEND_FEW_ROWS);
    clamp_frames(b, input, count);
    b->be->ops->upload(b->be, past_append(&b->frames, b->be, count), b->host, count * bins);
    while (past_rows(&b->frames) >= 2 * b->block + 2) {
        encode(b, e, rows + made * b->stem->dim, b->block);
        made += b->block;
    }
    return made;
}

size_t whisper_blocks_flush(struct whisper_blocks *b, struct encoder *e, float *rows)
{
    size_t frames = past_rows(&b->frames) - 1;
    size_t bins = b->stem->bins;
    if (frames < 2)
        return 0;
    if (frames % 2 == 0)
        b->be->ops->zero(b->be, past_append(&b->frames, b->be, 1), bins);
    encode(b, e, rows, frames / 2);
    past_reset(&b->frames, b->be, 1); /* nothing follows */
    return frames / 2;
}
