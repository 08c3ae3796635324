/* One socket for as long as the sender lives, as another port would be another sender's. It is
 * connected to the receiver: what comes back on it is the receiver's, and a send tells that nobody
 * listens. Losses are told of once, when they begin and when they are over.
 */
#include "bridges/ear_sender.h"

#include "base/clock.h"
#include "base/log.h"
#include "bridges/rtp_packet.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <opus.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* From 1900 to 1970; no enum has room for it beside ints. */
static const uint64_t ntp_seconds = 2208988800;

enum {
    PAYLOAD_TYPE = 96,
    PAYLOAD_MAX = RTP_PAYLOAD_MAX - SRTP_TRAILER_MAX,
    CLOCK_HZ = 48000, /* of Opus's timestamps, at any rate */
    PACKET_TICKS = CLOCK_HZ * EAR_PACKET / EAR_RATE_HZ,
    REPORT_US = 5000000,
    LOOK_UP_US = 5000000, /* again, where there is no receiver */
    SILENT_US = 30000000, /* a receiver that reports nothing for so long hears nothing */
    LOSS_PERCENT = 10,    /* that is expected before there is a report */
    LOSS_LEAST_PERCENT = 5,
    LOSS_MOST_PERCENT = 30,
    PORT_FIRST = 49152, /* of those that nothing is assigned to (RFC 6335) */
    PORT_TRIES = 16,
};

struct ear_sender {
    struct ear_receiver to;
    struct srtp_key *key; /* NULL: none */
    OpusEncoder *opus;
    int fd;         /* of both address families where the machine has both */
    bool connected; /* to a receiver */
    uint16_t sequence;
    uint32_t ssrc, timestamp, packets, octets;
    bool begins;       /* the next packet is the first, or behind silence */
    int64_t looked_us; /* up the receiver's name last, */
    int64_t report_us; /* when the next report is due, */
    int64_t heard_us;  /* when the receiver reported last; 0: never */
    int64_t since_us;  /* and since when packets go to it without a pause */
    bool lost;         /* it has been told that nobody hears */
};

/* 0 or -EINVAL. */
static int take(struct ear_receiver *r, const char *host, const char *end, const char *port)
{
    size_t size = (size_t)(end - host);
    char *rest;
    unsigned long number = strtoul(port, &rest, 10);
    if (size == 0 || size >= sizeof r->host || *port < '0' || *port > '9' || *rest || number == 0 ||
        number > 65535)
        return -EINVAL;
    memcpy(r->host, host, size);
    r->host[size] = '\0';
    snprintf(r->port, sizeof r->port, "%lu", number);
    return 0;
}

static int parse(struct ear_receiver *r, const char *text)
{
    const char *first = strchr(text, ':'), *last = strrchr(text, ':'), *bracket = strchr(text, ']');
    if (*text == '[' && bracket && (!bracket[1] || bracket[1] == ':'))
        return take(r, text + 1, bracket, bracket[1] ? bracket + 2 : "5004");
    if (*text == '[')
        return -EINVAL;
    if (!first || first != last) /* an IPv6 address has several */
        return take(r, text, text + strlen(text), "5004");
    return take(r, text, first, first + 1);
}

int ear_receiver_parse(struct ear_receiver *r, const char *text, struct error *error)
{
    return parse(r, text) == 0
               ? 0
               : error_set(error, -EINVAL, "\"%s\" is not HOST, HOST:PORT or [ADDRESS]:PORT", text);
}

static int create_encoder(struct ear_sender *s, unsigned bitrate, struct error *error)
{
    int code;
    s->opus = opus_encoder_create(EAR_RATE_HZ, 1, OPUS_APPLICATION_VOIP, &code);
    if (!s->opus)
        return error_set(error, -ENOMEM, "Opus: %s", opus_strerror(code));
    opus_encoder_ctl(s->opus, OPUS_SET_BITRATE((opus_int32)bitrate));
    opus_encoder_ctl(s->opus, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
    opus_encoder_ctl(s->opus, OPUS_SET_INBAND_FEC(1));
    opus_encoder_ctl(s->opus, OPUS_SET_PACKET_LOSS_PERC(LOSS_PERCENT));
    return 0;
}

/* A port of every address. -1: errno tells why. */
static int bind_port(int family, uint16_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } own = {.in6 = {.sin6_family = (sa_family_t)family, .sin6_port = htons(port)}};
    socklen_t size = family == AF_INET6 ? sizeof own.in6 : sizeof own.in;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    if (fd >= 0 && bind(fd, &own.any, size) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* At a port that we chose: one that the system chose would be another after each connection. */
static int open_socket(struct ear_sender *s, struct error *error)
{
    for (int i = 0; s->fd < 0 && i < PORT_TRIES; i++) {
        uint16_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            return error_set(error, -EIO, "no random numbers");
        uint16_t port = (uint16_t)(PORT_FIRST + random % (UINT16_MAX - PORT_FIRST));
        s->fd = bind_port(AF_INET6, port);
        if (s->fd < 0)
            s->fd = bind_port(AF_INET, port);
    }
    return s->fd < 0 ? error_set(error, -errno, "no socket: %s", strerror(errno)) : 0;
}

int ear_sender_create(struct ear_sender **out, const struct ear_receiver *to, unsigned bitrate,
                      int fd, struct srtp_key *key, struct error *error)
{
    struct ear_sender *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    s->to = *to;
    s->key = key;
    s->fd = fd;
    s->begins = true;
    int rc = open_socket(s, error);
    if (!rc)
        rc = create_encoder(s, bitrate, error);
    uint32_t random[3];
    if (!rc && getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        rc = error_set(error, -EIO, "no random numbers");
    if (rc) {
        ear_sender_destroy(s);
        return rc;
    }
    s->ssrc = random[0];
    s->timestamp = random[1];
    s->sequence = random[2] & 0x7fff; /* far from its end, as SRTP wants it (RFC 3711, 3.3.1) */
    *out = s;
    return 0;
}

static void tell_lost(struct ear_sender *s, const char *why)
{
    if (!s->lost)
        log_warning("earshot-ear: nobody hears at %s, port %s: %s; goes on trying", s->to.host,
                    s->to.port, why);
    s->lost = true;
}

/* bytes: with room for SRTP_TRAILER_MAX more. */
static void put(struct ear_sender *s, uint8_t *bytes, size_t size)
{
    if (s->key && srtp_key_close(s->key, bytes, &size))
        return;
    if (send(s->fd, bytes, size, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS)
        tell_lost(s, strerror(errno));
}

void ear_sender_destroy(struct ear_sender *s)
{
    uint8_t bye[RTCP_BYE_BYTES + SRTP_TRAILER_MAX];
    if (!s)
        return;
    rtcp_write_bye(bye, s->ssrc);
    if (s->packets > 0)
        put(s, bye, RTCP_BYE_BYTES);
    if (s->fd >= 0)
        close(s->fd);
    opus_encoder_destroy(s->opus);
    free(s);
}

static int family_of(int fd)
{
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    getsockname(fd, (struct sockaddr *)&own, &size);
    return own.ss_family;
}

/* To the first address that can be. An earlier connection is given up first, and with it the
 * address of ours that it chose, which may have changed; the port stays. */
static bool connect_any(int fd, const struct addrinfo *found)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    connect(fd, &nobody, sizeof nobody);
    for (const struct addrinfo *a = found; a; a = a->ai_next)
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
            return true;
    return false;
}

static void look_up(struct ear_sender *s, int64_t now_us)
{
    const struct addrinfo hints = {
        .ai_family = family_of(s->fd), .ai_socktype = SOCK_DGRAM, .ai_flags = AI_V4MAPPED | AI_ALL};
    struct addrinfo *found = NULL;
    bool before = s->connected;
    s->looked_us = now_us;
    int code = getaddrinfo(s->to.host, s->to.port, &hints, &found);
    if (!code)
        s->connected = connect_any(s->fd, found);
    if (code || !s->connected)
        tell_lost(s, code ? gai_strerror(code) : strerror(errno));
    if (found)
        freeaddrinfo(found);
    if (s->connected && !before)
        s->since_us = now_us;
}

static void report(struct ear_sender *s, int64_t now_us)
{
    uint8_t bytes[RTCP_REPORT_MAX + SRTP_TRAILER_MAX];
    uint64_t real_us = (uint64_t)clock_real_us();
    const struct rtcp_sender sent = {
        .ssrc = s->ssrc,
        .ntp = (real_us / 1000000 + ntp_seconds) << 32 | (real_us % 1000000 << 32) / 1000000,
        .timestamp = s->timestamp,
        .packets = s->packets,
        .octets = s->octets,
    };
    s->report_us = now_us + REPORT_US;
    put(s, bytes, rtcp_write_sender(bytes, &sent, "earshot-ear"));
}

/* What the receiver has lost of late, and a little more, is what the next packets make up for. */
static void on_item(void *user, const struct rtcp_item *item)
{
    struct ear_sender *s = user;
    if (item->kind != RTCP_HEARD || item->ssrc != s->ssrc)
        return;
    int percent = item->fraction * 100 / 256 + LOSS_LEAST_PERCENT;
    percent = percent < LOSS_MOST_PERCENT ? percent : LOSS_MOST_PERCENT;
    opus_encoder_ctl(s->opus, OPUS_SET_PACKET_LOSS_PERC(percent));
    if (s->lost || !s->heard_us)
        log_info("earshot-ear: is heard at %s, port %s", s->to.host, s->to.port);
    s->lost = false;
    s->heard_us = clock_monotonic_us();
}

static void read_reports(struct ear_sender *s)
{
    uint8_t bytes[RTP_DATAGRAM_MAX];
    ssize_t size;
    while ((size = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        size_t left = (size_t)size;
        if (rtcp_is(bytes, left) && (!s->key || srtp_key_open(s->key, bytes, &left) == 0))
            rtcp_read(bytes, left, on_item, s);
    }
}

/* Of silence that is not sent nobody reports. */
static void watch(struct ear_sender *s, bool speaks, int64_t now_us)
{
    s->since_us = s->begins ? now_us : s->since_us;
    int64_t heard_us = s->heard_us > s->since_us ? s->heard_us : s->since_us;
    if (s->connected && speaks && now_us - heard_us > SILENT_US)
        tell_lost(s, "no reports come");
    if ((!s->connected || s->lost) && now_us - s->looked_us > LOOK_UP_US)
        look_up(s, now_us);
}

static void send_packet(struct ear_sender *s, const int16_t *sound)
{
    uint8_t payload[PAYLOAD_MAX], bytes[RTP_DATAGRAM_MAX];
    opus_int32 size = opus_encode(s->opus, sound, EAR_PACKET, payload, sizeof payload);
    if (size < 0)
        return;
    const struct rtp_packet packet = {.type = PAYLOAD_TYPE,
                                      .sequence = s->sequence++,
                                      .timestamp = s->timestamp,
                                      .ssrc = s->ssrc,
                                      .payload = payload,
                                      .size = (size_t)size};
    put(s, bytes, rtp_packet_write(bytes, &packet, s->begins));
    s->packets++;
    s->octets += (uint32_t)size;
}

void ear_sender_push(struct ear_sender *s, const int16_t packet[EAR_PACKET])
{
    int64_t now_us = clock_monotonic_us();
    watch(s, packet != NULL, now_us);
    if (packet && s->connected)
        send_packet(s, packet);
    s->begins = !packet;
    s->timestamp += PACKET_TICKS;
    if (!s->connected)
        return;
    if (s->packets > 0 && now_us >= s->report_us)
        report(s, now_us);
    read_reports(s);
}
