/* Reads a GGUF file, little endian:
 *
 *     "GGUF"  u32 version  u64 tensors  u64 keys
 *     keys:    string name, u32 type, value               string: u64 size, bytes
 *     tensors: string name, u32 dims, u64 size[dims], u32 type, u64 offset
 *     padding to general.alignment, then the data; offsets count from here
 *
 * A cursor walks the header once. It never moves past the end: a count is believed only after the
 * bytes its items need at the least are known to be there, so no allocation is larger than a small
 * multiple of the file.
 */
#include "model/gguf_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "GGUF is read in place: a little-endian machine is needed"
#endif

enum {
    GGUF_ALIGNMENT_DEFAULT = 32,
    GGUF_ALIGNMENT_MIN = 8,
    GGUF_ALIGNMENT_MAX = 1 << 20,
    GGUF_NAME_MAX = 1024,
    GGUF_KEY_BYTES_MIN = 8 + 4 + 1,
    GGUF_TENSOR_BYTES_MIN = 8 + 4 + 8 + 4 + 8,
};

struct cursor {
    const struct gguf *gguf;
    const unsigned char *data;
    size_t size, at;
    struct error *error;
};

static size_t cursor_left(const struct cursor *c)
{
    return c->size - c->at;
}

static int cursor_read(struct cursor *c, void *out, size_t size, const char *what)
{
    if (cursor_left(c) < size) {
        return error_set(c->error, -EINVAL, "%s: truncated at byte %zu: %s is missing",
                         c->gguf->path, c->at, what);
    }
    memcpy(out, c->data + c->at, size);
    c->at += size;
    return 0;
}

static int cursor_string(struct cursor *c, struct gguf_string *out, const char *what)
{
    uint64_t size = 0;
    int r = cursor_read(c, &size, sizeof(size), what);
    if (r < 0) {
        return r;
    }
    if (size > cursor_left(c)) {
        return error_set(c->error, -EINVAL, "%s: %s at byte %zu claims %llu bytes, %zu are left",
                         c->gguf->path, what, c->at, (unsigned long long)size, cursor_left(c));
    }
    *out = (struct gguf_string){(const char *)c->data + c->at, (size_t)size};
    c->at += (size_t)size;
    return 0;
}

/* Names end up in messages and in terminals. */
static int cursor_name(struct cursor *c, struct gguf_string *out, const char *what, size_t index)
{
    int r = cursor_string(c, out, what);
    if (r < 0) {
        return r;
    }
    if (out->size == 0 || out->size > GGUF_NAME_MAX) {
        return error_set(c->error, -EINVAL, "%s: %s %zu is %zu bytes long (1 to %d)", c->gguf->path,
                         what, index, out->size, GGUF_NAME_MAX);
    }
    for (size_t i = 0; i < out->size; i++) {
        unsigned char byte = (unsigned char)out->data[i];
        if (byte < 0x20 || byte == 0x7f) {
            return error_set(c->error, -EINVAL, "%s: %s %zu has a control character", c->gguf->path,
                             what, index);
        }
    }
    return 0;
}

/* For "%.*s" of a name; a message has no room for all of a long one. */
static int shown(struct gguf_string name)
{
    return name.size < 80 ? (int)name.size : 80;
}

size_t gguf_type_bytes(enum gguf_type type)
{
    switch (type) {
    case GGUF_U8:
    case GGUF_I8:
    case GGUF_BOOL:
        return 1;
    case GGUF_U16:
    case GGUF_I16:
        return 2;
    case GGUF_U32:
    case GGUF_I32:
    case GGUF_F32:
        return 4;
    case GGUF_U64:
    case GGUF_I64:
    case GGUF_F64:
        return 8;
    case GGUF_STRING:
    case GGUF_ARRAY:
        break;
    }
    return 0;
}

const char *gguf_type_name(enum gguf_type type)
{
    static const char *const names[] = {
        [GGUF_U8] = "u8",         [GGUF_I8] = "i8",       [GGUF_U16] = "u16", [GGUF_I16] = "i16",
        [GGUF_U32] = "u32",       [GGUF_I32] = "i32",     [GGUF_F32] = "f32", [GGUF_BOOL] = "bool",
        [GGUF_STRING] = "string", [GGUF_ARRAY] = "array", [GGUF_U64] = "u64", [GGUF_I64] = "i64",
        [GGUF_F64] = "f64",
    };
    return (size_t)type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}

static int read_type(struct cursor *c, const struct gguf_key *key, enum gguf_type *type)
{
    uint32_t number = 0;
    int r = cursor_read(c, &number, sizeof(number), "the type of a key");
    if (r < 0) {
        return r;
    }
    if (number > GGUF_F64) {
        return error_set(c->error, -EINVAL, "%s: key %.*s has the unknown type %u", c->gguf->path,
                         shown(key->name), key->name.data, number);
    }
    *type = (enum gguf_type)number;
    return 0;
}

static int read_array(struct cursor *c, struct gguf_key *key)
{
    int r = read_type(c, key, &key->item);
    if (r == 0) {
        r = cursor_read(c, &key->count, sizeof(key->count), "the size of an array");
    }
    if (r < 0) {
        return r;
    }
    if (key->item == GGUF_ARRAY) {
        return error_set(c->error, -EINVAL, "%s: key %.*s is an array of arrays", c->gguf->path,
                         shown(key->name), key->name.data);
    }
    size_t least = key->item == GGUF_STRING ? sizeof(uint64_t) : gguf_type_bytes(key->item);
    if (key->count > cursor_left(c) / least) {
        return error_set(c->error, -EINVAL, "%s: key %.*s claims %llu items, %zu bytes are left",
                         c->gguf->path, shown(key->name), key->name.data,
                         (unsigned long long)key->count, cursor_left(c));
    }
    key->value = c->data + c->at;
    if (key->item != GGUF_STRING) {
        c->at += (size_t)key->count * least;
        return 0;
    }
    for (uint64_t i = 0; i < key->count; i++) {
        struct gguf_string item;
        r = cursor_string(c, &item, "an array's string");
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int read_value(struct cursor *c, struct gguf_key *key)
{
    if (key->type == GGUF_ARRAY) {
        return read_array(c, key);
    }
    if (key->type == GGUF_STRING) {
        struct gguf_string text = {NULL, 0};
        int r = cursor_string(c, &text, "a key's string");
        if (r == 0) {
            key->value = (const unsigned char *)text.data;
            key->count = text.size;
        }
        return r;
    }
    size_t bytes = gguf_type_bytes(key->type);
    if (cursor_left(c) < bytes) {
        return error_set(c->error, -EINVAL, "%s: truncated at byte %zu: the value of key %.*s",
                         c->gguf->path, c->at, shown(key->name), key->name.data);
    }
    key->value = c->data + c->at;
    c->at += bytes;
    if (key->type == GGUF_BOOL && *key->value > 1) {
        return error_set(c->error, -EINVAL, "%s: key %.*s is neither true nor false", c->gguf->path,
                         shown(key->name), key->name.data);
    }
    return 0;
}

static int read_key(struct cursor *c, struct gguf_key *key, size_t index)
{
    int r = cursor_name(c, &key->name, "key", index);
    if (r == 0) {
        r = read_type(c, key, &key->type);
    }
    return r < 0 ? r : read_value(c, key);
}

static int read_tensor_info(struct cursor *c, struct gguf_tensor *t, uint64_t *offset, size_t index)
{
    int r = cursor_name(c, &t->name, "tensor", index);
    if (r == 0) {
        r = cursor_read(c, &t->dims, sizeof(t->dims), "a tensor's dimension count");
    }
    if (r < 0) {
        return r;
    }
    if (t->dims < 1 || t->dims > 4) {
        return error_set(c->error, -EINVAL, "%s: tensor %.*s has %u dimensions (1 to 4)",
                         c->gguf->path, shown(t->name), t->name.data, t->dims);
    }
    for (size_t i = 0; i < 4; i++) {
        t->size[i] = 1;
    }
    r = cursor_read(c, t->size, t->dims * sizeof(t->size[0]), "a tensor's shape");
    if (r == 0) {
        r = cursor_read(c, &t->type, sizeof(t->type), "a tensor's type");
    }
    if (r == 0) {
        r = cursor_read(c, offset, sizeof(*offset), "a tensor's offset");
    }
    return r;
}

/* The place of a tensor in the data section [data_size]. */
static int place_tensor(const struct gguf *g, struct gguf_tensor *t, uint64_t offset,
                        size_t data_size, size_t alignment, struct error *error)
{
    if (offset % alignment != 0) {
        return error_set(error, -EINVAL, "%s: tensor %.*s: offset %llu is not a multiple of %zu",
                         g->path, shown(t->name), t->name.data, (unsigned long long)offset,
                         alignment);
    }
    if (offset >= data_size) {
        return error_set(error, -EINVAL, "%s: tensor %.*s: offset %llu is beyond the file", g->path,
                         shown(t->name), t->name.data, (unsigned long long)offset);
    }
    t->tensor.data = g->map.data + g->header_size + offset;
    t->readable = tensor_type_name((enum tensor_type)t->type) != NULL;

    /* No type we read takes less than half a byte a value, so a larger tensor can't be there. */
    uint64_t left = data_size - offset;
    uint64_t most = 2 * left;
    uint64_t rows = 1;
    for (size_t i = 0; i < 4; i++) {
        if (t->size[i] == 0) {
            return error_set(error, -EINVAL, "%s: tensor %.*s has an empty dimension", g->path,
                             shown(t->name), t->name.data);
        }
        if (i > 0) {
            rows = t->size[i] <= most / rows ? rows * t->size[i] : most + 1;
        }
    }
    if (!t->readable) {
        return 0;
    }
    if (rows > most || t->size[0] > most) {
        return error_set(error, -EINVAL, "%s: tensor %.*s reaches beyond the file", g->path,
                         shown(t->name), t->name.data);
    }
    t->tensor.type = (enum tensor_type)t->type;
    t->tensor.rows = (size_t)rows;
    t->tensor.cols = (size_t)t->size[0];
    size_t row_bytes = tensor_row_bytes(t->tensor.type, t->tensor.cols);
    if (row_bytes == 0) {
        return error_set(error, -EINVAL, "%s: tensor %.*s: rows of %zu are not whole %s blocks",
                         g->path, shown(t->name), t->name.data, t->tensor.cols,
                         tensor_type_name(t->tensor.type));
    }
    if (rows > left / row_bytes) {
        return error_set(error, -EINVAL, "%s: tensor %.*s reaches beyond the file", g->path,
                         shown(t->name), t->name.data);
    }
    return 0;
}

static int compare_strings(struct gguf_string a, struct gguf_string b)
{
    int r = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    if (r != 0) {
        return r;
    }
    return (a.size > b.size) - (a.size < b.size);
}

int gguf_compare_keys(const void *a, const void *b)
{
    return compare_strings((*(struct gguf_key *const *)a)->name,
                           (*(struct gguf_key *const *)b)->name);
}

int gguf_compare_tensors(const void *a, const void *b)
{
    return compare_strings((*(struct gguf_tensor *const *)a)->name,
                           (*(struct gguf_tensor *const *)b)->name);
}

static int index_keys(struct gguf *g, struct error *error)
{
    for (size_t i = 0; i < g->key_count; i++) {
        g->keys_by_name[i] = &g->keys[i];
    }
    qsort(g->keys_by_name, g->key_count, sizeof(g->keys_by_name[0]), gguf_compare_keys);
    for (size_t i = 1; i < g->key_count; i++) {
        struct gguf_string name = g->keys_by_name[i]->name;
        if (compare_strings(g->keys_by_name[i - 1]->name, name) == 0) {
            return error_set(error, -EINVAL, "%s: key %.*s appears twice", g->path, shown(name),
                             name.data);
        }
    }
    return 0;
}

static int index_tensors(struct gguf *g, struct error *error)
{
    for (size_t i = 0; i < g->tensor_count; i++) {
        g->tensors_by_name[i] = &g->tensors[i];
    }
    qsort(g->tensors_by_name, g->tensor_count, sizeof(g->tensors_by_name[0]), gguf_compare_tensors);
    for (size_t i = 1; i < g->tensor_count; i++) {
        struct gguf_string name = g->tensors_by_name[i]->name;
        if (compare_strings(g->tensors_by_name[i - 1]->name, name) == 0) {
            return error_set(error, -EINVAL, "%s: tensor %.*s appears twice", g->path, shown(name),
                             name.data);
        }
    }
    return 0;
}

/* By where the values begin. */
static int compare_places(const void *a, const void *b)
{
    const struct gguf_tensor *x = *(struct gguf_tensor *const *)a;
    const struct gguf_tensor *y = *(struct gguf_tensor *const *)b;
    uintptr_t p = (uintptr_t)x->tensor.data;
    uintptr_t q = (uintptr_t)y->tensor.data;
    return (p > q) - (p < q);
}

/* Values belong to one tensor alone. Uses tensors_by_name, whose order is made later. */
static int check_overlap(const struct gguf *g, struct error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < g->tensor_count; i++) {
        if (g->tensors[i].readable) {
            g->tensors_by_name[count++] = &g->tensors[i];
        }
    }
    qsort(g->tensors_by_name, count, sizeof(g->tensors_by_name[0]), compare_places);
    for (size_t i = 1; i < count; i++) {
        const struct gguf_tensor *t = g->tensors_by_name[i - 1];
        const struct gguf_tensor *next = g->tensors_by_name[i];
        size_t bytes = t->tensor.rows * tensor_row_bytes(t->tensor.type, t->tensor.cols);
        if ((const unsigned char *)t->tensor.data + bytes >
            (const unsigned char *)next->tensor.data) {
            return error_set(error, -EINVAL, "%s: tensors %.*s and %.*s overlap", g->path,
                             shown(t->name), t->name.data, shown(next->name), next->name.data);
        }
    }
    return 0;
}

static int read_start(struct cursor *c, uint64_t *tensors, uint64_t *keys)
{
    const char *path = c->gguf->path;
    char magic[4] = {0};
    uint32_t version = 0;
    int r = cursor_read(c, magic, sizeof(magic), "the magic");
    if (r < 0) {
        return r;
    }
    if (memcmp(magic, "GGUF", sizeof(magic)) != 0) {
        return error_set(c->error, -EINVAL, "%s: not a GGUF file (wrong magic)", path);
    }
    r = cursor_read(c, &version, sizeof(version), "the version");
    if (r < 0) {
        return r;
    }
    if (version != 2 && version != 3) {
        return error_set(c->error, -ENOTSUP, "%s: GGUF version %u%s, only 2 and 3 are read", path,
                         version, version & 0xffff ? "" : " (big endian?)");
    }
    r = cursor_read(c, tensors, sizeof(*tensors), "the tensor count");
    return r < 0 ? r : cursor_read(c, keys, sizeof(*keys), "the key count");
}

static int read_keys(struct gguf *g, struct cursor *c, uint64_t count)
{
    if (count > cursor_left(c) / GGUF_KEY_BYTES_MIN) {
        return error_set(c->error, -EINVAL, "%s: claims %llu keys, %zu bytes are left", g->path,
                         (unsigned long long)count, cursor_left(c));
    }
    g->key_count = (size_t)count;
    g->keys = calloc(g->key_count + 1, sizeof(g->keys[0]));
    g->keys_by_name = calloc(g->key_count + 1, sizeof(struct gguf_key *));
    if (!g->keys || !g->keys_by_name) {
        return error_set(c->error, -ENOMEM, "%s: no memory for %zu keys", g->path, g->key_count);
    }
    for (size_t i = 0; i < g->key_count; i++) {
        int r = read_key(c, &g->keys[i], i);
        if (r < 0) {
            return r;
        }
    }
    return index_keys(g, c->error);
}

static int read_alignment(const struct gguf *g, size_t *alignment, struct error *error)
{
    uint32_t value = GGUF_ALIGNMENT_DEFAULT;
    int r = gguf_get_u32(g, "general.alignment", &value, error);
    if (r < 0 && r != -ENOENT) {
        return r;
    }
    if (value < GGUF_ALIGNMENT_MIN || value > GGUF_ALIGNMENT_MAX || (value & (value - 1)) != 0) {
        return error_set(error, -EINVAL, "%s: general.alignment %u (a power of two, %d to %d)",
                         g->path, value, GGUF_ALIGNMENT_MIN, GGUF_ALIGNMENT_MAX);
    }
    *alignment = value;
    return 0;
}

static int read_tensors(struct gguf *g, struct cursor *c, uint64_t count)
{
    size_t alignment = 0;
    int r = read_alignment(g, &alignment, c->error);
    if (r < 0) {
        return r;
    }
    if (count > cursor_left(c) / GGUF_TENSOR_BYTES_MIN) {
        return error_set(c->error, -EINVAL, "%s: claims %llu tensors, %zu bytes are left", g->path,
                         (unsigned long long)count, cursor_left(c));
    }
    g->tensor_count = (size_t)count;
    g->tensors = calloc(g->tensor_count + 1, sizeof(g->tensors[0]));
    g->tensors_by_name = calloc(g->tensor_count + 1, sizeof(struct gguf_tensor *));
    uint64_t *offsets = calloc(g->tensor_count + 1, sizeof(offsets[0]));
    if (!g->tensors || !g->tensors_by_name || !offsets) {
        r = error_set(c->error, -ENOMEM, "%s: no memory for %zu tensors", g->path, g->tensor_count);
    }
    for (size_t i = 0; r == 0 && i < g->tensor_count; i++) {
        r = read_tensor_info(c, &g->tensors[i], &offsets[i], i);
    }
    size_t padding = (alignment - c->at % alignment) % alignment;
    size_t data_size = padding < cursor_left(c) ? cursor_left(c) - padding : 0;
    g->header_size = c->size - data_size;
    for (size_t i = 0; r == 0 && i < g->tensor_count; i++) {
        r = place_tensor(g, &g->tensors[i], offsets[i], data_size, alignment, c->error);
    }
    free(offsets);
    if (r == 0) {
        r = check_overlap(g, c->error);
    }
    return r < 0 ? r : index_tensors(g, c->error);
}

int gguf_read(struct gguf *g, struct error *error)
{
    struct cursor c = {g, g->map.data, g->map.size, 0, error};
    uint64_t tensors = 0;
    uint64_t keys = 0;
    int r = read_start(&c, &tensors, &keys);
    if (r == 0) {
        r = read_keys(g, &c, keys);
    }
    return r < 0 ? r : read_tensors(g, &c, tensors);
}
