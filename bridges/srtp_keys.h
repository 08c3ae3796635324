/* Keys of those who send RTP, and packets under them: SRTP and SRTCP (RFC 3711), AES-CM with 128
 * bits, HMAC-SHA1 with 80. Without libsrtp reading keys is -ENOTSUP. One thread.
 */
#ifndef EARSHOT_BRIDGES_SRTP_KEYS_H
#define EARSHOT_BRIDGES_SRTP_KEYS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
    SRTP_KEYS_MAX = 64,
    SRTP_NAME_BYTES = 32,
    SRTP_TRAILER_MAX = 16, /* bytes that a packet grows by */
};

struct srtp_keys;
struct srtp_key;

/* Lines of a NAME and a KEY, 30 bytes of key and salt in base64; # begins a remark. The file must
 * not be readable by others. 0 or -errno with a message. */
int srtp_keys_read(struct srtp_keys **out, const char *path, struct error *error);
void srtp_keys_destroy(struct srtp_keys *k);

size_t srtp_keys_count(const struct srtp_keys *k);
struct srtp_key *srtp_keys_get(struct srtp_keys *k, size_t i);
const char *srtp_key_name(const struct srtp_key *key);

/* A packet of RTP or RTCP in place, and its new size. 0; -EBADMSG: it is not under this key, or has
 * come before. */
int srtp_key_open(struct srtp_key *key, uint8_t *bytes, size_t *size);
/* The other way round; there is room for SRTP_TRAILER_MAX bytes more. 0 or -EINVAL. */
int srtp_key_close(struct srtp_key *key, uint8_t *bytes, size_t *size);
/* Nothing more comes from ssrc. */
void srtp_key_forget(struct srtp_key *key, uint32_t ssrc);

#endif
