/* Windows of the convolution slide over the history of encoder rows: window j is rows j s .. j s +
 * k - 1 of (p zeros, the rows, p zeros at the end), contiguous, so the convolution is one product.
 * An utterance of L rows gives floor((L + 2p - k) / s) + 1; one of no rows gives none.
 */
#include "model/adapter.h"

#include "model/bind.h"
#include "model/past.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    ADAPTER_KERNEL_MAX = 64,
};

struct adapter {
    struct backend *be;
    struct bind bind;
    size_t input, hidden, dim;      /* E, H, D */
    size_t kernel, stride, padding; /* k = 1, s = 1, p = 0 where there is no convolution */
    struct weight *conv;            /* [H, k E], or NULL */
    float *conv_b;                  /* [H] */
    struct weight *proj0, *proj2;   /* [H, H] (or [H, E]), [D, H] */
    float *proj0_b, *proj2_b;       /* [H], [D] */
};

struct adapter_state {
    const struct adapter *adapter;
    struct memory memory;
    size_t max_rows;     /* a push */
    struct past rows;    /* of [E]: those that windows to come will see */
    bool heard;          /* a row since the reset */
    float *mixed, *wide; /* [adapter_rows_bound, H] */
};

static int read_config(struct adapter *a, bool *convolves, struct error *error)
{
    const struct bind *b = &a->bind;
    int r = bind_u32(b, "earshot.adapter.kernel", 0, ADAPTER_KERNEL_MAX, &a->kernel, error);
    *convolves = r == 0 && a->kernel > 0;
    if (r < 0 || !*convolves) {
        a->kernel = 1;
        a->stride = 1;
        return r;
    }
    r = bind_u32(b, "earshot.adapter.stride", 1, a->kernel, &a->stride, error);
    if (r == 0) {
        r = bind_u32(b, "earshot.adapter.padding", 0, a->kernel - 1, &a->padding, error);
    }
    return r;
}

static int bind_conv(struct adapter *a, struct error *error)
{
    size_t shape[3];
    int r = bind_shape(&a->bind, "adapter.", "conv.weight", 3, shape, error);
    if (r < 0) {
        return r;
    }
    a->hidden = shape[0];
    const struct bind_entry entries[] = {
        {"conv.weight", {a->hidden, a->kernel, a->input}, .matrix = &a->conv},
        {"conv.bias", {a->hidden}, .vector = &a->conv_b},
    };
    return bind_tensors(&a->bind, "adapter.", entries, sizeof(entries) / sizeof(entries[0]), error);
}

static int bind_projection(struct adapter *a, struct error *error)
{
    size_t first[2];
    size_t second[2];
    int r = bind_shape(&a->bind, "adapter.", "proj.0.weight", 2, first, error);
    if (r == 0) {
        r = bind_shape(&a->bind, "adapter.", "proj.2.weight", 2, second, error);
    }
    if (r < 0) {
        return r;
    }
    size_t input = a->conv ? a->hidden : a->input;
    a->hidden = a->conv ? a->hidden : first[0];
    a->dim = second[0];
    const struct bind_entry entries[] = {
        {"proj.0.weight", {a->hidden, input}, .matrix = &a->proj0},
        {"proj.0.bias", {a->hidden}, .vector = &a->proj0_b},
        {"proj.2.weight", {a->dim, a->hidden}, .matrix = &a->proj2},
        {"proj.2.bias", {a->dim}, .vector = &a->proj2_b},
    };
    return bind_tensors(&a->bind, "adapter.", entries, sizeof(entries) / sizeof(entries[0]), error);
}

static int bind_all(struct adapter *a, struct error *error)
{
    bool convolves = false;
    int r = read_config(a, &convolves, error);
    if (r == 0 && convolves) {
        r = bind_conv(a, error);
    }
    return r < 0 ? r : bind_projection(a, error);
}

int adapter_load(struct adapter **out, const struct gguf *g, struct backend *be, size_t encoder_dim,
                 struct error *error)
{
    *out = NULL;
    struct adapter *a = calloc(1, sizeof(*a));
    if (!a) {
        return error_set(error, -ENOMEM, "%s: no memory for the adapter", gguf_path(g));
    }
    a->be = be;
    a->input = encoder_dim;
    bind_init(&a->bind, g, be);
    int r = bind_all(a, error);
    if (r < 0) {
        adapter_destroy(a);
        return r;
    }
    *out = a;
    return 0;
}

void adapter_destroy(struct adapter *a)
{
    if (!a) {
        return;
    }
    bind_finish(&a->bind);
    free(a);
}

int adapter_state_create(struct adapter_state **out, const struct adapter *a, size_t max_rows,
                         struct error *error)
{
    size_t add = max_rows > a->padding ? max_rows : a->padding;
    size_t bound = adapter_rows_bound(a, max_rows);
    struct adapter_state *s = calloc(1, sizeof(*s));
    *out = NULL;
    if (!s)
        return error_set(error, -ENOMEM, "no memory for the adapter's state");
    s->adapter = a;
    s->max_rows = max_rows;
    memory_init(&s->memory, a->be);
    past_init(&s->rows, &s->memory, a->kernel, add, a->input);
    s->mixed = memory_rows(&s->memory, bound, a->hidden);
    s->wide = memory_rows(&s->memory, bound, a->hidden);
    memory_reserve(&s->memory, bound);
    int rc = memory_check(&s->memory, "the adapter's state", error);
    if (rc < 0) {
        adapter_state_destroy(s);
        return rc;
    }
    adapter_reset(s);
    *out = s;
    return 0;
}

void adapter_state_destroy(struct adapter_state *s)
{
    if (!s)
        return;
    memory_finish(&s->memory);
    free(s);
}

void adapter_reset(struct adapter_state *s)
{
    past_reset(&s->rows, s->adapter->be, s->adapter->padding);
    s->heard = false;
}

size_t adapter_dim(const struct adapter *a)
{
    return a->dim;
}

size_t adapter_rows_bound(const struct adapter *a, size_t count)
{
    /* Fewer than k rows wait between calls, and a flush adds p of its own. */
    size_t waiting = a->kernel - 1;
    size_t added = count > a->padding ? count : a->padding;
    return added > 0 ? (waiting + added - a->kernel) / a->stride + 1 : 0;
}

size_t adapter_stride(const struct adapter *a)
{
    return a->stride;
}

uint64_t adapter_reach(const struct adapter *a, uint64_t row)
{
    uint64_t end = row * a->stride + a->kernel;
    return end > a->padding ? end - a->padding : 0;
}

/* All the windows that are complete. */
static size_t advance(struct adapter_state *s, float *out)
{
    const struct adapter *a = s->adapter;
    const struct backend_ops *op = a->be->ops;
    size_t there = past_rows(&s->rows);
    if (there < a->kernel) {
        return 0;
    }
    size_t rows = (there - a->kernel) / a->stride + 1;
    size_t stride = a->stride * a->input;
    const float *windows = past_first(&s->rows);
    const float *mixed = windows;
    size_t mixed_stride = stride;
    if (a->conv) {
        op->linear(a->be, s->mixed, windows, stride, rows, a->conv, a->conv_b, ACTIVATION_NONE);
        mixed = s->mixed;
        mixed_stride = a->hidden;
    }
    op->linear(a->be, s->wide, mixed, mixed_stride, rows, a->proj0, a->proj0_b, ACTIVATION_RELU);
    op->linear(a->be, out, s->wide, a->hidden, rows, a->proj2, a->proj2_b, ACTIVATION_NONE);
    past_drop(&s->rows, rows * a->stride);
    return rows;
}

size_t adapter_push(struct adapter_state *s, const float *rows, size_t count, float *out)
{
    struct backend *be = s->adapter->be;
    assert(count <= s->max_rows);
    if (count == 0) {
        return 0;
    }
    s->heard = true;
    float *place = past_append(&s->rows, be, count);
    be->ops->copy(be, place, rows, count * s->adapter->input);
    return advance(s, out);
}

size_t adapter_flush(struct adapter_state *s, float *out)
{
    const struct adapter *a = s->adapter;
    if (!s->heard || a->padding == 0) {
        return 0;
    }
    float *place = past_append(&s->rows, a->be, a->padding);
    a->be->ops->zero(a->be, place, a->padding * a->input);
    return advance(s, out);
}
