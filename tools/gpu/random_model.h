/* Models of the public sizes with random weights, for measuring: only the backbone's part. */
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

#endif
