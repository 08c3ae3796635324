/* What the daemon tells of itself: two calls, one for the microphone's object, one for the
 * streams'. */
#include "bridges/daemon_status.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EAR_PATH "/org/earshot/Earshot1"
#define ASSISTANT "org.earshot.Earshot1.Assistant"

enum { ANSWER_US = 5000000 };

struct daemon_query {
    struct streams *streams;
    void (*tell)(void *user, const struct daemon_status *s);
    void *user;
    sd_bus_slot *call;
    sd_event_source *late; /* nobody was there to ask */
    struct daemon_status status;
};

const char *daemon_state_name(uint32_t state)
{
    static const char *const names[] = {"unknown",  "loading", "idle",  "hearing",
                                        "thinking", "muted",   "failed"};
    return state < sizeof names / sizeof *names ? names[state] : names[0];
}

/* Of "Statistics" and "Latency". */
static int read_number(struct daemon_ear *ear, sd_bus_message *m)
{
    static const struct {
        const char *name;
        size_t at;
    } numbers[] = {
        {"heard_s", offsetof(struct daemon_ear, heard_s)},
        {"computed_s", offsetof(struct daemon_ear, computed_s)},
        {"lost_s", offsetof(struct daemon_ear, lost_s)},
        {"partial_ms", offsetof(struct daemon_ear, partial_ms)},
        {"wait_ms", offsetof(struct daemon_ear, wait_ms)},
        {"compute_ms", offsetof(struct daemon_ear, compute_ms)},
        {"reply_first_ms", offsetof(struct daemon_ear, reply_first_ms)},
        {"reply_ms", offsetof(struct daemon_ear, reply_ms)},
    };
    const char *name;
    double value;
    int rc = sd_bus_message_read(m, "{sd}", &name, &value);
    for (size_t i = 0; rc > 0 && i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0)
            memcpy((char *)ear + numbers[i].at, &value, sizeof value);
    return rc;
}

static int read_numbers(struct daemon_ear *ear, sd_bus_message *m)
{
    int rc = sd_bus_message_enter_container(m, 'v', "a{sd}");
    if (rc >= 0)
        rc = sd_bus_message_enter_container(m, 'a', "{sd}");
    while (rc >= 0 && (rc = read_number(ear, m)) > 0)
        ;
    if (rc >= 0)
        rc = sd_bus_message_exit_container(m);
    return rc < 0 ? rc : sd_bus_message_exit_container(m);
}

static int read_text(char text[DAEMON_TEXT_BYTES], sd_bus_message *m)
{
    const char *value;
    int rc = sd_bus_message_read(m, "v", "s", &value);
    if (rc >= 0)
        snprintf(text, DAEMON_TEXT_BYTES, "%s", value);
    return rc;
}

static int read_property(struct daemon_status *s, struct daemon_ear *ear, sd_bus_message *m)
{
    const char *name;
    int rc = sd_bus_message_read_basic(m, 's', &name);
    if (rc < 0)
        return rc;
    if (strcmp(name, "Statistics") == 0 || strcmp(name, "Latency") == 0)
        return read_numbers(ear, m);
    if (strcmp(name, "State") == 0)
        return sd_bus_message_read(m, "v", "u", &ear->state);
    if (strcmp(name, "Level") == 0)
        return sd_bus_message_read(m, "v", "d", &ear->level_db);
    if (strcmp(name, "Model") == 0)
        return read_text(s->model, m);
    if (strcmp(name, "Version") == 0)
        return read_text(s->version, m);
    if (strcmp(name, "Backend") == 0)
        return read_text(s->backend, m);
    return sd_bus_message_skip(m, "v");
}

/* a{sv} */
static int read_properties(struct daemon_status *s, struct daemon_ear *ear, sd_bus_message *m)
{
    int rc = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (rc >= 0 && (rc = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        rc = read_property(s, ear, m);
        if (rc >= 0)
            rc = sd_bus_message_exit_container(m);
    }
    return rc < 0 ? rc : sd_bus_message_exit_container(m);
}

/* {sa{sv}} of an object's interfaces. */
static int read_interface(struct daemon_status *s, struct daemon_ear *ear, sd_bus_message *m)
{
    const char *name;
    int rc = sd_bus_message_read_basic(m, 's', &name);
    if (rc < 0)
        return rc;
    return strcmp(name, ASSISTANT) == 0 ? read_properties(s, ear, m)
                                        : sd_bus_message_skip(m, "a{sv}");
}

/* {oa{sa{sv}}} */
static int read_object(struct daemon_status *s, sd_bus_message *m)
{
    const char *path;
    struct daemon_ear *ear = &s->ears[s->count];
    int rc = sd_bus_message_read_basic(m, 'o', &path);
    if (rc < 0)
        return rc;
    if (s->count == DAEMON_EARS_MAX)
        return sd_bus_message_skip(m, "a{sa{sv}}");
    size_t below = strlen(EAR_PATH "/");
    bool is_below = strncmp(path, EAR_PATH "/", below) == 0;
    snprintf(ear->name, sizeof ear->name, "%s", is_below ? path + below : strrchr(path, '/') + 1);
    s->count++;
    rc = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
    while (rc >= 0 && (rc = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
        rc = read_interface(s, ear, m);
        if (rc >= 0)
            rc = sd_bus_message_exit_container(m);
    }
    return rc < 0 ? rc : sd_bus_message_exit_container(m);
}

static int read_objects(struct daemon_status *s, sd_bus_message *m)
{
    int rc = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
    while (rc >= 0 && (rc = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
        rc = read_object(s, m);
        if (rc >= 0)
            rc = sd_bus_message_exit_container(m);
    }
    return rc;
}

static void tell(struct daemon_query *q)
{
    q->tell(q->user, &q->status);
}

static int on_objects(sd_bus_message *m, void *user, sd_bus_error *e)
{
    (void)e;
    struct daemon_query *q = user;
    if (!sd_bus_message_is_method_error(m, NULL))
        read_objects(&q->status, m);
    tell(q);
    return 0;
}

static int call(struct daemon_query *q, const char *interface, const char *member,
                sd_bus_message_handler_t function, const char *argument)
{
    sd_bus_message *m = NULL;
    q->call = sd_bus_slot_unref(q->call);
    sd_bus *bus = streams_bus(q->streams);
    int rc = sd_bus_message_new_method_call(bus, &m, streams_owner(q->streams), EAR_PATH, interface,
                                            member);
    if (rc >= 0 && argument)
        rc = sd_bus_message_append_basic(m, 's', argument);
    if (rc >= 0)
        rc = sd_bus_call_async(bus, &q->call, m, function, q, ANSWER_US);
    sd_bus_message_unref(m);
    return rc < 0 ? rc : 0;
}

static int on_properties(sd_bus_message *m, void *user, sd_bus_error *e)
{
    (void)e;
    struct daemon_query *q = user;
    struct daemon_status *s = &q->status;
    snprintf(s->ears[0].name, sizeof s->ears[0].name, "microphone");
    if (!sd_bus_message_is_method_error(m, NULL) && read_properties(s, &s->ears[0], m) >= 0) {
        s->there = true;
        s->count = 1;
    }
    if (!s->there ||
        call(q, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", on_objects, NULL))
        tell(q);
    return 0;
}

static int on_nobody(sd_event_source *source, void *user)
{
    (void)source;
    tell(user);
    return 0;
}

int daemon_query_create(struct daemon_query **out, struct streams *streams,
                        void (*function)(void *user, const struct daemon_status *s), void *user)
{
    struct daemon_query *q = calloc(1, sizeof(struct daemon_query));
    if (!q)
        return -ENOMEM;
    q->streams = streams;
    q->tell = function;
    q->user = user;
    int rc =
        *streams_owner(streams)
            ? call(q, "org.freedesktop.DBus.Properties", "GetAll", on_properties, ASSISTANT)
            : sd_event_add_defer(sd_bus_get_event(streams_bus(streams)), &q->late, on_nobody, q);
    if (rc < 0) {
        daemon_query_destroy(q);
        return rc;
    }
    *out = q;
    return 0;
}

void daemon_query_destroy(struct daemon_query *q)
{
    if (!q)
        return;
    sd_bus_slot_unref(q->call);
    sd_event_source_disable_unref(q->late);
    free(q);
}
