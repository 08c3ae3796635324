/* A stream's life:
 *
 *   Open ──ear_create──► opening ──ENGINE_OPENED──► open ──socket closed, client gone──► closing
 *                           │                                                              │
 *                           └──────────────────── ENGINE_CLOSED ◄──────────────────────────┘
 */
#include "daemon/streams.h"

#include "daemon/open_options.h"
#include "daemon/service.h"
#include "daemon/stream_source.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAMS_INTERFACE "org.earshot.Earshot1.Streams"
#define MANAGER_INTERFACE "org.freedesktop.DBus.ObjectManager"

enum {
    STREAM_PIECES = 32,   /* that may wait for the model: 3 s */
    STREAM_HISTORY = 100, /* completed utterances of one, at most */
};

struct stream {
    struct stream *next;
    struct assistant *assistant;
    struct ear *ear;
    char *client;               /* its unique name, owned; empty: the bus was lost since */
    char mode[CONFIG_WORD_MAX]; /* that was asked for; empty: as configured */
    DBusMessage *call;          /* Open, until it is answered */
    bool unanswered;            /* its socket cannot be handed over */
    bool followed;              /* the bus tells when it is gone */
    int socket;                 /* the client's end, until Open is answered; -1 */
};

struct streams {
    struct loop *loop;
    struct bus *bus;
    struct bus_watch watch;
    struct engine *engine;  /* NULL: no model yet */
    struct assistant *main; /* whose configuration counts */
    char model[64];
    bool can_reply;
    uint64_t last_number;
    struct stream *first;
    size_t count;
};

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void stream_destroy(struct streams *s, struct stream *stream)
{
    if (stream->followed)
        bus_unfollow(s->bus, stream->client);
    assistant_destroy(stream->assistant);
    if (stream->call)
        dbus_message_unref(stream->call);
    close_fd(stream->socket);
    free(stream->client);
    free(stream);
}

/* The client is gone: nobody wants what is left. */
static void vanished(void *user, const char *client)
{
    struct streams *s = user;
    for (struct stream *i = s->first; i; i = i->next)
        if (strcmp(i->client, client) == 0)
            ear_abort(i->ear);
}

/* Only the socket tells from now on whether the client is there; without one it never will. */
static void lost(void *user)
{
    struct streams *s = user;
    for (struct stream *i = s->first; i; i = i->next) {
        *i->client = '\0';
        if (!i->call)
            continue;
        dbus_message_unref(i->call);
        i->call = NULL;
        ear_abort(i->ear);
    }
}

int streams_create(struct streams **out, struct loop *loop, struct bus *bus, struct error *error)
{
    struct streams *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    s->loop = loop;
    s->bus = bus;
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
    while (s->first) {
        struct stream *stream = s->first;
        s->first = stream->next;
        stream_destroy(s, stream);
    }
    free(s);
}

void streams_loaded(struct streams *s, struct engine *engine, struct assistant *main,
                    const char *model, bool can_reply)
{
    s->engine = engine;
    s->main = main;
    s->can_reply = can_reply;
    snprintf(s->model, sizeof s->model, "%.63s", model);
    for (struct stream *i = s->first; i; i = i->next)
        if (!i->call)
            assistant_loaded(i->assistant, engine, model, can_reply);
}

void streams_loading(struct streams *s)
{
    for (struct stream *i = s->first; i; i = i->next)
        if (!i->call)
            assistant_loading(i->assistant);
}

static struct stream *find_stream(struct streams *s, const void *assistant)
{
    struct stream *i = s->first;
    while (i && i->assistant != assistant)
        i = i->next;
    return i;
}

static void announce(struct streams *s, const struct stream *stream, bool there)
{
    const struct interface_object *o = assistant_object(stream->assistant);
    DBusMessage *m = dbus_message_new_signal(SERVICE_PATH, MANAGER_INTERFACE,
                                             there ? "InterfacesAdded" : "InterfacesRemoved");
    DBusMessageIter out;
    if (m) {
        dbus_message_iter_init_append(m, &out);
        if (there) {
            interface_append_object(&out, o);
        } else {
            dbus_message_iter_append_basic(&out, DBUS_TYPE_OBJECT_PATH, &o->path);
            interface_append_names(&out, o);
        }
    }
    bus_send(s->bus, m);
}

/* A message has a descriptor of its own; NULL: there is none left, or no memory. */
static DBusMessage *open_reply(const struct stream *stream)
{
    DBusMessage *reply = dbus_message_new_method_return(stream->call);
    const char *path = assistant_object(stream->assistant)->path;
    if (!reply || dbus_message_append_args(reply, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_UNIX_FD,
                                           &stream->socket, DBUS_TYPE_INVALID))
        return reply;
    dbus_message_unref(reply);
    return NULL;
}

void streams_opened(struct streams *s, const struct engine_message *m)
{
    struct stream *stream = find_stream(s, m->user);
    if (!stream || !stream->call)
        return;
    DBusMessage *reply = open_reply(stream);
    if (!reply) { /* ENGINE_CLOSED follows */
        stream->unanswered = true;
        ear_abort(stream->ear);
        return;
    }
    assistant_loaded(stream->assistant, s->engine, s->model, s->can_reply);
    announce(s, stream, true);
    bus_send(s->bus, reply);
    dbus_message_unref(stream->call);
    stream->call = NULL;
    close_fd(stream->socket);
    stream->socket = -1;
}

static const char *closed_why(const struct stream *stream, const struct engine_message *m)
{
    if (stream->unanswered)
        return "no memory or descriptors for its socket";
    return m->value ? m->event.text : "the stream was closed";
}

void streams_closed(struct streams *s, const struct engine_message *m)
{
    struct stream **p = &s->first;
    while (*p && (*p)->assistant != m->user)
        p = &(*p)->next;
    struct stream *stream = *p;
    if (!stream)
        return;
    *p = stream->next;
    s->count--;
    if (stream->call)
        bus_send(s->bus, assistant_error(stream->call, "Failed", closed_why(stream, m)));
    else
        announce(s, stream, false);
    ear_destroy(stream->ear);
    stream_destroy(s, stream);
    malloc_trim(0); /* the allocator keeps what many at once have freed */
}

/* What of the configuration is not the microphone's. */
static struct config stream_config(const struct stream *stream, const struct config *config)
{
    struct config c = *config;
    c.muted = c.resume = c.keep_history = false;
    c.source[0] = '\0'; /* the socket, which nothing moves */
    c.buffer_ms = 0;
    if (c.history > STREAM_HISTORY)
        c.history = STREAM_HISTORY;
    if (*stream->mode)
        strcpy(c.mode, stream->mode);
    return c;
}

int streams_prepare(struct streams *s, const struct config *config, struct error *error)
{
    int rc = 0;
    for (struct stream *i = s->first; i && !rc; i = i->next) {
        struct config c = stream_config(i, config);
        rc = assistant_prepare(i->assistant, &c, error);
    }
    return rc;
}

void streams_configure(struct streams *s, bool count)
{
    for (struct stream *i = s->first; i; i = i->next)
        assistant_configure(i->assistant, count);
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

static int create_stream(struct streams *s, struct stream *stream, const struct open_options *o,
                         struct error *error)
{
    if (o->mode)
        snprintf(stream->mode, sizeof stream->mode, "%s", o->mode);
    struct config config = stream_config(stream, assistant_config(s->main));
    char path[64];
    snprintf(path, sizeof path, SERVICE_PATH "/stream%" PRIu64, ++s->last_number);
    struct assistant_options options = {.path = path, .config = &config};
    struct source *source;
    int rc = assistant_create(&stream->assistant, s->loop, s->bus, &options, error);
    if (!rc)
        rc = create_source(stream, o, &source, error);
    if (rc)
        return rc;
    struct ear_options ear = {
        .config = &config, .pieces = STREAM_PIECES, .user = stream->assistant};
    rc = ear_create(&stream->ear, s->engine, source, &ear, error);
    if (!rc)
        assistant_attach(stream->assistant, stream->ear);
    return rc;
}

static DBusMessage *open_stream(struct streams *s, DBusMessage *call, const struct open_options *o)
{
    struct error error = {"out of memory"};
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return assistant_error(call, "Failed", error.message);
    stream->socket = -1;
    stream->client = strdup(dbus_message_get_sender(call));
    int rc = stream->client ? create_stream(s, stream, o, &error) : -ENOMEM;
    if (rc) {
        stream_destroy(s, stream);
        return assistant_error(call, "Failed", error.message);
    }
    stream->call = dbus_message_ref(call);
    bus_follow(s->bus, stream->client);
    stream->followed = true;
    stream->next = s->first;
    s->first = stream;
    s->count++;
    return NULL;
}

static DBusMessage *call_open(void *user, DBusMessage *call)
{
    struct streams *s = user;
    struct open_options o;
    struct error error;
    DBusMessageIter args;
    if (!s->engine)
        return assistant_error(call, "NotReady", "the model is not loaded yet");
    dbus_message_iter_init(call, &args);
    if (open_options_read(&o, &args, &error))
        return assistant_error(call, "InvalidArgument", error.message);
    if (o.mode && strcmp(o.mode, "assistant") == 0 && !s->can_reply)
        return assistant_error(call, "NotSupported", "the model has no replies");
    if (s->count >= (size_t)assistant_config(s->main)->streams)
        return assistant_error(call, "Busy", "too many streams are open");
    if (!dbus_message_get_sender(call))
        return assistant_error(call, "Failed", "a stream needs a client with a name");
    return open_stream(s, call, &o);
}

static DBusMessage *call_managed(void *user, DBusMessage *call)
{
    const struct streams *s = user;
    DBusMessage *reply = dbus_message_new_method_return(call);
    if (!reply)
        return NULL;
    DBusMessageIter out, objects, entry;
    dbus_message_iter_init_append(reply, &out);
    dbus_message_iter_open_container(&out, DBUS_TYPE_ARRAY, "{oa{sa{sv}}}", &objects);
    for (const struct stream *i = s->first; i; i = i->next) {
        if (i->call)
            continue;
        dbus_message_iter_open_container(&objects, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
        interface_append_object(&entry, assistant_object(i->assistant));
        dbus_message_iter_close_container(&objects, &entry);
    }
    dbus_message_iter_close_container(&out, &objects);
    return reply;
}

static const struct interface_method streams_methods[] = {
    {"Open", {{"options", "a{sv}"}}, {{"stream", "o"}, {"socket", "h"}}, call_open},
    {NULL},
};

static const struct interface_method manager_methods[] = {
    {"GetManagedObjects", .out = {{"object_paths_interfaces_and_properties", "a{oa{sa{sv}}}"}},
     .call = call_managed},
    {NULL},
};

static const struct interface_signal manager_signals[] = {
    {"InterfacesAdded", {{"object_path", "o"}, {"interfaces_and_properties", "a{sa{sv}}"}}},
    {"InterfacesRemoved", {{"object_path", "o"}, {"interfaces", "as"}}},
    {NULL},
};

static const struct interface streams_interface = {STREAMS_INTERFACE, streams_methods, NULL, NULL};
static const struct interface manager_interface = {MANAGER_INTERFACE, manager_methods, NULL,
                                                   manager_signals};

void streams_parts(struct streams *s, struct interface_part parts[3])
{
    parts[0] = (struct interface_part){&streams_interface, s};
    parts[1] = (struct interface_part){&manager_interface, s};
    parts[2] = (struct interface_part){NULL, NULL};
}
