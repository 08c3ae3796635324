/* What gguf.c and gguf_read.c share: a file as it is read, of which gguf.h gives the tensors and
 * values.
 */
#ifndef EARSHOT_MODEL_GGUF_READ_H
#define EARSHOT_MODEL_GGUF_READ_H

#include "base/file.h"
#include "model/gguf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GGUF_KEPT_MAX = 16,
};

struct gguf_key {
    struct gguf_string name;
    enum gguf_type type;
    enum gguf_type item;        /* type of an array's items */
    uint64_t count;             /* of an array */
    const unsigned char *value; /* in the map; of a string: its bytes, count of them */
};

struct gguf_kept {
    struct tensor tensors[GGUF_KEPT_MAX]; /* [count] */
    size_t count;
};

struct gguf {
    char path[128];
    struct file_map map;
    bool mapped; /* map is ours to unmap */
    size_t header_size;
    struct gguf_key *keys; /* [key_count], owned, in the file's order */
    size_t key_count;
    struct gguf_key **keys_by_name; /* [key_count], owned */
    struct gguf_tensor *tensors;    /* [tensor_count], owned, in the file's order */
    size_t tensor_count;
    struct gguf_tensor **tensors_by_name; /* [tensor_count], owned */
    struct gguf_kept *kept;               /* owned */
    void (*released)(void *user, size_t bytes);
    void *user; /* of released */
};

/* Reads and checks the header of g->map: keys, tensors and where their values lie. 0 or -errno. */
int gguf_read(struct gguf *g, struct error *error);

/* By name, for qsort and bsearch over keys_by_name and tensors_by_name. */
int gguf_compare_keys(const void *a, const void *b);
int gguf_compare_tensors(const void *a, const void *b);

#endif
