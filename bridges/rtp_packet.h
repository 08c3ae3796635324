/* RTP and RTCP (RFC 3550) from bytes and into bytes. Both come to one port (RFC 5761).
 * Pure functions, any thread.
 */
#ifndef EARSHOT_BRIDGES_RTP_PACKET_H
#define EARSHOT_BRIDGES_RTP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RTP_DATAGRAM_MAX = 1500,     /* bytes; what is longer is no speech */
    RTP_PAYLOAD_MAX = 1500 - 12, /* of a datagram */
    RTP_TYPE_LEAST = 96,         /* payload types that a session gives a meaning: */
    RTP_TYPE_MOST = 127,         /* Opus has one of these */
    RTCP_NAME_BYTES = 17,        /* of our CNAME, with its NUL */
    RTCP_REPORT_MAX = 32 + 12 + RTCP_NAME_BYTES + 3, /* bytes; of a sender's, too */
    RTCP_BYE_BYTES = 16,
};

struct rtp_packet {
    uint8_t type;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
    const uint8_t *payload; /* [size] of the datagram */
    size_t size;
};

enum rtcp_kind {
    RTCP_SENT,  /* a sender's report */
    RTCP_HEARD, /* what a receiver says of a sender */
    RTCP_BYE,
};

struct rtcp_item {
    enum rtcp_kind kind;
    uint32_t ssrc;
    uint32_t ntp;     /* of a sender's report: the middle of its NTP time */
    uint8_t fraction; /* that a receiver has lost lately, of 256 */
};

/* What a receiver's report says of one sender. */
struct rtcp_block {
    uint32_t ssrc;
    uint8_t fraction;         /* lost since the last one, of 256 */
    int32_t lost;             /* in all; what came twice counts against it */
    uint32_t highest;         /* sequence number, with how often it went round */
    uint32_t jitter;          /* in units of the timestamp */
    uint32_t last_ntp, since; /* the last sender's report, and 1/65536 s since it came; 0: none */
};

/* Whether a datagram is RTCP; else it may be RTP. */
bool rtcp_is(const uint8_t *bytes, size_t size);

/* 0, or -EBADMSG: it is no RTP. */
int rtp_packet_read(struct rtp_packet *p, const uint8_t *bytes, size_t size);

/* What a sender says of itself. */
struct rtcp_sender {
    uint32_t ssrc;
    uint64_t ntp;                        /* now: seconds since 1900, and 2^-32 s */
    uint32_t timestamp, packets, octets; /* now; sent so far; of payload */
};

typedef void rtcp_function(void *user, const struct rtcp_item *item);

/* Tells of each item that counts once the whole is found well made. 0, or -EBADMSG. */
int rtcp_read(const uint8_t *bytes, size_t size, rtcp_function *function, void *user);

/* A receiver's report and our name, at most 16 bytes. The bytes written. */
size_t rtcp_write_report(uint8_t out[RTCP_REPORT_MAX], uint32_t ours, const char *name,
                         const struct rtcp_block *b);

/* marker: the first packet behind silence. The bytes written. The payload is at most
 * RTP_PAYLOAD_MAX. */
size_t rtp_packet_write(uint8_t out[RTP_DATAGRAM_MAX], const struct rtp_packet *p, bool marker);
/* A sender's report and our name, at most 16 bytes. The bytes written. */
size_t rtcp_write_sender(uint8_t out[RTCP_REPORT_MAX], const struct rtcp_sender *sender,
                         const char *name);
void rtcp_write_bye(uint8_t out[RTCP_BYE_BYTES], uint32_t ssrc);

#endif
