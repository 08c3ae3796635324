/* org.freedesktop.DBus.Properties and Introspectable, and the dispatch, from the tables that an
 * object gives. */
#include "daemon/interface.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char standard_xml[] =
    "  <interface name=\"org.freedesktop.DBus.Introspectable\">\n"
    "    <method name=\"Introspect\">\n"
    "      <arg name=\"xml_data\" type=\"s\" direction=\"out\"/>\n"
    "    </method>\n"
    "  </interface>\n"
    "  <interface name=\"org.freedesktop.DBus.Peer\">\n"
    "    <method name=\"Ping\"/>\n"
    "    <method name=\"GetMachineId\">\n"
    "      <arg name=\"machine_uuid\" type=\"s\" direction=\"out\"/>\n"
    "    </method>\n"
    "  </interface>\n"
    "  <interface name=\"org.freedesktop.DBus.Properties\">\n"
    "    <method name=\"Get\">\n"
    "      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>\n"
    "      <arg name=\"property_name\" type=\"s\" direction=\"in\"/>\n"
    "      <arg name=\"value\" type=\"v\" direction=\"out\"/>\n"
    "    </method>\n"
    "    <method name=\"GetAll\">\n"
    "      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>\n"
    "      <arg name=\"properties\" type=\"a{sv}\" direction=\"out\"/>\n"
    "    </method>\n"
    "    <method name=\"Set\">\n"
    "      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>\n"
    "      <arg name=\"property_name\" type=\"s\" direction=\"in\"/>\n"
    "      <arg name=\"value\" type=\"v\" direction=\"in\"/>\n"
    "    </method>\n"
    "    <signal name=\"PropertiesChanged\">\n"
    "      <arg name=\"interface_name\" type=\"s\"/>\n"
    "      <arg name=\"changed_properties\" type=\"a{sv}\"/>\n"
    "      <arg name=\"invalidated_properties\" type=\"as\"/>\n"
    "    </signal>\n"
    "  </interface>\n";

static void write_args(FILE *f, const struct interface_arg *args, const char *direction)
{
    for (; args->name; args++) {
        fprintf(f, "      <arg name=\"%s\" type=\"%s\"", args->name, args->type);
        if (direction)
            fprintf(f, " direction=\"%s\"", direction);
        fputs("/>\n", f);
    }
}

static void write_property(FILE *f, const struct interface_property *p)
{
    const char *access = p->set ? "readwrite" : "read";
    const char *told = p->constant ? "const" : p->silent ? "false" : NULL;
    if (!told) {
        fprintf(f, "    <property name=\"%s\" type=\"%s\" access=\"%s\"/>\n", p->name, p->type,
                access);
        return;
    }
    fprintf(f,
            "    <property name=\"%s\" type=\"%s\" access=\"%s\">\n"
            "      <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" "
            "value=\"%s\"/>\n"
            "    </property>\n",
            p->name, p->type, access, told);
}

static void write_interface(FILE *f, const struct interface *i)
{
    fprintf(f, "  <interface name=\"%s\">\n", i->name);
    for (const struct interface_method *m = i->methods; m && m->name; m++) {
        fprintf(f, "    <method name=\"%s\">\n", m->name);
        write_args(f, m->in, "in");
        write_args(f, m->out, "out");
        fputs("    </method>\n", f);
    }
    for (const struct interface_property *p = i->properties; p && p->name; p++)
        write_property(f, p);
    for (const struct interface_signal *s = i->signals; s && s->name; s++) {
        fprintf(f, "    <signal name=\"%s\">\n", s->name);
        write_args(f, s->args, NULL);
        fputs("    </signal>\n", f);
    }
    fputs("  </interface>\n", f);
}

static char *write_xml(const struct interface_object *o)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fputs("<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
          " \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n",
          f);
    for (const struct interface_part *p = o->parts; p->interface; p++)
        write_interface(f, p->interface);
    fputs(standard_xml, f);
    char **children = bus_children(o->bus, o->path);
    for (char **child = children; child && *child; child++)
        fprintf(f, "  <node name=\"%s\"/>\n", *child);
    dbus_free_string_array(children);
    fputs("</node>\n", f);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

static const struct interface_part *find_part(const struct interface_object *o, const char *name)
{
    for (const struct interface_part *p = o->parts; p->interface; p++)
        if (strcmp(p->interface->name, name) == 0)
            return p;
    return NULL;
}

static const struct interface_property *find_property(const struct interface *i, const char *name)
{
    for (const struct interface_property *p = i->properties; p && p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

/* A call without an interface means the first that has the method. */
static const struct interface_method *
find_method(const struct interface_object *o, const char *interface, const char *name, void **user)
{
    for (const struct interface_part *p = o->parts; p->interface; p++) {
        if (interface && strcmp(p->interface->name, interface) != 0)
            continue;
        *user = p->user;
        for (const struct interface_method *m = p->interface->methods; m && m->name; m++)
            if (strcmp(m->name, name) == 0)
                return m;
    }
    return NULL;
}

static void append_variant(const struct interface_part *part, const struct interface_property *p,
                           DBusMessageIter *out)
{
    DBusMessageIter variant;
    dbus_message_iter_open_container(out, DBUS_TYPE_VARIANT, p->type, &variant);
    p->get(part->user, &variant);
    dbus_message_iter_close_container(out, &variant);
}

static void append_property(const struct interface_part *part, const struct interface_property *p,
                            DBusMessageIter *dictionary)
{
    DBusMessageIter entry;
    dbus_message_iter_open_container(dictionary, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
    dbus_message_iter_append_basic(&entry, DBUS_TYPE_STRING, &p->name);
    append_variant(part, p, &entry);
    dbus_message_iter_close_container(dictionary, &entry);
}

static void append_properties(const struct interface_part *part, DBusMessageIter *out)
{
    DBusMessageIter dictionary;
    dbus_message_iter_open_container(out, DBUS_TYPE_ARRAY, "{sv}", &dictionary);
    for (const struct interface_property *p = part->interface->properties; p && p->name; p++)
        append_property(part, p, &dictionary);
    dbus_message_iter_close_container(out, &dictionary);
}

static DBusMessage *introspect(struct interface_object *o, DBusMessage *call)
{
    char *xml = write_xml(o);
    if (!xml)
        return NULL;
    DBusMessage *reply = dbus_message_new_method_return(call);
    DBusMessageIter out;
    dbus_message_iter_init_append(reply, &out);
    bus_append_text(&out, xml);
    free(xml);
    return reply;
}

static DBusMessage *no_interface(DBusMessage *call, const char *name)
{
    char cut[BUS_EXCERPT_BYTES];
    return dbus_message_new_error_printf(call, DBUS_ERROR_UNKNOWN_INTERFACE, "no interface %s here",
                                         bus_excerpt(name, cut));
}

static DBusMessage *no_method(DBusMessage *call)
{
    const char *interface = dbus_message_get_interface(call);
    char member_cut[BUS_EXCERPT_BYTES], interface_cut[BUS_EXCERPT_BYTES];
    return dbus_message_new_error_printf(
        call, DBUS_ERROR_UNKNOWN_METHOD, "no method %s in %s",
        bus_excerpt(dbus_message_get_member(call), member_cut),
        bus_excerpt(interface ? interface : "any interface", interface_cut));
}

static DBusMessage *get_all(struct interface_object *o, DBusMessage *call)
{
    const char *name;
    if (!dbus_message_get_args(call, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID))
        return dbus_message_new_error(call, DBUS_ERROR_INVALID_ARGS, "GetAll takes (s)");
    const struct interface_part *part = find_part(o, name);
    if (!part)
        return no_interface(call, name);
    DBusMessage *reply = dbus_message_new_method_return(call);
    DBusMessageIter out;
    dbus_message_iter_init_append(reply, &out);
    append_properties(part, &out);
    return reply;
}

static DBusMessage *get(const struct interface_part *part, DBusMessage *call,
                        const struct interface_property *p)
{
    DBusMessage *reply = dbus_message_new_method_return(call);
    DBusMessageIter out;
    dbus_message_iter_init_append(reply, &out);
    append_variant(part, p, &out);
    return reply;
}

static DBusMessage *set(const struct interface_part *part, DBusMessage *call,
                        const struct interface_property *p)
{
    if (!p->set)
        return dbus_message_new_error_printf(call, DBUS_ERROR_PROPERTY_READ_ONLY, "%s is read-only",
                                             p->name);
    DBusMessageIter args, value;
    dbus_message_iter_init(call, &args);
    dbus_message_iter_next(&args);
    dbus_message_iter_next(&args);
    dbus_message_iter_recurse(&args, &value);
    char *type = dbus_message_iter_get_signature(&value);
    bool fits = type && strcmp(type, p->type) == 0;
    dbus_free(type);
    if (!fits)
        return dbus_message_new_error_printf(call, DBUS_ERROR_INVALID_ARGS, "%s has the type %s",
                                             p->name, p->type);
    return p->set(part->user, call, &value);
}

static DBusMessage *call_property(struct interface_object *o, DBusMessage *call)
{
    bool setting = strcmp(dbus_message_get_member(call), "Set") == 0;
    if (!dbus_message_has_signature(call, setting ? "ssv" : "ss"))
        return dbus_message_new_error(call, DBUS_ERROR_INVALID_ARGS,
                                      setting ? "Set takes (ssv)" : "Get takes (ss)");
    const char *interface, *name;
    char cut[BUS_EXCERPT_BYTES];
    DBusMessageIter args;
    dbus_message_iter_init(call, &args);
    dbus_message_iter_get_basic(&args, &interface);
    dbus_message_iter_next(&args);
    dbus_message_iter_get_basic(&args, &name);

    const struct interface_part *part = find_part(o, interface);
    if (!part)
        return no_interface(call, interface);
    const struct interface_property *p = find_property(part->interface, name);
    if (!p)
        return dbus_message_new_error_printf(call, DBUS_ERROR_UNKNOWN_PROPERTY,
                                             "%s has no property %s", interface,
                                             bus_excerpt(name, cut));
    return setting ? set(part, call, p) : get(part, call, p);
}

static DBusMessage *call_method(void *user, DBusMessage *call, const struct interface_method *m)
{
    char signature[64] = "";
    for (const struct interface_arg *a = m->in; a->name; a++)
        strcat(signature, a->type);
    if (!dbus_message_has_signature(call, signature))
        return dbus_message_new_error_printf(call, DBUS_ERROR_INVALID_ARGS, "%s takes (%s)",
                                             m->name, signature);
    return m->call(user, call);
}

static DBusHandlerResult send_reply(struct interface_object *o, DBusMessage *call,
                                    DBusMessage *reply)
{
    if (reply && dbus_message_get_no_reply(call))
        dbus_message_unref(reply);
    else if (reply)
        bus_send(o->bus, reply);
    return DBUS_HANDLER_RESULT_HANDLED;
}

/* A question whose answer nobody waits for, and that changes nothing. */
static bool is_idle(DBusMessage *m)
{
    return dbus_message_get_no_reply(m) &&
           (dbus_message_has_interface(m, DBUS_INTERFACE_INTROSPECTABLE) ||
            (dbus_message_has_interface(m, DBUS_INTERFACE_PROPERTIES) &&
             !dbus_message_has_member(m, "Set")));
}

static DBusHandlerResult take_message(void *user, DBusMessage *m)
{
    struct interface_object *o = user;
    if (dbus_message_get_type(m) != DBUS_MESSAGE_TYPE_METHOD_CALL)
        return DBUS_HANDLER_RESULT_NOT_YET_HANDLED;
    if (is_idle(m))
        return DBUS_HANDLER_RESULT_HANDLED;
    if (dbus_message_is_method_call(m, DBUS_INTERFACE_INTROSPECTABLE, "Introspect"))
        return send_reply(o, m, introspect(o, m));
    if (dbus_message_is_method_call(m, DBUS_INTERFACE_PROPERTIES, "GetAll"))
        return send_reply(o, m, get_all(o, m));
    if (dbus_message_is_method_call(m, DBUS_INTERFACE_PROPERTIES, "Get") ||
        dbus_message_is_method_call(m, DBUS_INTERFACE_PROPERTIES, "Set"))
        return send_reply(o, m, call_property(o, m));
    void *part_user;
    const struct interface_method *method =
        find_method(o, dbus_message_get_interface(m), dbus_message_get_member(m), &part_user);
    if (!method)
        return send_reply(o, m, no_method(m));
    return send_reply(o, m, call_method(part_user, m, method));
}

int interface_export(struct interface_object *o)
{
    o->exported = (struct bus_object){.path = o->path, .take = take_message, .user = o};
    return bus_export(o->bus, &o->exported);
}

void interface_unexport(struct interface_object *o)
{
    bus_unexport(o->bus, &o->exported);
}

void interface_changed(struct interface_object *o, const char *interface, const char *property)
{
    const struct interface_part *part = find_part(o, interface);
    DBusMessage *m =
        dbus_message_new_signal(o->path, DBUS_INTERFACE_PROPERTIES, "PropertiesChanged");
    DBusMessageIter out, dictionary, invalidated;
    if (m) {
        dbus_message_iter_init_append(m, &out);
        dbus_message_iter_append_basic(&out, DBUS_TYPE_STRING, &interface);
        dbus_message_iter_open_container(&out, DBUS_TYPE_ARRAY, "{sv}", &dictionary);
        append_property(part, find_property(part->interface, property), &dictionary);
        dbus_message_iter_close_container(&out, &dictionary);
        dbus_message_iter_open_container(&out, DBUS_TYPE_ARRAY, "s", &invalidated);
        dbus_message_iter_close_container(&out, &invalidated);
    }
    bus_send(o->bus, m);
}

void interface_append_object(DBusMessageIter *out, const struct interface_object *o)
{
    DBusMessageIter interfaces, entry;
    dbus_message_iter_append_basic(out, DBUS_TYPE_OBJECT_PATH, &o->path);
    dbus_message_iter_open_container(out, DBUS_TYPE_ARRAY, "{sa{sv}}", &interfaces);
    for (const struct interface_part *p = o->parts; p->interface; p++) {
        dbus_message_iter_open_container(&interfaces, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
        dbus_message_iter_append_basic(&entry, DBUS_TYPE_STRING, &p->interface->name);
        append_properties(p, &entry);
        dbus_message_iter_close_container(&interfaces, &entry);
    }
    dbus_message_iter_close_container(out, &interfaces);
}

void interface_append_names(DBusMessageIter *out, const struct interface_object *o)
{
    DBusMessageIter names;
    dbus_message_iter_open_container(out, DBUS_TYPE_ARRAY, "s", &names);
    for (const struct interface_part *p = o->parts; p->interface; p++)
        dbus_message_iter_append_basic(&names, DBUS_TYPE_STRING, &p->interface->name);
    dbus_message_iter_close_container(out, &names);
}

void interface_append_entry(DBusMessageIter *dictionary, const char *key, int type,
                            const char *signature, const void *value)
{
    struct interface_entry e;
    interface_open_entry(dictionary, key, signature, &e);
    dbus_message_iter_append_basic(&e.value, type, value);
    interface_close_entry(dictionary, &e);
}

void interface_append_text(DBusMessageIter *dictionary, const char *key, const char *text)
{
    struct interface_entry e;
    interface_open_entry(dictionary, key, "s", &e);
    bus_append_text(&e.value, text);
    interface_close_entry(dictionary, &e);
}

void interface_open_entry(DBusMessageIter *dictionary, const char *key, const char *signature,
                          struct interface_entry *e)
{
    dbus_message_iter_open_container(dictionary, DBUS_TYPE_DICT_ENTRY, NULL, &e->entry);
    dbus_message_iter_append_basic(&e->entry, DBUS_TYPE_STRING, &key);
    dbus_message_iter_open_container(&e->entry, DBUS_TYPE_VARIANT, signature, &e->value);
}

void interface_close_entry(DBusMessageIter *dictionary, struct interface_entry *e)
{
    dbus_message_iter_close_container(&e->entry, &e->value);
    dbus_message_iter_close_container(dictionary, &e->entry);
}
