/* earshot status: what the daemon does, once or as it changes. */
#include "base/clock.h"
#include "cli/client_commands.h"
#include "cli/ear_state.h"
#include "cli/offline.h"
#include "cli/terminal.h"
#include "cues/cues.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    OPTION_WATCH,
    FIELD_MAX = 256,
    LINE_BYTES = 2048,
    LEVEL_MS = 250,    /* between two looks at the level, whose changes are not told */
    LEVEL_NONE = -120, /* dB: silence, or a closed device */
};

const struct bus_client_option client_status_options[] = {
    {"watch", NULL,
     "print a line whenever something changes; on a terminal, one line that changes"},
    {NULL},
};

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
        snprintf(text, capacity, "%s", ear_state_name(number));
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
    printf("%-11s ", name);
    cue_print_text(text, stdout);
    putchar('\n');
}

/* What a line of --watch tells. */
struct watch {
    struct bus_client *client;
    bool terminal;
    bool stale; /* the properties are to be read */
    bool changed;
    struct ear_state ear;
    char mode[FIELD_MAX], latency[FIELD_MAX];
    double level_db; /* LEVEL_NONE where nothing is heard */
    struct figures figures;
    int64_t look_ms; /* when a terminal reads the properties again */
    size_t columns;  /* of the terminal, when the line was printed */
    char line[LINE_BYTES];
};

static void watch_property(void *user, const char *name, DBusMessageIter *variant)
{
    struct watch *w = user;
    ear_state_take(&w->ear, name, variant);
    if (strcmp(name, "Mode") == 0)
        value_text(name, variant, w->mode, sizeof w->mode);
    else if (strcmp(name, "Level") == 0)
        bus_client_number(variant, &w->level_db);
    else if (strcmp(name, "Latency") == 0)
        value_text(name, variant, w->latency, sizeof w->latency);
    else if (strcmp(name, "Statistics") == 0)
        bus_client_each(variant, take_figure, &w->figures);
    w->changed = true;
}

/* Appends to a line of LINE_BYTES; what does not fit is left out. */
__attribute__((format(printf, 2, 3))) static void append(char *line, const char *format, ...)
{
    size_t used = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, LINE_BYTES - used, format, args);
    va_end(args);
}

static void watch_line(const struct watch *w, char *line)
{
    const char *microphone = ear_state_microphone(&w->ear);
    *line = '\0';
    append(line, "%s", ear_state_name(w->ear.state));
    if (w->terminal && w->level_db > LEVEL_NONE)
        append(line, "  level %.0f dB", w->level_db);
    append(line, "  device %s  mode %s", *microphone ? microphone : "none", w->mode);
    if (*w->latency)
        append(line, "  %s", w->latency);
    if (w->figures.heard_s > 0)
        append(line, "  real-time factor %.3f", w->figures.real_time_factor);
    if (w->figures.lost_s > 0)
        append(line, "  lost %.2f s", w->figures.lost_s);
}

/* A line that is longer than a terminal is wide would move it up each time. */
static void print_watch(struct watch *w)
{
    char line[LINE_BYTES];
    watch_line(w, line);
    if (!w->terminal && strcmp(line, w->line) == 0)
        return;
    strcpy(w->line, line);
    if (w->terminal) {
        fputs("\r\033[K", stdout);
        line[terminal_fit(line, terminal_columns() - 1)] = '\0';
    }
    cue_print_text(line, stdout);
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
    int64_t now = clock_monotonic_ms();
    if ((w->stale || (w->terminal && now >= w->look_ms)) &&
        !bus_client_properties(w->client, watch_property, w, &e)) {
        if (!bus_client_is_gone(&e))
            return bus_client_fail(w->client, &e);
        dbus_error_free(&e);
    }
    w->look_ms = now >= w->look_ms ? now + LEVEL_MS : w->look_ms;
    w->stale = false;
    if (w->changed || (w->terminal && terminal_columns() != w->columns))
        print_watch(w);
    w->columns = terminal_columns();
    w->changed = false;
    return 0;
}

int client_status(struct bus_client *c)
{
    DBusError e = DBUS_ERROR_INIT;
    bool terminal = isatty(STDOUT_FILENO);
    struct watch w = {.client = c, .terminal = terminal, .stale = true, .level_db = LEVEL_NONE};
    if (c->given[OPTION_WATCH]) {
        if (terminal)
            bus_client_wait_for(c, &(int){SIGWINCH}, 1); /* the terminal's size */
        return bus_client_follow(c, terminal ? LEVEL_MS : -1, take, &w);
    }
    return bus_client_properties(c, print_property, NULL, &e) ? EXIT_DONE : bus_client_fail(c, &e);
}
