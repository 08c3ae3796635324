/* Typing through the portal RemoteDesktop: the way of GNOME and KDE under Wayland. The desktop asks
 * its user once; what it gives for that, a token, is kept in the state folder, so that the next
 * start need not ask.
 *
 *     CreateSession ─Response─► SelectDevices ─Response─► Start ─Response─► NotifyKeyboardKeysym
 * ...
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "cli/bus_client.h"
#include "cli/portal.h"
#include "cli/type_ways.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_FILE "/type-portal" /* of the state folder */
#define REMOTE "org.freedesktop.portal.RemoteDesktop"

enum {
    KEYBOARD = 1,           /* of the devices */
    UNTIL_REVOKED = 2,      /* of the modes of persistence */
    USER_MS = 120000,       /* for the user to agree */
    TOKEN_MAX = 1024,       /* bytes with the NUL */
    KEY_BACKSPACE = 0xff08, /* keysyms */
    KEY_TAB = 0xff09,
    KEY_RETURN = 0xff0d,
    KEY_UNICODE = 0x1000000, /* and the character */
};

/* The session, kept from one sentence to the next. */
static struct {
    struct bus_link *link;         /* NULL: none is open */
    char session[PORTAL_PATH_MAX]; /* empty: none */
    char token[TOKEN_MAX];         /* as the desktop gave it last; empty: none */
    unsigned requests;
    bool has_keyboard;
} remote;

static void forget_session(void)
{
    bus_link_close(remote.link);
    remote.link = NULL;
    remote.session[0] = '\0';
}

static int fail(struct error *error, DBusError *e)
{
    int rc = portal_is_lacking(e)
                 ? error_set(error, -ENOTSUP, "this desktop has no portal " REMOTE "; use ydotool")
                 : error_set(error, -EIO, REMOTE ": %s", e->message);
    dbus_error_free(e);
    return rc;
}

static int open_link(struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    if (bus_link_open(&remote.link, "session", &e) && bus_link_find(remote.link, PORTAL_NAME, &e) &&
        bus_link_subscribe(remote.link, PORTAL_NAME, NULL, &e))
        return 0;
    forget_session();
    return fail(error, &e);
}

/* The devices that it could give, without asking anybody. */
static int probe(struct error *why)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args, value;
    double types = 0;
    bool kept = remote.link != NULL;
    int rc = kept ? 0 : open_link(why);
    if (rc)
        return rc;
    DBusMessage *call = portal_call(DBUS_INTERFACE_PROPERTIES, "Get", &args);
    bus_client_append_string(&args, REMOTE);
    bus_client_append_string(&args, "AvailableDeviceTypes");
    DBusMessage *answer = bus_link_call(remote.link, call, PORTAL_ANSWER_MS, &e);
    if (!answer)
        rc = dbus_error_has_name(&e, DBUS_ERROR_INVALID_ARGS) /* of an interface it has not */
                 ? error_set(why, -ENOTSUP, "this desktop has no portal " REMOTE "; use ydotool")
                 : fail(why, &e);
    else if (dbus_message_has_signature(answer, "v") && dbus_message_iter_init(answer, &args)) {
        dbus_message_iter_recurse(&args, &value);
        bus_client_number(&value, &types);
    }
    if (answer)
        dbus_message_unref(answer);
    dbus_error_free(&e);
    if (!kept)
        forget_session();
    if (rc || (unsigned)types & KEYBOARD)
        return rc;
    return error_set(why, -ENOTSUP, "the portal " REMOTE " gives no keyboard here; use ydotool");
}

/* Where the token is. 0, or -errno: nowhere. */
static int token_path(char path[PATH_MAX], bool make)
{
    int rc = paths_state(path, PATH_MAX - sizeof TOKEN_FILE);
    if (!rc && make)
        rc = paths_make_folders(path);
    if (!rc)
        strcat(path, TOKEN_FILE);
    return rc;
}

static void read_token(void)
{
    char path[PATH_MAX];
    struct error error;
    struct file_map map;
    if (*remote.token || token_path(path, false) || file_map(&map, path, &error))
        return;
    if (map.size < sizeof remote.token && memchr(map.data, '\0', map.size) == NULL) {
        memcpy(remote.token, map.data, map.size);
        remote.token[map.size] = '\0';
    }
    file_unmap(&map);
    if (!dbus_validate_utf8(remote.token, NULL))
        remote.token[0] = '\0';
}

/* It is good for one session: the answer has the next. Who cannot keep it is asked again. */
static void keep_token(const char *token)
{
    char path[PATH_MAX];
    struct error error;
    snprintf(remote.token, sizeof remote.token, "%s", token);
    if (token_path(path, true) == 0)
        file_replace(path, remote.token, strlen(remote.token), &error);
}

static void append_number(DBusMessageIter *options, const char *key, uint32_t number)
{
    bus_client_append_entry(options, key, DBUS_TYPE_UINT32, "u", &number);
}

/* Whether the desktop, or its user, has closed the session. */
static bool is_closed(DBusMessage *m)
{
    return *remote.session && dbus_message_is_signal(m, PORTAL_SESSION, "Closed") &&
           dbus_message_has_path(m, remote.session);
}

/* Waits for the answer to a request; the caller releases it. NULL: with the error. */
static DBusMessage *wait_answer(const char *request, int ms, struct error *error)
{
    int64_t end_ms = clock_monotonic_ms() + ms;
    for (;;) {
        DBusMessage *m;
        bool owned;
        while ((m = bus_link_next(remote.link))) {
            if (dbus_message_is_signal(m, PORTAL_REQUEST, "Response") &&
                dbus_message_has_path(m, request))
                return m;
            bool gone = bus_link_is_change(m, PORTAL_NAME, &owned) && !owned;
            bool closed = is_closed(m);
            dbus_message_unref(m);
            if (gone || closed) {
                error_set(error, -EIO, "the desktop%s", gone ? "'s portal has gone" : " refuses");
                return NULL;
            }
        }
        int64_t left_ms = end_ms - clock_monotonic_ms();
        if (left_ms <= 0 || !bus_link_wait(remote.link, (int)left_ms, NULL)) {
            error_set(error, -ETIMEDOUT, "nobody has agreed in the desktop's dialog");
            return NULL;
        }
    }
}

/* Sends a call with its handle in the options and waits for what it tells; NULL: with the error. */
static DBusMessage *ask(DBusMessage *call, int ms, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    char request[PORTAL_PATH_MAX];
    if (!portal_request(remote.link, call, request, &e)) {
        fail(error, &e);
        return NULL;
    }
    DBusMessage *answer = wait_answer(request, ms, error);
    unsigned code = answer ? portal_code(answer) : 0;
    if (!code)
        return answer;
    dbus_message_unref(answer);
    error_set(error, -ECANCELED,
              code == 1 ? "typing was refused in the desktop's dialog; `earshot type` asks again"
                        : "the desktop gives no keyboard (" REMOTE ")");
    return NULL;
}

static void name_request(char handle[32])
{
    snprintf(handle, 32, "earshot%u", ++remote.requests);
}

static void take_session(void *user, const char *name, DBusMessageIter *value)
{
    (void)user;
    if (strcmp(name, "session_handle") == 0 && !portal_keep_path(remote.session, value))
        remote.session[0] = '\0';
}

static int create_session(struct error *error)
{
    char handle[32];
    const char *const options[][2] = {{"handle_token", handle}, {"session_handle_token", handle}};
    DBusMessageIter args;
    name_request(handle);
    portal_introduce(remote.link);
    DBusMessage *call = portal_call(REMOTE, "CreateSession", &args);
    portal_append_texts(&args, options, 2);
    DBusMessage *answer = ask(call, PORTAL_ANSWER_MS, error);
    if (!answer)
        return -EIO;
    bus_client_details(answer, take_session, NULL);
    dbus_message_unref(answer);
    return *remote.session ? 0 : error_set(error, -EIO, REMOTE ": a session without a name");
}

static int select_devices(struct error *error)
{
    const char *session = remote.session, *token = remote.token;
    char name[32], *handle = name;
    DBusMessageIter args, options;
    name_request(handle);
    DBusMessage *call = portal_call(REMOTE, "SelectDevices", &args);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_OBJECT_PATH, &session);
    dbus_message_iter_open_container(&args, DBUS_TYPE_ARRAY, "{sv}", &options);
    bus_client_append_entry(&options, "handle_token", DBUS_TYPE_STRING, "s", &handle);
    append_number(&options, "types", KEYBOARD);
    append_number(&options, "persist_mode", UNTIL_REVOKED);
    if (*token)
        bus_client_append_entry(&options, "restore_token", DBUS_TYPE_STRING, "s", &token);
    dbus_message_iter_close_container(&args, &options);
    DBusMessage *answer = ask(call, PORTAL_ANSWER_MS, error);
    if (!answer)
        return -EIO;
    dbus_message_unref(answer);
    return 0;
}

static void take_given(void *user, const char *name, DBusMessageIter *value)
{
    double devices;
    const char *token;
    (void)user;
    if (strcmp(name, "devices") == 0 && bus_client_number(value, &devices))
        remote.has_keyboard = (unsigned)devices & KEYBOARD;
    if (strcmp(name, "restore_token") != 0 ||
        dbus_message_iter_get_arg_type(value) != DBUS_TYPE_STRING)
        return;
    dbus_message_iter_get_basic(value, &token);
    keep_token(strlen(token) < TOKEN_MAX ? token : ""); /* the one before is spent */
}

static int start_session(struct error *error)
{
    const char *session = remote.session;
    char handle[32];
    const char *const options[][2] = {{"handle_token", handle}};
    DBusMessageIter args;
    name_request(handle);
    DBusMessage *call = portal_call(REMOTE, "Start", &args);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_OBJECT_PATH, &session);
    bus_client_append_string(&args, ""); /* no window of ours is its parent */
    portal_append_texts(&args, options, 1);
    remote.has_keyboard = false;
    DBusMessage *answer = ask(call, USER_MS, error);
    if (!answer)
        return -EIO;
    bus_client_details(answer, take_given, NULL);
    dbus_message_unref(answer);
    return remote.has_keyboard
               ? 0
               : error_set(error, -ENOTSUP, "the desktop gave other devices and no keyboard");
}

/* Whether the session is still there. */
static bool is_open(void)
{
    DBusMessage *m;
    bool owned, open = remote.link && *remote.session;
    while (open && bus_link_wait(remote.link, 0, NULL) && (m = bus_link_next(remote.link))) {
        if (is_closed(m) || bus_link_is_change(m, PORTAL_NAME, &owned))
            open = false;
        dbus_message_unref(m);
    }
    return open;
}

static int open_session(struct error *error)
{
    if (is_open())
        return 0;
    forget_session();
    read_token();
    int rc = open_link(error);
    if (!rc)
        rc = create_session(error);
    if (!rc)
        rc = select_devices(error);
    if (!rc)
        rc = start_session(error);
    if (rc)
        forget_session();
    return rc;
}

static int notify(int32_t keysym, uint32_t pressed, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    const char *session = remote.session;
    DBusMessageIter args;
    DBusMessage *call = portal_call(REMOTE, "NotifyKeyboardKeysym", &args);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_OBJECT_PATH, &session);
    portal_append_texts(&args, NULL, 0);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_INT32, &keysym);
    dbus_message_iter_append_basic(&args, DBUS_TYPE_UINT32, &pressed);
    DBusMessage *answer = bus_link_call(remote.link, call, PORTAL_ANSWER_MS, &e);
    if (!answer) {
        error_set(error, -EIO, "the desktop has taken the keyboard back in mid-sentence: %s",
                  e.message);
        dbus_error_free(&e);
        forget_session();
        return -EIO;
    }
    dbus_message_unref(answer);
    return 0;
}

static int press(int32_t keysym, struct error *error)
{
    int rc = notify(keysym, 1, error);
    return rc ? rc : notify(keysym, 0, error);
}

/* The character at *text, which then is behind it. */
static int32_t take_keysym(const char **text)
{
    const unsigned char *p = (const unsigned char *)*text;
    int size = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    int32_t c = size == 1 ? *p : *p & (0x7f >> size);
    for (int i = 1; i < size; i++)
        c = c << 6 | (p[i] & 0x3f);
    *text += size;
    if (c == '\n')
        return KEY_RETURN;
    if (c == '\t')
        return KEY_TAB;
    return c <= 0xff ? c : KEY_UNICODE + c;
}

static int type(size_t backspaces, const char *text, struct error *error)
{
    int rc = open_session(error);
    for (size_t i = 0; i < backspaces && !rc; i++)
        rc = press(KEY_BACKSPACE, error);
    while (*text && !rc)
        rc = press(take_keysym(&text), error);
    return rc;
}

const struct type_way type_portal = {
    .name = "portal",
    .what = "keyboard of the desktop's portal, which asks its user once",
    .probe = probe,
    .begin = open_session,
    .type = type,
};
