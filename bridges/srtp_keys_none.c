/* Built without libsrtp: there are no keys. */
#include "bridges/srtp_keys.h"

#include <errno.h>

int srtp_keys_read(struct srtp_keys **out, const char *path, struct error *error)
{
    *out = NULL;
    return error_set(error, -ENOTSUP, "%s: this program was built without SRTP (libsrtp2)", path);
}

void srtp_keys_destroy(struct srtp_keys *k)
{
    (void)k;
}

size_t srtp_keys_count(const struct srtp_keys *k)
{
    (void)k;
    return 0;
}

struct srtp_key *srtp_keys_get(struct srtp_keys *k, size_t i)
{
    (void)k;
    (void)i;
    return NULL;
}

const char *srtp_key_name(const struct srtp_key *key)
{
    (void)key;
    return "";
}

int srtp_key_open(struct srtp_key *key, uint8_t *bytes, size_t *size)
{
    (void)key;
    (void)bytes;
    (void)size;
    return -EBADMSG;
}

int srtp_key_close(struct srtp_key *key, uint8_t *bytes, size_t *size)
{
    (void)key;
    (void)bytes;
    (void)size;
    return -EINVAL;
}

void srtp_key_forget(struct srtp_key *key, uint32_t ssrc)
{
    (void)key;
    (void)ssrc;
}
