/* Windows of the convolution slide over the history of encoder rows: window j is rows j s .. j s +
 * k - 1 of (p zeros, the rows, p zeros at the end), contiguous, so the convolution is one product.
 * An utterance of L rows gives floor((L + 2p - k) / s) + 1; one of no rows gives none. Windows of
 * several slots are gathered behind each other, at most BACKEND_FEW_ROWS, so that no row depends on
 * who is beside it; those of one slot alone are read where they lie.
 */
#include "model/adapter.h"

#include "model/bind.h"
#include "model/past.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

struct adapter_slot {
    struct past rows; /* of [E]: those that windows to come will see */
    bool heard;       /* a row since the reset */
};

struct adapter_state {
    const struct adapter *adapter;
    struct memory memory;
    size_t slots;
    size_t max_rows;           /* a push, of a slot */
    struct adapter_slot *slot; /* [slots] */
    size_t *made;              /* host [slots]: rows of the call under way */
    float *windows;            /* [BACKEND_FEW_ROWS, k E] */
    float *mixed, *wide;       /* [adapter_rows_bound, or BACKEND_FEW_ROWS, H] */
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

static void make_buffers(struct adapter_state *s)
{
    const struct adapter *a = s->adapter;
    struct memory *m = &s->memory;
    size_t add = s->max_rows > a->padding ? s->max_rows : a->padding;
    size_t bound = adapter_rows_bound(a, s->max_rows);
    s->slot = memory_host(m, s->slots, sizeof(s->slot[0]));
    s->made = memory_host(m, s->slots, sizeof(s->made[0]));
    for (size_t i = 0; s->slot && i < s->slots; i++)
        past_init(&s->slot[i].rows, m, a->kernel, add, a->input);
    if (s->slots > 1) {
        bound = bound > BACKEND_FEW_ROWS ? bound : BACKEND_FEW_ROWS;
        s->windows = memory_rows(m, BACKEND_FEW_ROWS, a->kernel * a->input);
    }
    s->mixed = memory_rows(m, bound, a->hidden);
    s->wide = memory_rows(m, bound, a->hidden);
    memory_reserve(m, bound);
}

int adapter_state_create(struct adapter_state **out, const struct adapter *a, size_t slots,
                         size_t max_rows, struct error *error)
{
    struct adapter_state *s = calloc(1, sizeof(*s));
    *out = NULL;
    if (!s)
        return error_set(error, -ENOMEM, "no memory for the adapter's state");
    s->adapter = a;
    s->slots = slots;
    s->max_rows = max_rows;
    memory_init(&s->memory, a->be);
    make_buffers(s);
    int rc = memory_check(&s->memory, "the adapter's state", error);
    if (rc < 0) {
        adapter_state_destroy(s);
        return rc;
    }
    for (size_t i = 0; i < slots; i++)
        adapter_reset(s, i);
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

void adapter_reset(struct adapter_state *s, size_t slot)
{
    past_reset(&s->slot[slot].rows, s->adapter->be, s->adapter->padding);
    s->slot[slot].heard = false;
}

void adapter_copy(struct adapter_state *to, const struct adapter_state *from)
{
    assert(to->slots == from->slots);
    for (size_t i = 0; i < to->slots; i++) {
        past_copy(&to->slot[i].rows, &from->slot[i].rows, to->adapter->be);
        to->slot[i].heard = from->slot[i].heard;
    }
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

/* rows windows, each stride floats after the one before, through the products. */
static void adapt(struct adapter_state *s, const float *windows, size_t stride, size_t rows,
                  float *out)
{
    const struct adapter *a = s->adapter;
    const struct backend_ops *op = a->be->ops;
    const float *mixed = windows;
    size_t mixed_stride = stride;
    if (a->conv) {
        op->linear(a->be, s->mixed, windows, stride, rows, a->conv, a->conv_b, ACTIVATION_NONE);
        mixed = s->mixed;
        mixed_stride = a->hidden;
    }
    op->linear(a->be, s->wide, mixed, mixed_stride, rows, a->proj0, a->proj0_b, ACTIVATION_RELU);
    op->linear(a->be, out, s->wide, a->hidden, rows, a->proj2, a->proj2_b, ACTIVATION_NONE);
}

/* The windows of the slots first .. end - 1 behind each other. */
static const float *gather(struct adapter_state *s, size_t first, size_t end)
{
    const struct adapter *a = s->adapter;
    size_t window = a->kernel * a->input;
    float *to = s->windows;
    for (size_t i = first; i < end; i++) {
        const float *from = past_first(&s->slot[i].rows);
        for (size_t j = 0; j < s->made[i]; j++, to += window)
            a->be->ops->copy(a->be, to, from + j * a->stride * a->input, window);
    }
    return s->windows;
}

/* Slots from first on whose windows go together: one, or several with few. Returns the end of them;
 * *rows: their windows. */
static size_t group_end(const struct adapter_state *s, size_t first, size_t *rows)
{
    size_t end = first + 1;
    *rows = s->made[first];
    while (end < s->slots && *rows + s->made[end] <= BACKEND_FEW_ROWS)
        *rows += s->made[end++];
    return end;
}

/* All the windows that are complete. made: host [slots], or NULL. */
static size_t advance(struct adapter_state *s, float *out, size_t *made)
{
    const struct adapter *a = s->adapter;
    size_t all = 0;
    for (size_t i = 0; i < s->slots; i++) {
        size_t there = past_rows(&s->slot[i].rows);
        s->made[i] = there < a->kernel ? 0 : (there - a->kernel) / a->stride + 1;
    }
    for (size_t first = 0, end, rows; first < s->slots; first = end) {
        end = group_end(s, first, &rows);
        bool alone = rows == s->made[first];
        const float *windows = alone ? past_first(&s->slot[first].rows) : gather(s, first, end);
        size_t stride = (alone ? a->stride : a->kernel) * a->input;
        if (rows > 0)
            adapt(s, windows, stride, rows, out + all * a->dim);
        all += rows;
    }
    for (size_t i = 0; i < s->slots; i++)
        past_drop(&s->slot[i].rows, s->made[i] * a->stride);
    if (made)
        memcpy(made, s->made, s->slots * sizeof(made[0]));
    return all;
}

size_t adapter_push(struct adapter_state *s, const float *rows, const size_t *counts, float *out,
                    size_t *made)
{
    const struct adapter *a = s->adapter;
    for (size_t i = 0; i < s->slots; i++) {
        assert(counts[i] <= s->max_rows);
        if (counts[i] == 0)
            continue;
        float *place = past_append(&s->slot[i].rows, a->be, counts[i]);
        a->be->ops->copy(a->be, place, rows, counts[i] * a->input);
        rows += counts[i] * a->input;
        s->slot[i].heard = true;
    }
    return advance(s, out, made);
}

size_t adapter_flush(struct adapter_state *s, const bool *ends, float *out, size_t *made)
{
    const struct adapter *a = s->adapter;
    for (size_t i = 0; i < s->slots; i++) {
        if ((ends && !ends[i]) || !s->slot[i].heard || a->padding == 0)
            continue;
        float *place = past_append(&s->slot[i].rows, a->be, a->padding);
        a->be->ops->zero(a->be, place, a->padding * a->input);
    }
    return advance(s, out, made);
}
