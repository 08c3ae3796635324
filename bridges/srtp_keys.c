/* A session of libsrtp's for each key and direction, which takes any SSRC: that a packet is under a
 * key is known when its tag fits, and only then libsrtp remembers its SSRC.
 */
#include "bridges/srtp_keys.h"

#include "base/lines.h"
#include "bridges/rtp_packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <srtp2/srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    KEY_BYTES = 30, /* 16 of the key, 14 of the salt */
    KEY_LETTERS = 4 * KEY_BYTES / 3,
};

struct srtp_key {
    char name[SRTP_NAME_BYTES];
    srtp_t in, out;
};

struct srtp_keys {
    struct srtp_key keys[SRTP_KEYS_MAX];
    size_t count;
};

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* KEY_LETTERS of base64. 0 or -EINVAL. */
static int decode(unsigned char bytes[KEY_BYTES], const char *text)
{
    if (strlen(text) != KEY_LETTERS || strspn(text, letters) != KEY_LETTERS)
        return -EINVAL;
    for (size_t i = 0; i < KEY_LETTERS / 4; i++) {
        uint32_t four = 0;
        for (size_t k = 0; k < 4; k++)
            four = four << 6 | (uint32_t)(strchr(letters, text[4 * i + k]) - letters);
        for (size_t k = 0; k < 3; k++)
            bytes[3 * i + k] = (unsigned char)(four >> (16 - 8 * k));
    }
    return 0;
}

static int begin_session(srtp_t *session, unsigned char *bytes, srtp_ssrc_type_t ssrcs)
{
    srtp_policy_t policy = {.ssrc = {.type = ssrcs}, .key = bytes};
    srtp_crypto_policy_set_rtp_default(&policy.rtp);
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    return srtp_create(session, &policy) == srtp_err_status_ok ? 0 : -ENOMEM;
}

static int add(struct srtp_keys *k, const char *name, const char *text, struct error *error)
{
    unsigned char bytes[KEY_BYTES];
    struct srtp_key *key = &k->keys[k->count];
    if (k->count == SRTP_KEYS_MAX)
        return error_set(error, -ENOBUFS, "more than %d keys", SRTP_KEYS_MAX);
    if (strlen(name) >= sizeof key->name)
        return error_set(error, -EINVAL, "the name has more than %d bytes", SRTP_NAME_BYTES - 1);
    if (decode(bytes, text))
        return error_set(error, -EINVAL,
                         "the key of \"%s\" is not %d letters of base64; try: openssl rand -base64 "
                         "%d",
                         name, KEY_LETTERS, KEY_BYTES);
    snprintf(key->name, sizeof key->name, "%s", name);
    k->count++;
    if (begin_session(&key->in, bytes, ssrc_any_inbound) ||
        begin_session(&key->out, bytes, ssrc_any_outbound))
        return error_set(error, -ENOMEM, "out of memory");
    return 0;
}

static int take_line(void *user, char *line, int number, struct error *error)
{
    char *rest = NULL;
    (void)number;
    const char *name = strtok_r(line, " \t", &rest);
    const char *key = name ? strtok_r(NULL, " \t", &rest) : NULL;
    const char *more = key ? strtok_r(NULL, " \t", &rest) : NULL;
    if (!name || *name == '#')
        return 0;
    if (!key || (more && *more != '#'))
        return error_set(error, -EINVAL, "this is not a NAME and a KEY");
    return add(user, name, key, error);
}

int srtp_keys_read(struct srtp_keys **out, const char *path, struct error *error)
{
    struct stat st;
    struct srtp_keys *k = calloc(1, sizeof *k);
    *out = NULL;
    if (!k || srtp_init() != srtp_err_status_ok) {
        free(k);
        return error_set(error, -ENOMEM, "out of memory");
    }
    int rc = stat(path, &st) ? error_set(error, -errno, "%s: %s", path, strerror(errno)) : 0;
    if (!rc && (st.st_mode & S_IROTH))
        rc = error_set(error, -EPERM, "%s: everybody may read it; try: chmod 600", path);
    if (!rc)
        rc = lines_read(path, take_line, k, error);
    if (!rc && k->count == 0)
        rc = error_set(error, -EINVAL, "%s: there is no key in it", path);
    if (rc) {
        srtp_keys_destroy(k);
        return rc;
    }
    *out = k;
    return 0;
}

void srtp_keys_destroy(struct srtp_keys *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->count; i++) {
        if (k->keys[i].in)
            srtp_dealloc(k->keys[i].in);
        if (k->keys[i].out)
            srtp_dealloc(k->keys[i].out);
    }
    free(k);
    srtp_shutdown();
}

size_t srtp_keys_count(const struct srtp_keys *k)
{
    return k->count;
}

struct srtp_key *srtp_keys_get(struct srtp_keys *k, size_t i)
{
    return &k->keys[i];
}

const char *srtp_key_name(const struct srtp_key *key)
{
    return key->name;
}

int srtp_key_open(struct srtp_key *key, uint8_t *bytes, size_t *size)
{
    int length = (int)*size;
    srtp_err_status_t rc = rtcp_is(bytes, *size) ? srtp_unprotect_rtcp(key->in, bytes, &length)
                                                 : srtp_unprotect(key->in, bytes, &length);
    *size = (size_t)length;
    return rc == srtp_err_status_ok ? 0 : -EBADMSG;
}

int srtp_key_close(struct srtp_key *key, uint8_t *bytes, size_t *size)
{
    int length = (int)*size;
    srtp_err_status_t rc = rtcp_is(bytes, *size) ? srtp_protect_rtcp(key->out, bytes, &length)
                                                 : srtp_protect(key->out, bytes, &length);
    *size = (size_t)length;
    return rc == srtp_err_status_ok ? 0 : -EINVAL;
}

void srtp_key_forget(struct srtp_key *key, uint32_t ssrc)
{
    srtp_remove_stream(key->in, htonl(ssrc));
}
