/* A block of n rows with those ahead, r its first one's place in the utterance and p in the
 * positions:
 *
 *     mel_t = max(mel_t, M_t - 2)                   M_t: the largest value of frames 0 .. t
 *     x = gelu(conv2(gelu(conv1(mel))))             zeros before the first frame; row r needs frame
 *     x = x + positions[p .. p + n - 1]             2 r + 2, at the end a frame of zeros
 *     x = ln_post(layers(x))                        over the past's keys and values and its own
 */
#include "model/whisper_blocks.h"

#include <assert.h>
#include <errno.h>

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
    b->ahead = o->block_ahead;
    if (o->block > 0)
        return 0;
    if (gguf_get_u32(bind->gguf, "earshot.encoder.block", &there, NULL) == -ENOENT) {
        b->block = BLOCK_ROWS;
        b->left = LEFT_ROWS;
        return 0;
    }
    int rc = bind_u32(bind, "earshot.encoder.block", 1, BACKEND_FEW_ROWS, &b->block, error);
    if (rc == 0)
        rc = bind_u32(bind, "earshot.encoder.left", 0, LEFT_MAX, &b->left, error);
    if (rc == 0 && gguf_get_u32(bind->gguf, "earshot.encoder.ahead", &there, NULL) != -ENOENT)
        rc = bind_u32(bind, "earshot.encoder.ahead", 0, BACKEND_FEW_ROWS, &b->ahead, error);
    return rc;
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
    if (b->block == 0 || b->block + b->ahead > BACKEND_FEW_ROWS || b->left > LEFT_MAX ||
        b->warm + b->block + b->ahead > stem->positions)
        return error_set(error, -EINVAL,
                         "%s: blocks of %zu rows that see %zu before them and %zu behind them: a "
                         "block with those behind it is 1 to %d rows, those before it at most %d, "
                         "and %zu positions must have room for one",
                         gguf_path(bind->gguf), b->block, b->left, b->ahead, BACKEND_FEW_ROWS,
                         LEFT_MAX, stem->positions);
    return 0;
}

void whisper_blocks_state_init(struct whisper_blocks_state *s, const struct whisper_blocks *b,
                               struct encoder_state *e, struct transformer_state *layers)
{
    const struct whisper_stem *stem = b->stem;
    struct memory *m = &e->memory;
    *s = (struct whisper_blocks_state){.blocks = b, .encoder = e, .layers = layers};
    /* Frames wait until they make a block: at most two a row, and those around them. */
    past_init(&s->frames, m, 2 * b->block + 2, BACKEND_FEW_ROWS, stem->bins);
    past_init(&s->halves, m, 1, 2 * b->block, stem->dim);
    past_init(&s->recent, m, b->warm + b->block + b->ahead, b->block, stem->dim);
    s->rows = memory_rows(m, b->block + b->ahead, stem->dim);
    s->host = memory_host(m, BACKEND_FEW_ROWS * stem->bins, sizeof(float));
    memory_reserve(m, BACKEND_FEW_ROWS);
}

void whisper_blocks_reset(struct whisper_blocks_state *s)
{
    struct backend *be = s->blocks->be;
    s->highest = whisper_silence;
    s->position = 0;
    s->waiting = 0;
    past_reset(&s->frames, be, 1);
    past_reset(&s->halves, be, 1);
    past_reset(&s->recent, be, 0);
    transformer_forget(s->layers);
}

bool whisper_blocks_last(const struct whisper_blocks_state *s, size_t rows)
{
    const struct whisper_blocks *b = s->blocks;
    return s->position + rows + b->block + b->ahead <= b->stem->positions;
}

void whisper_blocks_copy(struct whisper_blocks_state *to, const struct whisper_blocks_state *from)
{
    struct backend *be = to->blocks->be;
    to->highest = from->highest;
    to->position = from->position;
    to->waiting = from->waiting;
    past_copy(&to->frames, &from->frames, be);
    past_copy(&to->halves, &from->halves, be);
    past_copy(&to->recent, &from->recent, be);
}

/* No frame lies more than a range below the highest so far. */
static void clamp_frames(struct whisper_blocks_state *s, const float *input, size_t count)
{
    size_t bins = s->blocks->stem->bins;
    for (size_t t = 0; t < count; t++) {
        const float *in = input + t * bins;
        float *out = s->host + t * bins;
        for (size_t i = 0; i < bins; i++)
            s->highest = in[i] > s->highest ? in[i] : s->highest;
        float lowest = s->highest - whisper_range;
        for (size_t i = 0; i < bins; i++)
            out[i] = in[i] > lowest ? in[i] : lowest;
    }
}

/* The stem's next rows, x [rows, E], from frames that are there. */
static void convolve(struct whisper_blocks_state *s, float *x, size_t rows)
{
    struct backend *be = s->blocks->be;
    const struct whisper_stem *stem = s->blocks->stem;
    size_t calls = 2 * rows > BACKEND_FEW_ROWS ? 2 : 1;
    size_t frames = 2 * rows / calls;
    float *halves = past_append(&s->halves, be, 2 * rows);
    for (size_t i = 0; i < calls; i++)
        be->ops->linear(be, halves + i * frames * stem->dim,
                        past_first(&s->frames) + i * frames * stem->bins, stem->bins, frames,
                        stem->conv1, stem->conv1_b, ACTIVATION_GELU);
    be->ops->linear(be, x, past_first(&s->halves), 2 * stem->dim, rows, stem->conv2, stem->conv2_b,
                    ACTIVATION_GELU);
    past_drop(&s->frames, 2 * rows);
    past_drop(&s->halves, 2 * rows);
}

/* The stem's next rows join those that wait. */
static void take_frames(struct whisper_blocks_state *s, size_t rows)
{
    const struct whisper_stem *stem = s->blocks->stem;
    encoder_show(s->encoder, "mel", past_first(&s->frames) + stem->bins, 2 * rows, stem->bins);
    convolve(s, past_append(&s->recent, s->blocks->be, rows), rows);
    s->waiting += rows;
}

/* The recent rows from number `first` on through the layers, at the next positions, into s->rows:
 * `kept` of them and those ahead, as far as there are any. */
static void run_layers(struct whisper_blocks_state *s, size_t first, size_t kept)
{
    struct backend *be = s->blocks->be;
    const struct whisper_stem *stem = s->blocks->stem;
    size_t there = past_rows(&s->recent) - first;
    size_t wanted = kept + s->blocks->ahead;
    size_t rows = there < wanted ? there : wanted;
    be->ops->copy(be, s->rows, past_first(&s->recent) + first * stem->dim, rows * stem->dim);
    be->ops->add(be, s->rows, stem->position + s->position * stem->dim, rows * stem->dim);
    encoder_show(s->encoder, "stem", s->rows, kept, stem->dim);
    transformer_run(s->layers, s->encoder, s->rows, rows, kept);
    s->position += kept;
}

/* Behind the last position: what was given last is run again, from the first one on. */
static void start_over(struct whisper_blocks_state *s)
{
    const struct encoder_tap *tap = s->encoder->tap;
    size_t block = s->blocks->block, given = past_rows(&s->recent) - s->waiting;
    transformer_forget(s->layers);
    s->position = 0;
    s->encoder->tap = NULL; /* these rows were shown */
    for (size_t at = 0; at < given; at += block)
        run_layers(s, at, block);
    s->encoder->tap = tap;
}

/* The next rows of the utterance, x [rows, E]: a block, or its last rows. */
static void encode(struct whisper_blocks_state *s, float *x, size_t rows)
{
    const struct whisper_blocks *b = s->blocks;
    const struct whisper_stem *stem = b->stem;
    if (s->position + b->block + b->ahead > stem->positions)
        start_over(s);
    run_layers(s, past_rows(&s->recent) - s->waiting, rows);
    b->be->ops->layer_norm(b->be, x, s->rows, rows, stem->dim, stem->ln_post_w, stem->ln_post_b,
                           whisper_eps);
    s->waiting -= rows;
    past_keep(&s->recent, b->warm + s->waiting);
}

size_t whisper_blocks_push(struct whisper_blocks_state *s, const float *input, size_t count,
                           float *rows)
{
    const struct whisper_blocks *b = s->blocks;
    size_t bins = b->stem->bins;
    size_t made = 0;
    assert(count <= BACKEND_FEW_ROWS);
    clamp_frames(s, input, count);
    b->be->ops->upload(b->be, past_append(&s->frames, b->be, count), s->host, count * bins);
    while (past_rows(&s->frames) >= 2 * b->block + 2) {
        take_frames(s, b->block);
        if (s->waiting < b->block + b->ahead)
            continue;
        encode(s, rows + made * b->stem->dim, b->block);
        made += b->block;
    }
    return made;
}

size_t whisper_blocks_flush(struct whisper_blocks_state *s, float *rows)
{
    struct backend *be = s->blocks->be;
    size_t frames = past_rows(&s->frames) - 1;
    size_t bins = s->blocks->stem->bins, block = s->blocks->block;
    if (frames % 2 == 0)
        be->ops->zero(be, past_append(&s->frames, be, 1), bins);
    if (frames >= 2)
        take_frames(s, frames / 2);
    past_reset(&s->frames, be, 1); /* nothing follows */
    size_t given = s->waiting < block ? s->waiting : block;
    if (given)
        encode(s, rows, given);
    return given;
}
