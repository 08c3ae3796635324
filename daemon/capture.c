/* A child with a socket: a packet is a piece of sound or what the child found. It is killed, not
 * asked; but not while PortAudio starts, when it must not be. */
#include "daemon/capture.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/capture_process.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OPEN_US = 5000000,   /* the time a device has to open */
    SILENT_US = 3000000, /* without a packet: the process hangs */
    WAIT_MS = 500,       /* how often that is looked at */
};

struct capture {
    struct source source;
    char device[SOURCE_NAME_MAX];   /* empty: any */
    char known_as[SOURCE_NAME_MAX]; /* what people call it, once it was open */
    struct source_options options;
    pid_t process;   /* 0: none */
    bool started;    /* PortAudio has, in it */
    int64_t seen_us; /* clock at the last packet, when it opened, or at the start */
    uint64_t lost;   /* to be told */
    struct capture_block block;
};

static struct capture *cast(struct source *s)
{
    return (struct capture *)(void *)s;
}

static void *wait_for(void *process)
{
    waitpid((pid_t)(intptr_t)process, NULL, 0);
    return NULL;
}

/* A process whose socket is closed ends once PortAudio has started in it, or not within 30 s. */
static void leave(pid_t process)
{
    pthread_t waiter;
    void *argument = (void *)(intptr_t)process;
    if (pthread_create(&waiter, NULL, wait_for, argument))
        wait_for(argument);
    else
        pthread_detach(waiter);
}

/* Whether PortAudio has started in the process, of which the packet may not be read yet. */
static bool has_started(struct capture *c)
{
    struct capture_opened opened = {0};
    if (!c->started)
        recv(c->source.fd, &opened, sizeof opened, MSG_DONTWAIT);
    return c->started || opened.code == -EINPROGRESS;
}

static void stop(struct source *s)
{
    struct capture *c = cast(s);
    bool started = c->process && has_started(c);
    if (s->fd >= 0)
        close(s->fd);
    if (started) {
        kill(c->process, SIGKILL);
        waitpid(c->process, NULL, 0);
    } else if (c->process) {
        leave(c->process);
    }
    c->process = 0;
    s->fd = -1;
}

/* The process has the socket and no other descriptor; what PortAudio and its libraries complain of
 * on stderr goes nowhere: the reason comes in the first packet. */
static int spawn(struct capture *c, int socket)
{
    char buffer_ms[16];
    snprintf(buffer_ms, sizeof buffer_ms, "%d", c->options.buffer_ms);
    char *argv[] = {"earshotd",
                    CAPTURE_OPTION,
                    c->device,
                    c->known_as,
                    c->options.fallback ? "yes" : "no",
                    buffer_ms,
                    NULL};
    const struct child_file files[] = {
        {-1, STDIN_FILENO}, {-1, STDERR_FILENO}, {socket, CAPTURE_SOCKET}};
    return child_start(&c->process, argv, files, sizeof files / sizeof *files);
}

static int start_process(struct capture *c, struct error *error)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return error_set(error, -errno, "the capture process: %s", strerror(errno));
    c->source.fd = ends[0];
    int rc = spawn(c, ends[1]);
    close(ends[1]);
    return rc ? error_set(error, rc, "the capture process: %s", strerror(-rc)) : 0;
}

static int take_opened(struct capture *c, struct error *error)
{
    struct capture_opened opened;
    ssize_t n = recv(c->source.fd, &opened, sizeof opened, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (clock_monotonic_us() < c->seen_us + OPEN_US)
            return -EINPROGRESS;
        return error_set(error, -ETIMEDOUT, "the capture device does not open");
    }
    if (n != (ssize_t)sizeof opened)
        return error_set(error, -EIO, "the capture process ended");
    opened.name[sizeof opened.name - 1] = '\0';
    c->started = c->started || opened.code == -EINPROGRESS;
    if (opened.code)
        return error_set(error, opened.code, "%s", opened.name);
    c->source.rate_hz = opened.rate_hz;
    c->source.channels = opened.channels;
    memcpy(c->source.name, opened.name, sizeof c->source.name);
    opened.known_as[sizeof opened.known_as - 1] = '\0';
    if (*opened.known_as)
        memcpy(c->known_as, opened.known_as, sizeof c->known_as);
    c->seen_us = clock_monotonic_us();
    return 0;
}

static int start(struct source *s, struct error *error)
{
    struct capture *c = cast(s);
    int rc = 0;
    if (!c->process) {
        c->seen_us = clock_monotonic_us();
        c->lost = 0;
        c->started = false;
        rc = start_process(c, error);
    }
    if (!rc)
        rc = take_opened(c, error);
    if (rc && rc != -EINPROGRESS)
        stop(s);
    return rc;
}

static long read_frames(struct source *s, float *samples, size_t frames)
{
    struct capture *c = cast(s);
    size_t header = offsetof(struct capture_block, samples);
    if (source_is_at_mark(s))
        return 0;
    ssize_t n = recv(s->fd, &c->block, sizeof c->block, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return clock_monotonic_us() - c->seen_us > SILENT_US ? -EIO : 0;
    if (n < (ssize_t)header)
        return -EIO;
    source_took(s, (size_t)n);
    size_t bytes = c->block.frames * (size_t)s->channels * sizeof *samples;
    if ((size_t)n != header + bytes || c->block.frames > frames)
        return -EIO;
    memcpy(samples, c->block.samples, bytes);
    c->lost += c->block.lost;
    c->seen_us = clock_monotonic_us();
    return (long)c->block.frames;
}

static void lost(struct source *s, struct source_lost *out)
{
    struct capture *c = cast(s);
    out->gap = c->lost;
    c->lost = 0;
}

/* If it is not told it goes on as it was, which costs nothing but time. */
static void set_quiet(struct source *s, bool quiet)
{
    unsigned char message = quiet;
    send(s->fd, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void destroy(struct source *s)
{
    stop(s);
    free(cast(s));
}

static const struct source_ops capture_ops = {start, read_frames, lost, set_quiet, stop, destroy};

int capture_create(struct source **out, const char *device, const struct source_options *options,
                   struct error *error)
{
    if (strlen(device) >= SOURCE_NAME_MAX)
        return error_set(error, -EINVAL, "the device's name is too long");
    struct capture *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(error, -ENOMEM, "out of memory");
    c->source.ops = &capture_ops;
    c->source.wait_ms = WAIT_MS;
    c->source.fd = -1;
    c->options = *options;
    strcpy(c->device, device);
    *out = &c->source;
    return 0;
}
