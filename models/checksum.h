/* Checksums as publishers give them. One thread.
 */
#ifndef EARSHOT_MODELS_CHECKSUM_H
#define EARSHOT_MODELS_CHECKSUM_H

#include "base/error.h"

enum checksum_kind {
    CHECKSUM_NONE,
    CHECKSUM_SHA256,
    CHECKSUM_GIT, /* git's name of a small file: SHA-1 of "blob SIZE", a zero, and the bytes */
};

enum {
    CHECKSUM_HEX_MAX = 64,
};

struct checksum {
    enum checksum_kind kind;
    char hex[CHECKSUM_HEX_MAX + 1]; /* in small letters */
};

/* 64 hexadecimal digits are SHA-256, 40 are git's. 0 or -EINVAL. */
int checksum_parse(struct checksum *sum, const char *hex);

/* Computes the checksum of that kind of a file. 0 or -errno. */
int checksum_of_file(struct checksum *sum, enum checksum_kind kind, const char *path,
                     struct error *error);

/* Whether a file has the checksum; one of CHECKSUM_NONE is every file's. 0, -EBADMSG with both in
 * the message, or -errno. */
int checksum_check(const struct checksum *sum, const char *path, struct error *error);

#endif
