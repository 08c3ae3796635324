/* Opus packets of one sender, in order, into 16 kHz mono at the pace of our own clock. What was
 * lost is made up by libopus, its last packet from the error correction (FEC) in the one that
 * follows; what the sender left out as silence is filled. One thread; allocates at create only.
 */
#ifndef EARSHOT_BRIDGES_RTP_AUDIO_H
#define EARSHOT_BRIDGES_RTP_AUDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RTP_AUDIO_HZ = 16000,
    RTP_CONCEALED_MS = 400, /* that were lost and no more are made up */
    RTP_SILENCE_MS = 1000,  /* at most are filled: enough to end what was said */
};

/* Samples [count], or, NULL, so many that are missing. */
typedef void rtp_audio_function(void *user, const int16_t *samples, size_t count);

struct rtp_audio;

/* A packet, and how many before it were lost. came_us: when it came, of a monotonic clock. */
struct rtp_audio_packet {
    const uint8_t *payload;
    size_t size;
    uint32_t timestamp;
    unsigned lost;
    uint64_t came_us;
};

int rtp_audio_create(struct rtp_audio **out, rtp_audio_function *function,
                     void *user); /* -ENOMEM */
void rtp_audio_destroy(struct rtp_audio *a);

/* How long a packet is, in µs; 0: it is no Opus. */
unsigned rtp_audio_us(const uint8_t *payload, size_t size);

/* Gives its samples to the function. One that is no Opus is made up. */
void rtp_audio_push(struct rtp_audio *a, const struct rtp_audio_packet *p);

void rtp_audio_restart(struct rtp_audio *a); /* the sender has: its next timestamp may be any */
double rtp_audio_drift(const struct rtp_audio *a); /* of its clock, as found so far */

#endif
