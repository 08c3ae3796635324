/* The head that an encoder was trained with by CTC, where the file has it: how much of a phone (or
 * of a letter, whatever its classes are) each encoder row hears. Speech has one in every few rows,
 * noise in hardly any. The head is const once it is loaded; who hears with it has a state, scratch
 * of one thread, which allocates when it is created only.
 */
#ifndef EARSHOT_MODEL_PHONES_H
#define EARSHOT_MODEL_PHONES_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/gguf.h"

#include <stddef.h>

struct phones;
struct phones_state;

/* *out is NULL where the file has no encoder.phones.weight. 0 or -errno. */
int phones_load(struct phones **out, const struct gguf *g, struct backend *be, size_t encoder_dim,
                struct error *error);
void phones_destroy(struct phones *p);

size_t phones_classes(const struct phones *p); /* class 0 is the blank */

/* max_rows: of a call. The head must outlive it. 0 or -ENOMEM. */
int phones_state_create(struct phones_state **out, const struct phones *p, size_t max_rows,
                        struct error *error);
void phones_state_destroy(struct phones_state *s);

/* out[count] (host) = 1 - P(blank), of encoder rows [count, E] in backend memory. logs: host
 * [count, classes], the log probabilities of all classes, or NULL. */
void phones_hear(struct phones_state *s, const float *rows, size_t count, float *out, float *logs);

#endif
