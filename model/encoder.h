/* Speech encoders as plug-ins: PCM or log-mel frames in, rows out, 50 a second.
 * encoder_stream.c is ours (causal, streams exactly). Chosen by the file's metadata from a static
 * table. One thread at a time; after create nothing is allocated.
 */
#ifndef EARSHOT_MODEL_ENCODER_H
#define EARSHOT_MODEL_ENCODER_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/gguf.h"

#include <stdbool.h>
#include <stddef.h>

enum encoder_input {
    ENCODER_INPUT_PCM,     /* 16 kHz samples, input_dim 1 */
    ENCODER_INPUT_LOG_MEL, /* frames [count, input_dim] as dsp/logmel.h makes them, 100 a second */
};

struct encoder_info {
    enum encoder_input input;
    size_t input_dim;       /* 1, or mel bins */
    size_t rows_per_second; /* 50 */
    size_t dim;             /* of a row */
    size_t lookahead_ms;    /* how far a row reaches into the future */
    bool exact;             /* pushed in pieces = pushed at once */
    size_t max_input;       /* the most input items a push may take */
};

struct encoder;

struct encoder_ops {
    const char *type; /* earshot.encoder.type */
    int (*create)(struct encoder **out, const struct gguf *g, struct backend *be,
                  struct error *error);
    void (*destroy)(struct encoder *e);
    void (*reset)(struct encoder *e); /* a new utterance */
    /* input: host [count, input_dim], count <= max_input. rows: backend memory for at least
     * encoder_rows_bound(e, count) rows. Returns rows written. */
    size_t (*push)(struct encoder *e, const float *input, size_t count, float *rows);
    /* The end of the utterance: the rows that were waiting for a future that won't come. */
    size_t (*flush)(struct encoder *e, float *rows);
};

struct encoder {
    const struct encoder_ops *ops;
    struct encoder_info info;
};

extern const struct encoder_ops encoder_stream_ops;

/* Looks up earshot.encoder.type and creates. -ENOTSUP names an unknown type. */
int encoder_create(struct encoder **out, const struct gguf *g, struct backend *be,
                   struct error *error);
void encoder_destroy(struct encoder *e);
size_t encoder_rows_bound(const struct encoder *e, size_t count); /* rows a push can write */

#endif
