/* Calls of the portal, and the answers that come as signals of requests. */
#include "cli/portal.h"

#include "cli/bus_client.h"

#include <stdio.h>
#include <string.h>

#define REGISTRY "org.freedesktop.host.portal.Registry"
#define APPLICATION "org.earshot.Overlay" /* whose .desktop file names Earshot */

DBusMessage *portal_call(const char *interface, const char *member, DBusMessageIter *args)
{
    DBusMessage *m = dbus_message_new_method_call(PORTAL_NAME, PORTAL_OBJECT, interface, member);
    dbus_message_iter_init_append(m, args);
    return m;
}

void portal_append_texts(DBusMessageIter *args, const char *const (*texts)[2], size_t count)
{
    DBusMessageIter options;
    dbus_message_iter_open_container(args, DBUS_TYPE_ARRAY, "{sv}", &options);
    for (size_t i = 0; i < count; i++)
        bus_client_append_entry(&options, texts[i][0], DBUS_TYPE_STRING, "s", &texts[i][1]);
    dbus_message_iter_close_container(args, &options);
}

/* Older portals do not have it. */
void portal_introduce(struct bus_link *link)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessageIter args;
    DBusMessage *call = portal_call(REGISTRY, "Register", &args);
    bus_client_append_string(&args, APPLICATION);
    portal_append_texts(&args, NULL, 0);
    DBusMessage *answer = bus_link_call(link, call, PORTAL_ANSWER_MS, &e);
    if (answer)
        dbus_message_unref(answer);
    dbus_error_free(&e);
}

bool portal_keep_path(char out[PORTAL_PATH_MAX], DBusMessageIter *value)
{
    const char *path;
    int type = dbus_message_iter_get_arg_type(value);
    if (type != DBUS_TYPE_OBJECT_PATH && type != DBUS_TYPE_STRING)
        return false;
    dbus_message_iter_get_basic(value, &path);
    return dbus_validate_path(path, NULL) &&
           snprintf(out, PORTAL_PATH_MAX, "%s", path) < PORTAL_PATH_MAX;
}

bool portal_request(struct bus_link *link, DBusMessage *call, char request[PORTAL_PATH_MAX],
                    DBusError *e)
{
    DBusMessageIter args;
    DBusMessage *answer = bus_link_call(link, call, PORTAL_ANSWER_MS, e);
    if (!answer)
        return false;
    bool kept = dbus_message_iter_init(answer, &args) && portal_keep_path(request, &args);
    dbus_message_unref(answer);
    if (!kept)
        dbus_set_error(e, DBUS_ERROR_FAILED, "a strange answer");
    return kept;
}

unsigned portal_code(DBusMessage *response)
{
    DBusMessageIter args;
    dbus_uint32_t code = 2;
    if (dbus_message_has_signature(response, "ua{sv}") && dbus_message_iter_init(response, &args))
        dbus_message_iter_get_basic(&args, &code);
    return code;
}

bool portal_is_lacking(const DBusError *e)
{
    return dbus_error_has_name(e, DBUS_ERROR_SERVICE_UNKNOWN) ||
           dbus_error_has_name(e, DBUS_ERROR_NAME_HAS_NO_OWNER) ||
           dbus_error_has_name(e, DBUS_ERROR_UNKNOWN_METHOD) ||
           dbus_error_has_name(e, DBUS_ERROR_UNKNOWN_INTERFACE) ||
           dbus_error_has_name(e, DBUS_ERROR_UNKNOWN_OBJECT);
}
