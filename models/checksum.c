/* Checksums of files, by GnuTLS. */
#include "models/checksum.h"

#include <ctype.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    BLOCK = 1 << 16,
    DIGEST_MAX = CHECKSUM_HEX_MAX / 2,
};

int checksum_parse(struct checksum *sum, const char *hex)
{
    size_t length = strlen(hex);

    if ((length != 64 && length != 40) || strspn(hex, "0123456789abcdefABCDEF") != length)
        return -EINVAL;
    sum->kind = length == 64 ? CHECKSUM_SHA256 : CHECKSUM_GIT;
    for (size_t i = 0; i <= length; i++)
        sum->hex[i] = (char)tolower((unsigned char)hex[i]);
    return 0;
}

static int hash_head(gnutls_hash_hd_t hash, FILE *file)
{
    char head[48];
    struct stat st;

    if (fstat(fileno(file), &st) != 0)
        return -errno;
    int length = snprintf(head, sizeof head, "blob %lld", (long long)st.st_size);
    return gnutls_hash(hash, head, (size_t)length + 1) < 0 ? -EIO : 0;
}

static int hash_rest(gnutls_hash_hd_t hash, FILE *file)
{
    unsigned char block[BLOCK];
    size_t count;

    while ((count = fread(block, 1, sizeof block, file)) > 0)
        if (gnutls_hash(hash, block, count) < 0)
            return -EIO;
    return ferror(file) ? -EIO : 0;
}

static int hash_file(struct checksum *sum, FILE *file)
{
    unsigned char digest[DIGEST_MAX];
    gnutls_hash_hd_t hash;
    gnutls_digest_algorithm_t kind =
        sum->kind == CHECKSUM_GIT ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256;

    if (gnutls_hash_init(&hash, kind) < 0)
        return -EIO;
    int rc = sum->kind == CHECKSUM_GIT ? hash_head(hash, file) : 0;
    if (rc == 0)
        rc = hash_rest(hash, file);
    gnutls_hash_deinit(hash, digest);
    for (size_t i = 0; i < gnutls_hash_get_len(kind); i++)
        snprintf(sum->hex + 2 * i, 3, "%02x", digest[i]);
    return rc;
}

int checksum_of_file(struct checksum *sum, enum checksum_kind kind, const char *path,
                     struct error *error)
{
    FILE *file = fopen(path, "rbe");

    if (!file)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    *sum = (struct checksum){.kind = kind};
    int rc = hash_file(sum, file);
    fclose(file);
    return rc ? error_set(error, rc, "%s: cannot be read to its end", path) : 0;
}

int checksum_check(const struct checksum *sum, const char *path, struct error *error)
{
    struct checksum found;

    if (sum->kind == CHECKSUM_NONE)
        return 0;
    int rc = checksum_of_file(&found, sum->kind, path, error);
    if (rc)
        return rc;
    if (strcmp(found.hex, sum->hex) != 0)
        return error_set(error, -EBADMSG, "its checksum is %s, not %s", found.hex, sum->hex);
    return 0;
}
