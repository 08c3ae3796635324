#include "daemon/logind.h"

#include "daemon/bus.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#define SERVICE "org.freedesktop.login1"
#define MANAGER SERVICE ".Manager"
#define SESSION SERVICE ".Session"
#define SESSIONS "/org/freedesktop/login1/session"

struct logind {
    struct bus *bus;
    struct bus_watch watch;
    struct logind_listener listener;
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

static void take_signal(void *user, DBusMessage *m)
{
    const struct logind *l = user;
    const struct logind_listener *to = &l->listener;
    dbus_bool_t asleep;
    if (dbus_message_is_signal(m, MANAGER, "PrepareForSleep") &&
        dbus_message_get_args(m, NULL, DBUS_TYPE_BOOLEAN, &asleep, DBUS_TYPE_INVALID))
        to->sleeping(to->user, asleep);
    bool lock = dbus_message_is_signal(m, SESSION, "Lock");
    if ((lock || dbus_message_is_signal(m, SESSION, "Unlock")) && is_ours(dbus_message_get_path(m)))
        to->locked(to->user, lock);
}

int logind_create(struct logind **out, struct loop *loop, const struct logind_listener *listener,
                  struct error *error)
{
    struct logind *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(error, -ENOMEM, "out of memory");
    l->listener = *listener;
    int rc = bus_create(&l->bus, loop, "system", error);
    if (rc) {
        free(l);
        return rc;
    }
    l->watch = (struct bus_watch){.signal = take_signal, .user = l};
    bus_watch(l->bus, &l->watch);
    bus_match(l->bus, "type='signal',sender='" SERVICE "',interface='" MANAGER
                      "',member='PrepareForSleep'");
    bus_match(l->bus, "type='signal',sender='" SERVICE "',interface='" SESSION "',member='Lock'");
    bus_match(l->bus, "type='signal',sender='" SERVICE "',interface='" SESSION "',member='Unlock'");
    *out = l;
    return 0;
}

void logind_destroy(struct logind *l)
{
    if (!l)
        return;
    bus_destroy(l->bus);
    free(l);
}
