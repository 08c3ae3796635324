/* Packets into their order. One that is next in order is given at once, so that nothing is delayed
 * on a good network; where one is missing, those behind it wait for it. One thread.
 */
#ifndef EARSHOT_BRIDGES_RTP_JITTER_H
#define EARSHOT_BRIDGES_RTP_JITTER_H

#include "bridges/rtp_packet.h"

enum {
    RTP_JITTER_SLOTS = 64, /* 1.3 s in packets of 20 ms */
};

struct rtp_held {
    int64_t number;
    uint64_t came_us;
    uint32_t timestamp;
    bool is_there;
    size_t size;
    uint8_t payload[RTP_PAYLOAD_MAX];
};

struct rtp_jitter {
    bool begun;
    int64_t next, newest; /* numbers: due now; the highest that is held */
    size_t held;
    struct rtp_held slots[RTP_JITTER_SLOTS]; /* [number % slots] */
};

enum rtp_pushed {
    RTP_PUSHED,
    RTP_LATE, /* it was given up, or it is there already */
    RTP_FULL, /* rtp_jitter_pop first */
};

void rtp_jitter_reset(struct rtp_jitter *j); /* the next packet may have any number */
enum rtp_pushed rtp_jitter_push(struct rtp_jitter *j, int64_t number, const struct rtp_packet *p,
                                uint64_t now_us);

/* The next packet, valid until the next push, and how many before it were given up, as it has
 * waited for them for wait_us. NULL: none is due. */
const struct rtp_held *rtp_jitter_pop(struct rtp_jitter *j, uint64_t wait_us, uint64_t now_us,
                                      unsigned *lost);

/* When pop gives the next; UINT64_MAX: not before a push. */
uint64_t rtp_jitter_due_us(const struct rtp_jitter *j, uint64_t wait_us);

#endif
