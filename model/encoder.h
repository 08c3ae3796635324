/* Speech encoders as plug-ins: PCM or log-mel frames in, rows out, 50 a second. encoder_stream.c is
 * ours (causal, streams exactly); encoder_whisper.c and encoder_wavlm.c look both ways and do so
 * over the whole utterance at its end, or over a window that slides; Whisper's also in blocks that
 * see those before them. Chosen by the file's metadata from a static table. An encoder is const
 * once it is loaded; each ear moves a state of it. A state belongs to the thread of the backend,
 * and allocates when it is created only.
 */
#ifndef EARSHOT_MODEL_ENCODER_H
#define EARSHOT_MODEL_ENCODER_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/gguf.h"
#include "model/memory.h"

#include <stdbool.h>
#include <stddef.h>

enum encoder_input {
    ENCODER_INPUT_PCM,     /* 16 kHz samples, input_dim 1 */
    ENCODER_INPUT_LOG_MEL, /* frames [count, input_dim] as dsp/logmel.h makes them, 100 a second */
};

enum encoder_streaming {
    ENCODER_AUTO,     /* in blocks where the file has earshot.encoder.block, else exact */
    ENCODER_EXACT,    /* rows as the papers measured: all at the end if it looks both ways */
    ENCODER_ALONE,    /* the same, of the utterance alone: Whisper's without the rest of 30 s */
    ENCODER_WINDOWED, /* rows while there is speech, from a window around them */
    ENCODER_BLOCKS,   /* rows while there is speech, block by block; a block sees those before it */
};

/* How an encoder that looks both ways streams; one that is causal streams exactly anyway. */
struct encoder_options {
    enum encoder_streaming streaming;
    size_t left_ms;  /* a window: so much of the past, */
    size_t hop_ms;   /* the rows that are given out, >= 20, */
    size_t ahead_ms; /* and so much of the future */
    size_t block;    /* rows that see each other; 0: this and what follows as the file has them */
    size_t left;     /* rows before a block that it sees, */
    size_t block_ahead; /* and rows behind it */
};

struct encoder_info {
    enum encoder_input input;
    size_t input_dim;       /* 1, or mel bins */
    size_t zeros;           /* samples of silence that end an utterance; 0: its mirror does */
    size_t rows_per_second; /* 50 */
    size_t dim;             /* of a row */
    size_t lookahead_ms;    /* how far a row reaches into the future; exact: to the end, 0 */
    bool at_end;            /* no row before the end of the utterance */
    size_t max_input;       /* the most input items a push may take */
    size_t max_rows;        /* the most rows a push or a flush gives */
    size_t max_ms;          /* of an utterance seen as one; what is longer is cut. 0: no limit */
    bool forks;             /* what was heard can go on in a fork */
};

struct encoder;
struct encoder_state;

struct encoder_ops {
    const char *type;  /* earshot.encoder.type */
    size_t state_size; /* bytes of its state, which begins with struct encoder_state */
    int (*load)(struct encoder **out, const struct gguf *g, struct backend *be,
                const struct encoder_options *options, struct error *error);
    void (*destroy)(struct encoder *e);
    void (*state_init)(struct encoder_state *s); /* through s->memory, which tells of failures */
    void (*reset)(struct encoder_state *s);
    bool (*fork)(struct encoder_state *fork, struct encoder_state *from); /* if info.forks */
    size_t (*push)(struct encoder_state *s, const float *input, size_t count, float *rows);
    size_t (*flush)(struct encoder_state *s, float *rows);
};

/* Looks at what a stage inside an encoder computed ("stem", "layer0", ...): backend memory
 * [rows, dim], valid during the call. */
struct encoder_tap {
    void (*take)(void *user, const char *stage, const float *x, size_t rows, size_t dim);
    void *user;
};

struct encoder {
    const struct encoder_ops *ops;
    struct encoder_info info;
    struct backend *backend;
    struct encoder_options options; /* never auto */
    size_t fork_rows; /* of silence that a fork hears at most; set before any state is made */
};

struct encoder_state {
    const struct encoder *encoder;
    struct memory memory; /* of all of it */
    bool is_fork;
    const struct encoder_tap *tap; /* set by whoever looks; NULL */
};

extern const struct encoder_ops encoder_stream_ops;
extern const struct encoder_ops encoder_wavlm_ops;
extern const struct encoder_ops encoder_whisper_ops;

struct encoder_options encoder_options_default(void); /* auto; 4000, 480 and 480 ms */
/* "auto", "exact", "alone", "windowed" or "windowed:LEFT,HOP,AHEAD" in milliseconds, "blocks" or
 * "blocks:BLOCK,LEFT" or "blocks:BLOCK,LEFT,AHEAD" in rows. 0 or -EINVAL. */
int encoder_options_parse(struct encoder_options *o, const char *text);

/* Looks up earshot.encoder.type and loads; options NULL: the default. -ENOTSUP names an unknown
 * type. */
int encoder_load(struct encoder **out, const struct gguf *g, struct backend *be,
                 const struct encoder_options *options, struct error *error);
void encoder_destroy(struct encoder *e);

/* An ear that has heard nothing; the encoder must outlive it. 0 or -ENOMEM. */
int encoder_state_create(struct encoder_state **out, const struct encoder *e, struct error *error);
void encoder_state_destroy(struct encoder_state *s);
void encoder_reset(struct encoder_state *s); /* a new utterance */
/* A state for forks alone; info.forks. 0 or -ENOMEM. */
int encoder_fork_create(struct encoder_state **out, const struct encoder *e, struct error *error);
/* What `from` has heard goes on in a fork, to its end, until `from` hears more, which goes on as if
 * there had been none. False: there is no room for it at this place. */
bool encoder_fork(struct encoder_state *fork, struct encoder_state *from);
/* input: host [count, input_dim], count <= max_input. rows: backend memory for max_rows rows.
 * Returns rows written. */
size_t encoder_push(struct encoder_state *s, const float *input, size_t count, float *rows);
/* The end of the utterance: the rows that were waiting for a future that won't come. To be called
 * until it returns 0. */
size_t encoder_flush(struct encoder_state *s, float *rows);

/* For encoders: shows a stage to the tap, if there is one. */
void encoder_show(const struct encoder_state *s, const char *stage, const float *x, size_t rows,
                  size_t dim);

#endif
