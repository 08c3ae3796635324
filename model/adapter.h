/* Conv1D compression and a small MLP between encoder and backbone, streaming:
 * Conv1d(E -> H, k, s, p) -> Linear(H, H) -> ReLU -> Linear(H, D). k = 0 in the file: no
 * convolution. Row j is written as soon as its inputs are there; the right padding counts only at
 * flush. The adapter is const once it is loaded; what is heard moves a slot of a state of it, which
 * belongs to one thread and allocates when it is created only. Slots are pushed together, their
 * windows in one product; each gets the bits that it gets alone.
 */
#ifndef EARSHOT_MODEL_ADAPTER_H
#define EARSHOT_MODEL_ADAPTER_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/gguf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct adapter;
struct adapter_state;

/* Reads earshot.adapter.* and adapter.* tensors. 0 or -errno. */
int adapter_load(struct adapter **out, const struct gguf *g, struct backend *be, size_t encoder_dim,
                 struct error *error);
void adapter_destroy(struct adapter *a);

/* Empty slots. max_rows: the most rows a push takes for a slot. The adapter must outlive it. 0 or
 * -ENOMEM. */
int adapter_state_create(struct adapter_state **out, const struct adapter *a, size_t slots,
                         size_t max_rows, struct error *error);
void adapter_state_destroy(struct adapter_state *s);
void adapter_reset(struct adapter_state *s, size_t slot); /* a new utterance */
/* What another state of the adapter, of as many slots, has heard. */
void adapter_copy(struct adapter_state *to, const struct adapter_state *from);

/* rows [sum of counts, encoder_dim] -> out [returned, dim], both backend memory, slot after slot.
 * counts, made: host [slots], of each slot what it takes and gives; made may be NULL. out holds at
 * least adapter_rows_bound(a, count) rows for each slot. */
size_t adapter_push(struct adapter_state *s, const float *rows, const size_t *counts, float *out,
                    size_t *made);
/* The end of the utterance of every slot that ends, host [slots]; NULL: of all. */
size_t adapter_flush(struct adapter_state *s, const bool *ends, float *out, size_t *made);
size_t adapter_rows_bound(const struct adapter *a, size_t count);

size_t adapter_dim(const struct adapter *a);
size_t adapter_stride(const struct adapter *a); /* encoder rows from one row to the next */
/* The encoder rows that row number row, from 0, has seen, with all before it. */
uint64_t adapter_reach(const struct adapter *a, uint64_t row);

#endif
