/* Writes GGUF files for tests, whole ones and wrong ones. A failing allocation ends the test. */
#ifndef EARSHOT_TESTS_GGUF_WRITER_H
#define EARSHOT_TESTS_GGUF_WRITER_H

#include "model/gguf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    unsigned char *data; /* [size], owned */
    size_t size, capacity;
};

void bytes_add(struct bytes *b, const void *data, size_t size);
void bytes_free(struct bytes *b);

struct gguf_writer {
    uint32_t version;
    size_t alignment;
    uint64_t key_count, tensor_count;
    struct bytes keys, tensors, data;
};

void gguf_writer_init(struct gguf_writer *w);
void gguf_writer_finish(struct gguf_writer *w);

void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_writer_f32(struct gguf_writer *w, const char *key, float value);
void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value);
void gguf_writer_string(struct gguf_writer *w, const char *key, const char *value);
/* count items of fixed size */
void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_type type,
                       const void *items, size_t item_size, uint64_t count);
void gguf_writer_strings(struct gguf_writer *w, const char *key, const char *const *strings,
                         size_t count);
/* size: innermost first; data [data_size] */
void gguf_writer_tensor(struct gguf_writer *w, const char *name, uint32_t dims,
                        const uint64_t *size, uint32_t type, const void *data, size_t data_size);
/* F32, shape outermost first as in PyTorch. */
void gguf_writer_floats(struct gguf_writer *w, const char *name, size_t dims, const size_t *shape,
                        const float *data);

/* The whole file. */
struct bytes gguf_writer_bytes(const struct gguf_writer *w);

/* What to change in a copy of a model file. */
struct gguf_edit {
    const char *drop_tensor, *drop_key; /* NULL: none */
    const char *swap_tensor;            /* its first two dimensions change places */
    const char *spoil_tensor;           /* its first float becomes a NaN */
    const char *retype_tensor;          /* gets a type that nobody reads */
    bool retype_halves;                 /* matrices of F16 get the type below, as gguf-py rounds */
    enum tensor_type halves;
    const char *u32_key; /* gets u32_value */
    uint32_t u32_value;
    const char *string_key; /* gets string_value */
    const char *string_value;
    const char *new_bool; /* a key that is added, with bool_value */
    bool bool_value;
    const char *new_f32; /* a key that is added, with f32_value */
    float f32_value;
    const char *new_ids; /* a key that is added, with ids [id_count] */
    const uint32_t *ids;
    size_t id_count;
    const char *new_u32[2]; /* keys that are added, with new_u32_value */
    uint32_t new_u32_value[2];
};

/* A copy of g with one edit. */
struct bytes gguf_edited(const struct gguf *g, const struct gguf_edit *edit);

/* Writes the model file `from` with its F16 matrices in another type. The golden models' weights
 * are exact in F16, and so in F32, in which everything is computed in float32. */
void gguf_write_retyped(const char *path, const char *from, enum tensor_type type);

#endif
