/* A GGUF file that is open: its tensors, its values, and what of it stays mapped. gguf_read.c reads
 * it. */
#include "model/gguf_read.h"
#include "model/hash.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GGUF_FINGERPRINT_SAMPLE = 64, /* bytes at the start of each tensor */
};

static struct gguf *gguf_new(const char *path)
{
    struct gguf *g = calloc(1, sizeof(*g));
    struct gguf_kept *kept = calloc(1, sizeof(*kept));
    if (!g || !kept) {
        free(g);
        free(kept);
        return NULL;
    }
    g->kept = kept;
    size_t size = strlen(path);
    bool fits = size < sizeof(g->path);
    snprintf(g->path, sizeof(g->path), "%s%s", fits ? "" : "...",
             fits ? path : path + size - (sizeof(g->path) - 4));
    return g;
}

int gguf_open(struct gguf **out, const char *path, struct error *error)
{
    *out = NULL;
    struct gguf *g = gguf_new(path);
    if (!g) {
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    }
    int r = file_map(&g->map, path, error);
    g->mapped = r == 0;
    if (r == 0) {
        r = gguf_read(g, error);
    }
    if (r < 0) {
        gguf_close(g);
        return r;
    }
    *out = g;
    return 0;
}

int gguf_open_memory(struct gguf **out, const void *data, size_t size, struct error *error)
{
    *out = NULL;
    struct gguf *g = gguf_new("memory");
    if (!g) {
        return error_set(error, -ENOMEM, "memory: out of memory");
    }
    g->map = (struct file_map){data, size};
    int r = gguf_read(g, error);
    if (r < 0) {
        gguf_close(g);
        return r;
    }
    *out = g;
    return 0;
}

void gguf_close(struct gguf *g)
{
    if (!g) {
        return;
    }
    if (g->mapped) {
        file_unmap(&g->map);
    }
    free(g->keys);
    free(g->keys_by_name);
    free(g->tensors);
    free(g->tensors_by_name);
    free(g->kept);
    free(g);
}

bool gguf_string_is(struct gguf_string s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.data, text, s.size) == 0;
}

void gguf_release(const struct gguf *g, const struct tensor *t)
{
    size_t bytes = t->rows * tensor_row_bytes(t->type, t->cols);
    if (g->mapped) {
        file_release(&g->map, t->data, bytes);
    }
    if (g->released) {
        g->released(g->user, bytes);
    }
}

void gguf_keep(const struct gguf *g, const struct tensor *t)
{
    for (size_t i = 0; i < g->kept->count; i++) {
        if (g->kept->tensors[i].data == t->data) {
            return;
        }
    }
    assert(g->kept->count < GGUF_KEPT_MAX);
    g->kept->tensors[g->kept->count++] = *t;
    if (g->released) {
        g->released(g->user, t->rows * tensor_row_bytes(t->type, t->cols));
    }
}

int gguf_detach(const struct gguf *g, struct error *error)
{
    int rc = g->mapped ? file_detach(&g->map, g->map.data, g->header_size) : 0;
    for (size_t i = 0; g->mapped && rc == 0 && i < g->kept->count; i++) {
        const struct tensor *t = &g->kept->tensors[i];
        rc = file_detach(&g->map, t->data, t->rows * tensor_row_bytes(t->type, t->cols));
    }
    return rc == 0 ? 0 : error_set(error, rc, "%s: %s", g->path, strerror(-rc));
}

void gguf_watch(struct gguf *g, void (*released)(void *user, size_t bytes), void *user)
{
    g->released = released;
    g->user = user;
}

const char *gguf_path(const struct gguf *g)
{
    return g->path;
}

size_t gguf_size(const struct gguf *g)
{
    return g->map.size;
}

uint64_t gguf_fingerprint(const struct gguf *g)
{
    uint64_t hash = hash_bytes(HASH_START, g->map.data, g->header_size);
    for (size_t i = 0; i < g->tensor_count; i++) {
        const unsigned char *data = g->tensors[i].tensor.data;
        size_t left = (size_t)(g->map.data + g->map.size - data);
        hash =
            hash_bytes(hash, data, left < GGUF_FINGERPRINT_SAMPLE ? left : GGUF_FINGERPRINT_SAMPLE);
    }
    return hash;
}

size_t gguf_tensor_count(const struct gguf *g)
{
    return g->tensor_count;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t index)
{
    return index < g->tensor_count ? &g->tensors[index] : NULL;
}

const struct gguf_tensor *gguf_find(const struct gguf *g, const char *name)
{
    struct gguf_tensor wanted = {.name = {name, strlen(name)}};
    struct gguf_tensor *key = &wanted;
    struct gguf_tensor **found = bsearch(&key, g->tensors_by_name, g->tensor_count,
                                         sizeof(g->tensors_by_name[0]), gguf_compare_tensors);
    return found ? *found : NULL;
}

size_t gguf_key_count(const struct gguf *g)
{
    return g->key_count;
}

struct gguf_string gguf_key_at(const struct gguf *g, size_t index, enum gguf_type *type)
{
    *type = g->keys[index].type;
    return g->keys[index].name;
}

static int find_key(const struct gguf *g, const char *name, enum gguf_type type,
                    const struct gguf_key **out, struct error *error)
{
    struct gguf_key wanted = {.name = {name, strlen(name)}};
    struct gguf_key *key = &wanted;
    struct gguf_key **found =
        bsearch(&key, g->keys_by_name, g->key_count, sizeof(g->keys_by_name[0]), gguf_compare_keys);
    if (!found) {
        return error_set(error, -ENOENT, "%s: key %s is missing", g->path, name);
    }
    if ((*found)->type != type) {
        return error_set(error, -EINVAL, "%s: key %s is %s, not %s", g->path, name,
                         gguf_type_name((*found)->type), gguf_type_name(type));
    }
    *out = *found;
    return 0;
}

int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *value, struct error *error)
{
    const struct gguf_key *found = NULL;
    int r = find_key(g, key, GGUF_U32, &found, error);
    if (r == 0) {
        memcpy(value, found->value, sizeof(*value));
    }
    return r;
}

int gguf_get_f32(const struct gguf *g, const char *key, float *value, struct error *error)
{
    const struct gguf_key *found = NULL;
    int r = find_key(g, key, GGUF_F32, &found, error);
    if (r == 0) {
        memcpy(value, found->value, sizeof(*value));
    }
    return r;
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *value, struct error *error)
{
    const struct gguf_key *found = NULL;
    int r = find_key(g, key, GGUF_BOOL, &found, error);
    if (r == 0) {
        *value = *found->value != 0;
    }
    return r;
}

int gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *value,
                    struct error *error)
{
    const struct gguf_key *found = NULL;
    int r = find_key(g, key, GGUF_STRING, &found, error);
    if (r == 0) {
        *value = (struct gguf_string){(const char *)found->value, (size_t)found->count};
    }
    return r;
}

int gguf_get_array(const struct gguf *g, const char *key, enum gguf_type type, const void **data,
                   size_t *count, struct error *error)
{
    const struct gguf_key *found = NULL;
    int r = find_key(g, key, GGUF_ARRAY, &found, error);
    if (r < 0) {
        return r;
    }
    if (found->item != type) {
        return error_set(error, -EINVAL, "%s: key %s is an array of %s, not of %s", g->path, key,
                         gguf_type_name(found->item), gguf_type_name(type));
    }
    *data = found->value;
    *count = (size_t)found->count;
    return 0;
}
