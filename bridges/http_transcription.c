/* One sound file that the daemon hears. While the daemon has no room, nothing is read from the
 * decoder, which then waits, too.
 */
#include "bridges/http_transcription.h"

#include "bridges/http_decoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct http_transcription {
    const struct http_transcription_events *events;
    void *user;
    struct stream *stream;
    struct http_decoder *decoder;
    bool open; /* the stream takes samples */
    int16_t samples[HTTP_DECODER_SAMPLES];
    size_t count; /* of them, that wait to be sent */
    struct transcript transcript;
};

static void over(struct http_transcription *t, bool bad_file, const char *code, const char *why)
{
    t->events->over(t->user, &t->transcript, bad_file, code, why);
}

/* False: not now, or it is over. */
static bool send_samples(struct http_transcription *t)
{
    int rc = stream_send(t->stream, t->samples, t->count);
    if (rc < 0)
        over(t, false, "daemon-gone", "earshotd has closed the stream; try again");
    if (rc <= 0)
        return false;
    t->transcript.samples += t->count;
    t->count = 0;
    return true;
}

/* As much as there is room for in one go; then others have their turn. */
static void go_on(struct http_transcription *t)
{
    struct error why;
    if (!t->open || (t->count && !send_samples(t)))
        return;
    int64_t n = http_decoder_read(t->decoder, t->samples, &why);
    if (n == -EAGAIN)
        return;
    if (n < 0)
        return over(t, true, "invalid_file", why.message);
    if (n == 0) {
        t->open = false;
        stream_end(t->stream);
        return;
    }
    t->count = (size_t)n;
    if (send_samples(t))
        stream_wait(t->stream);
}

static void on_decoded(void *user)
{
    go_on(user);
}

static void on_ready(void *user)
{
    struct http_transcription *t = user;
    t->open = true;
    go_on(t);
}

static void on_signal(void *user, const char *member, sd_bus_message *m)
{
    struct http_transcription *t = user;
    if (strcmp(member, "UtteranceCompleted") != 0)
        return;
    int rc = transcript_add(&t->transcript, m);
    if (rc == 1)
        t->events->segment(t->user, &t->transcript);
    else if (rc == -ENOBUFS)
        over(t, true, "too_long", "the transcript is longer than a megabyte; cut the file");
    else if (rc < 0)
        over(t, false, "daemon", "earshotd tells what is not understood");
}

static void on_over(void *user, const char *code, const char *why)
{
    over(user, false, code, why);
}

static const struct stream_events stream_events = {
    .ready = on_ready, .over = on_over, .signal = on_signal};

int http_transcription_create(struct http_transcription **out, const struct http_world *w, int file,
                              const struct http_transcription_events *events, void *user)
{
    struct http_transcription *t = calloc(1, sizeof(struct http_transcription));
    if (!t)
        return -ENOMEM;
    t->events = events;
    t->user = user;
    int rc = http_decoder_create(&t->decoder, w->event, file, on_decoded, t);
    if (!rc)
        rc = stream_open(&t->stream, w->streams, HTTP_DECODER_RATE_HZ, 1, NULL, &stream_events, t);
    if (rc) {
        http_transcription_destroy(t);
        return rc;
    }
    *out = t;
    return 0;
}

void http_transcription_destroy(struct http_transcription *t)
{
    if (!t)
        return;
    stream_close(t->stream);
    http_decoder_destroy(t->decoder);
    transcript_finish(&t->transcript);
    free(t);
}
