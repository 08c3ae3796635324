/* Header, keys and tensors are gathered in memory and written at the end. */
#include "tests/support/gguf_writer.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void bytes_add(struct bytes *b, const void *data, size_t size)
{
    if (b->size + size > b->capacity) {
        b->capacity = 2 * (b->size + size);
        b->data = realloc(b->data, b->capacity);
        if (!b->data) {
            abort();
        }
    }
    if (size > 0) {
        memcpy(b->data + b->size, data, size);
    }
    b->size += size;
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

static void add_u32(struct bytes *b, uint32_t value)
{
    bytes_add(b, &value, sizeof(value));
}

static void add_u64(struct bytes *b, uint64_t value)
{
    bytes_add(b, &value, sizeof(value));
}

static void add_string(struct bytes *b, const char *text, size_t size)
{
    add_u64(b, size);
    bytes_add(b, text, size);
}

static void add_padding(struct bytes *b, size_t alignment)
{
    static const unsigned char zero;
    while (b->size % alignment != 0) {
        bytes_add(b, &zero, 1);
    }
}

static void add_key(struct gguf_writer *w, const char *key, enum gguf_type type)
{
    add_string(&w->keys, key, strlen(key));
    add_u32(&w->keys, type);
    w->key_count++;
}

void gguf_writer_init(struct gguf_writer *w)
{
    *w = (struct gguf_writer){.version = 3, .alignment = 32};
}

void gguf_writer_finish(struct gguf_writer *w)
{
    bytes_free(&w->keys);
    bytes_free(&w->tensors);
    bytes_free(&w->data);
}

void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    add_key(w, key, GGUF_U32);
    add_u32(&w->keys, value);
}

void gguf_writer_f32(struct gguf_writer *w, const char *key, float value)
{
    add_key(w, key, GGUF_F32);
    bytes_add(&w->keys, &value, sizeof(value));
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value)
{
    uint8_t byte = value;

    add_key(w, key, GGUF_BOOL);
    bytes_add(&w->keys, &byte, 1);
}

void gguf_writer_string(struct gguf_writer *w, const char *key, const char *value)
{
    add_key(w, key, GGUF_STRING);
    add_string(&w->keys, value, strlen(value));
}

void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_type type,
                       const void *items, size_t item_size, uint64_t count)
{
    add_key(w, key, GGUF_ARRAY);
    add_u32(&w->keys, type);
    add_u64(&w->keys, count);
    bytes_add(&w->keys, items, item_size * count);
}

void gguf_writer_strings(struct gguf_writer *w, const char *key, const char *const *strings,
                         size_t count)
{
    struct bytes items = {0};
    for (size_t i = 0; i < count; i++) {
        add_string(&items, strings[i], strlen(strings[i]));
    }
    gguf_writer_array(w, key, GGUF_STRING, NULL, 0, count);
    bytes_add(&w->keys, items.data, items.size);
    bytes_free(&items);
}

void gguf_writer_tensor(struct gguf_writer *w, const char *name, uint32_t dims,
                        const uint64_t *size, uint32_t type, const void *data, size_t data_size)
{
    add_padding(&w->data, w->alignment);
    add_string(&w->tensors, name, strlen(name));
    add_u32(&w->tensors, dims);
    bytes_add(&w->tensors, size, dims * sizeof(size[0]));
    add_u32(&w->tensors, type);
    add_u64(&w->tensors, w->data.size);
    bytes_add(&w->data, data, data_size);
    w->tensor_count++;
}

void gguf_writer_floats(struct gguf_writer *w, const char *name, size_t dims, const size_t *shape,
                        const float *data)
{
    uint64_t size[4] = {1, 1, 1, 1};
    size_t count = 1;
    for (size_t i = 0; i < dims; i++) {
        size[i] = shape[dims - 1 - i];
        count *= shape[i];
    }
    gguf_writer_tensor(w, name, (uint32_t)dims, size, TENSOR_F32, data, count * sizeof(float));
}

struct bytes gguf_writer_bytes(const struct gguf_writer *w)
{
    struct bytes b = {0};
    bytes_add(&b, "GGUF", 4);
    add_u32(&b, w->version);
    add_u64(&b, w->tensor_count);
    add_u64(&b, w->key_count);
    bytes_add(&b, w->keys.data, w->keys.size);
    bytes_add(&b, w->tensors.data, w->tensors.size);
    if (w->data.size > 0) {
        add_padding(&b, w->alignment);
        bytes_add(&b, w->data.data, w->data.size);
    }
    return b;
}

static bool is(const char *wanted, const char *name)
{
    return wanted && strcmp(wanted, name) == 0;
}

static void copy_array(struct gguf_writer *w, const struct gguf *g, const char *key)
{
    for (int type = GGUF_U8; type <= GGUF_F64; type++) {
        const void *items = NULL;
        size_t count = 0;
        if (gguf_type_bytes((enum gguf_type)type) > 0 &&
            gguf_get_array(g, key, (enum gguf_type)type, &items, &count, NULL) == 0) {
            gguf_writer_array(w, key, (enum gguf_type)type, items,
                              gguf_type_bytes((enum gguf_type)type), count);
        }
    }
}

static void copy_strings(struct gguf_writer *w, const struct gguf *g, const char *key)
{
    const void *items = NULL;
    size_t count = 0;
    if (gguf_get_array(g, key, GGUF_STRING, &items, &count, NULL) < 0) {
        return;
    }
    const char *end = items;
    for (size_t i = 0; i < count; i++) {
        uint64_t size;
        memcpy(&size, end, sizeof(size));
        end += sizeof(size) + size;
    }
    gguf_writer_array(w, key, GGUF_STRING, NULL, 0, count);
    bytes_add(&w->keys, items, (size_t)(end - (const char *)items));
}

/* Keys of the types that model files use. */
static void copy_key(struct gguf_writer *w, const struct gguf *g, const char *key,
                     const struct gguf_edit *edit)
{
    uint32_t u32 = 0;
    float f32 = 0.0f;
    bool flag = false;
    struct gguf_string text = {0};
    if (is(edit->u32_key, key)) {
        gguf_writer_u32(w, key, edit->u32_value);
    } else if (is(edit->string_key, key)) {
        gguf_writer_string(w, key, edit->string_value);
    } else if (gguf_get_u32(g, key, &u32, NULL) == 0) {
        gguf_writer_u32(w, key, u32);
    } else if (gguf_get_f32(g, key, &f32, NULL) == 0) {
        gguf_writer_f32(w, key, f32);
    } else if (gguf_get_bool(g, key, &flag, NULL) == 0) {
        add_key(w, key, GGUF_BOOL);
        bytes_add(&w->keys, &flag, 1);
    } else if (gguf_get_string(g, key, &text, NULL) == 0) {
        add_key(w, key, GGUF_STRING);
        add_string(&w->keys, text.data, text.size);
    } else {
        copy_array(w, g, key);
        copy_strings(w, g, key);
    }
}

/* Scale of a block as it is stored. */
static float add_scale(struct bytes *b, float scale)
{
    _Float16 half = (_Float16)scale;
    bytes_add(b, &half, sizeof(half));
    return scale == 0.0f ? 0.0f : 1.0f / scale;
}

static void add_q8_0(struct bytes *b, const float *x)
{
    float most = 0.0f;
    for (size_t i = 0; i < TENSOR_BLOCK; i++) {
        most = fmaxf(most, fabsf(x[i]));
    }
    float inverse = add_scale(b, most / 127.0f);
    for (size_t i = 0; i < TENSOR_BLOCK; i++) {
        int8_t q = (int8_t)roundf(x[i] * inverse);
        bytes_add(b, &q, 1);
    }
}

static void add_q4_0(struct bytes *b, const float *x)
{
    float most = 0.0f;
    for (size_t i = 0; i < TENSOR_BLOCK; i++) {
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    }
    float inverse = add_scale(b, most / -8.0f);
    for (size_t i = 0; i < TENSOR_BLOCK / 2; i++) {
        unsigned low = (unsigned)fminf(x[i] * inverse + 8.5f, 15.0f);
        unsigned high = (unsigned)fminf(x[i + TENSOR_BLOCK / 2] * inverse + 8.5f, 15.0f);
        unsigned char both = (unsigned char)(low | high << 4);
        bytes_add(b, &both, 1);
    }
}

static void add_bf16(struct bytes *b, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    uint16_t half = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    bytes_add(b, &half, sizeof(half));
}

static void add_row(struct bytes *b, enum tensor_type type, const float *row, size_t cols)
{
    switch (type) {
    case TENSOR_F32:
        bytes_add(b, row, cols * sizeof(float));
        break;
    case TENSOR_F16:
        break;
    case TENSOR_BF16:
        for (size_t i = 0; i < cols; i++) {
            add_bf16(b, row[i]);
        }
        break;
    case TENSOR_Q8_0:
        for (size_t i = 0; i < cols; i += TENSOR_BLOCK) {
            add_q8_0(b, row + i);
        }
        break;
    case TENSOR_Q4_0:
        for (size_t i = 0; i < cols; i += TENSOR_BLOCK) {
            add_q4_0(b, row + i);
        }
        break;
    }
}

/* Rows that are no whole blocks of a quantised type stay as they are. */
static void copy_retyped(struct gguf_writer *w, const struct gguf_tensor *t, const char *name,
                         enum tensor_type type)
{
    struct bytes data = {0};
    float *row = malloc(t->tensor.cols * sizeof(row[0]));
    if (!row) {
        abort();
    }
    for (size_t r = 0; r < t->tensor.rows; r++) {
        tensor_row_to_float(&t->tensor, r, row);
        add_row(&data, type, row, t->tensor.cols);
    }
    gguf_writer_tensor(w, name, t->dims, t->size, type, data.data, data.size);
    bytes_free(&data);
    free(row);
}

static void copy_tensor(struct gguf_writer *w, const struct gguf_tensor *t, const char *name,
                        const struct gguf_edit *edit)
{
    uint64_t size[4] = {t->size[0], t->size[1], t->size[2], t->size[3]};
    size_t data_size = t->tensor.rows * tensor_row_bytes(t->tensor.type, t->tensor.cols);
    if (edit->retype_halves && t->tensor.type == TENSOR_F16 &&
        tensor_row_bytes(edit->halves, t->tensor.cols) > 0) {
        copy_retyped(w, t, name, edit->halves);
        return;
    }
    if (is(edit->swap_tensor, name)) {
        size[0] = t->size[1];
        size[1] = t->size[0];
    }
    gguf_writer_tensor(w, name, t->dims, size, is(edit->retype_tensor, name) ? 14 : t->type,
                       t->tensor.data, data_size);
    if (is(edit->spoil_tensor, name)) {
        const float nan = NAN;
        memcpy(w->data.data + (w->data.size - data_size), &nan, sizeof(nan));
    }
}

static void add_new_keys(struct gguf_writer *w, const struct gguf_edit *edit)
{
    if (edit->new_f32)
        gguf_writer_f32(w, edit->new_f32, edit->f32_value);
    if (edit->new_bool) {
        add_key(w, edit->new_bool, GGUF_BOOL);
        bytes_add(&w->keys, &edit->bool_value, 1);
    }
    if (edit->new_ids) {
        gguf_writer_array(w, edit->new_ids, GGUF_U32, edit->ids, sizeof(edit->ids[0]),
                          edit->id_count);
    }
    for (size_t i = 0; i < 2 && edit->new_u32[i]; i++)
        gguf_writer_u32(w, edit->new_u32[i], edit->new_u32_value[i]);
}

struct bytes gguf_edited(const struct gguf *g, const struct gguf_edit *edit)
{
    struct gguf_writer w;
    gguf_writer_init(&w);
    for (size_t i = 0; i < gguf_key_count(g); i++) {
        enum gguf_type type;
        struct gguf_string s = gguf_key_at(g, i, &type);
        char key[256] = "";
        memcpy(key, s.data, s.size < sizeof(key) ? s.size : sizeof(key) - 1);
        if (!is(edit->drop_key, key)) {
            copy_key(&w, g, key, edit);
        }
    }
    add_new_keys(&w, edit);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        char name[256] = "";
        memcpy(name, t->name.data, t->name.size < sizeof(name) ? t->name.size : sizeof(name) - 1);
        if (!is(edit->drop_tensor, name)) {
            copy_tensor(&w, t, name, edit);
        }
    }
    struct bytes file = gguf_writer_bytes(&w);
    gguf_writer_finish(&w);
    return file;
}

void gguf_write_retyped(const char *path, const char *from, enum tensor_type type)
{
    const struct gguf_edit edit = {.retype_halves = true, .halves = type};
    struct gguf *g = NULL;
    if (gguf_open(&g, from, NULL) < 0) {
        abort();
    }
    struct bytes file = gguf_edited(g, &edit);
    gguf_close(g);
    if (file_replace(path, file.data, file.size, NULL) < 0) {
        abort();
    }
    bytes_free(&file);
}
