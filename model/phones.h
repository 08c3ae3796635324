/* The head that an encoder was trained with by CTC, where the file has it: how much of a phone (or
 * of a letter, whatever its classes are) each encoder row hears. Speech has one in every few rows,
 * noise in hardly any. One thread at a time; allocates at create only.
 */
#ifndef EARSHOT_MODEL_PHONES_H
#define EARSHOT_MODEL_PHONES_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/gguf.h"

#include <stddef.h>

struct phones;

/* *out is NULL where the file has no encoder.phones.weight. 0 or -errno. max_rows: of a call. */
int phones_create(struct phones **out, const struct gguf *g, struct backend *be, size_t encoder_dim,
                  size_t max_rows, struct error *error);
void phones_destroy(struct phones *p);

size_t phones_classes(const struct phones *p); /* class 0 is the blank */

/* out[count] (host) = 1 - P(blank), of encoder rows [count, E] in backend memory. logs: host
 * [count, classes], the log probabilities of all classes, or NULL. */
void phones_hear(struct phones *p, const float *rows, size_t count, float *out, float *logs);

#endif
