/* A session of the portal: made, bound to the list, and made anew where the portal came again.
 *
 *     CreateSession ─Response─► session ─BindShortcuts─Response─► Activated, Deactivated ...
 */
#include "cli/shortcuts.h"

#include "cli/bus_client.h"
#include "cli/portal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHORTCUTS "org.freedesktop.portal.GlobalShortcuts"

static int fail(struct error *error, DBusError *e)
{
    bool lacks = portal_is_lacking(e);
    if (lacks)
        error_set(error, 0,
                  "this desktop has no portal that gives keys (" SHORTCUTS
                  "); bind `earshot listen --toggle` to a key in its settings");
    else
        error_set(error, 0, SHORTCUTS ": %s", e->message);
    dbus_error_free(e);
    return lacks ? -ENOTSUP : -EIO;
}

static int send_request(struct shortcuts *s, DBusMessage *call, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    return portal_request(s->link, call, s->request, &e) ? 0 : fail(error, &e);
}

static int create_session(struct shortcuts *s, struct error *error)
{
    char token[32]; /* another each time: the desktop may still have the session before */
    const char *const options[][2] = {{"handle_token", token}, {"session_handle_token", token}};
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    snprintf(token, sizeof token, "earshot%u", ++s->sessions);
    *s->session = *s->request = '\0';
    s->binds = false;
    if (!bus_link_find(s->link, PORTAL_NAME, &e))
        return fail(error, &e);
    snprintf(s->owner, sizeof s->owner, "%s", bus_link_owner(s->link, PORTAL_NAME));
    portal_introduce(s->link);
    DBusMessage *call = portal_call(SHORTCUTS, "CreateSession", &args);
    portal_append_texts(&args, options, 2);
    return send_request(s, call, error);
}

static int bind_keys(struct shortcuts *s, struct error *error)
{
    static const char *const options[][2] = {{"handle_token", "earshot_keys"}};
    const char *session = s->session;
    DBusMessageIter args, list, one;
    DBusMessage *call = portal_call(SHORTCUTS, "BindShortcuts", &args);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_OBJECT_PATH, &session);
    dbus_message_iter_open_container(&args, DBUS_TYPE_ARRAY, "(sa{sv})", &list);
    for (size_t i = 0; i < s->count; i++) {
        const struct shortcut *shortcut = &s->list[i];
        const char *const texts[][2] = {{"description", shortcut->description},
                                        {"preferred_trigger", shortcut->trigger}};
        dbus_message_iter_open_container(&list, DBUS_TYPE_STRUCT, NULL, &one);
        bus_client_append_string(&one, shortcut->id);
        portal_append_texts(&one, texts, *shortcut->trigger ? 2 : 1);
        dbus_message_iter_close_container(&list, &one);
    }
    dbus_message_iter_close_container(&args, &list);
    bus_client_append_string(&args, ""); /* no window of ours is its parent */
    portal_append_texts(&args, options, 1);
    s->binds = true;
    return send_request(s, call, error);
}

int shortcuts_begin(struct shortcuts *s, struct bus_link *link, const struct shortcut *list,
                    size_t count, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    *s = (struct shortcuts){.link = link, .list = list, .count = count};
    if (!bus_link_subscribe(link, PORTAL_NAME, NULL, &e))
        return fail(error, &e);
    return create_session(s, error);
}

static void take_session(void *user, const char *name, DBusMessageIter *value)
{
    struct shortcuts *s = user;
    if (strcmp(name, "session_handle") == 0 && !portal_keep_path(s->session, value))
        *s->session = '\0';
}

static int read_code(DBusMessage *m, struct error *error)
{
    unsigned code = portal_code(m);
    if (code == 1)
        return error_set(
            error, -ECANCELED,
            "the keys were refused in the desktop's dialog; `earshot keys` asks again");
    return code ? error_set(error, -EIO, "the desktop gives no keys (" SHORTCUTS ")") : 0;
}

/* The answer to the request that is open. */
static enum shortcuts_event take_response(struct shortcuts *s, DBusMessage *m, struct error *error)
{
    *s->request = '\0';
    if (read_code(m, error))
        return SHORTCUTS_FAILED;
    if (s->binds)
        return SHORTCUTS_BOUND;
    bus_client_details(m, take_session, s);
    if (!*s->session) {
        error_set(error, 0, SHORTCUTS ": a session without a name");
        return SHORTCUTS_FAILED;
    }
    return bind_keys(s, error) ? SHORTCUTS_FAILED : SHORTCUTS_NOTHING;
}

static size_t number_of(const struct shortcuts *s, const char *id)
{
    size_t i = 0;
    while (i < s->count && strcmp(s->list[i].id, id) != 0)
        i++;
    return i;
}

static bool is_of_session(const struct shortcuts *s, DBusMessage *m)
{
    const char *session;
    return dbus_message_get_args(m, NULL, DBUS_TYPE_OBJECT_PATH, &session, DBUS_TYPE_INVALID) &&
           strcmp(session, s->session) == 0;
}

/* Whether it is a key that we know. */
static bool read_key(struct shortcuts *s, DBusMessage *m)
{
    const char *session, *id;
    if (!is_of_session(s, m) || !dbus_message_get_args(m, NULL, DBUS_TYPE_OBJECT_PATH, &session,
                                                       DBUS_TYPE_STRING, &id, DBUS_TYPE_INVALID))
        return false;
    s->number = number_of(s, id);
    return s->number < s->count;
}

static bool is_of(DBusMessage *m, const char *path)
{
    return *path && dbus_message_has_path(m, path);
}

enum shortcuts_event shortcuts_take(struct shortcuts *s, DBusMessage *m, struct error *error)
{
    bool owned;
    if (bus_link_is_change(m, PORTAL_NAME, &owned)) {
        if (owned && strcmp(s->owner, bus_link_owner(s->link, PORTAL_NAME)) == 0)
            return SHORTCUTS_NOTHING; /* which our own call has started */
        if (owned)
            return create_session(s, error) ? SHORTCUTS_FAILED : SHORTCUTS_NOTHING;
        *s->session = *s->request = '\0';
        return SHORTCUTS_LOST;
    }
    if (dbus_message_is_signal(m, PORTAL_REQUEST, "Response"))
        return is_of(m, s->request) ? take_response(s, m, error) : SHORTCUTS_NOTHING;
    if (dbus_message_is_signal(m, PORTAL_SESSION, "Closed") && is_of(m, s->session)) {
        error_set(error, 0, "the desktop has taken the keys back");
        return SHORTCUTS_FAILED;
    }
    if (dbus_message_is_signal(m, SHORTCUTS, "Activated"))
        return read_key(s, m) ? SHORTCUTS_PRESSED : SHORTCUTS_NOTHING;
    if (dbus_message_is_signal(m, SHORTCUTS, "Deactivated"))
        return read_key(s, m) ? SHORTCUTS_RELEASED : SHORTCUTS_NOTHING;
    return dbus_message_is_signal(m, SHORTCUTS, "ShortcutsChanged") && is_of_session(s, m)
               ? SHORTCUTS_BOUND
               : SHORTCUTS_NOTHING;
}

struct listing {
    const struct shortcuts *shortcuts;
    shortcuts_keys *each;
    void *user;
    const char *keys;
};

static void take_keys(void *user, const char *name, DBusMessageIter *value)
{
    struct listing *l = user;
    if (strcmp(name, "trigger_description") == 0 &&
        dbus_message_iter_get_arg_type(value) == DBUS_TYPE_STRING)
        dbus_message_iter_get_basic(value, &l->keys);
}

/* a(sa{sv}) */
static void take_list(struct listing *l, DBusMessageIter *list)
{
    DBusMessageIter array, one;
    const char *id;
    char *signature = dbus_message_iter_get_signature(list);
    bool is_list = signature && strcmp(signature, "a(sa{sv})") == 0;
    dbus_free(signature);
    if (!is_list)
        return;
    for (dbus_message_iter_recurse(list, &array);
         dbus_message_iter_get_arg_type(&array) == DBUS_TYPE_STRUCT;
         dbus_message_iter_next(&array)) {
        dbus_message_iter_recurse(&array, &one);
        dbus_message_iter_get_basic(&one, &id);
        dbus_message_iter_next(&one);
        l->keys = "";
        bus_client_each(&one, take_keys, l);
        size_t number = number_of(l->shortcuts, id);
        if (number < l->shortcuts->count)
            l->each(l->user, number, &l->shortcuts->list[number], l->keys);
    }
}

static void take_result(void *user, const char *name, DBusMessageIter *value)
{
    if (strcmp(name, "shortcuts") == 0)
        take_list(user, value);
}

void shortcuts_each(const struct shortcuts *s, DBusMessage *m, shortcuts_keys *each, void *user)
{
    struct listing l = {.shortcuts = s, .each = each, .user = user};
    DBusMessageIter args;
    if (dbus_message_is_signal(m, PORTAL_REQUEST, "Response"))
        bus_client_details(m, take_result, &l);
    else if (dbus_message_iter_init(m, &args) && dbus_message_iter_next(&args))
        take_list(&l, &args);
}
