/* The table of encoders, how one is asked to stream, and what all states of them share. */
#include "model/encoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENCODER_NUMBER_MAX = 60000,
};

static const struct encoder_ops *const encoder_table[] = {
    &encoder_stream_ops,
    &encoder_wavlm_ops,
    &encoder_whisper_ops,
};

struct encoder_options encoder_options_default(void)
{
    return (struct encoder_options){
        .streaming = ENCODER_AUTO,
        .left_ms = 4000,
        .hop_ms = 480,
        .ahead_ms = 480,
    };
}

/* ":A,B,..." to so many values, or "" to none of them. */
static int parse_numbers(size_t *const *values, size_t count, const char *text)
{
    if (*text == '\0')
        return 0;
    for (size_t i = 0; i < count; i++) {
        char *end = NULL;
        const char *digits = text + 1;
        if (*text != (i == 0 ? ':' : ',') || *digits < '0' || *digits > '9')
            return -EINVAL;
        unsigned long value = strtoul(digits, &end, 10);
        if (value > ENCODER_NUMBER_MAX)
            return -EINVAL;
        *values[i] = value;
        text = end;
    }
    return *text == '\0' ? 0 : -EINVAL;
}

static int parse_way(struct encoder_options *o, const char *text)
{
    size_t *const window[] = {&o->left_ms, &o->hop_ms, &o->ahead_ms};
    size_t *const block[] = {&o->block, &o->left, &o->block_ahead};
    const char *comma = strchr(text, ',');
    size_t numbers = comma && strchr(comma + 1, ',') ? 3 : 2;
    switch (o->streaming) {
    case ENCODER_AUTO:
    case ENCODER_EXACT:
    case ENCODER_ALONE:
        break;
    case ENCODER_WINDOWED:
        return parse_numbers(window, 3, text);
    case ENCODER_BLOCKS:
        if (parse_numbers(block, numbers, text) < 0 || (*text != '\0' && o->block == 0))
            return -EINVAL;
        return 0;
    }
    return *text == '\0' ? 0 : -EINVAL;
}

int encoder_options_parse(struct encoder_options *o, const char *text)
{
    static const char *const names[] = {
        [ENCODER_AUTO] = "auto",         [ENCODER_EXACT] = "exact",   [ENCODER_ALONE] = "alone",
        [ENCODER_WINDOWED] = "windowed", [ENCODER_BLOCKS] = "blocks",
    };
    size_t size = strcspn(text, ":");
    *o = encoder_options_default();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == size && strncmp(text, names[i], size) == 0) {
            o->streaming = (enum encoder_streaming)i;
            return parse_way(o, text + size);
        }
    }
    return -EINVAL;
}

/* How the file wants to stream, where nobody says. */
static enum encoder_streaming streaming_of(const struct gguf *g)
{
    uint32_t block;
    bool none = gguf_get_u32(g, "earshot.encoder.block", &block, NULL) == -ENOENT;
    return none ? ENCODER_EXACT : ENCODER_BLOCKS;
}

static int load(struct encoder **out, const struct encoder_ops *ops, const struct gguf *g,
                struct backend *be, const struct encoder_options *options, struct error *error)
{
    struct encoder_options chosen = *options;
    if (chosen.streaming == ENCODER_AUTO)
        chosen.streaming = streaming_of(g);
    int rc = ops->load(out, g, be, &chosen, error);
    if (rc < 0)
        return rc;
    (*out)->ops = ops;
    (*out)->backend = be;
    (*out)->options = chosen;
    return 0;
}

int encoder_load(struct encoder **out, const struct gguf *g, struct backend *be,
                 const struct encoder_options *options, struct error *error)
{
    struct encoder_options standard = encoder_options_default();
    *out = NULL;
    struct gguf_string type;
    int r = gguf_get_string(g, "earshot.encoder.type", &type, error);
    if (r < 0) {
        return r == -ENOENT ? -EINVAL : r;
    }
    for (size_t i = 0; i < sizeof(encoder_table) / sizeof(encoder_table[0]); i++) {
        if (gguf_string_is(type, encoder_table[i]->type)) {
            return load(out, encoder_table[i], g, be, options ? options : &standard, error);
        }
    }
    return error_set(error, -ENOTSUP, "%s: earshot.encoder.type \"%.*s\" is not known",
                     gguf_path(g), type.size < 40 ? (int)type.size : 40, type.data);
}

void encoder_destroy(struct encoder *e)
{
    if (e) {
        e->ops->destroy(e);
    }
}

static int create(struct encoder_state **out, const struct encoder *e, bool is_fork,
                  struct error *error)
{
    struct encoder_state *s = calloc(1, e->ops->state_size);
    *out = NULL;
    if (!s)
        return error_set(error, -ENOMEM, "no memory for the encoder's state");
    s->encoder = e;
    s->is_fork = is_fork;
    memory_init(&s->memory, e->backend);
    e->ops->state_init(s);
    int rc = memory_check(&s->memory, "the encoder's state", error);
    if (rc < 0) {
        encoder_state_destroy(s);
        return rc;
    }
    encoder_reset(s);
    *out = s;
    return 0;
}

int encoder_state_create(struct encoder_state **out, const struct encoder *e, struct error *error)
{
    return create(out, e, false, error);
}

int encoder_fork_create(struct encoder_state **out, const struct encoder *e, struct error *error)
{
    return create(out, e, true, error);
}

void encoder_state_destroy(struct encoder_state *s)
{
    if (!s)
        return;
    memory_finish(&s->memory);
    free(s);
}

void encoder_reset(struct encoder_state *s)
{
    s->encoder->ops->reset(s);
}

bool encoder_fork(struct encoder_state *fork, struct encoder_state *from)
{
    return from->encoder->ops->fork(fork, from);
}

size_t encoder_push(struct encoder_state *s, const float *input, size_t count, float *rows)
{
    return s->encoder->ops->push(s, input, count, rows);
}

size_t encoder_flush(struct encoder_state *s, float *rows)
{
    return s->encoder->ops->flush(s, rows);
}

void encoder_show(const struct encoder_state *s, const char *stage, const float *x, size_t rows,
                  size_t dim)
{
    if (s->tap) {
        s->tap->take(s->tap->user, stage, x, rows, dim);
    }
}
