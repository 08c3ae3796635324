/* The commands' way to the daemon: calls, properties, and signals for as long as it is there. */
#include "cli/bus_client.h"

#include "base/clock.h"
#include "base/ear_name.h"
#include "cli/offline.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ANSWER_MS = 10 * 60 * 1000, /* a reply may take its time, */
    PROPERTIES_MS = 25000,      /* what the daemon knows need not */
};

bool bus_client_connect(struct bus_client *c, DBusError *e)
{
    if (c->link)
        return true;
    if (!bus_link_open(&c->link, c->bus, e))
        return false;
    if (bus_link_find(c->link, BUS_CLIENT_NAME, e))
        return true;
    bus_client_finish(c);
    return false;
}

void bus_client_finish(struct bus_client *c)
{
    bus_link_close(c->link);
    c->link = NULL;
}

int bus_client_fail(const struct bus_client *c, DBusError *e)
{
    struct error said = {""};
    if (dbus_error_has_name(e, DBUS_ERROR_SERVICE_UNKNOWN) ||
        dbus_error_has_name(e, DBUS_ERROR_NAME_HAS_NO_OWNER))
        fprintf(stderr, "earshot %s: the daemon does not run; start earshotd\n", c->command);
    else if (dbus_error_has_name(e, DBUS_ERROR_ACCESS_DENIED))
        error_print("earshot %s: the bus \"%s\" allows it to root and the group earshot alone",
                    c->command, c->bus);
    else if (*c->object && dbus_error_has_name(e, DBUS_ERROR_UNKNOWN_OBJECT))
        error_set(&said, 0, "no ear is called %s; \"earshot ears\" lists them",
                  strrchr(c->object, '/') + 1);
    else
        error_set(&said, 0, "%s", e->message);
    if (*said.message)
        fprintf(stderr, "earshot %s: %s\n", c->command, said.message);
    dbus_error_free(e);
    return EXIT_FAILED;
}

DBusMessage *bus_client_call(const char *interface, const char *member, DBusMessageIter *args)
{
    DBusMessage *m =
        dbus_message_new_method_call(BUS_CLIENT_NAME, BUS_CLIENT_OBJECT, interface, member);
    dbus_message_iter_init_append(m, args);
    return m;
}

void bus_client_append_string(DBusMessageIter *args, const char *text)
{
    dbus_message_iter_append_basic(args, DBUS_TYPE_STRING, &text);
}

void bus_client_append_entry(DBusMessageIter *dictionary, const char *key, int type,
                             const char *signature, const void *value)
{
    DBusMessageIter entry, variant;
    dbus_message_iter_open_container(dictionary, DBUS_TYPE_DICT_ENTRY, NULL, &entry);
    bus_client_append_string(&entry, key);
    dbus_message_iter_open_container(&entry, DBUS_TYPE_VARIANT, signature, &variant);
    dbus_message_iter_append_basic(&variant, type, value);
    dbus_message_iter_close_container(&entry, &variant);
    dbus_message_iter_close_container(dictionary, &entry);
}

DBusMessage *bus_client_set(const char *property, int type, const char *signature,
                            const void *value)
{
    DBusMessageIter args, variant;
    DBusMessage *call = bus_client_call(DBUS_INTERFACE_PROPERTIES, "Set", &args);
    bus_client_append_string(&args, BUS_CLIENT_INTERFACE);
    bus_client_append_string(&args, property);
    dbus_message_iter_open_container(&args, DBUS_TYPE_VARIANT, signature, &variant);
    dbus_message_iter_append_basic(&variant, type, value);
    dbus_message_iter_close_container(&args, &variant);
    return call;
}

bool bus_client_choose(struct bus_client *c, const char *name)
{
    struct error error;
    if (ear_name_check(name, &error)) {
        error_print("earshot %s: %s: %s", c->command, name, error.message);
        return false;
    }
    snprintf(c->object, sizeof c->object, BUS_CLIENT_EARS "%s", name);
    return true;
}

const char *bus_client_ear_of(const char *path)
{
    size_t before = strlen(BUS_CLIENT_EARS);
    if (strcmp(path, BUS_CLIENT_OBJECT) == 0)
        return "";
    return strncmp(path, BUS_CLIENT_EARS, before) == 0 ? path + before : NULL;
}

const char *bus_client_object(const struct bus_client *c)
{
    return *c->object ? c->object : BUS_CLIENT_OBJECT;
}

static DBusMessage *answer_within(struct bus_client *c, DBusMessage *call, int ms, DBusError *e)
{
    dbus_message_set_path(call, bus_client_object(c));
    if (bus_client_connect(c, e))
        return bus_link_call(c->link, call, ms, e);
    dbus_message_unref(call);
    return NULL;
}

DBusMessage *bus_client_answer(struct bus_client *c, DBusMessage *call, DBusError *e)
{
    return answer_within(c, call, c->answer_ms ? c->answer_ms : ANSWER_MS, e);
}

/* Answers of another signature are none; takes the answer, which may be NULL. */
static DBusMessage *check_answer(DBusMessage *answer, const char *signature, DBusError *e)
{
    if (!answer || dbus_message_has_signature(answer, signature))
        return answer;
    dbus_message_unref(answer);
    dbus_set_error(e, DBUS_ERROR_FAILED, "a strange answer");
    return NULL;
}

DBusMessage *bus_client_answer_of(struct bus_client *c, DBusMessage *call, const char *signature,
                                  DBusError *e)
{
    return check_answer(bus_client_answer(c, call, e), signature, e);
}

int bus_client_send(struct bus_client *c, DBusMessage *call)
{
    DBusError e = DBUS_ERROR_INIT;
    DBusMessage *answer = bus_client_answer(c, call, &e);
    if (!answer)
        return bus_client_fail(c, &e);
    dbus_message_unref(answer);
    return EXIT_DONE;
}

bool bus_client_is_gone(const DBusError *e)
{
    return dbus_error_has_name(e, DBUS_ERROR_SERVICE_UNKNOWN) ||
           dbus_error_has_name(e, DBUS_ERROR_NAME_HAS_NO_OWNER) ||
           dbus_error_has_name(e, DBUS_ERROR_NO_REPLY);
}

bool bus_client_properties(struct bus_client *c, bus_client_entry *each, void *user, DBusError *e)
{
    DBusMessageIter args;
    DBusMessage *call = bus_client_call(DBUS_INTERFACE_PROPERTIES, "GetAll", &args);
    bus_client_append_string(&args, BUS_CLIENT_INTERFACE);
    DBusMessage *reply = check_answer(answer_within(c, call, PROPERTIES_MS, e), "a{sv}", e);
    if (!reply)
        return false;
    if (dbus_message_iter_init(reply, &args))
        bus_client_each(&args, each, user);
    dbus_message_unref(reply);
    return true;
}

static void leave_property(void *user, const char *name, DBusMessageIter *value)
{
    (void)user, (void)name, (void)value;
}

/* A ping is answered also for an object that is not there. */
static bool answers(struct bus_client *c, DBusError *e)
{
    DBusMessageIter args;
    if (*c->object)
        return bus_client_properties(c, leave_property, NULL, e);
    DBusMessage *pong =
        bus_client_answer(c, bus_client_call(DBUS_INTERFACE_PEER, "Ping", &args), e);
    if (pong)
        dbus_message_unref(pong);
    return pong != NULL;
}

/* Subscribes to the ear's signals and to the daemon's end, and sees that it is there. */
static bool begin(struct bus_client *c, DBusError *e)
{
    const char *path = c->all_ears ? NULL : bus_client_object(c);
    return bus_client_connect(c, e) && bus_link_subscribe(c->link, BUS_CLIENT_NAME, path, e) &&
           answers(c, e);
}

/* Gives take what has come, and then NULL. 0, or the exit code to end with. */
static int take_all(struct bus_client *c, bool *there, bus_client_take *take, void *user)
{
    int code = 0;
    for (DBusMessage *m; !code && (m = bus_link_next(c->link));) {
        bus_client_is_change(m, there);
        code = take(user, m);
        dbus_message_unref(m);
    }
    if (!code && (*there || c->patience_ms))
        code = take(user, NULL);
    return !code && ferror(stdout) ? EXIT_FAILED : code;
}

/* How long to wait for messages at most; 0: the daemon has been gone for too long. */
static int wait_ms(const struct bus_client *c, int timeout_ms, bool there, int64_t there_ms)
{
    if (there || c->patience_ms < 0)
        return timeout_ms;
    int64_t left_ms = there_ms + c->patience_ms - clock_monotonic_ms();
    return left_ms > 0 ? (int)left_ms : 0;
}

static void end_wait(int number)
{
    (void)number;
}

void bus_client_wait_for(struct bus_client *c, const int *signals, size_t count)
{
    const struct sigaction action = {.sa_handler = end_wait, .sa_flags = (int)SA_RESTART};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) {
        sigaddset(&set, signals[i]);
        sigaction(signals[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &set, &c->wait_mask);
    for (size_t i = 0; i < count; i++)
        sigdelset(&c->wait_mask, signals[i]);
    c->waits_in = &c->wait_mask;
}

int bus_client_follow(struct bus_client *c, int timeout_ms, bus_client_take *take, void *user)
{
    DBusError e = DBUS_ERROR_INIT;
    if (!begin(c, &e))
        return bus_client_fail(c, &e);
    bool there = true;
    int64_t there_ms = 0; /* when it was there last, if it is not */
    int ms;
    do {
        bool before = there;
        int code = take_all(c, &there, take, user);
        if (code)
            return code;
        if (before && !there)
            there_ms = clock_monotonic_ms();
        ms = wait_ms(c, timeout_ms, there, there_ms);
    } while (ms && bus_link_wait(c->link, ms, c->waits_in));
    fprintf(stderr, "%searshot %s: %s is gone\n", isatty(STDOUT_FILENO) ? "\n" : "", c->command,
            there ? "the bus" : "the daemon");
    return EXIT_FAILED;
}

bool bus_client_is_signal(DBusMessage *m, const char *member)
{
    return dbus_message_is_signal(m, BUS_CLIENT_INTERFACE, member);
}

bool bus_client_is_change(DBusMessage *m, bool *there)
{
    return bus_link_is_change(m, BUS_CLIENT_NAME, there);
}

bool bus_client_number(DBusMessageIter *variant, double *value)
{
    DBusBasicValue v;
    int type = dbus_message_iter_get_arg_type(variant);
    if (!dbus_type_is_basic(type) || type == DBUS_TYPE_UNIX_FD)
        return false;
    dbus_message_iter_get_basic(variant, &v);
    switch (type) {
    case DBUS_TYPE_DOUBLE:
        *value = v.dbl;
        return true;
    case DBUS_TYPE_INT32:
        *value = v.i32;
        return true;
    case DBUS_TYPE_UINT32:
        *value = v.u32;
        return true;
    case DBUS_TYPE_INT64:
        *value = (double)v.i64;
        return true;
    case DBUS_TYPE_UINT64:
        *value = (double)v.u64;
        return true;
    }
    return false;
}

void bus_client_each(DBusMessageIter *dictionary, bus_client_entry *each, void *user)
{
    DBusMessageIter array, entry, value;
    const char *name;
    for (dbus_message_iter_recurse(dictionary, &array);
         dbus_message_iter_get_arg_type(&array) == DBUS_TYPE_DICT_ENTRY;
         dbus_message_iter_next(&array)) {
        dbus_message_iter_recurse(&array, &entry);
        dbus_message_iter_get_basic(&entry, &name);
        dbus_message_iter_next(&entry);
        if (dbus_message_iter_get_arg_type(&entry) == DBUS_TYPE_VARIANT)
            dbus_message_iter_recurse(&entry, &value);
        else
            value = entry;
        each(user, name, &value);
    }
}

void bus_client_details(DBusMessage *m, bus_client_entry *each, void *user)
{
    DBusMessageIter args;
    if (!dbus_message_iter_init(m, &args))
        return;
    do {
        if (dbus_message_iter_get_arg_type(&args) == DBUS_TYPE_ARRAY &&
            dbus_message_iter_get_element_type(&args) == DBUS_TYPE_DICT_ENTRY)
            bus_client_each(&args, each, user);
    } while (dbus_message_iter_next(&args));
}
