#include "model/encoder.h"

#include <errno.h>
#include <string.h>

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
        const char *name = encoder_table[i]->type;
        if (strlen(name) == type.size && memcmp(name, type.data, type.size) == 0) {
            return encoder_table[i]->create(out, g, be, options ? options : &standard, error);
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
