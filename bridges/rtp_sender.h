/* One that sends RTP: an address and an SSRC. Its packets are ordered, decoded and sent to a stream
 * of the daemon that has its name. One thread, in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_RTP_SENDER_H
#define EARSHOT_BRIDGES_RTP_SENDER_H

#include "bridges/address.h"
#include "bridges/rtp_packet.h"
#include "bridges/srtp_keys.h"
#include "bridges/streams.h"

struct rtp_sender;

/* What all of them share. */
struct rtp_world {
    sd_event *event;
    struct streams *streams;
    uint32_t ssrc;                                  /* ours, */
    char name[RTCP_NAME_BYTES];                     /* and our CNAME */
    void (*gone)(void *user, struct rtp_sender *s); /* is to destroy it */
    void *user;
};

/* p is the first packet that counts; reports go to the address by fd, under the key that p was
 * under; NULL: none. 0 or -errno. */
int rtp_sender_create(struct rtp_sender **out, const struct rtp_world *w, int fd,
                      const struct address *from, struct srtp_key *key, const struct rtp_packet *p,
                      uint64_t now_us);
void rtp_sender_destroy(struct rtp_sender *s);

struct srtp_key *rtp_sender_key(const struct rtp_sender *s);
uint32_t rtp_sender_ssrc(const struct rtp_sender *s);
const struct address *rtp_sender_address(const struct rtp_sender *s);
uint64_t rtp_sender_heard_us(const struct rtp_sender *s); /* when the last packet came */

/* Each may be the end of it. */
void rtp_sender_take(struct rtp_sender *s, const struct rtp_packet *p, uint64_t now_us);
void rtp_sender_told(struct rtp_sender *s, const struct rtcp_item *item, uint64_t now_us);
void rtp_sender_end(struct rtp_sender *s); /* no more comes: what was said is completed */

#endif
