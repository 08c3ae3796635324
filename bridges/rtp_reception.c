/* What came of one sender. A number may be RESTART behind the highest, or AHEAD of it; from further
 * away two in a row are a sender that has begun anew (RFC 3550, A.1). */
#include "bridges/rtp_reception.h"

#include <math.h>
#include <stdlib.h>

#define WAIT_LEAST_US 40000.0
#define WAIT_MOST_US 240000.0

enum {
    RESTART = 100,
    AHEAD = 3000,
    NONE = -1,
    JITTERS = 4,   /* that a packet that is missing is waited for */
    ROUND = 65536, /* the first number is above it, so that none is below zero */
};

static int64_t transit_us(uint32_t timestamp, uint64_t now_us)
{
    return (int64_t)now_us - (int64_t)timestamp * 1000000 / RTP_CLOCK_HZ;
}

void rtp_reception_begin(struct rtp_reception *r, uint16_t sequence, uint32_t timestamp,
                         uint64_t now_us)
{
    *r = (struct rtp_reception){.first = ROUND + sequence,
                                .highest = ROUND + sequence,
                                .received = 1,
                                .astray = NONE,
                                .transit_us = transit_us(timestamp, now_us),
                                .last_ntp = r->last_ntp,
                                .ntp_us = r->ntp_us};
}

/* A 16th of how much later than the one before it came (A.8). Where the timestamp jumps it says
 * nothing. */
static void add_jitter(struct rtp_reception *r, uint32_t timestamp, uint64_t now_us)
{
    int64_t transit = transit_us(timestamp, now_us), moved = llabs(transit - r->transit_us);
    r->transit_us = transit;
    if (moved < 1000000)
        r->jitter_us += ((double)moved - r->jitter_us) / 16;
}

enum rtp_taken rtp_reception_take(struct rtp_reception *r, uint16_t sequence, uint32_t timestamp,
                                  uint64_t now_us, int64_t *number)
{
    int moved = (int16_t)(uint16_t)(sequence - (uint16_t)r->highest);
    if (moved < -RESTART || moved > AHEAD) {
        bool again = r->astray == sequence;
        r->astray = (uint16_t)(sequence + 1);
        if (!again)
            return RTP_ASTRAY;
        rtp_reception_begin(r, sequence, timestamp, now_us);
        *number = r->highest;
        return RTP_RESTARTED;
    }
    r->astray = NONE;
    *number = r->highest + moved;
    if (moved > 0)
        r->highest = *number;
    r->received++;
    add_jitter(r, timestamp, now_us);
    return RTP_TAKEN;
}

void rtp_reception_told(struct rtp_reception *r, uint32_t ntp, uint64_t now_us)
{
    r->last_ntp = ntp;
    r->ntp_us = now_us;
}

static int64_t expected(const struct rtp_reception *r)
{
    return r->highest - r->first + 1;
}

uint64_t rtp_reception_lost(const struct rtp_reception *r)
{
    int64_t lost = expected(r) - (int64_t)r->received;
    return lost > 0 ? (uint64_t)lost : 0;
}

uint64_t rtp_reception_wait_us(const struct rtp_reception *r)
{
    return (uint64_t)fmin(fmax(JITTERS * r->jitter_us, WAIT_LEAST_US), WAIT_MOST_US);
}

static int64_t within(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

void rtp_reception_report(struct rtp_reception *r, uint64_t now_us, struct rtcp_block *b)
{
    int64_t due = expected(r) - r->expected_before;
    int64_t missing = due - (int64_t)(r->received - r->received_before);
    *b = (struct rtcp_block){
        .ssrc = b->ssrc,
        .lost = (int32_t)within(expected(r) - (int64_t)r->received, -0x800000, 0x7fffff),
        .highest = (uint32_t)(r->highest - ROUND),
        .jitter = (uint32_t)(r->jitter_us * RTP_CLOCK_HZ / 1e6)};
    if (due > 0 && missing > 0)
        b->fraction = (uint8_t)within(missing * 256 / due, 0, 255);
    if (r->last_ntp) {
        b->last_ntp = r->last_ntp;
        b->since = (uint32_t)((now_us - r->ntp_us) * 65536 / 1000000);
    }
    r->expected_before = expected(r);
    r->received_before = r->received;
}
