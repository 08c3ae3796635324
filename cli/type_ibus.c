/* Typing through IBus, the input method of GNOME and of others: for a sentence earshot is its
 * engine, and commits the text to the input context that has the focus; then the engine before is
 * back.
 *
 *     RegisterComponent ─► SetGlobalEngine ─► CreateEngine (IBus asks us) ─► CommitText ... ─►
 * SetGlobalEngine
 *
 * Objects of IBus are structs in variants: their class, a{sv}, and their fields. */
#include "base/clock.h"
#include "base/paths.h"
#include "cli/bus_client.h"
#include "cli/type_ways.h"

#include <dbus/dbus.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IBUS "org.freedesktop.IBus"
#define IBUS_PATH "/org/freedesktop/IBus"
#define FACTORY IBUS_PATH "/Factory"
#define CONTEXT_OF_NOBODY IBUS_PATH "/InputContext_1" /* the first, which IBus makes for itself */
#define ENGINE_INTERFACE IBUS ".Engine"
#define ENGINE_NAME "earshot"
#define ENGINE_PATH "/org/earshot/Engine"

enum {
    ANSWER_MS = 3000,
    KEYS_MS = 60, /* until keys that were forwarded have arrived: they may be slower than text */
    ADDRESS_MAX = 512,
    ENGINE_MAX = 128,
    DELETES_TEXT = 1 << 5,  /* of the capabilities: text around the cursor can be deleted */
    RELEASED = 1 << 30,     /* of a key's state */
    KEY_BACKSPACE = 0xff08, /* a keysym */
};

/* What is open for a sentence. */
struct session {
    DBusConnection *bus;
    dbus_uint32_t capabilities; /* of the context that has the focus */
    char before[ENGINE_MAX];    /* the engine that was there; empty: none */
};

static int fail(struct error *error, DBusError *e)
{
    int rc = error_set(error, -EIO, "IBus: %s", e->message ? e->message : "no answer");
    dbus_error_free(e);
    return rc;
}

/* The name of the file with the address: MACHINE-HOST-DISPLAY. 0, or -errno: there is no display.
 */
static int name_file(char *name, size_t capacity)
{
    const char *wayland = getenv("WAYLAND_DISPLAY"), *x11 = getenv("DISPLAY");
    const char *colon = x11 ? strchr(x11, ':') : NULL;
    DBusError e = DBUS_ERROR_INIT;
    char *machine = dbus_try_get_local_machine_id(&e);
    int size = -1;
    if (machine && wayland && *wayland)
        size = snprintf(name, capacity, "ibus/bus/%s-unix-%s", machine, wayland);
    else if (machine && x11 && colon == x11)
        size = snprintf(name, capacity, "ibus/bus/%s-unix-%.*s", machine,
                        (int)strcspn(colon + 1, "."), colon + 1);
    else if (machine && colon)
        size = snprintf(name, capacity, "ibus/bus/%s-%.*s-%.*s", machine, (int)(colon - x11), x11,
                        (int)strcspn(colon + 1, "."), colon + 1);
    dbus_free(machine);
    dbus_error_free(&e);
    return size >= 0 && (size_t)size < capacity ? 0 : -ENOENT;
}

/* $IBUS_ADDRESS, or what IBus has left in its file. 0 or -errno. */
static int find_address(char address[ADDRESS_MAX])
{
    static const char key[] = "IBUS_ADDRESS=";
    char name[256], path[4096], line[ADDRESS_MAX];
    const char *given = getenv("IBUS_ADDRESS"), *folder = paths_variable("XDG_CONFIG_HOME");
    const char *home = paths_variable("HOME");
    int rc = -ENOENT;
    if (given && *given)
        return snprintf(address, ADDRESS_MAX, "%s", given) < ADDRESS_MAX ? 0 : -ENAMETOOLONG;
    if (name_file(name, sizeof name) || (!folder && !home))
        return rc;
    int size = snprintf(path, sizeof path, "%s%s/%s", folder ? folder : home,
                        folder ? "" : "/.config", name);
    if (size < 0 || (size_t)size >= sizeof path)
        return -ENAMETOOLONG;
    FILE *file = fopen(path, "re");
    while (file && rc && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(address, ADDRESS_MAX, "%s", line + strlen(key));
            rc = 0;
        }
    if (file)
        fclose(file);
    return rc;
}

static void close_session(struct session *s)
{
    if (!s->bus)
        return;
    dbus_connection_flush(s->bus);
    dbus_connection_close(s->bus);
    dbus_connection_unref(s->bus);
    s->bus = NULL;
}

/* Answers to what IBus asks the engine and its factory; every key is for the window. */
static void answer(struct session *s, DBusMessage *m)
{
    dbus_bool_t taken = FALSE;
    const char *path = ENGINE_PATH;
    if (dbus_message_get_type(m) != DBUS_MESSAGE_TYPE_METHOD_CALL)
        return;
    if (dbus_message_is_method_call(m, ENGINE_INTERFACE, "SetCapabilities"))
        dbus_message_get_args(m, NULL, DBUS_TYPE_UINT32, &s->capabilities, DBUS_TYPE_INVALID);
    if (dbus_message_get_no_reply(m))
        return;
    DBusMessage *reply = dbus_message_has_interface(m, DBUS_INTERFACE_PROPERTIES)
                             ? dbus_message_new_error(m, DBUS_ERROR_UNKNOWN_PROPERTY, "none")
                             : dbus_message_new_method_return(m);
    if (dbus_message_is_method_call(m, IBUS ".Factory", "CreateEngine"))
        dbus_message_append_args(reply, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_INVALID);
    if (dbus_message_is_method_call(m, ENGINE_INTERFACE, "ProcessKeyEvent"))
        dbus_message_append_args(reply, DBUS_TYPE_BOOLEAN, &taken, DBUS_TYPE_INVALID);
    dbus_connection_send(s->bus, reply, NULL);
    dbus_message_unref(reply);
}

/* Serves IBus for so long, or until the answer to a call has come, which the caller releases. NULL:
 * it has not. */
static DBusMessage *serve(struct session *s, int ms, dbus_uint32_t serial)
{
    int64_t end_ms = clock_monotonic_ms() + ms, left_ms;
    DBusMessage *m;
    do {
        while ((m = dbus_connection_pop_message(s->bus))) {
            if (serial && dbus_message_get_reply_serial(m) == serial)
                return m;
            answer(s, m);
            dbus_message_unref(m);
        }
        left_ms = end_ms - clock_monotonic_ms();
    } while (left_ms > 0 && dbus_connection_read_write(s->bus, (int)left_ms));
    return NULL;
}

/* Sends a call, and serves IBus until it answers; releases the call. NULL: with the error. */
static DBusMessage *ask(struct session *s, DBusMessage *call, DBusError *e)
{
    dbus_uint32_t serial = 0;
    dbus_connection_send(s->bus, call, &serial);
    dbus_message_unref(call);
    DBusMessage *reply = serve(s, ANSWER_MS, serial);
    if (reply && dbus_set_error_from_message(e, reply)) {
        dbus_message_unref(reply);
        reply = NULL;
    }
    return reply;
}

static DBusMessage *call_ibus(const char *interface, const char *member, DBusMessageIter *args)
{
    DBusMessage *m = dbus_message_new_method_call(IBUS, IBUS_PATH, interface, member);
    dbus_message_iter_init_append(m, args);
    return m;
}

static DBusMessage *get_property(struct session *s, const char *name, DBusError *e)
{
    DBusMessageIter args;
    DBusMessage *call = call_ibus(DBUS_INTERFACE_PROPERTIES, "Get", &args);
    bus_client_append_string(&args, IBUS);
    bus_client_append_string(&args, name);
    return ask(s, call, e);
}

static int open_session(struct session *s, struct error *error)
{
    char address[ADDRESS_MAX];
    DBusError e = DBUS_ERROR_INIT;
    *s = (struct session){0};
    if (find_address(address))
        return error_set(error, -ENOTSUP, "IBus does not run on this display");
    s->bus = dbus_connection_open_private(address, &e);
    if (!s->bus) {
        dbus_error_free(&e);
        return error_set(error, -ENOTSUP, "IBus does not run on this display any more");
    }
    dbus_connection_set_exit_on_disconnect(s->bus, FALSE);
    if (dbus_bus_register(s->bus, &e))
        return 0;
    close_session(s);
    return fail(error, &e);
}

/* ---- objects of IBus ------------------------------------------------------------------------ */

/* Opens an object in a variant: its class, and no attachments. */
struct object {
    DBusMessageIter variant, fields;
};

static void begin_object(DBusMessageIter *to, struct object *o, const char *signature,
                         const char *class_name)
{
    DBusMessageIter none;
    dbus_message_iter_open_container(to, DBUS_TYPE_VARIANT, signature, &o->variant);
    dbus_message_iter_open_container(&o->variant, DBUS_TYPE_STRUCT, NULL, &o->fields);
    bus_client_append_string(&o->fields, class_name);
    dbus_message_iter_open_container(&o->fields, DBUS_TYPE_ARRAY, "{sv}", &none);
    dbus_message_iter_close_container(&o->fields, &none);
}

static void end_object(DBusMessageIter *to, struct object *o)
{
    dbus_message_iter_close_container(&o->variant, &o->fields);
    dbus_message_iter_close_container(to, &o->variant);
}

static void append_texts(DBusMessageIter *to, const char *const texts[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        bus_client_append_string(to, texts[i]);
}

/* An array of objects in which there is none. */
static void append_none(DBusMessageIter *to)
{
    DBusMessageIter array;
    dbus_message_iter_open_container(to, DBUS_TYPE_ARRAY, "v", &array);
    dbus_message_iter_close_container(to, &array);
}

/* The array of the component's engines: one. */
static void append_engines(DBusMessageIter *to)
{
    static const char *const before[] = {
        ENGINE_NAME, "Earshot", "What is said", "other", "Apache-2.0", "Earshot", "", "default"};
    static const char *const after[] = {"", "", "", "", "", EARSHOT_VERSION, "", ""};
    dbus_uint32_t rank = 0;
    DBusMessageIter array;
    struct object engine;
    dbus_message_iter_open_container(to, DBUS_TYPE_ARRAY, "v", &array);
    begin_object(&array, &engine, "(sa{sv}ssssssssussssssss)", "IBusEngineDesc");
    append_texts(&engine.fields, before, 8);
    dbus_message_iter_append_basic(&engine.fields, DBUS_TYPE_UINT32, &rank);
    append_texts(&engine.fields, after, 8);
    end_object(&array, &engine);
    dbus_message_iter_close_container(to, &array);
}

static void append_component(DBusMessageIter *to)
{
    static const char *const texts[] = {
        IBUS ".Earshot", "Earshot", EARSHOT_VERSION, "Apache-2.0", "Earshot", "", "", ""};
    struct object component;
    begin_object(to, &component, "(sa{sv}ssssssssavav)", "IBusComponent");
    append_texts(&component.fields, texts, 8);
    append_none(&component.fields); /* no paths are watched */
    append_engines(&component.fields);
    end_object(to, &component);
}

static void append_text(DBusMessageIter *to, const char *text)
{
    struct object whole, attributes;
    begin_object(to, &whole, "(sa{sv}sv)", "IBusText");
    bus_client_append_string(&whole.fields, text);
    begin_object(&whole.fields, &attributes, "(sa{sv}av)", "IBusAttrList");
    append_none(&attributes.fields);
    end_object(&whole.fields, &attributes);
    end_object(to, &whole);
}

/* ---- the engine ----------------------------------------------------------------------------- */

static int set_engine(struct session *s, const char *name, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    DBusMessage *call = call_ibus(IBUS, "SetGlobalEngine", &args);
    bus_client_append_string(&args, name);
    DBusMessage *reply = ask(s, call, &e);
    if (!reply)
        return fail(error, &e);
    dbus_message_unref(reply);
    return 0;
}

/* The name of an object of class IBusEngineDesc, the answer to GlobalEngine: it is its third field.
 */
static void keep_engine(struct session *s, DBusMessage *reply)
{
    DBusMessageIter at;
    const char *name;
    dbus_message_iter_init(reply, &at);
    while (dbus_message_iter_get_arg_type(&at) == DBUS_TYPE_VARIANT ||
           dbus_message_iter_get_arg_type(&at) == DBUS_TYPE_STRUCT) {
        DBusMessageIter inner;
        dbus_message_iter_recurse(&at, &inner);
        at = inner;
    }
    dbus_message_iter_next(&at);
    if (!dbus_message_iter_next(&at) || dbus_message_iter_get_arg_type(&at) != DBUS_TYPE_STRING)
        return;
    dbus_message_iter_get_basic(&at, &name);
    snprintf(s->before, sizeof s->before, "%s", name);
}

static int begin_engine(struct session *s, struct error *error)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    DBusMessage *reply = get_property(s, "GlobalEngine", &e);
    if (reply) {
        keep_engine(s, reply);
        dbus_message_unref(reply);
    }
    dbus_error_free(&e);
    DBusMessage *call = call_ibus(IBUS, "RegisterComponent", &args);
    append_component(&args);
    reply = ask(s, call, &e);
    if (!reply)
        return fail(error, &e);
    dbus_message_unref(reply);
    return set_engine(s, ENGINE_NAME, error);
}

static void send_signal(struct session *s, DBusMessage *signal)
{
    dbus_connection_send(s->bus, signal, NULL);
    dbus_message_unref(signal);
}

static DBusMessage *new_signal(const char *member, DBusMessageIter *args)
{
    DBusMessage *m = dbus_message_new_signal(ENGINE_PATH, ENGINE_INTERFACE, member);
    dbus_message_iter_init_append(m, args);
    return m;
}

/* Backspace, pressed and released, and the time that it takes. */
static void press_backspace(struct session *s)
{
    dbus_uint32_t keysym = KEY_BACKSPACE, key = 14; /* of the kernel */
    for (dbus_uint32_t state = 0; state <= RELEASED; state += RELEASED) {
        DBusMessageIter args;
        DBusMessage *m = new_signal("ForwardKeyEvent", &args);
        dbus_message_append_args(m, DBUS_TYPE_UINT32, &keysym, DBUS_TYPE_UINT32, &key,
                                 DBUS_TYPE_UINT32, &state, DBUS_TYPE_INVALID);
        send_signal(s, m);
    }
}

static void go_back(struct session *s, size_t backspaces)
{
    dbus_int32_t offset = -(dbus_int32_t)backspaces;
    dbus_uint32_t count = (dbus_uint32_t)backspaces;
    DBusMessageIter args;
    if (backspaces && s->capabilities & DELETES_TEXT) {
        DBusMessage *m = new_signal("DeleteSurroundingText", &args);
        dbus_message_append_args(m, DBUS_TYPE_INT32, &offset, DBUS_TYPE_UINT32, &count,
                                 DBUS_TYPE_INVALID);
        send_signal(s, m);
        return;
    }
    bool some = backspaces > 0;
    while (backspaces-- > 0)
        press_backspace(s);
    if (some)
        serve(s, KEYS_MS, 0);
}

/* Line breaks and tabs too are text: windows of GTK 4 lose keys that are forwarded. */
static void commit(struct session *s, const char *text)
{
    DBusMessageIter args;
    DBusMessage *m = new_signal("CommitText", &args);
    append_text(&args, text);
    send_signal(s, m);
}

static int type(size_t backspaces, const char *text, struct error *error)
{
    struct session s;
    int rc = open_session(&s, error);
    if (rc)
        return rc;
    rc = begin_engine(&s, error);
    if (!rc) {
        go_back(&s, backspaces);
        if (*text)
            commit(&s, text);
    }
    if (!rc && *s.before)
        rc = set_engine(&s, s.before, error);
    close_session(&s);
    return rc;
}

/* IBus may keep an engine for each context; then nobody can take all of them over for a sentence.
 */
static int probe(struct error *why)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    dbus_bool_t global = FALSE;
    struct session s;
    int rc = open_session(&s, why);
    if (rc)
        return rc;
    DBusMessage *reply = ask(&s, call_ibus(IBUS, "GetUseGlobalEngine", &args), &e);
    if (!reply)
        rc = fail(why, &e);
    else if (!dbus_message_get_args(reply, &e, DBUS_TYPE_BOOLEAN, &global, DBUS_TYPE_INVALID))
        rc = fail(why, &e);
    else if (!global)
        rc =
            error_set(why, -ENOTSUP,
                      "IBus has an engine for each window here; share one in ibus-setup, Advanced");
    if (reply)
        dbus_message_unref(reply);
    close_session(&s);
    return rc;
}

/* The input context that has the focus. */
static bool focus(uint64_t *window)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter at, value;
    const char *path = NULL;
    struct session s;
    struct error ignored;
    if (open_session(&s, &ignored))
        return false;
    DBusMessage *reply = get_property(&s, "CurrentInputContext", &e);
    if (reply && dbus_message_has_signature(reply, "v") && dbus_message_iter_init(reply, &at)) {
        dbus_message_iter_recurse(&at, &value);
        if (dbus_message_iter_get_arg_type(&value) == DBUS_TYPE_OBJECT_PATH)
            dbus_message_iter_get_basic(&value, &path);
    }
    *window = 0;
    for (const char *p = path && strcmp(path, CONTEXT_OF_NOBODY) != 0 ? path : ""; *p; p++)
        *window = *window * 31 + (unsigned char)*p;
    if (reply)
        dbus_message_unref(reply);
    dbus_error_free(&e);
    close_session(&s);
    return true;
}

const struct type_way type_ibus = {
    .name = "ibus",
    .what = "input method IBus, in windows that use it",
    .probe = probe,
    .type = type,
    .focus = focus,
};
