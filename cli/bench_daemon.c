/* A file is sent as people speak: a packet of 20 ms is sent when its last sample would have been
 * captured. So the time at which any sample was heard is known here, and the delay of a text is
 * measured from outside the daemon, the bus included. What it is made of, the daemon tells.
 */
#include "cli/bench_daemon.h"

#include "cli/bus_client.h"
#include "cli/offline.h"
#include "cues/cues.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    RATE_HZ = 16000,
    PACKET = RATE_HZ / 50, /* samples */
    LOOK_MS = 2,           /* at what is to be sent */
    VALUES_MAX = 4096,
    MICROPHONE_TEXTS = 10,
    SILENCE_LEAST = RATE_HZ,     /* samples, behind each round of the file, */
    SILENCE_MOST = 10 * RATE_HZ, /* and while an utterance is open */
    OVER = -1,                   /* what bus_client_follow returns when all is measured */
};

/* What is measured, in ms. */
enum delay {
    DELAY_PARTIAL,
    DELAY_TEXT,
    DELAY_WAIT,
    DELAY_COMPUTE,
    DELAY_REPLY_FIRST,
    DELAY_REPLY_LAST,
    DELAYS,
};

static const char *const delay_names[DELAYS] = {
    "newest audio to partial result", "end of speech to text",       "of that, waiting",
    "of that, computation",           "text to reply's first words", "text to reply's last words",
};

struct values {
    double ms[VALUES_MAX];
    size_t count;
};

struct bench {
    struct bus_client client;
    const struct bench_daemon_options *options;
    char path[128]; /* of the object that is measured */
    char model[128], backend[128], mode[16];
    struct values delays[DELAYS];
    size_t texts;        /* that have come */
    double completed_ms; /* clock at the last one; 0: its reply has come */
    bool replying;       /* and its first words */
    double partial_ms, end_ms, wait_ms, compute_ms; /* as the daemon told last */
    double real_time_factor, lost_s;
    bool cancelled;

    int socket;     /* -1: none, or no more to send */
    float *samples; /* [count], owned; 16 kHz */
    size_t count, capacity;
    size_t sent;     /* samples, over all rounds of the file and the silence behind each */
    size_t at;       /* of the next in this round, which goes on behind the file */
    size_t rounds;   /* that are over */
    bool open;       /* an utterance */
    double begin_ms; /* clock at the first of them */
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void add(struct bench *b, enum delay delay, double ms)
{
    struct values *v = &b->delays[delay];
    if (v->count < VALUES_MAX)
        v->ms[v->count++] = ms;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The smallest value that so many percent are not above. */
static double percentile(const struct values *sorted, size_t percent)
{
    size_t rank = (sorted->count * percent + 99) / 100;
    return sorted->ms[rank ? rank - 1 : 0];
}

static void take_text(DBusMessageIter *value, char *text, size_t capacity)
{
    const char *s;
    if (dbus_message_iter_get_arg_type(value) != DBUS_TYPE_STRING)
        return;
    dbus_message_iter_get_basic(value, &s);
    snprintf(text, capacity, "%s", s);
}

static void take_figure(void *user, const char *name, DBusMessageIter *value)
{
    struct bench *b = user;
    if (strcmp(name, "partial_ms") == 0)
        bus_client_number(value, &b->partial_ms);
    else if (strcmp(name, "real_time_factor") == 0)
        bus_client_number(value, &b->real_time_factor);
    else if (strcmp(name, "lost_s") == 0)
        bus_client_number(value, &b->lost_s);
}

static void take_property(void *user, const char *name, DBusMessageIter *value)
{
    struct bench *b = user;
    if (strcmp(name, "Model") == 0)
        take_text(value, b->model, sizeof b->model);
    else if (strcmp(name, "Backend") == 0)
        take_text(value, b->backend, sizeof b->backend);
    else if (strcmp(name, "Mode") == 0)
        take_text(value, b->mode, sizeof b->mode);
    else if (strcmp(name, "Latency") == 0 || strcmp(name, "Statistics") == 0)
        bus_client_each(value, take_figure, b);
}

static bool read_properties(struct bench *b, DBusError *e)
{
    return bus_client_properties(&b->client, take_property, b, e);
}

static void take_detail(void *user, const char *name, DBusMessageIter *value)
{
    struct bench *b = user;
    double number;
    if (strcmp(name, "cancelled") == 0)
        b->cancelled = true;
    else if (!bus_client_number(value, &number))
        return;
    else if (strcmp(name, "end_us") == 0)
        b->end_ms = number / 1e3;
    else if (strcmp(name, "wait_ms") == 0)
        b->wait_ms = number;
    else if (strcmp(name, "compute_ms") == 0)
        b->compute_ms = number;
}

/* An utterance without words counts for nothing. */
static void take_completed(struct bench *b, DBusMessage *m, double at_ms)
{
    dbus_uint64_t id;
    const char *text = "";
    dbus_message_get_args(m, NULL, DBUS_TYPE_UINT64, &id, DBUS_TYPE_STRING, &text,
                          DBUS_TYPE_INVALID);
    b->cancelled = false;
    bus_client_details(m, take_detail, b);
    if (b->cancelled || !*text)
        return;
    b->texts++;
    b->completed_ms = strcmp(b->mode, "assistant") == 0 ? at_ms : 0;
    b->replying = false;
    add(b, DELAY_WAIT, b->wait_ms);
    add(b, DELAY_COMPUTE, b->compute_ms);
    add(b, DELAY_TEXT,
        b->options->path ? at_ms - b->begin_ms - b->end_ms : b->wait_ms + b->compute_ms);
}

/* A reply without words counts for nothing either. */
static void take_reply(struct bench *b, DBusMessage *m, double at_ms)
{
    bool completed = bus_client_is_signal(m, "ReplyCompleted");
    dbus_uint64_t id;
    const char *text = "";
    if (completed)
        dbus_message_get_args(m, NULL, DBUS_TYPE_UINT64, &id, DBUS_TYPE_STRING, &text,
                              DBUS_TYPE_INVALID);
    bool words = !completed || *text;
    if (words && !b->replying)
        add(b, DELAY_REPLY_FIRST, at_ms - b->completed_ms);
    if (words && completed)
        add(b, DELAY_REPLY_LAST, at_ms - b->completed_ms);
    b->replying = true;
    b->completed_ms = completed ? 0 : b->completed_ms;
}

static void take_signal(struct bench *b, DBusMessage *m)
{
    double at_ms = now_ms();
    const char *path = dbus_message_get_path(m);
    DBusError e = DBUS_ERROR_INIT;
    if (!path || strcmp(path, b->path) != 0)
        return;
    if (bus_client_is_signal(m, "UtteranceStarted")) {
        b->open = true;
    } else if (bus_client_is_signal(m, "UtteranceCompleted")) {
        b->open = false;
        take_completed(b, m, at_ms);
    } else if (bus_client_is_signal(m, "UtteranceUpdated")) {
        if (read_properties(b, &e))
            add(b, DELAY_PARTIAL, b->partial_ms);
        dbus_error_free(&e);
    } else if (b->completed_ms > 0 && (bus_client_is_signal(m, "ReplyUpdated") ||
                                       bus_client_is_signal(m, "ReplyCompleted"))) {
        take_reply(b, m, at_ms);
    }
}

/* Silence ends what is said at a round's end, or one round would go on into the next. False: the
 * daemon closed the stream. */
static bool send_packet(struct bench *b)
{
    struct {
        uint64_t position;
        float samples[PACKET];
    } packet = {.position = b->sent};
    for (size_t i = 0; i < PACKET; i++)
        packet.samples[i] = b->at + i < b->count ? b->samples[b->at + i] : 0;
    b->sent += PACKET;
    b->at += PACKET;
    size_t silence = b->at > b->count ? b->at - b->count : 0;
    if (silence >= (b->open ? SILENCE_MOST : SILENCE_LEAST)) {
        b->rounds++;
        b->at = 0;
    }
    return send(b->socket, &packet, sizeof packet, MSG_NOSIGNAL) == (ssize_t)sizeof packet;
}

static void end_sending(struct bench *b)
{
    close(b->socket);
    b->socket = -1;
}

/* Whether there is no more to send: the texts that were wanted have come, or the file is over and
 * has had none. */
static bool is_enough(const struct bench *b)
{
    if (b->options->path && b->rounds && !b->texts)
        return true;
    if (b->options->texts)
        return b->texts >= b->options->texts;
    return b->options->path ? b->rounds > 0 : b->texts >= MICROPHONE_TEXTS;
}

static int take(void *user, DBusMessage *m)
{
    struct bench *b = user;
    DBusError e = DBUS_ERROR_INIT;
    if (m && b->options->path &&
        dbus_message_is_signal(m, "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved")) {
        const char *path = "";
        dbus_message_get_args(m, NULL, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_INVALID);
        return strcmp(path, b->path) == 0 ? OVER : 0;
    }
    if (m) {
        take_signal(b, m);
        return 0;
    }
    while (b->socket >= 0 && now_ms() >= b->begin_ms + (double)(b->sent + PACKET) * 1e3 / RATE_HZ) {
        if (is_enough(b) || !send_packet(b)) {
            if (!read_properties(b, &e))
                return bus_client_fail(&b->client, &e);
            end_sending(b);
        }
    }
    bool over = !b->options->path && is_enough(b) && b->completed_ms <= 0;
    if (over && !read_properties(b, &e))
        return bus_client_fail(&b->client, &e);
    return over ? OVER : 0;
}

static void take_samples(void *user, const float *samples, size_t count)
{
    struct bench *b = user;
    if (b->count + count > b->capacity) {
        size_t capacity = 2 * (b->count + count);
        float *grown = realloc(b->samples, capacity * sizeof *grown);
        if (!grown)
            return;
        b->samples = grown;
        b->capacity = capacity;
    }
    memcpy(b->samples + b->count, samples, count * sizeof *samples);
    b->count += count;
}

/* With replies where the model has them. NULL with the error. */
static DBusMessage *call_open(struct bench *b, const char *mode, DBusError *e)
{
    static const char codec[] = "f32", *const codec_text = codec;
    DBusMessageIter args, options;
    DBusMessage *call = bus_client_call(BUS_CLIENT_NAME ".Streams", "Open", &args);
    dbus_message_iter_open_container(&args, DBUS_TYPE_ARRAY, "{sv}", &options);
    bus_client_append_entry(&options, "codec", DBUS_TYPE_STRING, "s", &codec_text);
    bus_client_append_entry(&options, "mode", DBUS_TYPE_STRING, "s", &mode);
    dbus_message_iter_close_container(&args, &options);
    return bus_client_answer(&b->client, call, e);
}

static bool open_stream(struct bench *b, DBusError *e)
{
    const char *path;
    DBusMessage *reply = call_open(b, "assistant", e);
    if (!reply && dbus_error_has_name(e, BUS_CLIENT_NAME ".Error.NotSupported")) {
        dbus_error_free(e);
        reply = call_open(b, "captions", e);
    }
    if (!reply)
        return false;
    bool good = dbus_message_get_args(reply, e, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_UNIX_FD,
                                      &b->socket, DBUS_TYPE_INVALID);
    if (good) {
        snprintf(b->path, sizeof b->path, "%s", path);
        snprintf(b->client.object, sizeof b->client.object, "%s", path);
        good = bus_link_subscribe(b->client.link, BUS_CLIENT_NAME, BUS_CLIENT_OBJECT, e);
    }
    dbus_message_unref(reply);
    return good;
}

static int measure(struct bench *b)
{
    DBusError e = DBUS_ERROR_INIT;
    struct error error;
    if (b->options->path && offline_read(b->options->path, take_samples, b, &error))
        return offline_fail("bench", &error);
    if (b->options->path && b->count < PACKET) {
        error_print("earshot bench: %s: there is nothing to hear", b->options->path);
        return EXIT_FAILED;
    }
    if ((b->options->path && !open_stream(b, &e)) || !read_properties(b, &e))
        return bus_client_fail(&b->client, &e);
    b->begin_ms = now_ms();
    int code = bus_client_follow(&b->client, LOOK_MS, take, b);
    return code == OVER ? EXIT_DONE : code;
}

static void print_text(const struct bench *b)
{
    printf("model %s, backend %s, %zu texts\n", b->model, b->backend, b->texts);
    printf("%-34s %10s %10s %10s\n", "ms", "median", "95 %", "most");
    for (int i = 0; i < DELAYS; i++) {
        const struct values *v = &b->delays[i];
        if (v->count)
            printf("%-34s %10.1f %10.1f %10.1f  of %zu\n", delay_names[i], percentile(v, 50),
                   percentile(v, 95), percentile(v, 100), v->count);
    }
    printf("real-time factor %.3f, lost %.2f s\n", b->real_time_factor, b->lost_s);
}

/* Returns an exit code. */
static int print_json(const struct bench *b)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "model", b->model);
    cJSON_AddStringToObject(o, "backend", b->backend);
    cJSON_AddNumberToObject(o, "texts", (double)b->texts);
    cJSON_AddNumberToObject(o, "real_time_factor", b->real_time_factor);
    cJSON_AddNumberToObject(o, "lost_s", b->lost_s);
    cJSON *figures = cJSON_AddArrayToObject(o, "figures");
    for (int i = 0; i < DELAYS; i++) {
        const struct values *v = &b->delays[i];
        if (!v->count)
            continue;
        cJSON *f = cJSON_CreateObject();
        cJSON_AddStringToObject(f, "name", delay_names[i]);
        cJSON_AddStringToObject(f, "unit", "ms");
        cJSON_AddNumberToObject(f, "value", percentile(v, 50));
        cJSON_AddNumberToObject(f, "p95", percentile(v, 95));
        cJSON_AddNumberToObject(f, "slowest", percentile(v, 100));
        cJSON_AddNumberToObject(f, "count", (double)v->count);
        cJSON_AddItemToArray(figures, f);
    }
    char *text = cJSON_Print(o);
    cJSON_Delete(o);
    if (!text) {
        fprintf(stderr, "earshot bench: out of memory\n");
        return EXIT_FAILED;
    }
    cue_print_json(text, stdout);
    putchar('\n');
    free(text);
    return EXIT_DONE;
}

int bench_daemon(const struct bench_daemon_options *options)
{
    static struct bench b = {.client.command = "bench", .path = BUS_CLIENT_OBJECT, .socket = -1};
    b.client.bus = options->bus;
    b.options = options;
    int code = measure(&b);
    for (int i = 0; i < DELAYS; i++)
        qsort(b.delays[i].ms, b.delays[i].count, sizeof *b.delays[i].ms, by_value);
    if (!code && options->json)
        code = print_json(&b);
    else if (!code)
        print_text(&b);
    if (b.socket >= 0)
        end_sending(&b);
    free(b.samples);
    bus_client_finish(&b.client);
    return code;
}
