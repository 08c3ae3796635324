/* One that sends RTP. Its states:
 *
 *     speaks ──► ending   BYE, a new SSRC at its address, or no packet for SILENT_US
 *     ending ──► gone     all is told
 *
 * Whatever it sends costs no more than audio does that is said as fast as time goes by, and
 * SPARE_US besides; what is beyond that is dropped before it is decoded. Samples wait for the
 * daemon for WAITING_MOST; those that come then are lost, and the daemon is told.
 */
#include "bridges/rtp_sender.h"

#include "base/log.h"
#include "bridges/networks.h"
#include "bridges/rtp_audio.h"
#include "bridges/rtp_jitter.h"
#include "bridges/rtp_reception.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    WAITING_MOST = 3 * RTP_AUDIO_HZ, /* samples */
    PIECE = RTP_AUDIO_HZ / 10,       /* of them in a packet to the daemon, at most */
};

#define SECOND_US UINT64_C(1000000)
#define SILENT_US (30 * SECOND_US)
#define ENDING_US (60 * SECOND_US)
#define AGAIN_US (5 * SECOND_US) /* a stream is asked for */
#define SPARE_US (5 * (int64_t)SECOND_US)

struct rtp_sender {
    const struct rtp_world *world;
    int fd;
    struct address address;
    uint32_t ssrc;
    struct srtp_key *key; /* NULL: its packets are plain */
    char name[NETWORKS_ADDRESS_BYTES + SRTP_NAME_BYTES + 16];
    sd_event_source *timer;
    uint64_t heard_us, report_us, ending_us; /* ending_us: 0: it speaks */
    uint64_t reported;                       /* packets, at the last report */
    uint64_t dropped;                        /* packets beyond what it may send */
    int64_t spare_us;                        /* that it may send at once */
    uint64_t spare_at_us;
    struct rtp_reception reception;
    struct rtp_jitter jitter;
    struct rtp_audio *audio;

    struct stream *stream; /* NULL: none */
    bool ready, ended;     /* it has room, as far as is known; stream_end was called */
    bool gone;
    uint64_t again_us;     /* when one is asked for; UINT64_MAX: there is one */
    size_t first, waiting; /* samples that the stream had no room for, */
    uint64_t missing;      /* and how many behind them are lost */
    int16_t samples[WAITING_MOST];
};

static void settle(struct rtp_sender *s);

static uint64_t now_us(const struct rtp_sender *s)
{
    uint64_t us;
    sd_event_now(s->world->event, CLOCK_MONOTONIC, &us);
    return us;
}

static void close_stream(struct rtp_sender *s)
{
    stream_close(s->stream);
    s->stream = NULL;
    s->ready = false;
    s->first = s->waiting = 0;
    s->missing = 0;
}

/* The stream. */

static void lose_stream(struct rtp_sender *s, const char *code, const char *why)
{
    log_warning("%s: %s: %s; it is asked for again in %d s", s->name, code, why,
                (int)(AGAIN_US / SECOND_US));
    close_stream(s);
    s->again_us = now_us(s) + AGAIN_US;
}

static void send_samples(struct rtp_sender *s)
{
    while (s->ready && s->waiting) {
        size_t count = s->waiting < PIECE ? s->waiting : PIECE;
        int rc = stream_send(s->stream, s->samples + s->first, count);
        if (rc < 0) {
            lose_stream(s, "daemon-gone", strerror(-rc));
            return;
        }
        s->ready = rc > 0;
        if (!s->ready)
            return;
        s->first += count;
        s->waiting -= count;
    }
    if (s->waiting)
        return;
    s->first = 0;
    if (s->missing && s->stream)
        stream_skip(s->stream, s->missing);
    s->missing = 0;
}

static void on_ready(void *user)
{
    struct rtp_sender *s = user;
    s->ready = true;
    settle(s);
}

/* Texts are told on the bus, by the stream's object. */
static void on_text(void *user, const char *text)
{
    (void)user;
    (void)text;
}

static void on_over(void *user, const char *code, const char *why)
{
    struct rtp_sender *s = user;
    if (code && !s->ending_us)
        lose_stream(s, code, why);
    else
        s->gone = true;
    settle(s);
}

static const struct stream_events stream_events = {
    .ready = on_ready, .text = on_text, .over = on_over};

static void open_stream(struct rtp_sender *s)
{
    s->again_us = UINT64_MAX;
    int rc =
        stream_open(&s->stream, s->world->streams, RTP_AUDIO_HZ, 1, s->name, &stream_events, s);
    if (rc)
        lose_stream(s, "bus", strerror(-rc));
}

/* Audio. */

static void on_audio(void *user, const int16_t *samples, size_t count)
{
    struct rtp_sender *s = user;
    if (samples)
        s->spare_us -= (int64_t)(count * 1000 / (RTP_AUDIO_HZ / 1000));
    if (!s->stream || s->ended)
        return;
    if (!samples || s->missing || s->waiting + count > WAITING_MOST) {
        s->missing += count;
        return;
    }
    if (s->first + s->waiting + count > WAITING_MOST) {
        memmove(s->samples, s->samples + s->first, s->waiting * sizeof(int16_t));
        s->first = 0;
    }
    memcpy(s->samples + s->first + s->waiting, samples, count * sizeof(int16_t));
    s->waiting += count;
}

static uint64_t wait_us(const struct rtp_sender *s)
{
    return rtp_reception_wait_us(&s->reception);
}

/* Whatever is due. */
static void play(struct rtp_sender *s, uint64_t wait, uint64_t us)
{
    unsigned lost;
    const struct rtp_held *held;
    while ((held = rtp_jitter_pop(&s->jitter, wait, us, &lost))) {
        const struct rtp_audio_packet p = {held->payload, held->size, held->timestamp, lost,
                                           held->came_us};
        rtp_audio_push(s->audio, &p);
        send_samples(s);
    }
}

static void restart(struct rtp_sender *s, uint64_t us)
{
    log_info("%s has begun anew", s->name);
    play(s, 0, us);
    rtp_jitter_reset(&s->jitter);
    rtp_audio_restart(s->audio);
    s->reported = 0;
}

static bool may_send(struct rtp_sender *s, uint64_t us)
{
    s->spare_us += (int64_t)(us - s->spare_at_us);
    if (s->spare_us > SPARE_US)
        s->spare_us = SPARE_US;
    s->spare_at_us = us;
    if (s->spare_us > 0)
        return true;
    if (!s->dropped++)
        log_warning("%s sends faster than time goes by; what is too much is dropped", s->name);
    return false;
}

static void take(struct rtp_sender *s, const struct rtp_packet *p, uint64_t us)
{
    int64_t number;
    enum rtp_taken taken =
        rtp_reception_take(&s->reception, p->sequence, p->timestamp, us, &number);
    if (taken == RTP_ASTRAY)
        return;
    if (taken == RTP_RESTARTED)
        restart(s, us);
    while (rtp_jitter_push(&s->jitter, number, p, us) == RTP_FULL)
        play(s, 0, us);
    play(s, wait_us(s), us);
}

void rtp_sender_take(struct rtp_sender *s, const struct rtp_packet *p, uint64_t us)
{
    if (s->ending_us || !may_send(s, us) || !rtp_audio_us(p->payload, p->size))
        return;
    s->heard_us = us;
    take(s, p, us);
    settle(s);
}

void rtp_sender_told(struct rtp_sender *s, const struct rtcp_item *item, uint64_t us)
{
    if (item->kind == RTCP_BYE)
        rtp_sender_end(s);
    else if (item->kind == RTCP_SENT)
        rtp_reception_told(&s->reception, item->ntp, us);
}

/* The end. */

static void begin_end(struct rtp_sender *s)
{
    if (s->ending_us)
        return;
    log_info("%s has ended: %" PRIu64 " packets, %" PRIu64 " lost, %" PRIu64
             " too many; jitter %.1f ms, clock %+.0f ppm",
             s->name, s->reception.received, rtp_reception_lost(&s->reception), s->dropped,
             s->reception.jitter_us / 1e3, 1e6 * rtp_audio_drift(s->audio));
    s->ending_us = now_us(s);
    play(s, 0, UINT64_MAX - 1);
    s->gone = !s->stream;
}

void rtp_sender_end(struct rtp_sender *s)
{
    begin_end(s);
    settle(s);
}

/* Reports, of which nobody knows when the next comes (RFC 3550, 6.2). */
static void set_report(struct rtp_sender *s, uint64_t us)
{
    uint16_t random = 0;
    getrandom(&random, sizeof random, GRND_NONBLOCK);
    s->report_us = us + 5 * SECOND_US / 2 + 5 * SECOND_US * random / UINT16_MAX;
}

static void report(struct rtp_sender *s, uint64_t us)
{
    uint8_t bytes[RTCP_REPORT_MAX + SRTP_TRAILER_MAX];
    struct rtcp_block b = {.ssrc = s->ssrc};
    set_report(s, us);
    if (s->reception.received == s->reported)
        return;
    s->reported = s->reception.received;
    rtp_reception_report(&s->reception, us, &b);
    size_t size = rtcp_write_report(bytes, s->world->ssrc, s->world->name, &b);
    if (s->key && srtp_key_close(s->key, bytes, &size))
        return;
    if (sendto(s->fd, bytes, size, MSG_DONTWAIT, &s->address.any, s->address.size) < 0)
        log_debug("%s: no report: %s", s->name, strerror(errno));
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t due_us(const struct rtp_sender *s)
{
    if (s->ending_us)
        return s->ending_us + ENDING_US;
    uint64_t us = least(s->heard_us + SILENT_US, least(s->report_us, s->again_us));
    return least(us, rtp_jitter_due_us(&s->jitter, wait_us(s)));
}

static int on_timer(sd_event_source *source, uint64_t at, void *user)
{
    (void)source;
    (void)at;
    struct rtp_sender *s = user;
    uint64_t us = now_us(s);
    if (s->ending_us && us >= s->ending_us + ENDING_US)
        s->gone = true;
    else if (!s->ending_us && us >= s->heard_us + SILENT_US)
        begin_end(s);
    if (!s->ending_us && us >= s->again_us)
        open_stream(s);
    if (!s->ending_us && us >= s->report_us)
        report(s, us);
    if (!s->ending_us)
        play(s, wait_us(s), us);
    settle(s);
    return 0;
}

/* The last thing that a callback does: s may be gone after it. */
static void settle(struct rtp_sender *s)
{
    send_samples(s);
    if (s->ending_us && !s->stream)
        s->gone = true;
    if (s->ending_us && s->ready && !s->waiting && !s->ended) {
        s->ended = true;
        stream_end(s->stream);
    }
    if (sd_event_source_set_time(s->timer, due_us(s)) < 0 ||
        sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT) < 0)
        s->gone = true;
    if (s->gone)
        s->world->gone(s->world->user, s);
}

int rtp_sender_create(struct rtp_sender **out, const struct rtp_world *w, int fd,
                      const struct address *from, struct srtp_key *key, const struct rtp_packet *p,
                      uint64_t us)
{
    char peer[NETWORKS_ADDRESS_BYTES];
    struct rtp_sender *s = calloc(1, sizeof(struct rtp_sender));
    if (!s)
        return -ENOMEM;
    s->world = w;
    s->fd = fd;
    s->address = *from;
    s->ssrc = p->ssrc;
    networks_print(&from->any, peer);
    s->key = key;
    snprintf(s->name, sizeof s->name, "rtp %s%s%s %08" PRIx32, key ? srtp_key_name(key) : "",
             key ? " " : "", peer, s->ssrc);
    s->heard_us = s->spare_at_us = us;
    s->spare_us = SPARE_US;
    set_report(s, us);
    rtp_reception_begin(&s->reception, p->sequence, p->timestamp, us);
    rtp_jitter_push(&s->jitter, s->reception.highest, p, us);
    int rc = rtp_audio_create(&s->audio, on_audio, s);
    if (rc >= 0)
        rc = sd_event_add_time(w->event, &s->timer, CLOCK_MONOTONIC, us, 0, on_timer, s);
    if (rc < 0) {
        rtp_sender_destroy(s);
        return rc;
    }
    open_stream(s);
    *out = s;
    return 0;
}

void rtp_sender_destroy(struct rtp_sender *s)
{
    if (!s)
        return;
    close_stream(s);
    sd_event_source_disable_unref(s->timer);
    rtp_audio_destroy(s->audio);
    if (s->key)
        srtp_key_forget(s->key, s->ssrc);
    free(s);
}

struct srtp_key *rtp_sender_key(const struct rtp_sender *s)
{
    return s->key;
}

uint32_t rtp_sender_ssrc(const struct rtp_sender *s)
{
    return s->ssrc;
}

const struct address *rtp_sender_address(const struct rtp_sender *s)
{
    return &s->address;
}

uint64_t rtp_sender_heard_us(const struct rtp_sender *s)
{
    return s->heard_us;
}
