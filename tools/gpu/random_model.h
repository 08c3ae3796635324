/* Models of the public sizes with random weights, for measuring. */
#ifndef EARSHOT_TOOLS_GPU_RANDOM_MODEL_H
#define EARSHOT_TOOLS_GPU_RANDOM_MODEL_H

#include "tests/support/gguf_writer.h"

enum { RANDOM_MODEL_VOCAB = 65536 };

struct model_size {
    const char *name;
    size_t dim, layers, ffn, w, a, v, g; /* ranks last */
};

const struct model_size *model_size_find(const char *name); /* NULL: none is called so */
double model_size_products(const struct model_size *s); /* weights that a row meets, no logits */

/* In memory, some three times the model on the way: what it reads is *file, for bytes_free once it
 * is closed. NULL after a message. */
struct gguf *random_model(const struct model_size *s, enum tensor_type type, struct bytes *file);

/* With WavLM-large before it ("wavlm-large", or "wavlm-mini" to try the program), an adapter, a
 * vocabulary and prompts: a whole model, for model_load. path: [RANDOM_MODEL_PATH], of memory that
 * lasts as long as the process. False after a message. */
enum { RANDOM_MODEL_PATH = 64 };
bool random_speech_model(const char *encoder, const struct model_size *s, enum tensor_type type,
                         char *path);

/* Its pieces. shape: outermost first. */
void random_tensor(struct gguf_writer *g, const char *name, enum tensor_type type, size_t dims,
                   const size_t *shape);
void random_vector(struct gguf_writer *g, const char *name, size_t count, float value);
void random_backbone(struct gguf_writer *g, const struct model_size *s, enum tensor_type type);

#endif
