#include "model/encoder.h"

#include <errno.h>
#include <string.h>

enum {
    ENCODER_PCM_PER_SECOND = 16000,
    ENCODER_MEL_PER_SECOND = 100,
};

static const struct encoder_ops *const encoder_table[] = {
    &encoder_stream_ops,
};

int encoder_create(struct encoder **out, const struct gguf *g, struct backend *be,
                   struct error *error)
{
    *out = NULL;
    struct gguf_string type;
    int r = gguf_get_string(g, "earshot.encoder.type", &type, error);
    if (r < 0) {
        return r == -ENOENT ? -EINVAL : r;
    }
    for (size_t i = 0; i < sizeof(encoder_table) / sizeof(encoder_table[0]); i++) {
        const char *name = encoder_table[i]->type;
        if (strlen(name) == type.size && memcmp(name, type.data, type.size) == 0) {
            return encoder_table[i]->create(out, g, be, error);
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

size_t encoder_rows_bound(const struct encoder *e, size_t count)
{
    size_t rate =
        e->info.input == ENCODER_INPUT_PCM ? ENCODER_PCM_PER_SECOND : ENCODER_MEL_PER_SECOND;
    return (count * e->info.rows_per_second + rate - 1) / rate;
}
