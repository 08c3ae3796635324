/* RTP and RTCP, byte by byte, as RFC 3550 sections 5.1, 6.4 to 6.6 and A.2 have them.
 *
 *     RTP    |V=2|P|X| CC |M| type | sequence | timestamp | SSRC | CSRC x CC | extension | payload
 *     RTCP   |V=2|P| count | type | words - 1 | ...                     several in a datagram
 */
#include "bridges/rtp_packet.h"

#include <errno.h>
#include <string.h>

enum {
    VERSION = 2,
    HEADER = 12,
    RTCP_FIRST = 192, /* of types that are RTCP where both come to one port */
    RTCP_LAST = 223,
    SENDER_REPORT = 200,
    RECEIVER_REPORT = 201,
    DESCRIPTION = 202,
    BYE = 203,
    CNAME = 1,
    SENDER_WORDS = 7, /* of a sender's report without its blocks */
    RECEIVER_WORDS = 2,
    BLOCK_WORDS = 6,
    BLOCK_BYTES = 32, /* a receiver's report with one block */
    SENDER_BYTES = 28,
    EMPTY_BYTES = 8, /* a receiver's report without a block */
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

bool rtcp_is(const uint8_t *bytes, size_t size)
{
    return size >= 2 && bytes[1] >= RTCP_FIRST && bytes[1] <= RTCP_LAST;
}

/* Bytes before the payload; 0: there are not so many. */
static size_t header_size(const uint8_t *bytes, size_t size)
{
    size_t header = HEADER + 4 * (size_t)(bytes[0] & 0x0f);
    if (!(bytes[0] & 0x10))
        return header <= size ? header : 0;
    if (header + 4 > size)
        return 0;
    header += 4 + 4 * (size_t)get16(bytes + header + 2);
    return header <= size ? header : 0;
}

int rtp_packet_read(struct rtp_packet *p, const uint8_t *bytes, size_t size)
{
    if (size < HEADER || size > RTP_DATAGRAM_MAX || bytes[0] >> 6 != VERSION)
        return -EBADMSG;
    size_t header = header_size(bytes, size);
    size_t padding = bytes[0] & 0x20 ? bytes[size - 1] : 0;
    if (!header || padding > size - header || (bytes[0] & 0x20 && !padding))
        return -EBADMSG;
    *p = (struct rtp_packet){.type = bytes[1] & 0x7f,
                             .sequence = get16(bytes + 2),
                             .timestamp = get32(bytes + 4),
                             .ssrc = get32(bytes + 8),
                             .payload = bytes + header,
                             .size = size - header - padding};
    return 0;
}

/* Whether a packet of so many bytes has what its count says. */
static bool has_its_parts(const uint8_t *p, size_t size)
{
    size_t count = p[0] & 0x1f, words = size / 4;
    switch (p[1]) {
    case SENDER_REPORT:
        return words >= SENDER_WORDS + BLOCK_WORDS * count;
    case RECEIVER_REPORT:
        return words >= RECEIVER_WORDS + BLOCK_WORDS * count;
    case BYE:
        return words >= 1 + count;
    }
    return true;
}

/* The size of the packet at the front, its padding included; 0: it is none. */
static size_t packet_size(const uint8_t *p, size_t left)
{
    if (left < 4 || p[0] >> 6 != VERSION)
        return 0;
    size_t size = 4 * ((size_t)get16(p + 2) + 1);
    if (size > left)
        return 0;
    size_t padding = p[0] & 0x20 ? p[size - 1] : 0;
    if (p[0] & 0x20 && (size < left || !padding || padding % 4 || padding > size - 4))
        return 0;
    return has_its_parts(p, size - padding) ? size : 0;
}

static bool is_well_made(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    if (size < 4 || (bytes[1] != SENDER_REPORT && bytes[1] != RECEIVER_REPORT))
        return false;
    while (at < size) {
        size_t one = packet_size(bytes + at, size - at);
        if (!one)
            return false;
        at += one;
    }
    return true;
}

static void tell(const uint8_t *p, rtcp_function *function, void *user)
{
    struct rtcp_item item = {.kind = RTCP_BYE};
    if (p[1] == SENDER_REPORT) {
        item = (struct rtcp_item){RTCP_SENT, get32(p + 4), get32(p + 10)};
        function(user, &item);
    }
    for (int i = 0; p[1] == RECEIVER_REPORT && i < (p[0] & 0x1f); i++) {
        const uint8_t *block = p + 4 * (RECEIVER_WORDS + BLOCK_WORDS * i);
        item = (struct rtcp_item){RTCP_HEARD, get32(block), .fraction = block[4]};
        function(user, &item);
    }
    for (int i = 0; p[1] == BYE && i < (p[0] & 0x1f); i++) {
        item.ssrc = get32(p + 4 + 4 * i);
        function(user, &item);
    }
}

int rtcp_read(const uint8_t *bytes, size_t size, rtcp_function *function, void *user)
{
    if (size > RTP_DATAGRAM_MAX || !is_well_made(bytes, size))
        return -EBADMSG;
    for (size_t at = 0; at < size; at += 4 * ((size_t)get16(bytes + at + 2) + 1))
        tell(bytes + at, function, user);
    return 0;
}

static void put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void put_head(uint8_t *p, unsigned count, unsigned type, size_t size)
{
    put32(p, (uint32_t)VERSION << 30 | count << 24 | type << 16 | (uint32_t)(size / 4 - 1));
}

/* A description with a name; its bytes. */
static size_t put_name(uint8_t *p, uint32_t ssrc, const char *name)
{
    size_t length = strnlen(name, RTCP_NAME_BYTES - 1);
    size_t size = (10 + length + 1 + 3) / 4 * 4; /* a NUL ends its items */
    memset(p, 0, size);
    put_head(p, 1, DESCRIPTION, size);
    put32(p + 4, ssrc);
    p[8] = CNAME;
    p[9] = (uint8_t)length;
    memcpy(p + 10, name, length);
    return size;
}

size_t rtcp_write_report(uint8_t out[RTCP_REPORT_MAX], uint32_t ours, const char *name,
                         const struct rtcp_block *b)
{
    put_head(out, 1, RECEIVER_REPORT, BLOCK_BYTES);
    put32(out + 4, ours);
    put32(out + 8, b->ssrc);
    put32(out + 12, (uint32_t)b->fraction << 24 | ((uint32_t)b->lost & 0xffffff));
    put32(out + 16, b->highest);
    put32(out + 20, b->jitter);
    put32(out + 24, b->last_ntp);
    put32(out + 28, b->since);
    return BLOCK_BYTES + put_name(out + BLOCK_BYTES, ours, name);
}

size_t rtp_packet_write(uint8_t out[RTP_DATAGRAM_MAX], const struct rtp_packet *p, bool marker)
{
    put16(out, (uint16_t)(VERSION << 14 | (marker ? 0x80 : 0) | p->type));
    put16(out + 2, p->sequence);
    put32(out + 4, p->timestamp);
    put32(out + 8, p->ssrc);
    memcpy(out + HEADER, p->payload, p->size);
    return HEADER + p->size;
}

size_t rtcp_write_sender(uint8_t out[RTCP_REPORT_MAX], const struct rtcp_sender *sender,
                         const char *name)
{
    put_head(out, 0, SENDER_REPORT, SENDER_BYTES);
    put32(out + 4, sender->ssrc);
    put32(out + 8, (uint32_t)(sender->ntp >> 32));
    put32(out + 12, (uint32_t)sender->ntp);
    put32(out + 16, sender->timestamp);
    put32(out + 20, sender->packets);
    put32(out + 24, sender->octets);
    return SENDER_BYTES + put_name(out + SENDER_BYTES, sender->ssrc, name);
}

void rtcp_write_bye(uint8_t out[RTCP_BYE_BYTES], uint32_t ssrc)
{
    put_head(out, 0, RECEIVER_REPORT, EMPTY_BYTES);
    put32(out + 4, ssrc);
    put_head(out + EMPTY_BYTES, 1, BYE, EMPTY_BYTES);
    put32(out + EMPTY_BYTES + 4, ssrc);
}
