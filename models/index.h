/* The index: models by name, and where their files are. models.json of the package, and the user's
 * own, whose entries come first. One thread.
 */
#ifndef EARSHOT_MODELS_INDEX_H
#define EARSHOT_MODELS_INDEX_H

#include "base/error.h"
#include "models/checksum.h"

#include <stddef.h>
#include <stdint.h>

enum {
    INDEX_CONVERT_MAX = 16, /* options of an entry for the converter */
    INDEX_NAME_MAX = 64,
};

struct index_entry {
    const char *name;
    const char *about;     /* one line; "" where the index has none, as all below */
    const char *languages; /* with spaces between them */
    const char *licence;
    const char *hub;        /* OWNER/NAME of the repository with the checkpoint */
    const char *checkpoint; /* a pattern of its file's name */
    const char *encoder;    /* the repository that says how its encoder is built */
    const char *vocabulary; /* the repository with the vocabulary */
    const char *address;    /* of a model file that needs no converting, in place of these */
    struct checksum sum;    /* of the checkpoint, or of what is at address */
    uint64_t bytes;         /* of the same; 0: unknown */
    const char *convert[INDEX_CONVERT_MAX + 1]; /* ends with NULL */
};

struct index;

/* 0, or -errno with a message that names the file and the entry. */
int index_open(struct index **out, struct error *error);
void index_close(struct index *index);

size_t index_count(const struct index *index);
const struct index_entry *index_at(const struct index *index, size_t i);
const struct index_entry *index_find(const struct index *index, const char *name); /* or NULL */

/* Whether a model may have the name: a-z 0-9 . _ - and a letter or a digit at its
 * beginning. */
int index_is_name(const char *name);

#endif
