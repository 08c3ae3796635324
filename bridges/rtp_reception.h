/* What came of one sender: sequence numbers that go on where theirs go round, restarts, and what
 * its reports tell (RFC 3550, 6.4.1). One thread.
 */
#ifndef EARSHOT_BRIDGES_RTP_RECEPTION_H
#define EARSHOT_BRIDGES_RTP_RECEPTION_H

#include "bridges/rtp_packet.h"

enum {
    RTP_CLOCK_HZ = 48000, /* of Opus's timestamps, whatever it was made of */
};

struct rtp_reception {
    int64_t first, highest; /* sequence numbers */
    uint64_t received;
    int64_t expected_before; /* at the last report */
    uint64_t received_before;
    int32_t astray; /* the sequence number that would go on from a far jump; -1: none */
    int64_t transit_us;
    double jitter_us;
    uint32_t last_ntp; /* of the sender's last report; 0: none */
    uint64_t ntp_us;   /* when it came */
};

enum rtp_taken {
    RTP_TAKEN,
    RTP_ASTRAY,    /* it jumps too far: it is dropped, unless the next one goes on from it */
    RTP_RESTARTED, /* which it does */
};

/* The first packet. */
void rtp_reception_begin(struct rtp_reception *r, uint16_t sequence, uint32_t timestamp,
                         uint64_t now_us);

/* Another one. Not where it is astray: its number is in *number. */
enum rtp_taken rtp_reception_take(struct rtp_reception *r, uint16_t sequence, uint32_t timestamp,
                                  uint64_t now_us, int64_t *number);

/* A sender's report came. */
void rtp_reception_told(struct rtp_reception *r, uint32_t ntp, uint64_t now_us);

/* What the next report says. */
void rtp_reception_report(struct rtp_reception *r, uint64_t now_us, struct rtcp_block *b);

/* How long a packet that is missing is waited for. */
uint64_t rtp_reception_wait_us(const struct rtp_reception *r);

/* Packets that never came, of all that were expected. */
uint64_t rtp_reception_lost(const struct rtp_reception *r);

#endif
