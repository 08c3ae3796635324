/* The datagrams of a socket, to their senders. Who has sent two packets in order is one, so that a
 * single datagram from an address that is not its sender's makes nothing. */
#include "bridges/rtp_receiver.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/pcg32.h"
#include "bridges/rtp_audio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    BATCH = 32,
    BATCHES = 8,      /* before others have their turn */
    CANDIDATES = 256, /* who have sent one packet */
    IN_ORDER = 8,     /* the second may be so far ahead */
    TRIES = 4000,     /* of keys a second */
};

#define CANDIDATE_US UINT64_C(2000000)
#define SILENT_US UINT64_C(1000000) /* before its address may be another sender's */
#define SAY_US UINT64_C(10000000)

struct candidate {
    struct address address;
    uint32_t ssrc;
    uint16_t sequence;
    uint64_t us;
};

struct rtp_receiver {
    struct rtp_world world;
    unsigned most;
    struct srtp_keys *keys;                       /* NULL: none */
    unsigned tries;                               /* of keys, of strangers' packets, */
    uint64_t tries_us;                            /* since then */
    uint64_t said_us;                             /* that there are too many */
    struct rtp_sender *senders[RTP_SENDERS_MOST]; /* [count], owned */
    size_t count;
    struct candidate candidates[CANDIDATES];
    struct pcg32 chance;
    struct mmsghdr batch[BATCH];
    struct iovec parts[BATCH];
    struct address from[BATCH];
    uint8_t bytes[BATCH][RTP_DATAGRAM_MAX + 4]; /* longer: too long; a word each, for libsrtp */
};

/* A datagram, and what comes of it. */
struct arrival {
    struct rtp_receiver *receiver;
    int fd;
    const struct address *from;
    struct srtp_key *key; /* that it was under; NULL: none */
    uint64_t us;
};

static bool has_same_host(const struct address *a, const struct address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

/* The port lies at the same place in both. */
static bool is_same(const struct address *a, const struct address *b)
{
    return has_same_host(a, b) && a->v4.sin_port == b->v4.sin_port;
}

static void on_gone(void *user, struct rtp_sender *s)
{
    struct rtp_receiver *r = user;
    size_t i = 0;
    while (r->senders[i] != s)
        i++;
    r->senders[i] = r->senders[--r->count];
    rtp_sender_destroy(s);
}

static struct rtp_sender *find(const struct rtp_receiver *r, uint32_t ssrc,
                               const struct address *from,
                               bool (*fits)(const struct address *, const struct address *))
{
    for (size_t i = 0; i < r->count; i++)
        if (rtp_sender_ssrc(r->senders[i]) == ssrc && fits(rtp_sender_address(r->senders[i]), from))
            return r->senders[i];
    return NULL;
}

/* Where all places are taken, chance decides who is forgotten: of many who come in turn, each time
 * the oldest, nobody would be there any more at his second packet. */
static struct candidate *place_of(struct rtp_receiver *r, uint64_t us)
{
    for (size_t i = 0; i < CANDIDATES; i++)
        if (!r->candidates[i].us || us - r->candidates[i].us >= CANDIDATE_US)
            return &r->candidates[i];
    return &r->candidates[pcg32_next(&r->chance) % CANDIDATES];
}

/* Whether it has sent another packet just before; else it is remembered. */
static bool is_known(struct rtp_receiver *r, const struct rtp_packet *p, const struct arrival *a)
{
    for (size_t i = 0; i < CANDIDATES; i++) {
        struct candidate *c = &r->candidates[i];
        if (!c->us || c->ssrc != p->ssrc || !is_same(&c->address, a->from))
            continue;
        unsigned ahead = (uint16_t)(p->sequence - c->sequence);
        bool known = a->us - c->us < CANDIDATE_US && ahead >= 1 && ahead <= IN_ORDER;
        c->sequence = p->sequence;
        c->us = known ? 0 : a->us;
        return known;
    }
    *place_of(r, a->us) = (struct candidate){*a->from, p->ssrc, p->sequence, a->us};
    return false;
}

/* A sender that has begun anew has another SSRC. */
static void end_older(struct rtp_receiver *r, const struct arrival *a)
{
    for (size_t i = r->count; i-- > 0;)
        if (i < r->count && is_same(rtp_sender_address(r->senders[i]), a->from) &&
            a->us - rtp_sender_heard_us(r->senders[i]) > SILENT_US)
            rtp_sender_end(r->senders[i]);
}

static void say_full(struct rtp_receiver *r, uint64_t us)
{
    if (r->said_us && us - r->said_us < SAY_US)
        return;
    r->said_us = us;
    log_warning("another would send, but there are %u senders already (--senders)", r->most);
}

static void add(struct rtp_receiver *r, const struct rtp_packet *p, const struct arrival *a)
{
    struct rtp_sender *s;
    end_older(r, a);
    if (r->count >= r->most) {
        say_full(r, a->us);
        return;
    }
    int rc = rtp_sender_create(&s, &r->world, a->fd, a->from, a->key, p, a->us);
    if (rc < 0) {
        log_warning("no sender: %s", strerror(-rc));
        return;
    }
    r->senders[r->count++] = s;
    log_info("sender %zu of %u: SSRC %08x", r->count, r->most, p->ssrc);
}

static void on_item(void *user, const struct rtcp_item *item)
{
    const struct arrival *a = user;
    struct rtp_sender *s = find(a->receiver, item->ssrc, a->from, has_same_host);
    if (s)
        rtp_sender_told(s, item, a->us);
}

/* Of whom the packet says that it is; both kinds have it in plain. */
static struct rtp_sender *find_claimed(const struct arrival *a, const uint8_t *bytes, size_t size)
{
    bool reports = rtcp_is(bytes, size);
    const uint8_t *at = bytes + (reports ? 4 : 8);
    if (size < 12)
        return NULL;
    uint32_t ssrc = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    return find(a->receiver, ssrc, a->from, reports ? has_same_host : is_same);
}

static bool may_try(struct rtp_receiver *r, uint64_t us)
{
    if (us - r->tries_us > 1000000) {
        r->tries_us = us;
        r->tries = 0;
    }
    return r->tries++ < TRIES;
}

/* Whether a packet is under a key: a sender's under its own, a stranger's under any. */
static bool open_packet(struct arrival *a, uint8_t *bytes, size_t *size)
{
    struct rtp_receiver *r = a->receiver;
    const struct rtp_sender *s = find_claimed(a, bytes, *size);
    if (s) {
        a->key = rtp_sender_key(s);
        return srtp_key_open(a->key, bytes, size) == 0;
    }
    for (size_t i = 0; i < srtp_keys_count(r->keys) && may_try(r, a->us); i++) {
        a->key = srtp_keys_get(r->keys, i);
        if (srtp_key_open(a->key, bytes, size) == 0)
            return true;
    }
    return false;
}

static void take(struct arrival *a, uint8_t *bytes, size_t size)
{
    struct rtp_packet p;
    if (a->receiver->keys && !open_packet(a, bytes, &size))
        return;
    if (rtcp_is(bytes, size)) {
        rtcp_read(bytes, size, on_item, a);
        return;
    }
    if (rtp_packet_read(&p, bytes, size) || p.type < RTP_TYPE_LEAST)
        return;
    struct rtp_sender *s = find(a->receiver, p.ssrc, a->from, is_same);
    if (s)
        rtp_sender_take(s, &p, a->us);
    else if (rtp_audio_us(p.payload, p.size) && is_known(a->receiver, &p, a))
        add(a->receiver, &p, a);
}

/* How many datagrams there were. */
static int read_batch(struct rtp_receiver *r, struct listener *l, int fd)
{
    for (size_t i = 0; i < BATCH; i++) {
        r->parts[i] = (struct iovec){r->bytes[i], sizeof r->bytes[i]};
        r->batch[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &r->from[i].any,
                                                   .msg_namelen = sizeof r->from[i].room,
                                                   .msg_iov = &r->parts[i],
                                                   .msg_iovlen = 1}};
    }
    int count = recvmmsg(fd, r->batch, BATCH, MSG_DONTWAIT, NULL);
    struct arrival a = {.receiver = r, .fd = fd, .us = (uint64_t)clock_monotonic_us()};
    for (int i = 0; i < count; i++) {
        r->from[i].size = r->batch[i].msg_hdr.msg_namelen;
        a.from = &r->from[i];
        if (listener_allows(l, &r->from[i].any))
            take(&a, r->bytes[i], r->batch[i].msg_len);
    }
    return count;
}

void rtp_receiver_read(struct rtp_receiver *r, struct listener *l, int fd)
{
    int count = BATCH;
    for (int i = 0; i < BATCHES && count == BATCH; i++)
        count = read_batch(r, l, fd);
}

int rtp_receiver_create(struct rtp_receiver **out, sd_event *event, struct streams *streams,
                        unsigned senders, struct srtp_keys *keys, struct error *error)
{
    uint32_t random[3];
    struct rtp_receiver *r = calloc(1, sizeof(struct rtp_receiver));
    if (!r || getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        free(r);
        return error_set(error, -ENOMEM, "out of memory");
    }
    r->most = senders;
    r->keys = keys;
    pcg32_seed(&r->chance, random[0], random[1]);
    r->world = (struct rtp_world){
        .event = event, .streams = streams, .ssrc = random[0], .gone = on_gone, .user = r};
    snprintf(r->world.name, sizeof r->world.name, "%08x%08x", random[1], random[2]);
    *out = r;
    return 0;
}

void rtp_receiver_destroy(struct rtp_receiver *r)
{
    if (!r)
        return;
    while (r->count)
        rtp_sender_destroy(r->senders[--r->count]);
    free(r);
}
