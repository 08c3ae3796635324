/* earshot status: what the daemon does, once or as it changes. */
#include "cli/client_commands.h"
#include "cli/cues.h"
#include "cli/offline.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTION_WATCH,
    FIELD_MAX = 256,
    LEVEL_MS = 250,    /* between two looks at the level, whose changes are not told */
    LEVEL_NONE = -120, /* dB: silence, or a closed device */
};

const struct bus_client_option client_status_options[] = {
    {"watch", NULL, "a line whenever something changes; a terminal sees the one line change"},
    {NULL},
};

static const char *state_name(double state)
{
    static const char *const names[] = {
        "unknown", "loading", "idle", "hearing", "thinking", "muted", "failed: no capture device"};
    return state >= 0 && state < sizeof names / sizeof *names ? names[(size_t)state] : names[0];
}

/* The properties Latency and Statistics. */
struct figures {
    double partial_ms, wait_ms, compute_ms, reply_first_ms, reply_ms;
    double heard_s, real_time_factor, lost_s;
};

static void take_figure(void *user, const char *name, DBusMessageIter *value)
{
    struct figures *f = user;
    const struct {
        const char *name;
        double *value;
    } fields[] = {
        {"partial_ms", &f->partial_ms},
        {"wait_ms", &f->wait_ms},
        {"compute_ms", &f->compute_ms},
        {"reply_first_ms", &f->reply_first_ms},
        {"reply_ms", &f->reply_ms},
        {"heard_s", &f->heard_s},
        {"real_time_factor", &f->real_time_factor},
        {"lost_s", &f->lost_s},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(name, fields[i].name) == 0)
            bus_client_number(value, fields[i].value);
}

/* What there has been of a partial result, a text and a reply; at least a NUL. */
static void latency_text(const struct figures *f, char *text, size_t capacity)
{
    int used = 0;
    *text = '\0';
    if (f->partial_ms > 0)
        used = snprintf(text, capacity, "partial after %.1f ms  ", f->partial_ms);
    if (f->wait_ms > 0 && (size_t)used < capacity)
        used += snprintf(text + used, capacity - (size_t)used,
                         "text after %.1f ms (computation %.1f)  ", f->wait_ms + f->compute_ms,
                         f->compute_ms);
    if (f->reply_ms > 0 && (size_t)used < capacity)
        snprintf(text + used, capacity - (size_t)used, "reply from %.1f to %.1f ms",
                 f->reply_first_ms, f->reply_ms);
    for (size_t end = strlen(text); end && text[end - 1] == ' ';)
        text[--end] = '\0';
}

static void figures_text(const char *name, DBusMessageIter *variant, char *text, size_t capacity)
{
    struct figures f = {0};
    bus_client_each(variant, take_figure, &f);
    if (strcmp(name, "Latency") == 0)
        latency_text(&f, text, capacity);
    else
        snprintf(text, capacity, "heard %.1f s  real-time factor %.3f  lost %.2f s", f.heard_s,
                 f.real_time_factor, f.lost_s);
}

/* The property as text; false: of a type that has none. */
static bool value_text(const char *name, DBusMessageIter *variant, char *text, size_t capacity)
{
    int type = dbus_message_iter_get_arg_type(variant);
    DBusBasicValue value;
    double number;
    if (type == DBUS_TYPE_STRING || type == DBUS_TYPE_BOOLEAN) {
        dbus_message_iter_get_basic(variant, &value);
        snprintf(text, capacity, "%s",
                 type == DBUS_TYPE_STRING ? value.str
                 : value.bool_val         ? "yes"
                                          : "no");
        return true;
    }
    if (type == DBUS_TYPE_ARRAY &&
        dbus_message_iter_get_element_type(variant) == DBUS_TYPE_DICT_ENTRY) {
        figures_text(name, variant, text, capacity);
        return true;
    }
    if (!bus_client_number(variant, &number))
        return false;
    if (strcmp(name, "State") == 0)
        snprintf(text, capacity, "%s", state_name(number));
    else
        snprintf(text, capacity, "%g", number);
    return true;
}

static void print_property(void *user, const char *name, DBusMessageIter *variant)
{
    (void)user;
    char text[FIELD_MAX];
    if (!value_text(name, variant, text, sizeof text))
        return;
    printf("%-10s ", name);
    cue_print_text(text, stdout);
    putchar('\n');
}

/* What a line of --watch tells. */
struct watch {
    struct bus_client *client;
    bool terminal;
    bool stale; /* the properties are to be read */
    bool changed;
    char state[FIELD_MAX], device[FIELD_MAX], mode[FIELD_MAX], latency[FIELD_MAX];
    double level_db; /* LEVEL_NONE where nothing is heard */
    struct figures figures;
};

static void watch_property(void *user, const char *name, DBusMessageIter *variant)
{
    struct watch *w = user;
    if (strcmp(name, "State") == 0)
        value_text(name, variant, w->state, sizeof w->state);
    else if (strcmp(name, "Device") == 0)
        value_text(name, variant, w->device, sizeof w->device);
    else if (strcmp(name, "Mode") == 0)
        value_text(name, variant, w->mode, sizeof w->mode);
    else if (strcmp(name, "Level") == 0)
        bus_client_number(variant, &w->level_db);
    else if (strcmp(name, "Latency") == 0)
        value_text(name, variant, w->latency, sizeof w->latency);
    else if (strcmp(name, "Statistics") == 0)
        bus_client_each(variant, take_figure, &w->figures);
    w->changed = true;
}

static void print_watch(struct watch *w)
{
    if (w->terminal)
        fputs("\r\033[K", stdout);
    printf("%s  device ", w->state);
    cue_print_text(*w->device ? w->device : "none", stdout);
    printf("  mode %s", w->mode);
    if (w->terminal && w->level_db > LEVEL_NONE)
        printf("  level %.0f dB", w->level_db);
    if (*w->latency)
        printf("  %s", w->latency);
    if (w->figures.heard_s > 0)
        printf("  real-time factor %.3f", w->figures.real_time_factor);
    if (w->figures.lost_s > 0)
        printf("  lost %.2f s", w->figures.lost_s);
    if (!w->terminal)
        putchar('\n');
    fflush(stdout);
}

/* Figures change with texts and losses, of which no property tells. */
static void take_signal(struct watch *w, DBusMessage *m)
{
    if (dbus_message_is_signal(m, DBUS_INTERFACE_PROPERTIES, "PropertiesChanged"))
        bus_client_details(m, watch_property, w);
    else if (bus_client_is_signal(m, "UtteranceCompleted") ||
             bus_client_is_signal(m, "ReplyCompleted") || bus_client_is_signal(m, "AudioLost"))
        w->stale = true;
}

static int take(void *user, DBusMessage *m)
{
    struct watch *w = user;
    DBusError e = DBUS_ERROR_INIT;
    if (m) {
        take_signal(w, m);
        return 0;
    }
    if ((w->stale || w->terminal) &&
        !bus_client_properties(w->client, BUS_CLIENT_OBJECT, watch_property, w, &e))
        return bus_client_fail(w->client, &e);
    w->stale = false;
    if (w->changed)
        print_watch(w);
    w->changed = false;
    return 0;
}

int client_status(struct bus_client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    bool terminal = isatty(STDOUT_FILENO);
    struct watch w = {.client = c, .terminal = terminal, .stale = true, .level_db = LEVEL_NONE};
    if (c->given[OPTION_WATCH])
        return bus_client_follow(c, terminal ? LEVEL_MS : -1, take, &w);
    return bus_client_properties(c, BUS_CLIENT_OBJECT, print_property, NULL, &e)
               ? EXIT_DONE
               : bus_client_fail(c, &e);
}
