/* Capture in a process of its own. PortAudio 19.6 must be expected to hang: when the sound server
 * dies while a stream starts, its thread ends with a mutex locked that the opener waits for; when
 * it dies later, that thread may go round a failed check for ever. A process can be killed.
 *
 *   device ─► PortAudio callback ─► ring ─► capture process ──socket──► front-end thread
 *                                                           ◄──────────  a byte: 1 nobody speaks, 0
 */
#ifndef EARSHOT_DAEMON_CAPTURE_PROCESS_H
#define EARSHOT_DAEMON_CAPTURE_PROCESS_H

#include "audio/microphone.h"

enum {
    CAPTURE_SOCKET = 3,        /* the descriptor that the process uses: a SOCK_SEQPACKET */
    CAPTURE_BLOCKS_HZ = 50,    /* a block has at most a fiftieth of a second */
    CAPTURE_BLOCK_MAX = 15360, /* samples of one: 384 kHz, 2 channels */
};

/* The first packets: that PortAudio has started, after which the process may be killed; then what
 * was opened. Instead of either: why not. */
struct capture_opened {
    int code; /* 0, -errno, or -EINPROGRESS: it has started */
    int rate_hz, channels;
    char name[MICROPHONE_NAME_MAX]; /* of the device, or the error */
    char known_as[MICROPHONE_NAME_MAX];
};

/* Every other packet, without the samples that it has not. */
struct capture_block {
    uint32_t frames;
    uint32_t lost; /* frames before these */
    float samples[CAPTURE_BLOCK_MAX];
};

/* The whole process: DEVICE KNOWN_AS yes|no BUFFER_MS, of which the third says whether another is
 * heard while the device is away. Returns its exit status when the device or the reader is gone. */
enum {
    CAPTURE_ARGUMENTS = 4,
};
int capture_process(char **arguments);

#endif
