/* The daemon's Streams interface, for a bridge. A stream's life:
 *
 *     (StartServiceByName) ─► Open ─► AddMatch ─► open ─► stream_end ─► InterfacesRemoved ─► over
 *                              ▲  │ NotReady
 *                              └──┘
 *
 * No audio is sent before the bus has the match, so that no text can pass unseen.
 */
#include "bridges/streams.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define EAR_NAME "org.earshot.Earshot1"
#define EAR_PATH "/org/earshot/Earshot1"
#define EAR_ERROR EAR_NAME ".Error."
#define COMPLETED "UtteranceCompleted"
#define BUS_NAME "org.freedesktop.DBus"

enum {
    CALL_US = 25000000,
    LOADING_US = 30000000, /* a model is waited for */
    AGAIN_US = 250000,     /* and asked for so often */
    END_US = 60000000,     /* for the last texts after stream_end */
    OWNER_BYTES = 256,
    NAME_BYTES = 128, /* as long as the daemon takes */
};

struct streams {
    sd_event *event;
    sd_bus *bus;
    sd_bus_slot *owner_slot, *removed_slot;
    char owner[OWNER_BYTES]; /* of the daemon's name; empty: nobody */
    struct stream *first;
};

struct stream {
    struct stream *next;
    struct streams *streams;
    const struct stream_events *events;
    void *user;
    uint32_t rate_hz, channels;
    char name[NAME_BYTES]; /* empty: none */
    uint64_t position;     /* frames */
    char owner[OWNER_BYTES];
    char path[128];
    sd_bus_slot *call, *match;
    sd_event_source *io, *timer;
    uint64_t patience_us; /* CLOCK_MONOTONIC, until when a model that loads is waited for */
    int fd;               /* -1: none yet */
    bool open, ended;
};

static int open_again(struct stream *s);

static void over(struct stream *s, const char *code, const char *why)
{
    s->events->over(s->user, code, why);
}

static void failed(struct stream *s, const char *code, int rc)
{
    over(s, code, strerror(-rc));
}

static bool is_from(sd_bus_message *m, const char *owner)
{
    const char *sender = sd_bus_message_get_sender(m);
    return sender && *owner && strcmp(sender, owner) == 0;
}

/* Whoever had the name has it no longer: its streams are gone. */
static void end_all_of(struct streams *s, const char *owner)
{
    for (struct stream *i = s->first, *next; i; i = next) {
        next = i->next;
        if (*owner && strcmp(i->owner, owner) == 0)
            over(i, "daemon-gone", "earshotd has ended; try again once it is back");
    }
}

static int on_owner(sd_bus_message *m, void *user, sd_bus_error *e)
{
    (void)e;
    struct streams *s = user;
    const char *name, *old, *new;
    char before[OWNER_BYTES];
    if (!is_from(m, BUS_NAME) || sd_bus_message_read(m, "sss", &name, &old, &new) < 0 ||
        strcmp(name, EAR_NAME) != 0)
        return 0;
    memcpy(before, s->owner, sizeof before);
    snprintf(s->owner, sizeof s->owner, "%s", new);
    log_info(*new ? "earshotd is there" : "earshotd is gone");
    end_all_of(s, before);
    return 0;
}

static int on_removed(sd_bus_message *m, void *user, sd_bus_error *e)
{
    (void)e;
    struct streams *s = user;
    const char *path;
    if (!is_from(m, s->owner) || sd_bus_message_read_basic(m, 'o', &path) < 0)
        return 0;
    struct stream *i = s->first;
    while (i && (strcmp(i->path, path) != 0 || !is_from(m, i->owner)))
        i = i->next;
    if (i && i->ended)
        over(i, NULL, NULL);
    else if (i)
        over(i, "daemon-gone", "earshotd has closed the stream");
    return 0;
}

static int open_bus(sd_bus **bus, const char *where)
{
    if (strcmp(where, "session") == 0)
        return sd_bus_open_user(bus);
    if (strcmp(where, "system") == 0)
        return sd_bus_open_system(bus);
    int rc = sd_bus_new(bus);
    if (rc >= 0)
        rc = sd_bus_set_address(*bus, where);
    if (rc >= 0)
        rc = sd_bus_set_bus_client(*bus, 1);
    return rc < 0 ? rc : sd_bus_start(*bus);
}

/* Who has the name now; later changes are told by on_owner. */
static int find_owner(struct streams *s)
{
    sd_bus_message *reply = NULL;
    const char *owner;
    int rc = sd_bus_call_method(s->bus, BUS_NAME, "/org/freedesktop/DBus", BUS_NAME, "GetNameOwner",
                                NULL, &reply, "s", EAR_NAME);
    if (rc >= 0 && is_from(reply, BUS_NAME) && sd_bus_message_read_basic(reply, 's', &owner) > 0)
        snprintf(s->owner, sizeof s->owner, "%s", owner);
    sd_bus_message_unref(reply);
    return rc == -ENXIO || rc >= 0 ? 0 : rc;
}

static int attach(struct streams *s, const char *where)
{
    int rc = open_bus(&s->bus, where);
    if (rc >= 0)
        rc = sd_bus_set_exit_on_disconnect(s->bus, 1);
    if (rc >= 0)
        rc = sd_bus_add_match(s->bus, &s->owner_slot,
                              "type='signal',sender='" BUS_NAME "',interface='" BUS_NAME
                              "',member='NameOwnerChanged',arg0='" EAR_NAME "'",
                              on_owner, s);
    if (rc >= 0)
        rc = sd_bus_add_match(s->bus, &s->removed_slot,
                              "type='signal',sender='" EAR_NAME "',path='" EAR_PATH
                              "',interface='" BUS_NAME ".ObjectManager'"
                              ",member='InterfacesRemoved'",
                              on_removed, s);
    if (rc >= 0)
        rc = find_owner(s);
    return rc < 0 ? rc : sd_bus_attach_event(s->bus, s->event, SD_EVENT_PRIORITY_NORMAL);
}

int streams_create(struct streams **out, sd_event *event, const char *bus, struct error *error)
{
    struct streams *s = calloc(1, sizeof(struct streams));
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    s->event = sd_event_ref(event);
    int rc = attach(s, bus);
    if (rc < 0) {
        streams_destroy(s);
        return error_set(error, rc, "the bus \"%s\": %s", bus, strerror(-rc));
    }
    *out = s;
    return 0;
}

void streams_destroy(struct streams *s)
{
    if (!s)
        return;
    while (s->first)
        stream_close(s->first);
    sd_bus_slot_unref(s->owner_slot);
    sd_bus_slot_unref(s->removed_slot);
    sd_bus_flush_close_unref(s->bus);
    sd_event_unref(s->event);
    free(s);
}

sd_bus *streams_bus(const struct streams *s)
{
    return s->bus;
}

const char *streams_owner(const struct streams *s)
{
    return s->owner;
}

static int on_room(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)fd;
    struct stream *s = user;
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    if (!(events & EPOLLHUP)) /* or the bus tells why */
        s->events->ready(s->user);
    return 0;
}

static int on_matched(sd_bus_message *m, void *user, sd_bus_error *e)
{
    (void)e;
    struct stream *s = user;
    if (sd_bus_message_is_method_error(m, NULL)) {
        over(s, "bus", sd_bus_message_get_error(m)->message);
        return 0;
    }
    s->open = true;
    s->events->ready(s->user);
    return 0;
}

static void tell_text(struct stream *s, sd_bus_message *m)
{
    uint64_t id;
    const char *text;
    if (sd_bus_message_read(m, "ts", &id, &text) >= 0 && *text)
        s->events->text(s->user, text);
}

static int on_signal(sd_bus_message *m, void *user, sd_bus_error *e)
{
    (void)e;
    struct stream *s = user;
    const char *member = sd_bus_message_get_member(m);
    if (!is_from(m, s->owner))
        return 0;
    if (s->events->signal)
        s->events->signal(s->user, member, m);
    else if (strcmp(member, COMPLETED) == 0)
        tell_text(s, m);
    return 0;
}

static int take_stream(struct stream *s, sd_bus_message *m)
{
    const char *path;
    char rule[512];
    int fd;
    int rc = sd_bus_message_read(m, "oh", &path, &fd);
    if (rc < 0)
        return rc;
    s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message's goes with it */
    if (s->fd < 0)
        return -errno;
    snprintf(s->path, sizeof s->path, "%s", path);
    rc = sd_event_add_io(s->streams->event, &s->io, s->fd, EPOLLOUT, on_room, s);
    if (rc >= 0)
        rc = sd_event_source_set_enabled(s->io, SD_EVENT_OFF);
    snprintf(rule, sizeof rule,
             "type='signal',sender='%s',path='%s',interface='" EAR_NAME ".Assistant'%s", s->owner,
             s->path, s->events->signal ? "" : ",member='" COMPLETED "'");
    if (rc >= 0)
        rc = sd_bus_add_match_async(s->streams->bus, &s->match, rule, on_signal, on_matched, s);
    return rc;
}

static int on_again(sd_event_source *source, uint64_t us, void *user)
{
    (void)source;
    (void)us;
    struct stream *s = user;
    int rc = open_again(s);
    if (rc < 0)
        failed(s, "bus", rc);
    return 0;
}

static int on_late(sd_event_source *source, uint64_t us, void *user)
{
    (void)source;
    (void)us;
    over(user, "timeout", "earshotd has not told the end of the stream in time");
    return 0;
}

static int wake_after(struct stream *s, uint64_t us, sd_event_time_handler_t function)
{
    s->timer = sd_event_source_disable_unref(s->timer);
    return sd_event_add_time_relative(s->streams->event, &s->timer, CLOCK_MONOTONIC, us, 0,
                                      function, s);
}

static void refused(struct stream *s, const sd_bus_error *e)
{
    uint64_t now_us;
    sd_event_now(s->streams->event, CLOCK_MONOTONIC, &now_us);
    if (sd_bus_error_has_name(e, EAR_ERROR "NotReady") && now_us < s->patience_us &&
        wake_after(s, AGAIN_US, on_again) >= 0)
        return;
    if (sd_bus_error_has_name(e, EAR_ERROR "Busy"))
        over(s, "busy", "earshotd has as many streams as it may ([streams] max)");
    else if (sd_bus_error_has_name(e, EAR_ERROR "NotReady"))
        over(s, "not-ready", "earshotd has no model yet");
    else
        over(s, "daemon", e->message ? e->message : e->name);
}

static int on_opened(sd_bus_message *m, void *user, sd_bus_error *e)
{
    (void)e;
    struct stream *s = user;
    if (sd_bus_message_is_method_error(m, NULL)) {
        refused(s, sd_bus_message_get_error(m));
        return 0;
    }
    if (!is_from(m, s->owner)) {
        over(s, "bus", "another than earshotd has answered");
        return 0;
    }
    int rc = take_stream(s, m);
    if (rc < 0)
        failed(s, "daemon", rc);
    return 0;
}

static int on_started(sd_bus_message *m, void *user, sd_bus_error *e)
{
    (void)e;
    struct stream *s = user;
    int rc = 0;
    if (sd_bus_message_is_method_error(m, NULL) || !*s->streams->owner)
        over(s, "no-daemon", "earshotd does not run; start it");
    else
        rc = open_again(s);
    if (rc < 0)
        failed(s, "bus", rc);
    return 0;
}

static int append_option(sd_bus_message *m, const char *name, const char *type, const void *value)
{
    int rc = sd_bus_message_open_container(m, 'e', "sv");
    if (rc >= 0)
        rc = sd_bus_message_append_basic(m, 's', name);
    if (rc >= 0)
        rc = sd_bus_message_open_container(m, 'v', type);
    if (rc >= 0)
        rc = sd_bus_message_append_basic(m, *type, value);
    if (rc >= 0)
        rc = sd_bus_message_close_container(m);
    return rc < 0 ? rc : sd_bus_message_close_container(m);
}

static int append_options(sd_bus_message *m, const struct stream *s)
{
    int rc = sd_bus_message_open_container(m, 'a', "{sv}");
    if (rc >= 0)
        rc = append_option(m, "codec", "s", "s16");
    if (rc >= 0)
        rc = append_option(m, "mode", "s", "captions");
    if (rc >= 0)
        rc = append_option(m, "rate", "u", &s->rate_hz);
    if (rc >= 0)
        rc = append_option(m, "channels", "u", &s->channels);
    if (rc >= 0 && *s->name)
        rc = append_option(m, "name", "s", s->name);
    return rc < 0 ? rc : sd_bus_message_close_container(m);
}

static int call_open(struct stream *s)
{
    sd_bus_message *m = NULL;
    memcpy(s->owner, s->streams->owner, sizeof s->owner);
    int rc = sd_bus_message_new_method_call(s->streams->bus, &m, s->owner, EAR_PATH,
                                            EAR_NAME ".Streams", "Open");
    if (rc >= 0)
        rc = append_options(m, s);
    if (rc >= 0)
        rc = sd_bus_call_async(s->streams->bus, &s->call, m, on_opened, s, CALL_US);
    sd_bus_message_unref(m);
    return rc;
}

/* Asks for the stream, or first for a daemon. */
static int open_again(struct stream *s)
{
    s->call = sd_bus_slot_unref(s->call);
    if (*s->streams->owner)
        return call_open(s);
    return sd_bus_call_method_async(s->streams->bus, &s->call, BUS_NAME, "/org/freedesktop/DBus",
                                    BUS_NAME, "StartServiceByName", on_started, s, "su", EAR_NAME,
                                    0u);
}

int stream_open(struct stream **out, struct streams *streams, uint32_t rate_hz, uint32_t channels,
                const char *name, const struct stream_events *events, void *user)
{
    struct stream *s = calloc(1, sizeof(struct stream));
    if (!s)
        return -ENOMEM;
    *s = (struct stream){.next = streams->first,
                         .streams = streams,
                         .events = events,
                         .user = user,
                         .rate_hz = rate_hz,
                         .channels = channels,
                         .fd = -1};
    snprintf(s->name, sizeof s->name, "%s", name ? name : "");
    streams->first = s;
    sd_event_now(streams->event, CLOCK_MONOTONIC, &s->patience_us);
    s->patience_us += LOADING_US;
    int rc = open_again(s);
    if (rc < 0) {
        stream_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

int stream_send(struct stream *s, const void *samples, size_t frames)
{
    struct iovec parts[] = {
        {&s->position, sizeof s->position},
        {(void *)(uintptr_t)samples, frames * s->channels * sizeof(int16_t)},
    };
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = 2};
    if (!s->open)
        return 0;
    if (sendmsg(s->fd, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        s->position += frames;
        return 1;
    }
    if (errno != EAGAIN && errno != EINTR)
        return -errno;
    int rc = sd_event_source_set_enabled(s->io, SD_EVENT_ON);
    return rc < 0 ? rc : 0;
}

void stream_skip(struct stream *s, uint64_t frames)
{
    s->position += frames;
}

void stream_wait(struct stream *s)
{
    int rc = sd_event_source_set_enabled(s->io, SD_EVENT_ON);
    if (rc < 0)
        log_warning("a stream waits for nothing: %s", strerror(-rc));
}

void stream_end(struct stream *s)
{
    s->ended = true;
    shutdown(s->fd, SHUT_WR);
    int rc = wake_after(s, END_US, on_late);
    if (rc < 0)
        log_warning("a stream's end has no limit: %s", strerror(-rc));
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    struct stream **p = &s->streams->first;
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    sd_bus_slot_unref(s->call);
    sd_bus_slot_unref(s->match);
    sd_event_source_disable_unref(s->io);
    sd_event_source_disable_unref(s->timer);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}
