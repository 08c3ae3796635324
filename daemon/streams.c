/* A stream is a further ear that Open begins, and that ends when its socket is closed or its client
 * is gone. */
#include "daemon/streams.h"

#include "daemon/mode.h"
#include "daemon/open_options.h"
#include "daemon/service.h"
#include "daemon/stream_source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAMS_INTERFACE "org.earshot.Earshot1.Streams"

enum {
    STREAM_PIECES = 32,   /* that may wait for the model: 3 s */
    STREAM_HISTORY = 100, /* completed utterances of one, at most */
};

struct stream {
    struct further_ear ear;     /* its call is Open */
    char *client;               /* its unique name, owned; empty: the bus was lost since */
    char mode[CONFIG_WORD_MAX]; /* that was asked for; empty: as configured */
    bool unanswered;            /* its socket cannot be handed over */
    bool followed;              /* the bus tells when it is gone */
    int socket;                 /* the client's end, until Open is answered; -1 */
};

struct streams {
    struct bus *bus;
    struct bus_watch watch;
    struct further *further;
    struct further_kind kind;
    struct assistant *const *main; /* whose configuration counts; none yet when it is created */
    uint64_t last_number;
};

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static struct stream *stream_of(const struct further_ear *ear)
{
    return (struct stream *)ear;
}

static void stream_destroy(struct further_ear *ear)
{
    struct stream *stream = stream_of(ear);
    struct streams *s = ear->kind->user;
    if (stream->followed)
        bus_unfollow(s->bus, stream->client);
    close_fd(stream->socket);
    free(stream->client);
    free(stream);
}

/* The client is gone: nobody wants what is left. */
static void vanished(void *user, const char *client)
{
    struct streams *s = user;
    for (struct further_ear *i = s->kind.ears; i; i = i->next)
        if (strcmp(stream_of(i)->client, client) == 0)
            ear_abort(i->ear);
}

/* Only the socket tells from now on whether the client is there; without one it never will. */
static void lost(void *user)
{
    struct streams *s = user;
    for (struct further_ear *i = s->kind.ears; i; i = i->next) {
        *stream_of(i)->client = '\0';
        if (!i->call)
            continue;
        dbus_message_unref(i->call);
        i->call = NULL;
        ear_abort(i->ear);
    }
}

/* A message has a descriptor of its own; NULL: there is none left, or no memory. */
static DBusMessage *open_reply(struct further_ear *ear)
{
    struct stream *stream = stream_of(ear);
    DBusMessage *reply = dbus_message_new_method_return(ear->call);
    const char *path = assistant_object(ear->assistant)->path;
    stream->unanswered =
        !reply || !dbus_message_append_args(reply, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_UNIX_FD,
                                            &stream->socket, DBUS_TYPE_INVALID);
    if (stream->unanswered) {
        if (reply)
            dbus_message_unref(reply);
        return NULL;
    }
    close_fd(stream->socket);
    stream->socket = -1;
    return reply;
}

static const char *closed_why(const struct further_ear *ear, const struct engine_message *m)
{
    if (stream_of(ear)->unanswered)
        return "no memory or descriptors for its socket";
    return m->value ? m->event.text : "the stream was closed";
}

/* What of the configuration is not the microphone's. */
static void stream_config(const struct further_ear *ear, const struct config *config,
                          struct config *out)
{
    const struct stream *stream = stream_of(ear);
    *out = *config;
    out->muted = out->resume = out->keep_history = false;
    out->source[0] = '\0'; /* the socket, which nothing moves */
    out->buffer_ms = 0;
    if (out->history > STREAM_HISTORY)
        out->history = STREAM_HISTORY;
    if (*stream->mode)
        strcpy(out->mode, stream->mode);
}

int streams_create(struct streams **out, struct bus *bus, struct further *further,
                   struct assistant *const *main, struct error *error)
{
    struct streams *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    s->bus = bus;
    s->further = further;
    s->main = main;
    s->kind = (struct further_kind){.user = s,
                                    .configure = stream_config,
                                    .answer = open_reply,
                                    .why = closed_why,
                                    .destroy = stream_destroy};
    further_add_kind(further, &s->kind);
    s->watch = (struct bus_watch){.lost = lost, .vanished = vanished, .user = s};
    bus_watch(bus, &s->watch);
    *out = s;
    return 0;
}

void streams_destroy(struct streams *s)
{
    if (!s)
        return;
    bus_unwatch(s->bus, &s->watch);
    free(s);
}

/* Both ends: ours becomes the source. */
static int create_source(struct stream *stream, const struct open_options *o, struct source **out,
                         struct error *error)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return error_set(error, -errno, "a socket: %s", strerror(errno));
    stream->socket = ends[1];
    return stream_source_create(out, ends[0], &o->format, o->name, error);
}

static int begin_stream(struct streams *s, struct stream *stream, const struct open_options *o,
                        struct error *error)
{
    struct source *source;
    char path[64];
    if (o->mode)
        snprintf(stream->mode, sizeof stream->mode, "%s", o->mode);
    int rc = create_source(stream, o, &source, error);
    if (rc)
        return rc;
    snprintf(path, sizeof path, SERVICE_PATH "/stream%" PRIu64, ++s->last_number);
    struct assistant_options options = {.path = path};
    struct ear_options ear = {.pieces = STREAM_PIECES};
    return further_begin(s->further, &stream->ear, assistant_config(*s->main), &options, source,
                         &ear, error);
}

static DBusMessage *open_stream(struct streams *s, DBusMessage *call, const struct open_options *o)
{
    struct error error = {"out of memory"};
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return assistant_error(call, "Failed", error.message);
    stream->ear.kind = &s->kind;
    stream->socket = -1;
    stream->client = strdup(dbus_message_get_sender(call));
    int rc = stream->client ? begin_stream(s, stream, o, &error) : -ENOMEM;
    if (rc) {
        further_finish(&stream->ear);
        return assistant_error(call, "Failed", error.message);
    }
    stream->ear.call = dbus_message_ref(call);
    bus_follow(s->bus, stream->client);
    stream->followed = true;
    return NULL;
}

static DBusMessage *call_open(void *user, DBusMessage *call)
{
    struct streams *s = user;
    struct open_options o;
    struct error error;
    DBusMessageIter args;
    if (!further_is_loaded(s->further))
        return assistant_error(call, "NotReady", "the model is not loaded yet");
    dbus_message_iter_init(call, &args);
    if (open_options_read(&o, &args, &error))
        return assistant_error(call, "InvalidArgument", error.message);
    if (o.mode && mode_replies(o.mode) && !further_can_reply(s->further))
        return assistant_error(call, "NotSupported", "the model has no replies");
    if (s->kind.count >= (size_t)assistant_config(*s->main)->streams)
        return assistant_error(call, "Busy", "too many streams are open");
    if (!dbus_message_get_sender(call))
        return assistant_error(call, "Failed", "a stream needs a client with a name");
    return open_stream(s, call, &o);
}

static const struct interface_method streams_methods[] = {
    {"Open", {{"options", "a{sv}"}}, {{"stream", "o"}, {"socket", "h"}}, call_open},
    {NULL},
};

static const struct interface streams_interface = {STREAMS_INTERFACE, streams_methods, NULL, NULL};

struct interface_part streams_part(struct streams *s)
{
    return (struct interface_part){&streams_interface, s};
}
