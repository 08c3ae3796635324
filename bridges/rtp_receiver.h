/* The datagrams of a socket, to their senders: who may send, who is a sender, who is too many. One
 * thread, in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_RTP_RECEIVER_H
#define EARSHOT_BRIDGES_RTP_RECEIVER_H

#include "bridges/listener.h"
#include "bridges/rtp_sender.h"

struct rtp_receiver;

enum {
    RTP_SENDERS_MOST = 200,
};

/* At most so many senders; keys, which outlive it: who is under none of them is not heard; NULL:
 * all packets are plain. 0 or -errno with a message. */
int rtp_receiver_create(struct rtp_receiver **out, sd_event *event, struct streams *streams,
                        unsigned senders, struct srtp_keys *keys, struct error *error);
void rtp_receiver_destroy(struct rtp_receiver *r);

/* l tells who may send. */
void rtp_receiver_read(struct rtp_receiver *r, struct listener *l, int fd);

#endif
