/* A named ear is a further ear that [ears] or AddEar begins, and that ends when it is named there
 * no more, or by RemoveEar. Nobody orders anything by what the desktop plays: unless it is asked
 * otherwise, an ear gives captions alone. */
#include "daemon/ears.h"

#include "base/log.h"
#include "daemon/bus.h"
#include "daemon/mode.h"
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
    char *client;           /* whose leaving ends it; owned; NULL: nobody's */
    struct config_ear what;
    char mode[CONFIG_WORD_MAX];
    bool configured; /* [ears] has it */
    bool ending;
    struct microphones *microphones;
    DBusMessage *removal; /* RemoveEar, until it is over; owned; or NULL */
};

/* What AddEar or [ears] asks for. */
struct added_ear {
    struct config_ear what;
    const char *device; /* AddEar's, of which the source is made */
    const char *mode;
    bool stays; /* when its client is gone */
};

struct ears {
    struct loop *loop;
    struct bus *bus;
    struct further *further;
    struct further_kind kind;
    struct bus_watch watch;
    struct assistant *const *main;
    struct config_ear wanted[CONFIG_EARS_MAX]; /* [wanted_count], of [ears], but what was removed */
    size_t wanted_count;
    DBusMessage *waiting[CONFIG_EARS_MAX]; /* AddEar, until a name is free; owned; or NULL */
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
    if (n->client)
        bus_unfollow(e->bus, n->client);
    microphones_destroy(n->microphones);
    free(n->client);
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

static void end(struct named_ear *n)
{
    n->ending = true;
    ear_abort(n->ear.ear);
}

/* Whoever added an ear for itself is gone. */
static void vanished(void *user, const char *client)
{
    struct ears *e = user;
    for (struct further_ear *i = e->kind.ears; i; i = i->next)
        if (named(i)->client && strcmp(named(i)->client, client) == 0)
            end(named(i));
}

static void lost(void *user)
{
    struct ears *e = user;
    for (struct further_ear *i = e->kind.ears; i; i = i->next)
        if (named(i)->client)
            end(named(i));
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
    e->watch = (struct bus_watch){.lost = lost, .vanished = vanished, .user = e};
    bus_watch(bus, &e->watch);
    *out = e;
    return 0;
}

void ears_destroy(struct ears *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < CONFIG_EARS_MAX; i++) {
        if (!e->waiting[i])
            continue;
        bus_send(e->bus, assistant_error(e->waiting[i], "Failed", "the daemon ends"));
        dbus_message_unref(e->waiting[i]);
    }
    bus_unwatch(e->bus, &e->watch);
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
    char path[sizeof EARS_PATH + EAR_NAME_MAX];
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

/* client: that it stays as long as; NULL: nobody. call: AddEar, or NULL. 0 or -errno. */
static int add(struct ears *e, const struct added_ear *added, DBusMessage *call,
               struct error *error)
{
    const char *client = call && !added->stays ? dbus_message_get_sender(call) : NULL;
    if (e->kind.count >= CONFIG_EARS_MAX)
        return error_set(error, -EBUSY, "there are as many ears as there can be");
    struct named_ear *n = calloc(1, sizeof *n);
    if (!n)
        return error_set(error, -ENOMEM, "out of memory");
    n->ear.kind = &e->kind;
    n->what = added->what;
    n->configured = !call;
    snprintf(n->mode, sizeof n->mode, "%s", added->mode);
    int rc = begin(e, n, error);
    if (!rc && client && !(n->client = strdup(client)))
        end(n);
    else if (!rc && client)
        bus_follow(e->bus, client);
    if (rc)
        further_finish(&n->ear);
    else if (call)
        n->ear.call = dbus_message_ref(call);
    return rc;
}

int ears_check(const struct ears *e, const struct config *config, struct error *error)
{
    const struct source_options how = config_source(config);
    for (size_t i = 0; i < config->ear_count; i++) {
        const struct config_ear *what = &config->ears[i];
        const struct named_ear *there = find_ear(e, what->name);
        struct source *source;
        struct error why;
        if (there && there->configured)
            continue; /* its own configuration is checked */
        int rc = source_create(&source, what->source, &how, &why);
        if (rc)
            return error_set(error, rc, "[ears] %s: %s", what->name, why.message);
        source_destroy(source);
    }
    return 0;
}

/* Those that are wanted and not there; an ear that is ending still has its name. */
static void begin_wanted(struct ears *e)
{
    struct error error;
    for (size_t i = 0; i < e->wanted_count; i++) {
        struct added_ear added = {.what = e->wanted[i], .mode = mode_name(false)};
        if (!find_ear(e, added.what.name) && add(e, &added, NULL, &error))
            log_error("[ears] %s: %s", added.what.name, error.message);
    }
}

void ears_follow(struct ears *e, const struct config *config)
{
    for (struct further_ear *i = e->kind.ears; i; i = i->next) {
        struct named_ear *n = named(i);
        if (n->configured == !configured_as(config, n->what.name) && !n->ending)
            end(n); /* it is none of [ears] any more, or becomes one of them */
    }
    memcpy(e->wanted, config->ears, sizeof e->wanted);
    e->wanted_count = config->ear_count;
    begin_wanted(e);
}

static void forget_wanted(struct ears *e, const char *name)
{
    for (size_t i = 0; i < e->wanted_count; i++)
        if (strcmp(e->wanted[i].name, name) == 0)
            e->wanted[i] = e->wanted[--e->wanted_count];
}

void ears_pause(struct ears *e, bool paused)
{
    e->paused = paused;
    for (struct further_ear *i = e->kind.ears; i; i = i->next)
        assistant_pause(i->assistant, paused);
}

bool ears_listen(const struct ears *e)
{
    const struct further_ear *i = e->kind.ears;
    while (i && !assistant_listens(i->assistant))
        i = i->next;
    return i;
}

static int read_option(void *user, const char *name, DBusMessageIter *value, struct error *error)
{
    struct added_ear *added = user;
    char cut[BUS_EXCERPT_BYTES];
    dbus_bool_t flag;
    bool stays = strcmp(name, "stays") == 0;
    const char **text = strcmp(name, "device") == 0 ? &added->device
                        : strcmp(name, "mode") == 0 ? &added->mode
                                                    : NULL;
    if (!text && !stays)
        return error_set(error, -EINVAL, "no option is called %s", bus_excerpt(name, cut));
    if (dbus_message_iter_get_arg_type(value) != (stays ? DBUS_TYPE_BOOLEAN : DBUS_TYPE_STRING))
        return error_set(error, -EINVAL, "%s has the type %c", name, stays ? 'b' : 's');
    if (text) {
        dbus_message_iter_get_basic(value, text);
    } else {
        dbus_message_iter_get_basic(value, &flag);
        added->stays = flag;
    }
    return 0;
}

/* What AddEar asks for: a name, and the options of an a{sv} over the defaults. 0 or -EINVAL. */
static int read_call(struct added_ear *added, DBusMessage *call, struct error *error)
{
    const char *name;
    DBusMessageIter args;
    dbus_message_iter_init(call, &args);
    dbus_message_iter_get_basic(&args, &name);
    dbus_message_iter_next(&args);
    int rc = ear_name_check(name, error);
    if (!rc)
        rc = bus_read_options(&args, read_option, added, error);
    if (rc)
        return rc;
    if (mode_check(added->mode, error))
        return -EINVAL;
    if (strlen(added->device) >= SOURCE_NAME_MAX)
        return error_set(error, -EINVAL, "a device's name has at most %d bytes",
                         SOURCE_NAME_MAX - 1);
    strcpy(added->what.name, name);
    snprintf(added->what.source, sizeof added->what.source, "portaudio%s%s",
             *added->device ? ":" : "", added->device);
    return 0;
}

/* Until the ear that has the name is over. False: too many wait. */
static bool wait_for_name(struct ears *e, DBusMessage *call)
{
    size_t i = 0;
    while (i < CONFIG_EARS_MAX && e->waiting[i])
        i++;
    if (i == CONFIG_EARS_MAX)
        return false;
    e->waiting[i] = dbus_message_ref(call);
    return true;
}

static DBusMessage *call_add(void *user, DBusMessage *call)
{
    struct ears *e = user;
    struct added_ear added = {
        .device = WHAT_THE_DESKTOP_PLAYS, .mode = mode_name(false), .stays = true};
    struct error error;
    if (read_call(&added, call, &error))
        return assistant_error(call, "InvalidArgument", error.message);
    const struct named_ear *there = find_ear(e, added.what.name);
    if (there && there->ending && wait_for_name(e, call))
        return NULL;
    if (there)
        return assistant_error(call, "Busy", "an ear has this name already");
    bool assistant = mode_replies(added.mode);
    if (assistant && !further_is_loaded(e->further))
        return assistant_error(call, "NotReady", "the model is not loaded yet");
    if (assistant && !further_can_reply(e->further))
        return assistant_error(call, "NotSupported", "the model has no replies");
    int rc = add(e, &added, call, &error);
    return rc ? assistant_error(call, rc == -EBUSY ? "Busy" : "Failed", error.message) : NULL;
}

void ears_closed(struct ears *e)
{
    begin_wanted(e);
    for (size_t i = 0; i < CONFIG_EARS_MAX; i++) {
        DBusMessage *call = e->waiting[i];
        e->waiting[i] = NULL;
        DBusMessage *refused = call ? call_add(e, call) : NULL;
        if (refused)
            bus_send(e->bus, refused);
        if (call)
            dbus_message_unref(call);
    }
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
    forget_wanted(e, name);
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
