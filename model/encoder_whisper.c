/* Whisper's encoder, as `transformers` computes it. E = dim.
 *
 *     x = max(mel, max(mel) - 2)                  8 dB of log10, on the scale of dsp/logmel.h
 *     x = gelu(conv1(x))     k 3, s 1, p 1        100 frames/s
 *     x = gelu(conv2(x))     k 3, s 2, p 1        50 rows/s
 *     x = ln_post(layers(x + positions))          norms first, every row sees every row
 *
 * Exact: the window is 30 s, what the utterance leaves of it is silence, which the rows see;
 * ModRWKV takes the first ceil(samples / 160) / 2 + 1 rows. With so many zeros after the last
 * sample that two frames more come than the utterance has hops, that is half the frames pushed.
 * Alone: the same without that silence but for half a second of it: as many rows as were heard.
 * Windowed: a window is encoded without the silence, at its place in the utterance; what comes
 * after 30 s takes the last places. Blocks: whisper_blocks.h.
 */
#include "model/bind.h"
#include "model/encoder.h"
#include "model/transformer.h"
#include "model/two_way.h"
#include "model/whisper_blocks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    WHISPER_FRAMES_MAX = BACKEND_FEW_ROWS, /* a push, so that its rows do not depend on it */
    WHISPER_ROW_MS = 20,
    WHISPER_BINS_MAX = 128,
    WHISPER_POSITIONS_MAX = 4096,
    /* Frame t reads samples up to 160 t + 200, so with n samples and z zeros there are
     * (n + z - 200) / 160 + 1 frames: ceil(n / 160) + 2 with this z. */
    WHISPER_ZEROS = 519,
    WHISPER_PADDING = 2,
    WHISPER_ALONE_ROWS = 25, /* of silence behind an utterance alone */
};

struct whisper {
    struct encoder base;
    struct backend *be;
    struct bind bind;
    enum encoder_streaming streaming; /* not auto */
    struct whisper_stem stem;
    struct transformer layers;
    struct whisper_blocks blocks; /* of blocks alone */
    struct two_way two_way;       /* of the others */
};

struct whisper_state {
    struct encoder_state base;
    const struct whisper *whisper;
    struct transformer_state layers;
    struct whisper_blocks_state blocks; /* of blocks alone */
    struct two_way_state two_way;       /* of the others, and what follows */
    float *host;   /* [2 window rows + 2, bins]: a frame of zeros, the frames, a frame of zeros */
    float *mel;    /* the same in backend memory */
    float *halves; /* [2 window rows + 2, E]: a row of zeros, conv1's rows, a row of zeros */
};

static int read_config(struct whisper *w, struct transformer_config *c, struct error *error)
{
    int r = transformer_read_config(c, &w->bind, error);
    if (r == 0) {
        r = bind_u32(&w->bind, "earshot.encoder.mel_bins", 1, WHISPER_BINS_MAX, &w->stem.bins,
                     error);
    }
    if (r == 0) {
        r = bind_u32(&w->bind, "earshot.encoder.positions", 1, WHISPER_POSITIONS_MAX,
                     &w->stem.positions, error);
    }
    w->stem.dim = c->dim;
    c->norm_first = true;
    c->eps = whisper_eps;
    return r;
}

static int bind_stem(struct whisper *w, struct error *error)
{
    struct whisper_stem *s = &w->stem;
    size_t dim = s->dim;
    const struct bind_entry entries[] = {
        {"conv1.weight", {dim, WHISPER_CONV, s->bins}, .matrix = &s->conv1},
        {"conv1.bias", {dim}, .vector = &s->conv1_b},
        {"conv2.weight", {dim, WHISPER_CONV, dim}, .matrix = &s->conv2},
        {"conv2.bias", {dim}, .vector = &s->conv2_b},
        {"positions.weight", {s->positions, dim}, .vector = &s->position},
        {"ln_post.weight", {dim}, .vector = &s->ln_post_w},
        {"ln_post.bias", {dim}, .vector = &s->ln_post_b},
    };
    return bind_tensors(&w->bind, "encoder.", entries, sizeof(entries) / sizeof(entries[0]), error);
}

/* Frames of a window to the host buffer, clamped; what is left of frames is silence. */
static void clamp_frames(struct whisper_state *s, const float *units, size_t there, size_t frames)
{
    struct backend *be = s->whisper->be;
    size_t bins = s->whisper->stem.bins;
    float *mel = s->host + bins;
    float highest = whisper_silence;
    be->ops->download(be, mel, units, there * bins);
    for (size_t i = there * bins; i < frames * bins; i++) {
        mel[i] = whisper_silence;
    }
    for (size_t i = 0; i < there * bins; i++) {
        highest = mel[i] > highest ? mel[i] : highest;
    }
    float lowest = highest - whisper_range;
    for (size_t i = 0; i < frames * bins; i++) {
        mel[i] = mel[i] > lowest ? mel[i] : lowest;
    }
    for (size_t i = 0; i < bins; i++) {
        s->host[i] = 0.0f;
        mel[frames * bins + i] = 0.0f;
    }
    be->ops->upload(be, s->mel, s->host, (frames + 2) * bins);
}

/* Rows to compute for those of a window. */
static size_t rows_with_silence(const struct whisper *w, size_t rows)
{
    size_t most = w->stem.positions;
    if (w->streaming == ENCODER_EXACT)
        return most;
    if (w->streaming == ENCODER_ALONE && rows + WHISPER_ALONE_ROWS < most)
        return rows + WHISPER_ALONE_ROWS;
    return w->streaming == ENCODER_ALONE ? most : rows;
}

static void encode(struct encoder_state *e, const struct two_way_window *window, float *x)
{
    struct whisper_state *s = (struct whisper_state *)e;
    const struct whisper *w = s->whisper;
    const struct whisper_stem *stem = &w->stem;
    const struct backend_ops *op = w->be->ops;
    size_t dim = stem->dim;
    size_t rows = rows_with_silence(w, window->rows);
    size_t frames = 2 * rows;
    size_t last = stem->positions - rows;
    size_t first = window->start < last ? window->start : last;

    clamp_frames(s, window->units, window->count < frames ? window->count : frames, frames);
    encoder_show(e, "mel", s->mel + stem->bins, 2 * window->rows, stem->bins);
    op->linear(w->be, s->halves + dim, s->mel, stem->bins, frames, stem->conv1, stem->conv1_b,
               ACTIVATION_GELU);
    op->zero(w->be, s->halves, dim);
    op->zero(w->be, s->halves + (frames + 1) * dim, dim);
    op->linear(w->be, x, s->halves, 2 * dim, rows, stem->conv2, stem->conv2_b, ACTIVATION_GELU);
    op->add(w->be, x, stem->position + first * dim, rows * dim);
    encoder_show(e, "stem", x, window->rows, dim);
    transformer_run(&s->layers, e, x, rows, rows);
    op->layer_norm(w->be, x, x, rows, dim, stem->ln_post_w, stem->ln_post_b, whisper_eps);
}

static int bind_blocks(struct whisper *w, struct transformer_config *c,
                       const struct encoder_options *options, struct error *error)
{
    struct whisper_blocks *b = &w->blocks;
    int rc = whisper_blocks_read(b, &w->bind, &w->stem, options, error);
    if (rc < 0)
        return rc;
    c->max_rows = b->block + b->ahead;
    c->past = b->left;
    rc = transformer_init(&w->layers, &w->bind, c, error);
    w->base.info.rows_per_second = 1000 / WHISPER_ROW_MS;
    w->base.info.dim = c->dim;
    w->base.info.lookahead_ms = (b->block + b->ahead) * WHISPER_ROW_MS;
    w->base.info.max_rows = BACKEND_FEW_ROWS;
    w->base.info.forks = true;
    return rc;
}

static int bind_windows(struct whisper *w, struct transformer_config *c,
                        const struct encoder_options *options, struct error *error)
{
    struct two_way_config two_way = {
        .options = *options,
        .unit_dim = w->stem.bins,
        .units = 2,
        .max_units = WHISPER_FRAMES_MAX,
        .padding = WHISPER_PADDING,
        .max_rows = w->stem.positions,
        .dim = c->dim,
        .encode = encode,
    };
    int rc = two_way_init(&w->two_way, w->be, &two_way, error);
    c->max_rows = w->two_way.window;
    if (rc == 0)
        rc = transformer_init(&w->layers, &w->bind, c, error);
    if (w->streaming != ENCODER_WINDOWED)
        w->base.info.max_ms = w->stem.positions * WHISPER_ROW_MS;
    two_way_describe(&w->two_way, &w->base.info);
    return rc;
}

static int bind_all(struct whisper *w, const struct encoder_options *options, struct error *error)
{
    struct transformer_config c = {0};
    int rc = read_config(w, &c, error);
    if (rc == 0)
        rc = bind_stem(w, error);
    if (rc < 0)
        return rc;
    w->base.info = (struct encoder_info){
        .input = ENCODER_INPUT_LOG_MEL,
        .input_dim = w->stem.bins,
        .zeros = WHISPER_ZEROS,
        .max_input = WHISPER_FRAMES_MAX,
    };
    if (options->streaming == ENCODER_BLOCKS)
        return bind_blocks(w, &c, options, error);
    return bind_windows(w, &c, options, error);
}

static void whisper_destroy(struct encoder *e)
{
    struct whisper *w = (struct whisper *)e;
    transformer_finish(&w->layers);
    bind_finish(&w->bind);
    free(w);
}

static int whisper_load(struct encoder **out, const struct gguf *g, struct backend *be,
                        const struct encoder_options *options, struct error *error)
{
    struct whisper *w = calloc(1, sizeof(*w));
    if (!w) {
        return error_set(error, -ENOMEM, "%s: no memory for the encoder", gguf_path(g));
    }
    w->be = be;
    w->streaming = options->streaming;
    bind_init(&w->bind, g, be);
    int r = bind_all(w, options, error);
    if (r < 0) {
        whisper_destroy(&w->base);
        return r;
    }
    *out = &w->base;
    return 0;
}

static void init_windows(struct whisper_state *s, const struct whisper *w)
{
    struct memory *m = &s->base.memory;
    size_t frames = 2 * w->two_way.window + 2;
    two_way_state_init(&s->two_way, &w->two_way, &s->base);
    s->mel = memory_rows(m, frames, w->stem.bins);
    s->halves = memory_rows(m, frames, w->stem.dim);
    s->host = memory_host(m, frames * w->stem.bins, sizeof(float));
    memory_reserve(m, frames);
}

/* What waits as frames and as rows, and silence. */
static size_t whisper_fork_rows(const struct whisper *w)
{
    bool forks = w->base.info.forks && w->base.fork_rows > 0;
    return forks ? 2 * w->blocks.block + w->blocks.ahead + w->base.fork_rows : 0;
}

static void whisper_state_init(struct encoder_state *e)
{
    struct whisper_state *s = (struct whisper_state *)e;
    const struct whisper *w = s->whisper = (const struct whisper *)e->encoder;
    transformer_state_init(&s->layers, &w->layers, &e->memory, whisper_fork_rows(w), e->is_fork);
    if (w->streaming == ENCODER_BLOCKS)
        whisper_blocks_state_init(&s->blocks, &w->blocks, e, &s->layers);
    else
        init_windows(s, w);
}

static void whisper_reset(struct encoder_state *e)
{
    struct whisper_state *s = (struct whisper_state *)e;
    if (s->whisper->streaming == ENCODER_BLOCKS)
        whisper_blocks_reset(&s->blocks);
    else
        two_way_reset(&s->two_way);
}

static bool whisper_fork(struct encoder_state *fork_state, struct encoder_state *from_state)
{
    struct whisper_state *fork = (struct whisper_state *)fork_state;
    struct whisper_state *from = (struct whisper_state *)from_state;
    if (!whisper_blocks_last(&from->blocks, whisper_fork_rows(from->whisper)) ||
        !transformer_lend_past(&fork->layers, &from->layers))
        return false;
    whisper_blocks_copy(&fork->blocks, &from->blocks);
    return true;
}

static size_t whisper_push(struct encoder_state *e, const float *input, size_t count, float *rows)
{
    struct whisper_state *s = (struct whisper_state *)e;
    const struct whisper *w = s->whisper;
    assert(count <= WHISPER_FRAMES_MAX);
    if (w->streaming == ENCODER_BLOCKS)
        return whisper_blocks_push(&s->blocks, input, count, rows);
    w->be->ops->upload(w->be, two_way_append(&s->two_way, count), input, count * w->stem.bins);
    return two_way_advance(&s->two_way, false, rows);
}

static size_t whisper_flush(struct encoder_state *e, float *rows)
{
    struct whisper_state *s = (struct whisper_state *)e;
    if (s->whisper->streaming == ENCODER_BLOCKS)
        return whisper_blocks_flush(&s->blocks, rows);
    return two_way_advance(&s->two_way, true, rows);
}

const struct encoder_ops encoder_whisper_ops = {
    .type = "whisper",
    .state_size = sizeof(struct whisper_state),
    .load = whisper_load,
    .destroy = whisper_destroy,
    .state_init = whisper_state_init,
    .reset = whisper_reset,
    .fork = whisper_fork,
    .push = whisper_push,
    .flush = whisper_flush,
};
