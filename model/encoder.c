#include "model/encoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENCODER_WINDOW_MAX_MS = 60000,
};

static const struct encoder_ops *const encoder_table[] = {
    &encoder_stream_ops,
    &encoder_wavlm_ops,
    &encoder_whisper_ops,
};

struct encoder_options encoder_options_default(void)
{
    return (struct encoder_options){
        .streaming = ENCODER_EXACT,
        .left_ms = 4000,
        .hop_ms = 480,
        .ahead_ms = 480,
    };
}

/* "LEFT,HOP,AHEAD" */
static int parse_window(struct encoder_options *o, const char *text)
{
    size_t *const values[] = {&o->left_ms, &o->hop_ms, &o->ahead_ms};
    for (size_t i = 0; i < 3; i++) {
        char *end = NULL;
        unsigned long value = strtoul(text, &end, 10);
        if (end == text || *text == '-' || value > ENCODER_WINDOW_MAX_MS ||
            *end != (i < 2 ? ',' : '\0')) {
            return -EINVAL;
        }
        *values[i] = value;
        text = end + 1;
    }
    return 0;
}

int encoder_options_parse(struct encoder_options *o, const char *text)
{
    static const char windowed[] = "windowed";
    size_t size = sizeof(windowed) - 1;
    *o = encoder_options_default();
    if (strcmp(text, "exact") == 0) {
        return 0;
    }
    if (strncmp(text, windowed, size) != 0) {
        return -EINVAL;
    }
    o->streaming = ENCODER_WINDOWED;
    if (text[size] == '\0') {
        return 0;
    }
    return text[size] == ':' ? parse_window(o, text + size + 1) : -EINVAL;
}

static int create(struct encoder **out, const struct encoder_ops *ops, const struct gguf *g,
                  struct backend *be, const struct encoder_options *options,
                  const struct encoder *twin, struct error *error)
{
    int r = ops->create(out, g, be, options, twin, error);
    if (r < 0) {
        return r;
    }
    (*out)->gguf = g;
    (*out)->backend = be;
    (*out)->options = *options;
    return 0;
}

int encoder_create(struct encoder **out, const struct gguf *g, struct backend *be,
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
            return create(out, encoder_table[i], g, be, options ? options : &standard, NULL, error);
        }
    }
    return error_set(error, -ENOTSUP, "%s: earshot.encoder.type \"%.*s\" is not known",
                     gguf_path(g), type.size < 40 ? (int)type.size : 40, type.data);
}

int encoder_create_twin(struct encoder **out, const struct encoder *of, struct error *error)
{
    *out = NULL;
    return create(out, of->ops, of->gguf, of->backend, &of->options, of, error);
}

void encoder_destroy(struct encoder *e)
{
    if (e) {
        e->ops->destroy(e);
    }
}

void encoder_show(const struct encoder *e, const char *stage, const float *x, size_t rows,
                  size_t dim)
{
    if (e->tap) {
        e->tap->take(e->tap->user, stage, x, rows, dim);
    }
}
