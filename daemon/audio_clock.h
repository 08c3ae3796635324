/* When an utterance began: an ear's audio has a clock of its own, which is mapped to that of the
 * machine once, so that utterances are as far apart as they are in the audio, whoever sets the
 * date. It is mapped anew where audio is missing that nobody told of (the device was closed), and
 * to the date after a long silence. Times of CLOCK_BOOTTIME and of the audio, in µs. One thread.
 */
#ifndef EARSHOT_DAEMON_AUDIO_CLOCK_H
#define EARSHOT_DAEMON_AUDIO_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct audio_clock {
    bool steady;       /* it is a device, which gives audio as fast as time goes by */
    bool mapped;       /* begin was called */
    bool caught_up;    /* at some time nothing waited to be read; */
    int64_t caught_us; /* then the machine's clock was so far above the audio's */
    int64_t offset_us; /* of the machine's above the audio's, as mapped */
    int64_t date_us;   /* of 1970's above the machine's, as mapped */
    int64_t end_us;    /* of the last utterance, on the machine's */
    uint64_t floor;    /* the next id is above it */
};

/* What is above floor is in no older text. */
void audio_clock_init(struct audio_clock *c, bool steady, uint64_t floor);

/* At boot_us all audio up to audio_us has been read, and no more is there. */
void audio_clock_caught_up(struct audio_clock *c, int64_t audio_us, int64_t boot_us);

/* An utterance begins at audio_us, newest_us has been read, at boot_us, which is real_us since
 * 1970. Its id: real_us of when it began, above all ids and ends before. */
uint64_t audio_clock_begin(struct audio_clock *c, int64_t audio_us, int64_t newest_us,
                           int64_t boot_us, int64_t real_us);
void audio_clock_end(struct audio_clock *c, int64_t audio_us);

#endif
