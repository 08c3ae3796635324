/* The child's side: opens the device, then moves what the ring has into packets until its parent
 * goes. */
#include "daemon/capture_process.h"

#include "audio/portaudio.h"
#include "audio/sound_client.h"
#include "daemon/sources.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    GATHER_MS = 10,
    START_MS = 4000,   /* for PortAudio to start, until the reader is told, */
    LINGER_MS = 26000, /* and although it waits no more */
    OPEN_S = 10,       /* for the device, if there is no reader any more to end this */
};

/* False: nobody reads any more. */
static bool send_packet(const void *data, size_t size)
{
    ssize_t n;
    do
        n = send(CAPTURE_SOCKET, data, size, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)size;
}

static bool send_opened(const struct microphone *m, int code, const struct error *error)
{
    struct capture_opened opened = {.code = code};
    if (!code) {
        opened.rate_hz = microphone_rate_hz(m);
        opened.channels = microphone_channels(m);
        snprintf(opened.known_as, sizeof opened.known_as, "%s", microphone_known_as(m));
    }
    snprintf(opened.name, sizeof opened.name, "%.255s", code ? error->message : microphone_name(m));
    return send_packet(&opened, sizeof opened);
}

/* Lets the callback gather audio, for longer while nobody speaks. False: nobody reads any more. */
static bool gather(int *ms)
{
    struct pollfd reader = {CAPTURE_SOCKET, POLLIN, 0};
    unsigned char quiet;
    if (poll(&reader, 1, *ms) <= 0)
        return true;
    ssize_t n = recv(CAPTURE_SOCKET, &quiet, sizeof quiet, MSG_DONTWAIT);
    if (n > 0)
        *ms = quiet ? SOURCE_QUIET_MS : GATHER_MS;
    return n != 0;
}

static void pass_on(struct microphone *m)
{
    static struct capture_block block;
    int gather_ms = GATHER_MS;
    size_t channels = (size_t)microphone_channels(m);
    size_t most = (size_t)microphone_rate_hz(m) / CAPTURE_BLOCKS_HZ;
    for (;;) {
        long n = microphone_read(m, block.samples, most);
        if (n < 0)
            return;
        block.frames = (uint32_t)n;
        block.lost = (uint32_t)microphone_lost(m);
        size_t size =
            offsetof(struct capture_block, samples) + (size_t)n * channels * sizeof *block.samples;
        if (!(n || block.lost ? send_packet(&block, size) : gather(&gather_ms)))
            return;
    }
}

/* False: it did not, or nobody waits. */
static bool start_portaudio(struct error *error)
{
    int rc = portaudio_start(START_MS, error);
    bool sent = send_opened(NULL, rc ? rc : -EINPROGRESS, error);
    if (rc == -ETIMEDOUT)
        portaudio_start(LINGER_MS, error);
    return !rc && sent;
}

int capture_process(char **arguments)
{
    const struct microphone_choice choice = {.device = arguments[0],
                                             .known_as = arguments[1],
                                             .fallback = strcmp(arguments[2], "yes") == 0,
                                             .buffer_ms = atoi(arguments[3])};
    struct microphone *m = NULL;
    struct error error = {""};
    prctl(PR_SET_NAME, "earshot-capture");
    sound_client_introduce(getppid());
    if (!start_portaudio(&error))
        return EXIT_FAILURE;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive the daemon */
    alarm(OPEN_S);
    int code = microphone_open(&m, &choice, &error);
    alarm(0);
    if (!send_opened(m, code, &error) || code)
        return EXIT_FAILURE;
    pass_on(m);
    return EXIT_FAILURE;
}
