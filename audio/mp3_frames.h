/* Follows the frames of an MP3 file (MPEG layers I to III) while its bytes go by, for mpg123 does
 * not tell where they break off. Pure, one thread at a time.
 */
#ifndef EARSHOT_AUDIO_MP3_FRAMES_H
#define EARSHOT_AUDIO_MP3_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mp3_frames {
    unsigned char window[192]; /* the begin of a frame, or what may be one */
    size_t held, wanted;       /* bytes in it, and of those what the next step needs */
    uint64_t skip;             /* bytes of a frame or a tag, still to go by */
    uint64_t frames, total;    /* whole ones; total: what the encoder counted, 0: it did not */
    bool lost; /* bytes that are none of a frame went by: damage, if frames follow */
    bool damaged;
    bool free_format; /* frames do not say how long they are: nothing is known */
    bool over;        /* a tag that ends a file has come */
};

void mp3_frames_init(struct mp3_frames *m);
void mp3_frames_push(struct mp3_frames *m, const unsigned char *data, size_t size);
/* Whether the file broke off: within a frame, or before the frames that its encoder counted. */
bool mp3_frames_cut(const struct mp3_frames *m);

/* Bytes of the frame that begins at p [4]; 0: none begins there, or of a free format. */
size_t mp3_frame_size(const unsigned char *p);

#endif
