/* Packets from a socket, a bounded number at a time. */
#include "daemon/stream_source.h"

#include "base/utf8.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WAIT_MS = 1000,  /* a heartbeat */
    QUIET_MS = 2000, /* without a packet nobody speaks any more */
    PACKETS = 16,    /* that give nothing are looked at in a row */
};

struct stream_source {
    struct source source;
    struct stream_decoder *decoder;
    struct stream_audio audio; /* what is left of the last packet */
    struct source_lost lost;   /* to be told */
    unsigned char packet[STREAM_HEADER + STREAM_PAYLOAD + 1];
};

static struct stream_source *cast(struct source *s)
{
    return (struct stream_source *)(void *)s;
}

static int start(struct source *s, struct error *error)
{
    (void)s;
    (void)error;
    return 0;
}

/* A packet without a byte reads as the end does. It is the end where nobody can send any more, and
 * then nothing waits. */
static bool is_over(const struct source *s)
{
    struct pollfd p = {s->fd, POLLRDHUP, 0};
    return poll(&p, 1, 0) != 0 && source_waiting(s) == 0;
}

/* The next packet that gives anything: 1; 0: there is none now. -ENODATA: nor will there be.
 * -EAGAIN: there may be, behind many that give nothing. */
static int take_packet(struct stream_source *s)
{
    for (int n = 0; !s->audio.frames; n++) {
        if (source_is_at_mark(&s->source))
            return 0;
        if (n == PACKETS)
            return -EAGAIN;
        ssize_t size = recv(s->source.fd, s->packet, sizeof s->packet, MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return 0;
        if (size < 0 || (size == 0 && is_over(&s->source)))
            return -ENODATA;
        source_took(&s->source, (size_t)size);
        if (s->source.skims)
            stream_decoder_skip(s->decoder, s->packet, (size_t)size, &s->audio);
        else
            stream_decoder_push(s->decoder, s->packet, (size_t)size, &s->audio);
        s->lost.gap += s->audio.gap;
        s->lost.concealed += s->audio.concealed;
    }
    return 1;
}

/* A gap is told of before the frames behind it are given. */
static long read_frames(struct source *source, float *samples, size_t frames)
{
    struct stream_source *s = cast(source);
    int rc = take_packet(s);
    if (rc <= 0)
        return rc;
    if (s->lost.gap)
        return 0;
    size_t n = frames < s->audio.frames ? frames : s->audio.frames;
    size_t count = n * (size_t)source->channels;
    memcpy(samples, s->audio.samples, count * sizeof *samples);
    s->audio.samples += count;
    s->audio.frames -= n;
    return (long)n;
}

static void lost(struct source *source, struct source_lost *out)
{
    struct stream_source *s = cast(source);
    *out = s->lost;
    s->lost = (struct source_lost){0};
}

/* A client's packets are taken as they come. */
static void set_quiet(struct source *s, bool quiet)
{
    (void)s;
    (void)quiet;
}

static void stop(struct source *s)
{
    (void)s;
}

static void destroy(struct source *source)
{
    struct stream_source *s = cast(source);
    close(source->fd);
    stream_decoder_destroy(s->decoder);
    free(s);
}

static const struct source_ops stream_ops = {start, read_frames, lost, set_quiet, stop, destroy};

int stream_source_create(struct source **out, int fd, const struct stream_format *format,
                         const char *name, struct error *error)
{
    struct stream_source *s = calloc(1, sizeof *s);
    if (!s || stream_decoder_create(&s->decoder, format)) {
        close(fd);
        free(s);
        return error_set(error, -ENOMEM, "out of memory");
    }
    s->source = (struct source){
        .ops = &stream_ops,
        .rate_hz = stream_decoder_rate_hz(s->decoder),
        .channels = stream_decoder_channels(s->decoder),
        .wait_ms = WAIT_MS,
        .fd = fd,
        .quiet_ms = QUIET_MS,
        .once = true,
    };
    snprintf(s->source.name, sizeof s->source.name, "%s", name ? name : "stream");
    utf8_make_plain(s->source.name);
    *out = &s->source;
    return 0;
}
