/* A D-Bus connection (libdbus) inside the main loop. Main thread only. */
#ifndef EARSHOT_DAEMON_BUS_H
#define EARSHOT_DAEMON_BUS_H

#include "base/error.h"
#include "daemon/loop.h"

#include <dbus/dbus.h>

struct bus;

/* An object at one path; stays the caller's. */
struct bus_object {
    const char *path;
    DBusHandlerResult (*take)(void *user, DBusMessage *m);
    void *user;
    struct bus_object *next; /* the bus's */
};

/* lost: the connection is; calls that wait for an answer will not get one, and names of clients no
 * longer mean anything. back: there is a connection again. vanished: a client that bus_follow was
 * told of is gone. signal: any that came, whoever has sent it. Each may be NULL. Stays the
 * caller's. */
struct bus_watch {
    void (*lost)(void *user);
    void (*back)(void *user);
    void (*vanished)(void *user, const char *client);
    void (*signal)(void *user, DBusMessage *m);
    void *user;
    struct bus_watch *next; /* the bus's */
};

/* where: "session", "system" or an address. Waits ten seconds at most for the bus. A connection
 * that is lost later is made again in the background, with the name and the objects, as soon as the
 * bus is back. 0 or -errno. */
int bus_create(struct bus **out, struct loop *loop, const char *where, struct error *error);
void bus_destroy(struct bus *b); /* sends what waits, for half a second at most, then closes */

/* 0, or -EEXIST when somebody else owns the name; if so later, the loop stops with status 1. */
int bus_own(struct bus *b, const char *name, struct error *error);

int bus_export(struct bus *b, struct bus_object *o); /* 0 or -ENOMEM */
void bus_unexport(struct bus *b, struct bus_object *o);
/* The names of the objects right under a path; dbus_free_string_array. NULL: none. */
char **bus_children(struct bus *b, const char *path);

void bus_watch(struct bus *b, struct bus_watch *w);
void bus_unwatch(struct bus *b, struct bus_watch *w);
/* Signals that match are wanted from now on; rule is not copied. */
void bus_match(struct bus *b, const char *rule);
/* Whether a client, by its unique name, vanishes; once more for every time it is followed. */
void bus_follow(struct bus *b, const char *client);
void bus_unfollow(struct bus *b, const char *client);

/* Sends and releases the message; NULL (out of memory) is logged. Without a connection it is
 * dropped. A bus that leaves megabytes unread and takes no byte of them for seconds is taken for
 * lost. */
void bus_send(struct bus *b, DBusMessage *message);
/* The bus reads late: what is stale by the time it is read is better not sent. */
bool bus_is_behind(const struct bus *b);
/* Megabytes wait for it: answers that are large are better refused. */
bool bus_is_full(const struct bus *b);

/* The answer to a call, which may be an error; NULL: there will be none. */
typedef void bus_answer(void *user, DBusMessage *answer);

/* Sends and releases a call; answered is called once, but not after bus_destroy. */
void bus_call(struct bus *b, DBusMessage *call, bus_answer *answered, void *user);

enum {
    BUS_EXCERPT_MAX = 60, /* characters */
    BUS_EXCERPT_BYTES = BUS_EXCERPT_MAX * 4 + 4,
};

/* What an error says of a text that somebody sent: the first characters of it, in out. */
const char *bus_excerpt(const char *text, char out[BUS_EXCERPT_BYTES]);
/* Takes an option of a call. 0, or -EINVAL with a message. */
typedef int bus_option(void *user, const char *name, DBusMessageIter *value, struct error *error);
/* Calls take with the entries of an a{sv} until one fails; what that gave, or 0. */
int bus_read_options(DBusMessageIter *array, bus_option *take, void *user, struct error *error);

/* The error; what is not UTF-8 in its text, or a control character, becomes '?'. */
DBusMessage *bus_error(DBusMessage *call, const char *name, const char *text);

/* Appends a string; what is not UTF-8 in it becomes '?'. */
void bus_append_text(DBusMessageIter *out, const char *text);

#endif
