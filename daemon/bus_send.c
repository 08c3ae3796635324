/* What the daemon sends: answers, signals and calls of its own, and how much of it the bus has not
 * taken yet. Whoever is followed is asked for, too. */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/bus_private.h"

#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum {
    BEHIND_BYTES = 256 << 10, /* that wait for the bus to read them: nothing is up to date then */
    UNREAD_BYTES = 4 << 20,   /* so many that no more should come, */
    STILL_MS = 5000,          /* and the bus is dead when it takes none of them for so long */
    GHOSTS = 6,               /* the name may be the lost connection's for half a minute */
    NAME_BYTES = DBUS_MAXIMUM_NAME_LENGTH + 1,
};

static dbus_int32_t taken_slot = -1, owed_slot = -1; /* libdbus's; of the messages that are sent */

bool bus_begin_sending(void)
{
    return dbus_message_allocate_data_slot(&taken_slot) &&
           dbus_message_allocate_data_slot(&owed_slot);
}

void bus_end_sending(void)
{
    dbus_message_free_data_slot(&taken_slot);
    dbus_message_free_data_slot(&owed_slot);
}

DBusMessage *bus_new_call(const char *member)
{
    return dbus_message_new_method_call(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS,
                                        member);
}

void bus_tell_vanished(struct bus *b, const char *client)
{
    for (struct bus_watch *w = b->watches; w; w = w->next)
        if (w->vanished)
            w->vanished(w->user, client);
}

static void owner_rule(char rule[320], const char *client)
{
    snprintf(rule, 320,
             "type='signal',sender='" DBUS_SERVICE_DBUS "',interface='" DBUS_INTERFACE_DBUS
             "',member='NameOwnerChanged',arg0='%.200s'",
             client);
}

/* Releases the call; NULL: it is not under way. */
static DBusPendingCall *send_call(struct bus *b, DBusMessage *call)
{
    DBusPendingCall *pending = NULL;
    if (call && b->joined)
        dbus_connection_send_with_reply(b->connection, call, &pending, DBUS_TIMEOUT_USE_DEFAULT);
    if (call)
        dbus_message_unref(call);
    return pending;
}

struct asked {
    struct bus *bus;
    char client[NAME_BYTES];
};

static void client_answered(DBusPendingCall *pending, void *user)
{
    const struct asked *a = user;
    DBusMessage *answer = dbus_pending_call_steal_reply(pending);
    if (answer && dbus_message_is_error(answer, DBUS_ERROR_NAME_HAS_NO_OWNER))
        bus_tell_vanished(a->bus, a->client);
    if (answer)
        dbus_message_unref(answer);
}

/* Whoever is gone before the rule counts is told of by nobody. */
static void ask_whether_there(struct bus *b, const char *client)
{
    DBusMessage *call = bus_new_call("GetNameOwner");
    if (call)
        dbus_message_append_args(call, DBUS_TYPE_STRING, &client, DBUS_TYPE_INVALID);
    DBusPendingCall *pending = send_call(b, call);
    struct asked *a = pending ? malloc(sizeof *a) : NULL;
    if (a) {
        a->bus = b;
        snprintf(a->client, sizeof a->client, "%s", client);
    }
    if (a && !dbus_pending_call_set_notify(pending, client_answered, a, free))
        free(a);
    if (pending)
        dbus_pending_call_unref(pending);
}

void bus_follow(struct bus *b, const char *client)
{
    char rule[320];
    owner_rule(rule, client);
    if (!b->joined)
        return;
    dbus_bus_add_match(b->connection, rule, NULL);
    ask_whether_there(b, client);
}

void bus_unfollow(struct bus *b, const char *client)
{
    char rule[320];
    owner_rule(rule, client);
    if (b->joined)
        dbus_bus_remove_match(b->connection, rule, NULL);
}

static bool has_unread(const struct bus *b, long bytes)
{
    return b->joined && dbus_connection_get_outgoing_size(b->connection) > bytes;
}

bool bus_is_behind(const struct bus *b)
{
    return has_unread(b, BEHIND_BYTES);
}

bool bus_is_full(const struct bus *b)
{
    return has_unread(b, UNREAD_BYTES);
}

static void was_taken(void *bus)
{
    struct bus *b = bus;
    b->taken_us = clock_monotonic_us();
}

static void was_settled(void *client)
{
    asking_settle(client);
}

/* libdbus lets a message go when the bus has taken the whole of it. */
static bool send_message(struct bus *b, DBusMessage *message)
{
    const char *to = dbus_message_get_destination(message);
    bool answers = to && dbus_message_get_reply_serial(message) != 0;
    return dbus_message_set_data(message, taken_slot, b, was_taken) &&
           (!answers ||
            dbus_message_set_data(message, owed_slot, asking_owe(&b->asking, to), was_settled)) &&
           dbus_connection_send(b->connection, message, NULL);
}

/* Whether the bus has taken some of a message since it was last looked, or would now: libdbus
 * writes whenever it is given something. What stood still may have been we. */
static bool takes_bytes(struct bus *b)
{
    struct pollfd p = {.events = POLLOUT};
    int unread = 0;
    if (!dbus_connection_get_unix_fd(b->connection, &p.fd))
        return false;
    bool moved = ioctl(p.fd, SIOCOUTQ, &unread) == 0 && unread != b->unread;
    b->unread = unread;
    return moved || poll(&p, 1, 0) > 0;
}

/* Large answers fill it while the bus reads well: only one that takes nothing is dead. */
static bool is_dead(struct bus *b)
{
    int64_t now_us = clock_monotonic_us();
    if (!bus_is_full(b) || takes_bytes(b))
        b->taken_us = now_us;
    return now_us - b->taken_us > STILL_MS * 1000;
}

void bus_send(struct bus *b, DBusMessage *message)
{
    if (!b->lost && is_dead(b)) {
        log_warning("the bus (%s) reads nothing", b->where);
        b->lost = true;
        b->ghosts = GHOSTS;
    }
    bool sends = b->joined && !b->lost;
    if (!message || (sends && !send_message(b, message)))
        log_error("out of memory: a D-Bus message was not sent");
    if (message)
        dbus_message_unref(message);
}

struct waiting {
    bus_answer *answered;
    void *user;
};

static void answer_came(DBusPendingCall *pending, void *user)
{
    const struct waiting *w = user;
    DBusMessage *answer = dbus_pending_call_steal_reply(pending);
    w->answered(w->user, answer);
    if (answer)
        dbus_message_unref(answer);
}

void bus_call(struct bus *b, DBusMessage *call, bus_answer *answered, void *user)
{
    DBusPendingCall *pending = send_call(b, call);
    struct waiting *w = pending ? malloc(sizeof *w) : NULL;
    bool waits = false;
    if (w) {
        *w = (struct waiting){answered, user};
        waits = dbus_pending_call_set_notify(pending, answer_came, w, free);
    }
    if (!waits) {
        if (pending)
            dbus_pending_call_cancel(pending);
        free(w);
        answered(user, NULL);
    }
    if (pending)
        dbus_pending_call_unref(pending);
}
