/* Avahi's entry group: made, filled with the service, committed, each when the call before has been
 * answered; its state then tells whether the name was free.
 */
#include "bridges/announce.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define AVAHI "org.freedesktop.Avahi"
#define GROUP AVAHI ".EntryGroup"

enum {
    PATH_BYTES = 128,
    ANY = -1, /* interface, protocol */
    ESTABLISHED = 2,
    COLLISION = 3,
    FAILURE = 4,
    NAMES_MOST = 10, /* that are tried */
};

struct announce {
    sd_bus *bus;
    char wanted[ANNOUNCE_NAME_BYTES];
    char name[ANNOUNCE_NAME_BYTES + 4]; /* the wanted one, or with a number */
    const char *type;
    uint16_t port;
    char group[PATH_BYTES]; /* empty: none */
    unsigned names;         /* that were tried */
    sd_bus_slot *call;      /* that waits for its answer */
};

static int fail(const struct announce *a, const char *why)
{
    log_warning("\"%s\" is not announced: %s", a->name, why);
    return 0;
}

/* The next call, with its arguments put in by fill. */
static int call(struct announce *a, const char *path, const char *interface, const char *member,
                int (*fill)(const struct announce *, sd_bus_message *), sd_bus_message_handler_t on)
{
    sd_bus_message *m = NULL;
    a->call = sd_bus_slot_unref(a->call);
    int rc = sd_bus_message_new_method_call(a->bus, &m, AVAHI, path, interface, member);
    if (rc >= 0 && fill)
        rc = fill(a, m);
    if (rc >= 0)
        rc = sd_bus_call_async(a->bus, &a->call, m, on, a, 0);
    sd_bus_message_unref(m);
    return rc < 0 ? fail(a, strerror(-rc)) : 0;
}

static int on_committed(sd_bus_message *m, void *user, sd_bus_error *error)
{
    (void)error;
    return sd_bus_message_is_method_error(m, NULL)
               ? fail(user, sd_bus_message_get_error(m)->message)
               : 0;
}

static int take_other_name(struct announce *a);

static int on_added(sd_bus_message *m, void *user, sd_bus_error *error)
{
    struct announce *a = user;
    (void)error;
    if (sd_bus_message_is_method_error(m, AVAHI ".CollisionError")) /* with one of this machine */
        return take_other_name(a);
    if (sd_bus_message_is_method_error(m, NULL))
        return fail(a, sd_bus_message_get_error(m)->message);
    return call(a, a->group, GROUP, "Commit", NULL, on_committed);
}

static int fill_service(const struct announce *a, sd_bus_message *m)
{
    int rc = sd_bus_message_append(m, "iiussssq", ANY, ANY, 0, a->name, a->type, "", "", a->port);
    return rc < 0 ? rc : sd_bus_message_append(m, "aay", 0);
}

static int on_reset(sd_bus_message *m, void *user, sd_bus_error *error)
{
    struct announce *a = user;
    (void)error;
    if (sd_bus_message_is_method_error(m, NULL))
        return fail(a, sd_bus_message_get_error(m)->message);
    return call(a, a->group, GROUP, "AddService", fill_service, on_added);
}

static int on_group(sd_bus_message *m, void *user, sd_bus_error *error)
{
    struct announce *a = user;
    const char *path;
    (void)error;
    if (sd_bus_message_is_method_error(m, NULL))
        return fail(a, sd_bus_message_is_method_error(m, SD_BUS_ERROR_SERVICE_UNKNOWN)
                           ? "Avahi is not running; waits for it"
                           : sd_bus_message_get_error(m)->message);
    if (sd_bus_message_read(m, "o", &path) < 0 || strlen(path) >= sizeof a->group)
        return fail(a, "Avahi's answer is no group");
    snprintf(a->group, sizeof a->group, "%s", path);
    return call(a, a->group, GROUP, "AddService", fill_service, on_added);
}

static void begin(struct announce *a)
{
    *a->group = '\0';
    call(a, "/", AVAHI ".Server", "EntryGroupNew", NULL, on_group);
}

/* Another has the name. */
static int take_other_name(struct announce *a)
{
    if (++a->names >= NAMES_MOST)
        return fail(a, "so many others have its name");
    snprintf(a->name, sizeof a->name, "%s %u", a->wanted, a->names + 1);
    return call(a, a->group, GROUP, "Reset", NULL, on_reset);
}

static int on_state(sd_bus_message *m, void *user, sd_bus_error *error)
{
    struct announce *a = user;
    int state;
    const char *why;
    (void)error;
    if (sd_bus_message_read(m, "is", &state, &why) < 0 ||
        strcmp(sd_bus_message_get_path(m), a->group) != 0)
        return 0;
    if (state == ESTABLISHED)
        log_info("announced as \"%s\", %s, port %u", a->name, a->type, a->port);
    if (state == COLLISION)
        return take_other_name(a);
    return state == FAILURE ? fail(a, why) : 0;
}

static int on_owner(sd_bus_message *m, void *user, sd_bus_error *error)
{
    struct announce *a = user;
    const char *name, *old, *owner;
    (void)error;
    if (sd_bus_message_read(m, "sss", &name, &old, &owner) < 0)
        return 0;
    a->call = sd_bus_slot_unref(a->call);
    *a->group = '\0';
    if (*owner)
        begin(a);
    return 0;
}

/* 0 or -errno. */
static int watch(struct announce *a, sd_event *event)
{
    int rc = sd_bus_open_system(&a->bus);
    if (rc >= 0)
        rc = sd_bus_attach_event(a->bus, event, SD_EVENT_PRIORITY_NORMAL);
    if (rc >= 0)
        rc = sd_bus_add_match(a->bus, NULL,
                              "type='signal',sender='org.freedesktop.DBus',"
                              "member='NameOwnerChanged',arg0='" AVAHI "'",
                              on_owner, a);
    if (rc >= 0)
        rc = sd_bus_add_match(a->bus, NULL,
                              "type='signal',sender='" AVAHI "',interface='" GROUP "',"
                              "member='StateChanged'",
                              on_state, a);
    return rc < 0 ? rc : 0;
}

struct announce *announce_create(sd_event *event, const char *name, const char *type, uint16_t port)
{
    struct announce *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    snprintf(a->wanted, sizeof a->wanted, "%s", name);
    snprintf(a->name, sizeof a->name, "%s", a->wanted);
    a->type = type;
    a->port = port;
    int rc = watch(a, event);
    if (rc) {
        fail(a, rc == -ENOENT ? "there is no system bus" : strerror(-rc));
        announce_destroy(a);
        return NULL;
    }
    begin(a);
    return a;
}

/* Avahi takes back what a client of the bus had announced that goes. */
void announce_destroy(struct announce *a)
{
    if (!a)
        return;
    sd_bus_slot_unref(a->call);
    sd_bus_flush_close_unref(a->bus);
    free(a);
}
