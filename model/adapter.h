/* Conv1D compression and a small MLP between encoder and backbone, streaming:
 * Conv1d(E -> H, k, s, p) -> Linear(H, H) -> ReLU -> Linear(H, D). k = 0 in the file: no
 * convolution. Row j is written as soon as its inputs are there; the right padding counts only at
 * flush. One thread at a time; after create nothing is allocated.
 */
#ifndef EARSHOT_MODEL_ADAPTER_H
#define EARSHOT_MODEL_ADAPTER_H

#include "base/error.h"
#include "kernels/backend.h"
#include "model/gguf.h"

#include <stddef.h>
#include <stdint.h>

struct adapter;

/* max_rows: the most rows a push takes. Reads earshot.adapter.* and adapter.* tensors. */
int adapter_create(struct adapter **out, const struct gguf *g, struct backend *be,
                   size_t encoder_dim, size_t max_rows, struct error *error);
/* Another with the same weights and a state of its own; `of` must outlive it. 0 or -errno. */
int adapter_create_twin(struct adapter **out, const struct adapter *of, struct error *error);
void adapter_destroy(struct adapter *a);
void adapter_reset(struct adapter *a);
size_t adapter_dim(const struct adapter *a);

/* rows [count, encoder_dim] -> out [returned, dim]; both backend memory. out holds at least
 * adapter_rows_bound(a, count) rows. */
size_t adapter_push(struct adapter *a, const float *rows, size_t count, float *out);
size_t adapter_flush(struct adapter *a, float *out);
size_t adapter_rows_bound(const struct adapter *a, size_t count);

size_t adapter_stride(const struct adapter *a); /* encoder rows from one row to the next */
/* The encoder rows that row number row, from 0, has seen, with all before it. */
uint64_t adapter_reach(const struct adapter *a, uint64_t row);

#endif
