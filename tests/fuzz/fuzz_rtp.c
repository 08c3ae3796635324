/* Datagrams of any bytes: each has its size before it, in two bytes. RTP and RTCP are taken apart,
 * put into order and decoded. What is read stays within its datagram, numbers only rise, and
 * samples cost no more than they may. */
#include "bridges/rtp_audio.h"
#include "bridges/rtp_jitter.h"
#include "bridges/rtp_packet.h"
#include "bridges/rtp_reception.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

struct world {
    bool begun;
    uint64_t us;
    int64_t last; /* number that was given */
    size_t samples;
    struct rtp_reception reception;
    struct rtp_jitter jitter;
    struct rtp_audio *audio;
};

static volatile int sink;

static void on_item(void *user, const struct rtcp_item *item)
{
    struct world *w = user;
    if (item->kind == RTCP_SENT)
        rtp_reception_told(&w->reception, item->ntp, w->us);
}

static void on_audio(void *user, const int16_t *samples, size_t count)
{
    struct world *w = user;
    for (size_t i = 0; samples && i < count; i++)
        sink = samples[i];
    w->samples += samples ? count : 0;
}

static void play(struct world *w, uint64_t wait_us)
{
    unsigned lost;
    const struct rtp_held *held;
    while ((held = rtp_jitter_pop(&w->jitter, wait_us, w->us, &lost))) {
        if (held->number <= w->last)
            abort();
        w->last = held->number;
        w->samples = 0;
        const struct rtp_audio_packet p = {held->payload, held->size, held->timestamp, lost,
                                           held->came_us};
        rtp_audio_push(w->audio, &p);
        if (w->samples > (RTP_SILENCE_MS + RTP_CONCEALED_MS + 130) * (RTP_AUDIO_HZ / 1000))
            abort();
    }
}

static void take(struct world *w, const struct rtp_packet *p)
{
    int64_t number = 0;
    enum rtp_taken taken = RTP_RESTARTED;
    if (w->begun)
        taken = rtp_reception_take(&w->reception, p->sequence, p->timestamp, w->us, &number);
    else
        rtp_reception_begin(&w->reception, p->sequence, p->timestamp, w->us);
    if (!w->begun)
        number = w->reception.highest;
    w->begun = true;
    if (taken == RTP_ASTRAY)
        return;
    if (number < 0)
        abort();
    if (taken == RTP_RESTARTED) {
        play(w, 0);
        rtp_jitter_reset(&w->jitter);
        rtp_audio_restart(w->audio);
        w->last = -1;
    }
    while (rtp_jitter_push(&w->jitter, number, p, w->us) == RTP_FULL)
        play(w, 0);
    play(w, 100000);
}

static void receive(struct world *w, const uint8_t *bytes, size_t size)
{
    struct rtp_packet p;
    struct rtcp_block b = {.ssrc = 1};
    uint8_t out[RTCP_REPORT_MAX];
    w->us += 20000;
    if (rtcp_is(bytes, size))
        rtcp_read(bytes, size, on_item, w);
    else if (!rtp_packet_read(&p, bytes, size))
        take(w, &p);
    rtp_reception_report(&w->reception, w->us, &b);
    if (rtcp_read(out, rtcp_write_report(out, 2, "fuzz", &b), on_item, w))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct rtp_audio *audio = w.audio;
    w = (struct world){.us = 1, .last = -1, .audio = audio};
    if (!audio && rtp_audio_create(&w.audio, on_audio, &w))
        return 0;
    rtp_audio_restart(w.audio);
    while (size >= 2) {
        size_t one = (size_t)data[0] << 8 | data[1];
        data += 2;
        size -= 2;
        one = one < size ? one : size;
        uint8_t *exact = malloc(one + 1); /* a sanitizer sees its end */
        if (!exact)
            return 0;
        memcpy(exact, data, one);
        receive(&w, exact, one);
        free(exact);
        data += one;
        size -= one;
    }
    return 0;
}
