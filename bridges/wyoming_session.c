/* One connection that speaks Wyoming. Its states:
 *
 *     idle ──audio-start──► hearing ──audio-stop──► finishing ──all is told──► idle
 *       └──────────────────────┴─── an error ──────────┴──► ending ──a second──► gone
 *
 * What cannot go on is not read on: while the daemon has no room for audio, or the client takes no
 * answer, its bytes wait in its own socket. Who sends nothing in the middle of something is taken
 * for dead.
 */
#include "bridges/wyoming_session.h"

#include "base/log.h"
#include "bridges/share.h"
#include "bridges/wyoming_reader.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_BYTES = 16 * 1024,
    PACKET_BYTES = 16 * 1024, /* of samples, that are sent on before a chunk is over */
    TEXT_MAX = 1024 * 1024,   /* of a transcript, in bytes */
    RATE_LEAST_HZ = 8000,
    RATE_MOST_HZ = 48000,
    CHANNELS_MOST = 2,
    WIDTH = 2, /* bytes of a sample */
};

#define TIMESTAMP_MOST 9007199254740992.0 /* ms: what JSON's numbers count exactly */
#define SECOND_US UINT64_C(1000000)
#define SILENT_US (10 * SECOND_US) /* in the middle of something */
#define IDLE_US (300 * SECOND_US)  /* between two requests */
#define ENDING_US SECOND_US        /* for the client to read why */

enum state {
    STATE_IDLE,
    STATE_HEARING,
    STATE_FINISHING,
    STATE_ENDING,
};

/* As an event says it. */
struct format {
    unsigned rate_hz, channels, width;
};

struct session {
    const struct session_world *world;
    sd_event_source *io, *timer;
    struct share share;
    int fd;
    char peer[64];
    enum state state;
    bool gone;

    struct wyoming_reader reader;
    uint8_t in[IN_BYTES];
    const uint8_t *in_at;
    size_t in_left;
    bool in_chunk;                /* the payload that comes is audio */
    uint64_t progress_us;         /* when something was last read or sent */
    uint64_t event_us, ending_us; /* when the event that is being read began; the end */

    struct stream *stream; /* NULL: none */
    bool ready, waiting;   /* it is open; it had no room for the packet */
    bool stopping;         /* audio-stop came before it was open */
    struct format format;
    uint8_t packet[PACKET_BYTES + IN_BYTES];
    size_t packet_size;

    struct buffer out, said;
    bool told; /* transcript-start, or the wake word of utterance woken_id */

    uint32_t awaits; /* wake words, as wake_words.h has them; 0: it transcribes */
    uint64_t woken_id;
    uint64_t heard_frames; /* that were sent on */
    uint64_t begin_ms;     /* the client's timestamp of the first */
};

static uint64_t now_us(const struct session *s)
{
    uint64_t us;
    sd_event_now(s->world->event, CLOCK_MONOTONIC, &us);
    return us;
}

static void close_stream(struct session *s)
{
    stream_close(s->stream);
    s->stream = NULL;
    s->ready = s->waiting = s->stopping = false;
    s->packet_size = 0;
}

static void send_event(struct session *s, const char *type, const char *key, const char *text,
                       const char *second_key, const char *second_text)
{
    int rc = wyoming_write(&s->out, type, key, text, second_key, second_text);
    if (!rc)
        return;
    log_info("%s: an answer does not fit: %s", s->peer, strerror(-rc));
    s->gone = true;
}

static void refuse(struct session *s, const char *code, const char *why)
{
    if (s->state == STATE_ENDING)
        return;
    log_info("%s: %s: %s", s->peer, code, why);
    close_stream(s);
    send_event(s, "error", "text", why, "code", code);
    s->state = STATE_ENDING;
    s->ending_us = now_us(s) + ENDING_US;
}

__attribute__((format(printf, 3, 4))) static void fail(struct session *s, const char *code,
                                                       const char *format, ...)
{
    struct error why;
    va_list arguments;
    va_start(arguments, format);
    error_set_list(&why, 0, format, arguments); /* plain: it may have the client's words */
    va_end(arguments);
    refuse(s, code, why.message);
}

static bool wants_input(const struct session *s)
{
    return (s->state == STATE_IDLE || s->state == STATE_HEARING) && !s->gone && !s->waiting &&
           !s->stopping && !s->out.size;
}

/* The stream tells. */

static void settle(struct session *s);

static void end_stream(struct session *s)
{
    s->stopping = false;
    s->state = STATE_FINISHING;
    stream_end(s->stream);
}

static void send_packet(struct session *s)
{
    size_t frame = s->format.channels * WIDTH, frames = s->packet_size / frame;
    if (!frames || s->state != STATE_HEARING)
        return;
    int rc = stream_send(s->stream, s->packet, frames);
    if (rc < 0)
        fail(s, "daemon-gone", "earshotd has closed the stream: %s", strerror(-rc));
    s->waiting = rc == 0;
    if (rc <= 0)
        return;
    s->heard_frames += frames;
    s->packet_size -= frames * frame;
    memmove(s->packet, s->packet + frames * frame, s->packet_size);
}

static void on_ready(void *user)
{
    struct session *s = user;
    s->ready = true;
    s->waiting = false;
    s->progress_us = now_us(s);
    send_packet(s);
    if (s->stopping && !s->waiting && s->state == STATE_HEARING)
        end_stream(s);
    settle(s);
}

static void tell_start(struct session *s)
{
    if (!s->told)
        send_event(s, "transcript-start", "language", s->world->languages.names[0], NULL, NULL);
    s->told = true;
}

static void on_text(void *user, const char *text)
{
    struct session *s = user;
    size_t before = s->said.size;
    int rc = before ? buffer_append(&s->said, " ", 1, TEXT_MAX) : 0;
    if (!rc)
        rc = buffer_append(&s->said, text, strlen(text), TEXT_MAX);
    if (rc) {
        fail(s, "too-long", "the transcript is longer than %d bytes; stop the audio earlier",
             TEXT_MAX);
    } else {
        tell_start(s);
        send_event(s, "transcript-chunk", "text", s->said.data + before, NULL, NULL);
    }
    settle(s);
}

/* Until the next request. */
static void rest(struct session *s)
{
    close_stream(s);
    buffer_free(&s->said);
    s->told = false;
    s->state = STATE_IDLE;
    s->progress_us = now_us(s);
}

static void on_over(void *user, const char *code, const char *why)
{
    struct session *s = user;
    if (code) {
        refuse(s, code, why);
    } else {
        tell_start(s);
        send_event(s, "transcript", "text", s->said.size ? s->said.data : "", "language",
                   s->world->languages.names[0]);
        send_event(s, "transcript-stop", NULL, NULL, NULL, NULL);
        rest(s);
    }
    settle(s);
}

static const struct stream_events transcribing = {
    .ready = on_ready, .text = on_text, .over = on_over};

/* fixed: the bytes that do not change any more. The last of the others may become a longer word, so
 * something has to follow. */
static void look_for_wake_word(struct session *s, uint64_t id, const char *text, size_t fixed)
{
    const char *last = strrchr(text, ' ');
    size_t followed = last ? (size_t)(last - text) : 0;
    const char *name =
        wake_words_find(&s->world->wake, s->awaits, text, fixed > followed ? fixed : followed);
    if (!name || (s->told && id == s->woken_id))
        return;
    uint64_t ms = s->begin_ms + s->heard_frames * 1000 / s->format.rate_hz;
    s->told = true;
    s->woken_id = id;
    s->gone = wyoming_write_detection(&s->out, name, ms) != 0;
}

static void on_signal(void *user, const char *member, sd_bus_message *m)
{
    struct session *s = user;
    uint64_t id;
    uint32_t sequence, stable;
    const char *text;
    if (strcmp(member, "UtteranceUpdated") == 0) {
        if (sd_bus_message_read(m, "tuus", &id, &sequence, &stable, &text) >= 0)
            look_for_wake_word(s, id, text, stable < strlen(text) ? stable : strlen(text));
    } else if (strcmp(member, "UtteranceCompleted") == 0) {
        if (sd_bus_message_read(m, "ts", &id, &text) >= 0)
            look_for_wake_word(s, id, text, strlen(text));
    }
    settle(s);
}

static void on_wait_over(void *user, const char *code, const char *why)
{
    struct session *s = user;
    if (code) {
        refuse(s, code, why);
    } else {
        if (!s->told)
            send_event(s, "not-detected", NULL, NULL, NULL, NULL);
        rest(s);
    }
    settle(s);
}

static const struct stream_events waiting = {
    .ready = on_ready, .signal = on_signal, .over = on_wait_over};

/* What the client says. */

static void take_transcribe(struct session *s)
{
    const struct bridge_languages *l = &s->world->languages;
    const char *asked = wyoming_reader_text(&s->reader, "language");
    if (asked && *asked && !bridge_language(l, asked))
        fail(s, "language", "language \"%.32s\" is not one that this ear hears (%s)", asked,
             l->names[0]);
    if (s->state == STATE_IDLE)
        s->awaits = 0;
}

/* The wake words that a client names; all, where it names none. 0: one is unknown. */
static uint32_t wanted_words(struct session *s, const cJSON *names)
{
    const struct wake_words *w = &s->world->wake;
    uint32_t set = 0;
    const cJSON *name;
    cJSON_ArrayForEach(name, names)
    {
        const char *text = cJSON_GetStringValue(name);
        uint32_t one = text ? wake_words_named(w, text) : 0;
        if (!text)
            fail(s, "wake", "names of event \"detect\" has something that is no text");
        else if (!one)
            fail(s, "wake", "\"%.32s\" is not one of the wake words here; describe lists them",
                 text);
        if (!one)
            return 0;
        set |= one;
    }
    return set ? set : wake_words_all(w);
}

static void take_detect(struct session *s)
{
    if (s->state != STATE_IDLE)
        fail(s, "order", "event \"detect\" comes within the audio");
    else if (!s->world->wake.count)
        fail(s, "wake", "there are no wake words here: earshot-wyoming --wake PHRASES");
    else
        s->awaits = wanted_words(s, wyoming_reader_item(&s->reader, "names"));
}

/* False: it is refused. */
static bool take_format(struct session *s, struct format *f)
{
    struct error e;
    if (wyoming_reader_number(&s->reader, "rate", INT_MAX, &f->rate_hz, &e) ||
        wyoming_reader_number(&s->reader, "channels", INT_MAX, &f->channels, &e) ||
        wyoming_reader_number(&s->reader, "width", INT_MAX, &f->width, &e))
        fail(s, "format", "%s", e.message);
    else if (f->rate_hz < RATE_LEAST_HZ || f->rate_hz > RATE_MOST_HZ)
        fail(s, "format", "rate %u of event \"%s\" is not from %d to %d", f->rate_hz,
             s->reader.type, RATE_LEAST_HZ, RATE_MOST_HZ);
    else if (f->channels < 1 || f->channels > CHANNELS_MOST)
        fail(s, "format", "channels %u of event \"%s\" is not 1 or 2", f->channels, s->reader.type);
    else if (f->width != WIDTH)
        fail(s, "format", "width %u of event \"%s\" is not 2 bytes", f->width, s->reader.type);
    return s->state != STATE_ENDING;
}

static void begin_hearing(struct session *s, const struct format *f)
{
    const cJSON *timestamp = wyoming_reader_item(&s->reader, "timestamp");
    double ms = cJSON_IsNumber(timestamp) ? timestamp->valuedouble : 0.0; /* it need not have one */
    s->format = *f;
    s->state = STATE_HEARING;
    s->heard_frames = 0;
    s->begin_ms = ms >= 0.0 && ms < TIMESTAMP_MOST ? (uint64_t)ms : 0;
    int rc = stream_open(&s->stream, s->world->streams, f->rate_hz, f->channels, s->peer,
                         s->awaits ? &waiting : &transcribing, s);
    if (rc)
        fail(s, "bus", "no stream: %s", strerror(-rc));
}

static void take_start(struct session *s)
{
    struct format f = {0};
    if (s->state == STATE_HEARING)
        fail(s, "order", "event \"audio-start\" comes twice without \"audio-stop\"");
    else if (take_format(s, &f))
        begin_hearing(s, &f);
}

/* Some clients begin with a chunk. */
static void take_chunk(struct session *s)
{
    struct format f = {0};
    if (!take_format(s, &f))
        return;
    if (s->state == STATE_IDLE)
        begin_hearing(s, &f);
    else if (f.rate_hz != s->format.rate_hz || f.channels != s->format.channels)
        fail(s, "format", "event \"audio-chunk\" has another rate or other channels than before");
    s->in_chunk = s->state == STATE_HEARING;
}

static void take_stop(struct session *s)
{
    if (s->state != STATE_HEARING)
        fail(s, "order", "event \"audio-stop\" comes without audio");
    else if (s->ready)
        end_stream(s);
    else
        s->stopping = true;
}

static void take_describe(struct session *s)
{
    s->gone = wyoming_write_info(&s->out, &s->world->languages, &s->world->wake) != 0;
}

static void take_ping(struct session *s)
{
    send_event(s, "pong", "text", wyoming_reader_text(&s->reader, "text"), NULL, NULL);
}

static void take_event(struct session *s)
{
    static const struct {
        const char *type;
        void (*take)(struct session *s);
    } events[] = {
        {"audio-chunk", take_chunk}, {"audio-start", take_start}, {"audio-stop", take_stop},
        {"describe", take_describe}, {"detect", take_detect},     {"transcribe", take_transcribe},
        {"ping", take_ping},
    };
    s->in_chunk = false;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (strcmp(s->reader.type, events[i].type) == 0)
            events[i].take(s);
}

/* Of an audio chunk; what other events have besides is of no use. */
static void take_payload(struct session *s, const uint8_t *piece, size_t size)
{
    memcpy(s->packet + s->packet_size, piece, size);
    s->packet_size += size;
    bool last = !s->reader.payload_left;
    if (last && s->packet_size % (s->format.channels * WIDTH) != 0)
        fail(s, "format", "the payload of event \"audio-chunk\" ends within a frame of %u bytes",
             s->format.channels * WIDTH);
    else if (last || s->packet_size >= PACKET_BYTES)
        send_packet(s);
}

static void take_input(struct session *s)
{
    enum wyoming_part part;
    const uint8_t *piece;
    size_t size;
    struct error e;
    while (wants_input(s) && s->in_left) {
        if (!wyoming_reader_is_within(&s->reader))
            s->event_us = now_us(s);
        if (wyoming_reader_next(&s->reader, &s->in_at, &s->in_left, &part, &piece, &size, &e)) {
            fail(s, "protocol", "%s", e.message);
            return;
        }
        if (part == WYOMING_EVENT)
            take_event(s);
        else if (part == WYOMING_PAYLOAD && s->in_chunk)
            take_payload(s, piece, size);
    }
}

/* The connection. */

static void send_out(struct session *s)
{
    ssize_t sent = s->out.size && !s->gone
                       ? send(s->fd, s->out.data, s->out.size, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : 0;
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        s->gone = true;
    if (sent > 0) {
        buffer_drop(&s->out, (size_t)sent);
        s->progress_us = now_us(s);
    }
    if (s->state == STATE_ENDING && !s->out.size)
        shutdown(s->fd, SHUT_WR);
}

/* When it is over unless something happens; UINT64_MAX: others see to that. */
static uint64_t deadline_us(const struct session *s)
{
    if (s->state == STATE_ENDING)
        return s->ending_us;
    if (s->out.size)
        return s->progress_us + SILENT_US;
    if (!wants_input(s))
        return UINT64_MAX;
    if (wyoming_reader_is_within(&s->reader))
        return s->event_us + SILENT_US;
    if (s->state == STATE_HEARING || s->reader.payload_left)
        return s->progress_us + SILENT_US;
    return s->progress_us + IDLE_US;
}

/* The last thing that a callback does: s may be gone after it. */
static void settle(struct session *s)
{
    bool more;
    share_begin(&s->share);
    do {
        send_out(s);
        more = wants_input(s) && s->in_left;
        take_input(s);
    } while (more && s->out.size);
    uint64_t us = deadline_us(s);
    uint32_t in = wants_input(s) || s->state == STATE_ENDING ? EPOLLIN : 0;
    if (!s->gone && (sd_event_source_set_io_events(s->io, in | (s->out.size ? EPOLLOUT : 0)) < 0 ||
                     sd_event_source_set_time(s->timer, us) < 0 ||
                     sd_event_source_set_enabled(
                         s->timer, us == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT) < 0))
        s->gone = true;
    share_end(&s->share, s->io);
    if (s->gone)
        s->world->gone(s->world->user, s);
}

void session_refuse(struct session *s, const char *code, const char *why)
{
    refuse(s, code, why);
    settle(s);
}

/* A client that ends within its audio has lost its power, or its mind: nobody reads the text. */
static void receive(struct session *s)
{
    ssize_t size = recv(s->fd, s->in, sizeof s->in, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        if (s->state == STATE_HEARING && !(s->awaits && s->told))
            log_info("%s: the connection ended within its audio", s->peer);
        s->gone = true;
        return;
    }
    if (s->state == STATE_ENDING)
        return;
    s->in_at = s->in;
    s->in_left = (size_t)size;
    s->progress_us = now_us(s);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)source;
    (void)fd;
    struct session *s = user;
    if (events & EPOLLERR || (events & EPOLLHUP && !(events & EPOLLIN)))
        s->gone = true;
    else if (events & EPOLLIN && (s->state == STATE_ENDING || (wants_input(s) && !s->in_left)))
        receive(s);
    settle(s);
    return 0;
}

static int on_deadline(sd_event_source *source, uint64_t us, void *user)
{
    (void)source;
    (void)us;
    struct session *s = user;
    if (s->state == STATE_ENDING || s->out.size)
        s->gone = true;
    else if (s->state == STATE_HEARING)
        fail(s, "timeout", "no audio for %d s", (int)(SILENT_US / SECOND_US));
    else
        fail(s, "timeout", "nothing came in time");
    settle(s);
    return 0;
}

int session_create(struct session **out, const struct session_world *w, int fd, const char *peer)
{
    struct session *s = calloc(1, sizeof(struct session));
    if (!s) {
        close(fd);
        return -ENOMEM;
    }
    s->world = w;
    s->fd = fd;
    snprintf(s->peer, sizeof s->peer, "%s", peer);
    wyoming_reader_init(&s->reader);
    s->progress_us = now_us(s);
    share_init(&s->share, SHARE_OF_A_CONNECTION);
    int rc = sd_event_add_io(w->event, &s->io, fd, EPOLLIN, on_io, s);
    if (rc >= 0)
        rc = sd_event_add_time(w->event, &s->timer, CLOCK_MONOTONIC, s->progress_us + IDLE_US, 0,
                               on_deadline, s);
    if (rc < 0) {
        session_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void session_destroy(struct session *s)
{
    if (!s)
        return;
    close_stream(s);
    share_finish(&s->share);
    sd_event_source_disable_unref(s->io);
    sd_event_source_disable_unref(s->timer);
    wyoming_reader_finish(&s->reader);
    buffer_free(&s->out);
    buffer_free(&s->said);
    close(s->fd);
    free(s);
}
