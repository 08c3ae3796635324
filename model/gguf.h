/* Reads GGUF v3 files (v2 too). The file stays mapped; strings and tensors point into the map.
 * Every count, offset and size is checked against the file before it is used: a hostile file gives
 * an error, never a crash. Immutable after open: any thread may read.
 */
#ifndef EARSHOT_MODEL_GGUF_H
#define EARSHOT_MODEL_GGUF_H

#include "base/error.h"
#include "kernels/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gguf_type { /* the numbers of the format */
                 GGUF_U8 = 0,
                 GGUF_I8 = 1,
                 GGUF_U16 = 2,
                 GGUF_I16 = 3,
                 GGUF_U32 = 4,
                 GGUF_I32 = 5,
                 GGUF_F32 = 6,
                 GGUF_BOOL = 7,
                 GGUF_STRING = 8,
                 GGUF_ARRAY = 9,
                 GGUF_U64 = 10,
                 GGUF_I64 = 11,
                 GGUF_F64 = 12,
};

struct gguf;

struct gguf_string {
    const char *data; /* [size], not terminated, in the map */
    size_t size;
};

bool gguf_string_is(struct gguf_string s, const char *text);

struct gguf_tensor {
    struct gguf_string name;
    uint32_t dims;        /* 1..4 */
    uint64_t size[4];     /* innermost first, unused ones 1 */
    struct tensor tensor; /* rows = product of the outer dimensions, cols = size[0] */
    bool readable;        /* false: a type Earshot doesn't read (tensor.data is still its place) */
    uint32_t type;        /* the file's number */
};

/* 0 or -errno, the message names the path and the culprit (key, tensor, offset). */
int gguf_open(struct gguf **out, const char *path, struct error *error);
/* The same over memory that outlives the result (fuzzing, tests), aligned as malloc's. */
int gguf_open_memory(struct gguf **out, const void *data, size_t size, struct error *error);
void gguf_close(struct gguf *g);

const char *gguf_path(const struct gguf *g);     /* for messages, shortened at the front */
size_t gguf_size(const struct gguf *g);          /* bytes of the file */
uint64_t gguf_fingerprint(const struct gguf *g); /* of all metadata, shapes and some weights */
const char *gguf_type_name(enum gguf_type type); /* "u32" ... */
size_t gguf_type_bytes(enum gguf_type type);     /* of a value; 0: it has no fixed size */

/* t, or a part of one, has been read: its pages may leave memory until it is read again. */
void gguf_release(const struct gguf *g, const struct tensor *t);
/* The opposite: t is read again and again. */
void gguf_keep(const struct gguf *g, const struct tensor *t);
/* Calls released from both, with the bytes of t; NULL: no longer. */
void gguf_watch(struct gguf *g, void (*released)(void *user, size_t bytes), void *user);
/* Copies the metadata and what is kept out of the file. It may be cut or written over from now on,
 * and no other tensor may be read. 0 or -errno. */
int gguf_detach(const struct gguf *g, struct error *error);

size_t gguf_tensor_count(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t index);
const struct gguf_tensor *gguf_find(const struct gguf *g, const char *name); /* NULL: none */

size_t gguf_key_count(const struct gguf *g);
struct gguf_string gguf_key_at(const struct gguf *g, size_t index, enum gguf_type *type);

/* Metadata by key. 0, -ENOENT (no such key) or -EINVAL (another type), with a message. */
int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *value, struct error *error);
int gguf_get_f32(const struct gguf *g, const char *key, float *value, struct error *error);
int gguf_get_bool(const struct gguf *g, const char *key, bool *value, struct error *error);
int gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *value,
                    struct error *error);
/* data points into the map and may be unaligned: read elements with memcpy. */
int gguf_get_array(const struct gguf *g, const char *key, enum gguf_type type, const void **data,
                   size_t *count, struct error *error);

#endif
