/* Datagrams as they came, through the order, the decoder and the clock of earshot-rtp, into 16 kHz
 * s16 on stdout: what the daemon would get, without waiting for it. stdin: for each the time in µs
 * (8 bytes), the size (2), both little endian, and the datagram. For rtp.py. */
#include "bridges/rtp_audio.h"
#include "bridges/rtp_jitter.h"
#include "bridges/rtp_packet.h"
#include "bridges/rtp_reception.h"

#include <stdio.h>
#include <stdlib.h>

static struct rtp_jitter jitter;
static struct rtp_reception reception;
static struct rtp_audio *audio;

static void on_audio(void *user, const int16_t *samples, size_t count)
{
    static const int16_t silence[1];
    (void)user;
    if (samples)
        fwrite(samples, sizeof(int16_t), count, stdout);
    for (size_t i = 0; !samples && i < count; i++)
        fwrite(silence, sizeof(int16_t), 1, stdout);
}

static void play(uint64_t wait_us, uint64_t now_us)
{
    unsigned lost;
    const struct rtp_held *held;
    while ((held = rtp_jitter_pop(&jitter, wait_us, now_us, &lost))) {
        const struct rtp_audio_packet p = {held->payload, held->size, held->timestamp, lost,
                                           held->came_us};
        rtp_audio_push(audio, &p);
    }
}

static void take(const struct rtp_packet *p, uint64_t now_us)
{
    int64_t number = 0;
    bool first = !reception.received;
    if (first)
        rtp_reception_begin(&reception, p->sequence, p->timestamp, now_us);
    else if (rtp_reception_take(&reception, p->sequence, p->timestamp, now_us, &number))
        return;
    while (rtp_jitter_push(&jitter, first ? reception.highest : number, p, now_us) == RTP_FULL)
        play(0, now_us);
    play(rtp_reception_wait_us(&reception), now_us);
}

int main(void)
{
    uint8_t head[10], bytes[RTP_DATAGRAM_MAX];
    struct rtp_packet p;
    if (rtp_audio_create(&audio, on_audio, NULL))
        return EXIT_FAILURE;
    while (fread(head, sizeof head, 1, stdin) == 1) {
        uint64_t us = 0;
        for (int i = 7; i >= 0; i--)
            us = us << 8 | head[i];
        size_t size = (size_t)head[9] << 8 | head[8];
        if (size > sizeof bytes || fread(bytes, 1, size, stdin) != size)
            return EXIT_FAILURE;
        if (!rtp_packet_read(&p, bytes, size))
            take(&p, us);
    }
    play(0, UINT64_MAX - 1);
    rtp_audio_destroy(audio);
    return EXIT_SUCCESS;
}
