/* Conv1D compression and a small MLP between encoder and backbone, streaming:
 * Conv1d(E -> H, k, s, p) -> Linear(H, H) -> ReLU -> Linear(H, D). k = 0 in the file: no
 * convolution. Row j is written as soon as its inputs are there; the right padding counts only at
 * flush. The adapter is const once it is loaded; what an ear hears moves a state of it, which
 * belongs to one thread and allocates when it is created only.
 */
#ifndef EARSHOT_MODEL_ADAPTER_H
#define EARSHOT_MODEL_ADAPTER_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/gguf.h"

#include <stddef.h>
#include <stdint.h>

struct adapter;
struct adapter_state;

/* Reads earshot.adapter.* and adapter.* tensors. 0 or -errno. */
int adapter_load(struct adapter **out, const struct gguf *g, struct backend *be, size_t encoder_dim,
                 struct error *error);
void adapter_destroy(struct adapter *a);

/* Empty. max_rows: the most rows a push takes. The adapter must outlive it. 0 or -ENOMEM. */
int adapter_state_create(struct adapter_state **out, const struct adapter *a, size_t max_rows,
                         struct error *error);
void adapter_state_destroy(struct adapter_state *s);
void adapter_reset(struct adapter_state *s); /* a new utterance */

/* rows [count, encoder_dim] -> out [returned, dim]; both backend memory. out holds at least
 * adapter_rows_bound(a, count) rows. */
size_t adapter_push(struct adapter_state *s, const float *rows, size_t count, float *out);
size_t adapter_flush(struct adapter_state *s, float *out);
size_t adapter_rows_bound(const struct adapter *a, size_t count);

size_t adapter_dim(const struct adapter *a);
size_t adapter_stride(const struct adapter *a); /* encoder rows from one row to the next */
/* The encoder rows that row number row, from 0, has seen, with all before it. */
uint64_t adapter_reach(const struct adapter *a, uint64_t row);

#endif
