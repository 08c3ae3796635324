/* A named ear is a further ear that [ears] or AddEar begins, and that ends when it is named there
 * no more, or by RemoveEar. Nobody orders anything by what the desktop plays: unless it is asked
 * otherwise, an ear gives captions alone. */
#include "daemon/ears.h"

#include "base/log.h"
#include "daemon/bus.h"
#include "daemon/service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EARS_INTERFACE "org.earshot.Earshot1.Ears"
#define EARS_PATH SERVICE_PATH "/ears/"
#define WHAT_THE_DESKTOP_PLAYS "@DEFAULT_MONITOR@"

enum {
    EAR_PIECES = 512, /* that may wait for the model: 51 s */
};

struct named_ear {
    struct further_ear ear; /* its call is AddEar */
    struct config_ear what;
    char mode[CONFIG_WORD_MAX];
    bool configured; /* [ears] has it */
    bool ending;
    struct microphones *microphones;
    bool open, listening; /* as service.c has them of the microphone */
    DBusMessage *removal; /* RemoveEar, until it is over; owned; or NULL */
};

struct ears {
    struct loop *loop;
    struct bus *bus;
    struct further *further;
    struct further_kind kind;
    struct assistant *const *main;
    bool paused;
};

static struct named_ear *named(const struct further_ear *ear)
{
    return (struct named_ear *)ear;
}

static struct named_ear *find_ear(const struct ears *e, const char *name)
{
    struct further_ear *i = e->kind.ears;
    while (i && strcmp(named(i)->what.name, name) != 0)
        i = i->next;
    return i ? named(i) : NULL;
}

static void destroy(struct further_ear *ear)
{
    struct named_ear *n = named(ear);
    const struct ears *e = ear->kind->user;
    if (n->removal) {
        bus_send(e->bus, dbus_message_new_method_return(n->removal));
        dbus_message_unref(n->removal);
    }
    microphones_destroy(n->microphones);
    free(n);
}

static const struct config_ear *configured_as(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->ear_count; i++)
        if (strcmp(config->ears[i].name, name) == 0)
            return &config->ears[i];
    return NULL;
}

static void configure(const struct further_ear *ear, const struct config *config,
                      struct config *out)
{
    const struct named_ear *n = named(ear);
    const struct config_ear *as = n->configured ? configured_as(config, n->what.name) : NULL;
    *out = *config;
    out->resume = false;
    strcpy(out->source, as ? as->source : n->what.source);
    strcpy(out->mode, n->mode);
}

static DBusMessage *answer(struct further_ear *ear)
{
    DBusMessage *reply = dbus_message_new_method_return(ear->call);
    const char *path = assistant_object(ear->assistant)->path;
    if (!reply || dbus_message_append_args(reply, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_INVALID))
        return reply;
    dbus_message_unref(reply);
    return NULL;
}

static void over(struct further_ear *ear)
{
    assistant_removed(ear->assistant);
}

static const char *why(const struct further_ear *ear, const struct engine_message *m)
{
    (void)ear;
    return m->value ? m->event.text : "the ear was removed";
}

int ears_create(struct ears **out, struct loop *loop, struct bus *bus, struct further *further,
                struct assistant *const *main, struct error *error)
{
    struct ears *e = calloc(1, sizeof *e);
    if (!e)
        return error_set(error, -ENOMEM, "out of memory");
    *e = (struct ears){.loop = loop, .bus = bus, .further = further, .main = main};
    e->kind = (struct further_kind){.user = e,
                                    .configure = configure,
                                    .answer = answer,
                                    .why = why,
                                    .over = over,
                                    .destroy = destroy};
    further_add_kind(further, &e->kind);
    *out = e;
    return 0;
}

void ears_destroy(struct ears *e)
{
    free(e);
}

static void microphones_changed(void *user)
{
    const struct named_ear *n = user;
    if (n->ear.assistant)
        assistant_microphones_changed(n->ear.assistant);
}

static void microphone_moved(void *user)
{
    const struct named_ear *n = user;
    log_info("the device of the ear %s has come, gone or changed", n->what.name);
    if (n->ear.assistant)
        assistant_reopen(n->ear.assistant);
}

static int begin(struct ears *e, struct named_ear *n, struct error *error)
{
    const struct config *config = assistant_config(*e->main);
    const struct source_options how = config_source(config);
    const struct microphones_listener listener = {microphones_changed, microphone_moved, n};
    struct source *source;
    char path[sizeof EARS_PATH + CONFIG_EAR_NAME_MAX];
    int rc = microphones_create(&n->microphones, e->loop, &listener, error);
    if (!rc)
        rc = source_create(&source, n->what.source, &how, error);
    if (rc)
        return rc;
    snprintf(path, sizeof path, EARS_PATH "%s", n->what.name);
    struct assistant_options options = {
        .path = path, .microphones = n->microphones, .beside = *e->main, .history = n->what.name};
    struct ear_options ear = {.pieces = EAR_PIECES};
    rc = further_begin(e->further, &n->ear, config, &options, source, &ear, error);
    if (rc)
        return rc;
    microphones_choose(n->microphones, source_device(n->what.source));
    if (e->paused)
        assistant_pause(n->ear.assistant, true);
    return 0;
}

/* call: AddEar, or NULL. 0 or -errno. */
static int add(struct ears *e, const struct config_ear *what, const char *mode, DBusMessage *call,
               struct error *error)
{
    struct named_ear *n = calloc(1, sizeof *n);
    if (!n)
        return error_set(error, -ENOMEM, "out of memory");
    n->ear.kind = &e->kind;
    n->what = *what;
    n->configured = !call;
    snprintf(n->mode, sizeof n->mode, "%s", mode);
    int rc = begin(e, n, error);
    if (rc)
        further_finish(&n->ear);
    else if (call)
        n->ear.call = dbus_message_ref(call);
    return rc;
}

static void end(struct named_ear *n)
{
    n->ending = true;
    ear_abort(n->ear.ear);
}

void ears_follow(struct ears *e, const struct config *config)
{
    struct error error;
    for (struct further_ear *i = e->kind.ears; i; i = i->next)
        if (named(i)->configured && !named(i)->ending &&
            !configured_as(config, named(i)->what.name))
            end(named(i));
    for (size_t i = 0; i < config->ear_count; i++) {
        const struct config_ear *what = &config->ears[i];
        if (!find_ear(e, what->name) && add(e, what, "captions", NULL, &error))
            log_error("[ears] %s: %s", what->name, error.message);
    }
}

void ears_pause(struct ears *e, bool paused)
{
    e->paused = paused;
    for (struct further_ear *i = e->kind.ears; i; i = i->next)
        assistant_pause(i->assistant, paused);
}

void ears_take_source(struct ears *e, const struct engine_message *m)
{
    struct further_ear *i = e->kind.ears;
    while (i && i->assistant != m->user)
        i = i->next;
    if (!i)
        return;
    struct named_ear *n = named(i);
    if (m->type == ENGINE_SOURCE && m->value == ENGINE_SOURCE_OPEN)
        n->open = n->listening = true;
    else if (m->type == ENGINE_SOURCE && m->value == ENGINE_SOURCE_CLOSED)
        n->open = false;
    else if (m->type == ENGINE_QUIET && !n->open)
        n->listening = false;
    if (m->type == ENGINE_SOURCE)
        microphones_look(n->microphones);
}

bool ears_listen(const struct ears *e)
{
    const struct further_ear *i = e->kind.ears;
    while (i && !named(i)->listening)
        i = i->next;
    return i;
}

/* What AddEar asks for: the options of an a{sv} over the defaults. 0 or -EINVAL. */
static int read_options(DBusMessageIter *array, struct config_ear *what, const char **mode,
                        struct error *error)
{
    const char *device = WHAT_THE_DESKTOP_PLAYS;
    DBusMessageIter entries, entry, value;
    for (dbus_message_iter_recurse(array, &entries);
         dbus_message_iter_get_arg_type(&entries) == DBUS_TYPE_DICT_ENTRY;
         dbus_message_iter_next(&entries)) {
        const char *name;
        char cut[BUS_EXCERPT_BYTES];
        dbus_message_iter_recurse(&entries, &entry);
        dbus_message_iter_get_basic(&entry, &name);
        dbus_message_iter_next(&entry);
        dbus_message_iter_recurse(&entry, &value);
        const char **into = strcmp(name, "device") == 0 ? &device
                            : strcmp(name, "mode") == 0 ? mode
                                                        : NULL;
        if (!into)
            return error_set(error, -EINVAL, "no option is called %s", bus_excerpt(name, cut));
        if (dbus_message_iter_get_arg_type(&value) != DBUS_TYPE_STRING)
            return error_set(error, -EINVAL, "%s has the type s", name);
        dbus_message_iter_get_basic(&value, into);
    }
    if (strcmp(*mode, "captions") != 0 && strcmp(*mode, "assistant") != 0)
        return error_set(error, -EINVAL, "a mode is captions or assistant");
    if (strlen(device) >= SOURCE_NAME_MAX)
        return error_set(error, -EINVAL, "a device's name has at most %d bytes",
                         SOURCE_NAME_MAX - 1);
    snprintf(what->source, sizeof what->source, "portaudio%s%s", *device ? ":" : "", device);
    return 0;
}

static DBusMessage *call_add(void *user, DBusMessage *call)
{
    struct ears *e = user;
    struct config_ear what;
    const char *name, *mode = "captions";
    struct error error;
    DBusMessageIter args;
    dbus_message_iter_init(call, &args);
    dbus_message_iter_get_basic(&args, &name);
    dbus_message_iter_next(&args);
    if (config_check_ear(name, &error) || read_options(&args, &what, &mode, &error))
        return assistant_error(call, "InvalidArgument", error.message);
    strcpy(what.name, name);
    if (find_ear(e, name))
        return assistant_error(call, "Busy", "an ear has this name already");
    if (e->kind.count >= CONFIG_EARS_MAX)
        return assistant_error(call, "Busy", "there are as many ears as there can be");
    if (strcmp(mode, "assistant") == 0 && !further_can_reply(e->further))
        return assistant_error(call, "NotSupported", "the model has no replies");
    if (add(e, &what, mode, call, &error))
        return assistant_error(call, "Failed", error.message);
    return NULL;
}

static DBusMessage *call_remove(void *user, DBusMessage *call)
{
    struct ears *e = user;
    const char *name;
    dbus_message_get_args(call, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID);
    struct named_ear *n = find_ear(e, name);
    if (!n || n->removal)
        return assistant_error(call, "NotFound", "no ear has this name");
    n->removal = dbus_message_ref(call);
    end(n);
    return NULL;
}

static const struct interface_method ears_methods[] = {
    {"AddEar", {{"name", "s"}, {"options", "a{sv}"}}, {{"ear", "o"}}, call_add},
    {"RemoveEar", {{"name", "s"}}, .call = call_remove},
    {NULL},
};

static const struct interface ears_interface = {EARS_INTERFACE, ears_methods, NULL, NULL};

struct interface_part ears_part(struct ears *e)
{
    return (struct interface_part){&ears_interface, e};
}
