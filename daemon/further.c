/* A further ear's life:
 *
 *   further_begin ──► opening ──ENGINE_OPENED──► listed ──ear_abort──► closing
 *                        │                                               │
 *                        └────────────── ENGINE_CLOSED ◄─────────────────┘
 */
#include "daemon/further.h"

#include "daemon/service.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#define MANAGER_INTERFACE "org.freedesktop.DBus.ObjectManager"

enum {
    KINDS_MAX = 2,
};

struct further {
    struct loop *loop;
    struct bus *bus;
    struct engine *engine; /* not owned */
    char model[64];
    bool loaded, can_reply;
    struct further_kind *kinds[KINDS_MAX + 1]; /* ends with NULL */
};

int further_create(struct further **out, struct loop *loop, struct bus *bus, struct error *error)
{
    struct further *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(error, -ENOMEM, "out of memory");
    f->loop = loop;
    f->bus = bus;
    *out = f;
    return 0;
}

void further_finish(struct further_ear *ear)
{
    assistant_destroy(ear->assistant);
    if (ear->call)
        dbus_message_unref(ear->call);
    ear->kind->destroy(ear);
}

void further_destroy(struct further *f)
{
    if (!f)
        return;
    for (struct further_kind **k = f->kinds; *k; k++)
        while ((*k)->ears) {
            struct further_ear *ear = (*k)->ears;
            (*k)->ears = ear->next;
            further_finish(ear);
        }
    free(f);
}

void further_add_kind(struct further *f, struct further_kind *kind)
{
    struct further_kind **k = f->kinds;
    while (*k)
        k++;
    *k = kind;
}

void further_attach(struct further *f, struct engine *engine)
{
    f->engine = engine;
}

bool further_is_loaded(const struct further *f)
{
    return f->loaded;
}

bool further_can_reply(const struct further *f)
{
    return f->can_reply;
}

int further_begin(struct further *f, struct further_ear *ear, const struct config *config,
                  struct assistant_options *options, struct source *source,
                  struct ear_options *ear_options, struct error *error)
{
    struct config own;
    ear->kind->configure(ear, config, &own);
    options->config = ear_options->config = &own;
    int rc = assistant_create(&ear->assistant, f->loop, f->bus, options, error);
    if (rc) {
        source_destroy(source);
        return rc;
    }
    ear_options->user = ear->assistant;
    ear_options->last_id = assistant_last_id(ear->assistant);
    rc = ear_create(&ear->ear, f->engine, source, ear_options, error);
    if (rc)
        return rc;
    assistant_attach(ear->assistant, ear->ear);
    ear->next = ear->kind->ears;
    ear->kind->ears = ear;
    ear->kind->count++;
    return 0;
}

/* Where the ear of this assistant stands in its kind's list; NULL: nowhere. */
static struct further_ear **find(struct further *f, const void *assistant)
{
    for (struct further_kind **k = f->kinds; *k; k++)
        for (struct further_ear **p = &(*k)->ears; *p; p = &(*p)->next)
            if ((*p)->assistant == assistant)
                return p;
    return NULL;
}

static void announce(struct further *f, const struct further_ear *ear, bool there)
{
    const struct interface_object *o = assistant_object(ear->assistant);
    DBusMessage *m = dbus_message_new_signal(SERVICE_PATH, MANAGER_INTERFACE,
                                             there ? "InterfacesAdded" : "InterfacesRemoved");
    DBusMessageIter out;
    if (m) {
        dbus_message_iter_init_append(m, &out);
        if (there) {
            interface_append_object(&out, o);
        } else {
            dbus_message_iter_append_basic(&out, DBUS_TYPE_OBJECT_PATH, &o->path);
            interface_append_names(&out, o);
        }
    }
    bus_send(f->bus, m);
}

void further_opened(struct further *f, const struct engine_message *m)
{
    struct further_ear **p = find(f, m->user), *ear = p ? *p : NULL;
    if (!ear || ear->listed)
        return;
    DBusMessage *answer = ear->call ? ear->kind->answer(ear) : NULL;
    if (ear->call && !answer) { /* ENGINE_CLOSED follows */
        ear_abort(ear->ear);
        return;
    }
    if (f->loaded)
        assistant_loaded(ear->assistant, f->engine, f->model, f->can_reply);
    announce(f, ear, true);
    ear->listed = true;
    if (!ear->call)
        return;
    bus_send(f->bus, answer);
    dbus_message_unref(ear->call);
    ear->call = NULL;
}

void further_closed(struct further *f, const struct engine_message *m)
{
    struct further_ear **p = find(f, m->user), *ear = p ? *p : NULL;
    if (!ear)
        return;
    *p = ear->next;
    ear->kind->count--;
    if (ear->call)
        bus_send(f->bus, assistant_error(ear->call, "Failed", ear->kind->why(ear, m)));
    if (ear->listed && ear->kind->over)
        ear->kind->over(ear);
    if (ear->listed)
        announce(f, ear, false);
    ear_destroy(ear->ear);
    further_finish(ear);
    malloc_trim(0); /* the allocator keeps what many at once have freed */
}

void further_loaded(struct further *f, const char *model, bool can_reply)
{
    f->loaded = true;
    f->can_reply = can_reply;
    snprintf(f->model, sizeof f->model, "%.63s", model);
    for (struct further_kind **k = f->kinds; *k; k++)
        for (struct further_ear *i = (*k)->ears; i; i = i->next)
            if (i->listed)
                assistant_loaded(i->assistant, f->engine, model, can_reply);
}

void further_loading(struct further *f)
{
    for (struct further_kind **k = f->kinds; *k; k++)
        for (struct further_ear *i = (*k)->ears; i; i = i->next)
            if (i->listed)
                assistant_loading(i->assistant);
}

int further_prepare(struct further *f, const struct config *config, struct error *error)
{
    int rc = 0;
    for (struct further_kind **k = f->kinds; *k; k++)
        for (struct further_ear *i = (*k)->ears; i && !rc; i = i->next) {
            struct config own;
            i->kind->configure(i, config, &own);
            rc = assistant_prepare(i->assistant, &own, error);
        }
    return rc;
}

void further_configure(struct further *f, bool count)
{
    for (struct further_kind **k = f->kinds; *k; k++)
        for (struct further_ear *i = (*k)->ears; i; i = i->next)
            assistant_configure(i->assistant, count);
}

static DBusMessage *call_managed(void *user, DBusMessage *call)
{
    const struct further *f = user;
    DBusMessage *reply = dbus_message_new_method_return(call);
    if (!reply)
        return NULL;
    DBusMessageIter out, objects, entry;
    dbus_message_iter_init_append(reply, &out);
    dbus_message_iter_open_container(&out, DBUS_TYPE_ARRAY, "{oa{sa{sv}}}", &objects);
    for (struct further_kind *const *k = f->kinds; *k; k++)
        for (const struct further_ear *i = (*k)->ears; i; i = i->next) {
            if (!i->listed)
                continue;
            dbus_message_iter_open_container(&objects, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
            interface_append_object(&entry, assistant_object(i->assistant));
            dbus_message_iter_close_container(&objects, &entry);
        }
    dbus_message_iter_close_container(&out, &objects);
    return reply;
}

static const struct interface_method manager_methods[] = {
    {"GetManagedObjects", .out = {{"object_paths_interfaces_and_properties", "a{oa{sa{sv}}}"}},
     .call = call_managed},
    {NULL},
};

static const struct interface_signal manager_signals[] = {
    {"InterfacesAdded", {{"object_path", "o"}, {"interfaces_and_properties", "a{sa{sv}}"}}},
    {"InterfacesRemoved", {{"object_path", "o"}, {"interfaces", "as"}}},
    {NULL},
};

static const struct interface manager_interface = {MANAGER_INTERFACE, manager_methods, NULL,
                                                   manager_signals};

struct interface_part further_part(struct further *f)
{
    return (struct interface_part){&manager_interface, f};
}
