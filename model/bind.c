/* Finds, checks and packs tensors; its errors name the file and the tensor. */
#include "model/bind.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bind_item {
    float *floats;         /* either */
    struct weight *weight; /* or */
};

struct shape_text {
    char text[64];
};

void bind_init(struct bind *b, const struct gguf *g, struct backend *be)
{
    *b = (struct bind){.gguf = g, .backend = be};
}

void bind_finish(struct bind *b)
{
    for (size_t i = b->count; i-- > 0;) {
        if (b->items[i].weight) {
            b->backend->ops->weight_destroy(b->backend, b->items[i].weight);
        }
        if (b->items[i].floats) {
            b->backend->ops->free(b->backend, b->items[i].floats);
        }
    }
    free(b->items);
    *b = (struct bind){0};
}

/* A zeroed item that bind_finish will release, or NULL. */
static struct bind_item *new_item(struct bind *b)
{
    if (b->count == b->capacity) {
        size_t capacity = b->capacity ? 2 * b->capacity : 64;
        struct bind_item *items = realloc(b->items, capacity * sizeof(items[0]));
        if (!items) {
            return NULL;
        }
        b->items = items;
        b->capacity = capacity;
    }
    b->items[b->count] = (struct bind_item){0};
    return &b->items[b->count++];
}

int bind_alloc(struct bind *b, float **out, size_t rows, size_t dim, struct error *error)
{
    struct bind_item *item = new_item(b);
    if (item && dim > 0 && rows <= SIZE_MAX / sizeof(float) / dim) {
        item->floats = b->backend->ops->alloc(b->backend, rows * dim);
    }
    if (!item || !item->floats) {
        return error_set(error, -ENOMEM, "%s: no memory for %zu x %zu values", gguf_path(b->gguf),
                         rows, dim);
    }
    *out = item->floats;
    return 0;
}

static struct shape_text shape_text(const size_t *shape, size_t dims)
{
    struct shape_text s;
    int at = snprintf(s.text, sizeof(s.text), "[");
    for (size_t i = 0; i < dims && at < (int)sizeof(s.text); i++) {
        at += snprintf(s.text + at, sizeof(s.text) - (size_t)at, i ? ", %zu" : "%zu", shape[i]);
    }
    if (at < (int)sizeof(s.text)) {
        snprintf(s.text + at, sizeof(s.text) - (size_t)at, "]");
    }
    return s;
}

/* The file's shape, outermost first. */
static size_t tensor_shape(const struct gguf_tensor *t, size_t shape[4])
{
    for (size_t i = 0; i < t->dims; i++) {
        shape[i] = (size_t)t->size[t->dims - 1 - i];
    }
    return t->dims;
}

static int find_tensor(const struct bind *b, const char *prefix, const char *name,
                       char full[BIND_NAME_MAX], const struct gguf_tensor **out,
                       struct error *error)
{
    snprintf(full, BIND_NAME_MAX, "%s%s", prefix, name);
    *out = gguf_find(b->gguf, full);
    if (!*out) {
        return error_set(error, -EINVAL, "%s: tensor %s is missing", gguf_path(b->gguf), full);
    }
    if (!(*out)->readable) {
        return error_set(error, -EINVAL, "%s: tensor %s has type %u, which is not read",
                         gguf_path(b->gguf), full, (*out)->type);
    }
    return 0;
}

int bind_shape(const struct bind *b, const char *prefix, const char *name, size_t dims,
               size_t *shape, struct error *error)
{
    char full[BIND_NAME_MAX];
    const struct gguf_tensor *t = NULL;
    int r = find_tensor(b, prefix, name, full, &t, error);
    if (r < 0) {
        return r;
    }
    size_t found[4];
    size_t count = tensor_shape(t, found);
    if (count != dims) {
        return error_set(error, -EINVAL, "%s: tensor %s has shape %s, not %zu dimensions",
                         gguf_path(b->gguf), full, shape_text(found, count).text, dims);
    }
    for (size_t i = 0; i < dims; i++) {
        shape[i] = found[i];
    }
    return 0;
}

int bind_u32(const struct bind *b, const char *key, size_t least, size_t most, size_t *value,
             struct error *error)
{
    uint32_t number = 0;
    int r = gguf_get_u32(b->gguf, key, &number, error);
    if (r < 0) {
        return r == -ENOENT ? -EINVAL : r;
    }
    if (number < least || number > most) {
        return error_set(error, -EINVAL, "%s: %s is %u, it must be %zu to %zu", gguf_path(b->gguf),
                         key, number, least, most);
    }
    *value = number;
    return 0;
}

int bind_u32_array(const struct bind *b, const char *key, size_t count, size_t least, size_t most,
                   size_t *values, struct error *error)
{
    const unsigned char *data = NULL;
    size_t found = 0;
    int r = gguf_get_array(b->gguf, key, GGUF_U32, (const void **)&data, &found, error);
    if (r < 0) {
        return r == -ENOENT ? -EINVAL : r;
    }
    if (found != count) {
        return error_set(error, -EINVAL, "%s: %s has %zu values, not %zu", gguf_path(b->gguf), key,
                         found, count);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t number;
        memcpy(&number, data + i * sizeof(number), sizeof(number));
        if (number < least || number > most) {
            return error_set(error, -EINVAL, "%s: %s has %u, it must be %zu to %zu",
                             gguf_path(b->gguf), key, number, least, most);
        }
        values[i] = number;
    }
    return 0;
}

static int check_shape(const struct bind *b, const char *full, const struct gguf_tensor *t,
                       const struct bind_entry *e, struct error *error)
{
    size_t found[4];
    size_t count = tensor_shape(t, found);
    size_t wanted = 0;
    while (wanted < BIND_DIMS && e->shape[wanted] > 0) {
        wanted++;
    }
    bool same = count == wanted;
    for (size_t i = 0; same && i < count; i++) {
        same = found[i] == e->shape[i];
    }
    if (!same) {
        return error_set(error, -EINVAL, "%s: tensor %s has shape %s, expected %s",
                         gguf_path(b->gguf), full, shape_text(found, count).text,
                         shape_text(e->shape, wanted).text);
    }
    return 0;
}

static int bind_vector(struct bind *b, const char *full, const struct tensor *t, float **out,
                       struct error *error)
{
    size_t count = t->rows * t->cols;
    int r = bind_alloc(b, out, t->rows, t->cols, error);
    if (r < 0) {
        return r;
    }
    float *host = malloc(count * sizeof(host[0]));
    if (!host) {
        return error_set(error, -ENOMEM, "%s: no memory for tensor %s", gguf_path(b->gguf), full);
    }
    for (size_t row = 0; row < t->rows; row++) {
        tensor_row_to_float(t, row, host + row * t->cols);
    }
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (!isfinite(host[i])) {
            r = error_set(error, -EINVAL, "%s: tensor %s is not finite at value %zu",
                          gguf_path(b->gguf), full, i);
        }
    }
    if (r == 0) {
        b->backend->ops->upload(b->backend, *out, host, count);
    }
    gguf_release(b->gguf, t);
    free(host);
    return r;
}

/* A GPU has copies of everything. */
static bool is_used_in_place(const struct bind *b, enum weight_use use)
{
    return use == WEIGHT_ROWS && strncmp(b->backend->ops->name, "cpu", 3) == 0;
}

/* All dimensions but the outermost make one row: they are contiguous, whole blocks each. */
static int bind_matrix(struct bind *b, const char *full, const struct tensor *t, size_t rows,
                       enum weight_use use, struct weight **out, struct error *error)
{
    struct tensor flat = *t;
    flat.rows = rows;
    flat.cols = t->rows / rows * t->cols;
    struct bind_item *item = new_item(b);
    int r = item ? b->backend->ops->weight_create(b->backend, &item->weight, &flat, use) : -ENOMEM;
    if (r == -EDOM) {
        return error_set(error, -EINVAL, "%s: tensor %s has a value that is not finite",
                         gguf_path(b->gguf), full);
    }
    if (r < 0) {
        return error_set(error, r, "%s: tensor %s cannot be used by backend %s", gguf_path(b->gguf),
                         full, b->backend->ops->name);
    }
    if (is_used_in_place(b, use)) {
        gguf_keep(b->gguf, t);
    } else {
        gguf_release(b->gguf, t);
    }
    *out = item->weight;
    return 0;
}

int bind_parts(struct bind *b, const char *prefix, const struct bind_entry *entry, size_t parts,
               struct weight **out, struct error *error)
{
    char full[BIND_NAME_MAX];
    const struct gguf_tensor *t = NULL;
    int r = find_tensor(b, prefix, entry->name, full, &t, error);
    if (r == 0) {
        r = check_shape(b, full, t, entry, error);
    }
    if (r < 0) {
        return r;
    }
    struct tensor part = t->tensor;
    part.rows /= parts;
    size_t bytes = part.rows * tensor_row_bytes(part.type, part.cols);
    for (size_t i = 0; r == 0 && i < parts; i++) {
        part.data = (const char *)t->tensor.data + i * bytes;
        r = bind_matrix(b, full, &part, entry->shape[0] / parts, WEIGHT_PRODUCTS, &out[i], error);
    }
    return r;
}

int bind_host(const struct bind *b, const char *prefix, const char *name, float *out, size_t count,
              struct error *error)
{
    char full[BIND_NAME_MAX];
    const struct gguf_tensor *t = NULL;
    int r = find_tensor(b, prefix, name, full, &t, error);
    if (r < 0) {
        return r;
    }
    if (t->tensor.rows * t->tensor.cols != count) {
        return error_set(error, -EINVAL, "%s: tensor %s has %zu values, not %zu",
                         gguf_path(b->gguf), full, t->tensor.rows * t->tensor.cols, count);
    }
    for (size_t row = 0; row < t->tensor.rows; row++) {
        tensor_row_to_float(&t->tensor, row, out + row * t->tensor.cols);
    }
    gguf_release(b->gguf, &t->tensor);
    return 0;
}

int bind_tensors(struct bind *b, const char *prefix, const struct bind_entry *entries, size_t count,
                 struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        const struct bind_entry *e = &entries[i];
        assert(!!e->vector + !!e->matrix + !!e->table == 1);
        struct weight **weight = e->matrix ? e->matrix : e->table;
        enum weight_use use = e->matrix ? WEIGHT_PRODUCTS : WEIGHT_ROWS;
        char full[BIND_NAME_MAX];
        const struct gguf_tensor *t = NULL;
        int r = find_tensor(b, prefix, e->name, full, &t, error);
        if (r == 0) {
            r = check_shape(b, full, t, e, error);
        }
        if (r == 0) {
            r = e->vector ? bind_vector(b, full, &t->tensor, e->vector, error)
                          : bind_matrix(b, full, &t->tensor, e->shape[0], use, weight, error);
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}
