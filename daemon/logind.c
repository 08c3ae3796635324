/* PrepareForSleep, LockedHint and the delay inhibitor, asked of whoever owns
 * org.freedesktop.login1. */
#include "daemon/logind.h"

#include "base/log.h"
#include "daemon/bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#define SERVICE "org.freedesktop.login1"
#define MANAGER SERVICE ".Manager"
#define SESSION SERVICE ".Session"
#define MANAGER_PATH "/org/freedesktop/login1"
#define SESSIONS MANAGER_PATH "/session"
#define HINT "LockedHint"

enum {
    NAME_BYTES = DBUS_MAXIMUM_NAME_LENGTH + 1,
};

struct logind {
    struct bus *bus;
    struct bus_watch watch;
    struct logind_listener listener;
    char owner[NAME_BYTES]; /* who logind is on this bus; empty: nobody */
    bool hinted;            /* our session says that it is locked, */
    bool requested;         /* or it was asked to lock and has not said so */
    bool delays;            /* sleep is to wait */
    bool asked;             /* and logind has not answered yet */
    int inhibitor;          /* until this is closed; -1: it does not */
};

/* A session that nobody knows counts as ours. */
static bool is_ours(const char *path)
{
    char *id = NULL;
    uid_t uid;
    if (!path || sd_bus_path_decode(path, SESSIONS, &id) <= 0)
        return false;
    bool known = sd_session_get_uid(id, &uid) >= 0;
    free(id);
    return !known || uid == getuid();
}

static void tell_locked(const struct logind *l)
{
    l->listener.locked(l->listener.user, l->hinted || l->requested);
}

/* What the lock screens of GNOME and KDE say of themselves; it answers any request. */
static void take_hint(struct logind *l, bool locked)
{
    l->hinted = locked;
    if (locked)
        l->requested = false;
    tell_locked(l);
}

/* Lock and Unlock only ask for it; but other lock screens say nothing. */
static void take_request(struct logind *l, bool lock)
{
    l->requested = lock && !l->hinted;
    tell_locked(l);
}

static void take_variant(struct logind *l, DBusMessageIter *variant)
{
    DBusMessageIter value;
    dbus_bool_t locked;
    if (dbus_message_iter_get_arg_type(variant) != DBUS_TYPE_VARIANT)
        return;
    dbus_message_iter_recurse(variant, &value);
    if (dbus_message_iter_get_arg_type(&value) != DBUS_TYPE_BOOLEAN)
        return;
    dbus_message_iter_get_basic(&value, &locked);
    take_hint(l, locked);
}

static void take_properties(struct logind *l, DBusMessage *m)
{
    DBusMessageIter args, changed, entry;
    if (!dbus_message_has_signature(m, "sa{sv}as"))
        return;
    dbus_message_iter_init(m, &args);
    dbus_message_iter_next(&args);
    dbus_message_iter_recurse(&args, &changed);
    for (; dbus_message_iter_get_arg_type(&changed) == DBUS_TYPE_DICT_ENTRY;
         dbus_message_iter_next(&changed)) {
        const char *name;
        dbus_message_iter_recurse(&changed, &entry);
        dbus_message_iter_get_basic(&entry, &name);
        dbus_message_iter_next(&entry);
        if (strcmp(name, HINT) == 0)
            take_variant(l, &entry);
    }
}

/* Without a session of ours there is an error, and nothing changes. */
static void take_hint_answer(void *user, DBusMessage *answer)
{
    DBusMessageIter args;
    if (answer && dbus_message_get_type(answer) == DBUS_MESSAGE_TYPE_METHOD_RETURN &&
        dbus_message_iter_init(answer, &args))
        take_variant(user, &args);
}

/* Whoever runs as a user's service is in no session; logind then tells of the one on its screen. */
static void ask_hint(struct logind *l)
{
    const char *interface = SESSION, *name = HINT;
    DBusMessage *call =
        dbus_message_new_method_call(SERVICE, SESSIONS "/auto", DBUS_INTERFACE_PROPERTIES, "Get");
    if (call)
        dbus_message_append_args(call, DBUS_TYPE_STRING, &interface, DBUS_TYPE_STRING, &name,
                                 DBUS_TYPE_INVALID);
    bus_call(l->bus, call, take_hint_answer, l);
}

/* Another one than before may know what we have not heard. */
static void set_owner(struct logind *l, const char *owner)
{
    snprintf(l->owner, sizeof l->owner, "%s", owner);
    if (*owner)
        ask_hint(l);
}

static void take_owner(void *user, DBusMessage *answer)
{
    const char *owner;
    if (answer && dbus_message_get_type(answer) == DBUS_MESSAGE_TYPE_METHOD_RETURN &&
        dbus_message_get_args(answer, NULL, DBUS_TYPE_STRING, &owner, DBUS_TYPE_INVALID))
        set_owner(user, owner);
}

/* On every connection: names of an earlier one mean nothing. */
static void ask_owner(void *user)
{
    struct logind *l = user;
    const char *name = SERVICE;
    set_owner(l, "");
    DBusMessage *call = dbus_message_new_method_call(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS,
                                                     DBUS_INTERFACE_DBUS, "GetNameOwner");
    if (call)
        dbus_message_append_args(call, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID);
    bus_call(l->bus, call, take_owner, l);
}

static void take_new_owner(struct logind *l, DBusMessage *m)
{
    const char *name, *before, *now;
    if (dbus_message_get_args(m, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &before,
                              DBUS_TYPE_STRING, &now, DBUS_TYPE_INVALID) &&
        strcmp(name, SERVICE) == 0)
        set_owner(l, now);
}

static void take_word(struct logind *l, DBusMessage *m)
{
    const struct logind_listener *to = &l->listener;
    dbus_bool_t asleep;
    if (dbus_message_is_signal(m, MANAGER, "PrepareForSleep") &&
        dbus_message_get_args(m, NULL, DBUS_TYPE_BOOLEAN, &asleep, DBUS_TYPE_INVALID))
        to->sleeping(to->user, asleep);
    if (dbus_message_is_signal(m, MANAGER, "SessionNew"))
        ask_hint(l); /* the one before may have ended locked */
    if (!is_ours(dbus_message_get_path(m)))
        return;
    bool lock = dbus_message_is_signal(m, SESSION, "Lock");
    if (lock || dbus_message_is_signal(m, SESSION, "Unlock"))
        take_request(l, lock);
    else if (dbus_message_is_signal(m, DBUS_INTERFACE_PROPERTIES, "PropertiesChanged"))
        take_properties(l, m);
}

/* Anybody on the system bus may send us a signal that is called like one of logind. */
static void take_signal(void *user, DBusMessage *m)
{
    struct logind *l = user;
    if (dbus_message_has_sender(m, DBUS_SERVICE_DBUS) &&
        dbus_message_is_signal(m, DBUS_INTERFACE_DBUS, "NameOwnerChanged"))
        take_new_owner(l, m);
    else if (*l->owner && dbus_message_has_sender(m, l->owner))
        take_word(l, m);
}

static void let_sleep(struct logind *l)
{
    if (l->inhibitor >= 0)
        close(l->inhibitor);
    l->inhibitor = -1;
}

static void take_inhibitor(void *user, DBusMessage *answer)
{
    struct logind *l = user;
    int fd;
    l->asked = false;
    if (!answer || dbus_message_get_type(answer) == DBUS_MESSAGE_TYPE_ERROR ||
        !dbus_message_get_args(answer, NULL, DBUS_TYPE_UNIX_FD, &fd, DBUS_TYPE_INVALID)) {
        log_debug("sleep will not wait for what is being said");
        return;
    }
    let_sleep(l);
    l->inhibitor = fd;
    if (!l->delays)
        let_sleep(l);
}

void logind_delay_sleep(struct logind *l, bool delay)
{
    if (!l || l->delays == delay)
        return;
    l->delays = delay;
    if (!delay) {
        let_sleep(l);
        return;
    }
    if (l->asked)
        return;
    static const char *const words[] = {"sleep", "Earshot", "what is being said becomes text",
                                        "delay"};
    DBusMessage *call = dbus_message_new_method_call(SERVICE, MANAGER_PATH, MANAGER, "Inhibit");
    if (call)
        dbus_message_append_args(call, DBUS_TYPE_STRING, &words[0], DBUS_TYPE_STRING, &words[1],
                                 DBUS_TYPE_STRING, &words[2], DBUS_TYPE_STRING, &words[3],
                                 DBUS_TYPE_INVALID);
    l->asked = true;
    bus_call(l->bus, call, take_inhibitor, l);
}

int logind_create(struct logind **out, struct loop *loop, const struct logind_listener *listener,
                  struct error *error)
{
    struct logind *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(error, -ENOMEM, "out of memory");
    l->listener = *listener;
    l->inhibitor = -1;
    int rc = bus_create(&l->bus, loop, "system", error);
    if (rc) {
        free(l);
        return rc;
    }
    l->watch = (struct bus_watch){.back = ask_owner, .signal = take_signal, .user = l};
    bus_watch(l->bus, &l->watch);
    bus_match(l->bus, "type='signal',sender='" DBUS_SERVICE_DBUS "',interface='" DBUS_INTERFACE_DBUS
                      "',member='NameOwnerChanged',arg0='" SERVICE "'");
    bus_match(l->bus, "type='signal',sender='" SERVICE "',interface='" MANAGER
                      "',member='PrepareForSleep'");
    bus_match(l->bus, "type='signal',sender='" SERVICE "',interface='" SESSION "',member='Lock'");
    bus_match(l->bus, "type='signal',sender='" SERVICE "',interface='" SESSION "',member='Unlock'");
    bus_match(l->bus,
              "type='signal',sender='" SERVICE "',interface='" DBUS_INTERFACE_PROPERTIES
              "',member='PropertiesChanged',path_namespace='" SESSIONS "',arg0='" SESSION "'");
    bus_match(l->bus,
              "type='signal',sender='" SERVICE "',interface='" MANAGER "',member='SessionNew'");
    ask_owner(l);
    *out = l;
    return 0;
}

void logind_destroy(struct logind *l)
{
    if (!l)
        return;
    bus_destroy(l->bus);
    let_sleep(l);
    free(l);
}
