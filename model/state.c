/* The file, little endian:
 *
 *      0  "EARSHOTS"          24  fingerprint of the model u64     56  checksum u64: of bytes 0..56
 *      8  version u32         32  layers, dim, heads, head_size        and of the floats
 *     12  header bytes u32        u32 each                         64  att_shift, wkv, ffn_shift
 *     16  float bytes u64     48  rows u64
 */
#include "model/state.h"

#include "base/file.h"
#include "model/hash.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATE_VERSION = 1,
};

struct state_header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes;
    uint64_t float_bytes;
    uint64_t fingerprint;
    uint32_t layers, dim, heads, head_size;
    uint64_t rows;
    uint64_t checksum;
};

_Static_assert(sizeof(struct state_header) == 64, "the file's layout");

static size_t shift_count(const struct state_shape *s)
{
    return s->layers * s->dim;
}

static size_t wkv_count(const struct state_shape *s)
{
    return s->layers * s->heads * s->head_size * s->head_size;
}

static size_t float_count(const struct state_shape *s)
{
    return 2 * shift_count(s) + wkv_count(s);
}

static bool same_shape(const struct state_shape *a, const struct state_shape *b)
{
    return a->layers == b->layers && a->dim == b->dim && a->heads == b->heads &&
           a->head_size == b->head_size;
}

int state_create(struct state **out, struct backend *be, const struct state_shape *shape,
                 size_t slots)
{
    struct state *s = calloc(1, sizeof(*s));
    *out = NULL;
    if (!s)
        return -ENOMEM;
    memory_init(&s->memory, be);
    s->backend = be;
    s->shape = *shape;
    s->slots = slots;
    s->att_shift = memory_rows(&s->memory, slots, shift_count(shape));
    s->wkv = memory_rows(&s->memory, slots, wkv_count(shape));
    s->ffn_shift = memory_rows(&s->memory, slots, shift_count(shape));
    s->moves = memory_rows(&s->memory, 1, slots);
    s->rows = memory_host(&s->memory, slots, sizeof(s->rows[0]));
    int rc = memory_check(&s->memory, "a state", NULL);
    if (rc < 0) {
        state_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void state_destroy(struct state *s)
{
    if (!s)
        return;
    memory_finish(&s->memory);
    free(s);
}

void state_reset(struct state *s)
{
    const struct backend_ops *op = s->backend->ops;
    op->zero(s->backend, s->att_shift, s->slots * shift_count(&s->shape));
    op->zero(s->backend, s->wkv, s->slots * wkv_count(&s->shape));
    op->zero(s->backend, s->ffn_shift, s->slots * shift_count(&s->shape));
    memset(s->rows, 0, s->slots * sizeof(s->rows[0]));
}

void state_reset_slot(struct state *s, size_t slot)
{
    const struct backend_ops *op = s->backend->ops;
    size_t dim = s->shape.dim;
    size_t wkv = wkv_count(&s->shape) / s->shape.layers;
    assert(slot < s->slots);
    for (size_t i = 0; i < s->shape.layers; i++) {
        op->zero(s->backend, s->att_shift + (i * s->slots + slot) * dim, dim);
        op->zero(s->backend, s->wkv + (i * s->slots + slot) * wkv, wkv);
        op->zero(s->backend, s->ffn_shift + (i * s->slots + slot) * dim, dim);
    }
    s->rows[slot] = 0;
}

void state_copy(struct state *dst, const struct state *src)
{
    assert(dst->backend == src->backend && same_shape(&dst->shape, &src->shape));
    assert(dst->slots == src->slots);
    const struct backend_ops *op = dst->backend->ops;
    size_t shift = src->slots * shift_count(&src->shape);
    op->copy(dst->backend, dst->att_shift, src->att_shift, shift);
    op->copy(dst->backend, dst->wkv, src->wkv, src->slots * wkv_count(&src->shape));
    op->copy(dst->backend, dst->ffn_shift, src->ffn_shift, shift);
    memcpy(dst->rows, src->rows, src->slots * sizeof(src->rows[0]));
}

void state_copy_slot(struct state *dst, size_t to, const struct state *src, size_t from)
{
    assert(dst->backend == src->backend && same_shape(&dst->shape, &src->shape));
    assert(to < dst->slots && from < src->slots);
    const struct backend_ops *op = dst->backend->ops;
    const struct state_shape *s = &src->shape;
    size_t wkv = wkv_count(s) / s->layers;
    if (dst == src && to == from)
        return;
    op->copy_rows(dst->backend, dst->att_shift + to * s->dim, dst->slots * s->dim,
                  src->att_shift + from * s->dim, src->slots * s->dim, s->layers, s->dim);
    op->copy_rows(dst->backend, dst->wkv + to * wkv, dst->slots * wkv, src->wkv + from * wkv,
                  src->slots * wkv, s->layers, wkv);
    op->copy_rows(dst->backend, dst->ffn_shift + to * s->dim, dst->slots * s->dim,
                  src->ffn_shift + from * s->dim, src->slots * s->dim, s->layers, s->dim);
    dst->rows[to] = src->rows[from];
}

size_t state_bytes(const struct state *s)
{
    return sizeof(struct state_header) + float_count(&s->shape) * sizeof(float);
}

static uint64_t checksum(const void *data, size_t size)
{
    uint64_t hash = hash_bytes(HASH_START, data, offsetof(struct state_header, checksum));
    return hash_bytes(hash, (const char *)data + sizeof(struct state_header),
                      size - sizeof(struct state_header));
}

void state_encode(const struct state *s, uint64_t fingerprint, void *out)
{
    assert(s->slots == 1);
    const struct backend_ops *op = s->backend->ops;
    size_t shift = shift_count(&s->shape);
    size_t wkv = wkv_count(&s->shape);
    float *floats = (float *)((char *)out + sizeof(struct state_header));
    op->download(s->backend, floats, s->att_shift, shift);
    op->download(s->backend, floats + shift, s->wkv, wkv);
    op->download(s->backend, floats + shift + wkv, s->ffn_shift, shift);

    struct state_header h = {
        .magic = {'E', 'A', 'R', 'S', 'H', 'O', 'T', 'S'},
        .version = STATE_VERSION,
        .header_bytes = sizeof(struct state_header),
        .float_bytes = float_count(&s->shape) * sizeof(float),
        .fingerprint = fingerprint,
        .layers = (uint32_t)s->shape.layers,
        .dim = (uint32_t)s->shape.dim,
        .heads = (uint32_t)s->shape.heads,
        .head_size = (uint32_t)s->shape.head_size,
        .rows = s->rows[0],
    };
    memcpy(out, &h, sizeof(h));
    h.checksum = checksum(out, state_bytes(s));
    memcpy(out, &h, sizeof(h));
}

static int check_header(const struct state *s, uint64_t fingerprint, const struct state_header *h,
                        size_t size, const char *path, struct error *error)
{
    const struct state_shape shape = {h->layers, h->dim, h->heads, h->head_size};
    if (memcmp(h->magic, "EARSHOTS", sizeof(h->magic)) != 0) {
        return error_set(error, -EINVAL, "%s: not a saved state (wrong magic)", path);
    }
    if (h->version != STATE_VERSION || h->header_bytes != sizeof(*h)) {
        return error_set(error, -ENOTSUP, "%s: saved state of version %u, only %d is read", path,
                         h->version, STATE_VERSION);
    }
    if (h->fingerprint != fingerprint) {
        return error_set(error, -EINVAL, "%s: the state of another model (%016llx, not %016llx)",
                         path, (unsigned long long)h->fingerprint, (unsigned long long)fingerprint);
    }
    if (!same_shape(&shape, &s->shape)) {
        return error_set(error, -EINVAL, "%s: state of another shape (%u layers of %u)", path,
                         h->layers, h->dim);
    }
    if (size != state_bytes(s) || h->float_bytes != size - sizeof(*h)) {
        return error_set(error, -EINVAL, "%s: %zu bytes, the state has %zu", path, size,
                         state_bytes(s));
    }
    return 0;
}

static int check_all(const struct state *s, uint64_t fingerprint, const void *data, size_t size,
                     const char *path, struct error *error)
{
    struct state_header h;
    if (size < sizeof(h)) {
        return error_set(error, -EINVAL, "%s: truncated: %zu bytes are no saved state", path, size);
    }
    memcpy(&h, data, sizeof(h));
    int r = check_header(s, fingerprint, &h, size, path, error);
    if (r < 0) {
        return r;
    }
    if (checksum(data, size) != h.checksum) {
        return error_set(error, -EINVAL, "%s: damaged (wrong checksum)", path);
    }
    const float *floats = (const float *)((const char *)data + sizeof(h));
    for (size_t i = 0; i < float_count(&s->shape); i++) {
        if (!isfinite(floats[i])) {
            return error_set(error, -EINVAL, "%s: value %zu is not finite", path, i);
        }
    }
    return 0;
}

static int decode(struct state *s, uint64_t fingerprint, const void *data, size_t size,
                  const char *path, struct error *error)
{
    assert(s->slots == 1);
    int r = check_all(s, fingerprint, data, size, path, error);
    if (r < 0) {
        return r;
    }
    const struct backend_ops *op = s->backend->ops;
    size_t shift = shift_count(&s->shape);
    size_t wkv = wkv_count(&s->shape);
    const float *floats = (const float *)((const char *)data + sizeof(struct state_header));
    op->upload(s->backend, s->att_shift, floats, shift);
    op->upload(s->backend, s->wkv, floats + shift, wkv);
    op->upload(s->backend, s->ffn_shift, floats + shift + wkv, shift);
    memcpy(s->rows, (const char *)data + offsetof(struct state_header, rows), sizeof(s->rows[0]));
    return 0;
}

int state_decode(struct state *s, uint64_t fingerprint, const void *data, size_t size,
                 struct error *error)
{
    assert((uintptr_t)data % _Alignof(float) == 0);
    return decode(s, fingerprint, data, size, "memory", error);
}

int state_save(const struct state *s, uint64_t fingerprint, const char *path, struct error *error)
{
    size_t size = state_bytes(s);
    void *data = malloc(size);
    if (!data) {
        return error_set(error, -ENOMEM, "%s: no memory for a state of %zu bytes", path, size);
    }
    state_encode(s, fingerprint, data);
    int r = s->backend->ops->status(s->backend, error);
    if (r == 0) { /* what a backend gives after an error is nothing */
        r = file_replace(path, data, size, error);
    }
    free(data);
    return r;
}

int state_load(struct state *s, uint64_t fingerprint, const char *path, struct error *error)
{
    struct file_map map;
    int r = file_map(&map, path, error);
    if (r < 0) {
        return r;
    }
    r = decode(s, fingerprint, map.data, map.size, path, error);
    file_unmap(&map);
    return r;
}
