/* Sound as RTP with Opus (RFC 7587) to one receiver, over UDP: with in-band error correction for
 * what the receiver says it has lost, and a report of our own every few seconds. Who does not
 * answer is looked up again. One thread, which never waits for the network but for names.
 */
#ifndef EARSHOT_BRIDGES_EAR_SENDER_H
#define EARSHOT_BRIDGES_EAR_SENDER_H

#include "base/error.h"
#include "bridges/ear_sound.h"
#include "bridges/srtp_keys.h"

#include <stddef.h>

enum {
    EAR_HOST_BYTES = 256,
    EAR_PORT_BYTES = 8,
    EAR_BITRATE_LEAST = 6000,
    EAR_BITRATE_MOST = 64000,
};

struct ear_sender;

struct ear_receiver {
    char host[EAR_HOST_BYTES], port[EAR_PORT_BYTES];
};

/* HOST, HOST:PORT, [ADDRESS]:PORT or an IPv6 address; port 5004. 0, or -EINVAL with a message. */
int ear_receiver_parse(struct ear_receiver *r, const char *text, struct error *error);

/* fd: a bound UDP socket, which is the sender's from now on; -1: it makes one. key, which outlives
 * it: of all packets; NULL: they are plain. 0, or -errno with a message. */
int ear_sender_create(struct ear_sender **out, const struct ear_receiver *to, unsigned bitrate,
                      int fd, struct srtp_key *key, struct error *error);
/* Says goodbye, if anything was sent. */
void ear_sender_destroy(struct ear_sender *s);

/* NULL: 20 ms that are left out. */
void ear_sender_push(struct ear_sender *s, const int16_t packet[EAR_PACKET]);

#endif
