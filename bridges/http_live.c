/* Live audio over a WebSocket. Binary messages are samples, s16le; the text message {"type": "end"}
 * ends them: what is open is completed and told, and the connection ends. While the daemon has no
 * room the client's bytes wait in its own socket.
 */
#include "bridges/http_live.h"

#include "base/log.h"
#include "bridges/buffer.h"
#include "bridges/bus_json.h"
#include "bridges/websocket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

enum {
    RATE_HZ = 16000,
    RATE_LEAST_HZ = 8000,
    RATE_MOST_HZ = 48000,
    WAITING_MAX = 2 * WEBSOCKET_MESSAGE_MAX, /* bytes of samples */
    PACKET_FRAMES = 8192,
    CONTROL_MAX = 1024, /* bytes of a text message that comes */
};

#define PROTOCOL "earshot"

struct live {
    struct live *next;
    struct http_world *world;
    struct MHD_UpgradeResponseHandle *handle;
    struct websocket *socket;
    struct stream *stream;
    char peer[64];
    struct buffer samples; /* that wait */
    bool open, ending, ended;
};

static void destroy(struct live *l)
{
    struct live **p = &l->world->lives;
    while (*p && *p != l)
        p = &(*p)->next;
    if (*p)
        *p = l->next;
    stream_close(l->stream);
    websocket_destroy(l->socket);
    buffer_free(&l->samples);
    MHD_upgrade_action(l->handle, MHD_UPGRADE_ACTION_CLOSE);
    http_server_run_soon(l->world->server);
    free(l);
}

/* Takes the object. */
static void send_object(struct live *l, cJSON *object)
{
    char *line = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (line)
        websocket_send(l->socket, line);
    cJSON_free(line);
}

static void fail(struct live *l, uint16_t status, const char *code, const char *why)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "type", "Error");
    cJSON_AddStringToObject(object, "code", code);
    cJSON_AddStringToObject(object, "message", why);
    log_info("%s: %s: %s", l->peer, code, why);
    send_object(l, object);
    websocket_close(l->socket, status, code);
    stream_close(l->stream);
    l->stream = NULL;
}

/* The stream tells. */

static void send_samples(struct live *l)
{
    while (l->stream && l->open && l->samples.size) {
        size_t frames = l->samples.size / sizeof(int16_t);
        if (frames > PACKET_FRAMES)
            frames = PACKET_FRAMES;
        int rc = stream_send(l->stream, l->samples.data, frames);
        if (rc < 0)
            return fail(l, WSLAY_CODE_INTERNAL_SERVER_ERROR, "daemon-gone",
                        "earshotd has closed the stream; connect again");
        if (!rc)
            break;
        buffer_drop(&l->samples, frames * sizeof(int16_t));
    }
    websocket_pause(l->socket, l->samples.size >= WEBSOCKET_MESSAGE_MAX);
    if (!l->stream || !l->open || !l->ending || l->ended || l->samples.size)
        return;
    l->ended = true;
    stream_end(l->stream);
}

static void on_ready(void *user)
{
    struct live *l = user;
    if (!l->open) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "type", "Ready");
        send_object(l, object);
    }
    l->open = true;
    send_samples(l);
}

static void on_signal(void *user, const char *member, sd_bus_message *m)
{
    cJSON *object = bus_json_signal(member, m);
    if (object)
        send_object(user, object);
}

static void on_over(void *user, const char *code, const char *why)
{
    struct live *l = user;
    if (code)
        return fail(l, WSLAY_CODE_INTERNAL_SERVER_ERROR, code, why);
    stream_close(l->stream);
    l->stream = NULL;
    websocket_close(l->socket, WSLAY_CODE_NORMAL_CLOSURE, "");
}

static const struct stream_events stream_events = {
    .ready = on_ready, .over = on_over, .signal = on_signal};

/* The client tells. */

static void take_samples(struct live *l, const uint8_t *data, size_t size)
{
    if (size % sizeof(int16_t))
        fail(l, WSLAY_CODE_UNSUPPORTED_DATA, "format",
             "a message ends within a sample; send s16le, two bytes each");
    else if (buffer_append(&l->samples, data, size, WAITING_MAX))
        fail(l, WSLAY_CODE_MESSAGE_TOO_BIG, "too_large", "more waits than there is room for");
    else
        send_samples(l);
}

static void take_control(struct live *l, const uint8_t *data, size_t size)
{
    cJSON *object = size <= CONTROL_MAX ? cJSON_ParseWithLength((const char *)data, size) : NULL;
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(object, "type");
    bool end = cJSON_IsString(type) && strcmp(type->valuestring, "end") == 0;
    cJSON_Delete(object);
    if (!end)
        return fail(l, WSLAY_CODE_UNSUPPORTED_DATA, "message",
                    "a text message is not {\"type\": \"end\"}; audio is binary");
    l->ending = true;
    send_samples(l);
}

static void on_message(void *user, bool text, const uint8_t *data, size_t size)
{
    struct live *l = user;
    if (!l->stream || l->ending)
        return;
    if (text)
        take_control(l, data, size);
    else
        take_samples(l, data, size);
}

static void on_gone(void *user)
{
    destroy(user);
}

static const struct websocket_events websocket_events = {on_message, on_gone};

/* The request. */

static unsigned rate_of(struct http_request *r)
{
    const char *text = http_request_query(r, "rate");
    char *end;
    unsigned long rate = text ? strtoul(text, &end, 10) : RATE_HZ;
    bool wrong = text && (*text < '0' || *text > '9' || *end);
    return wrong || rate < RATE_LEAST_HZ || rate > RATE_MOST_HZ ? 0 : (unsigned)rate;
}

/* Of libmicrohttpd: the connection is ours. */
static void on_upgraded(void *user, struct MHD_Connection *connection, void *request,
                        const char *early, size_t early_size, MHD_socket fd,
                        struct MHD_UpgradeResponseHandle *handle)
{
    (void)connection;
    struct http_world *w = user;
    struct live *l = calloc(1, sizeof(struct live));
    if (!l) {
        MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
        return;
    }
    *l = (struct live){.next = w->lives, .world = w, .handle = handle};
    snprintf(l->peer, sizeof l->peer, "%s", http_request_peer(request));
    w->lives = l;
    int rc = websocket_create(&l->socket, w->event, fd, early, early_size, &websocket_events, l);
    if (!rc)
        rc = stream_open(&l->stream, w->streams, rate_of(request), 1, l->peer, &stream_events, l);
    if (!rc)
        return;
    log_warning("%s: no stream: %s", l->peer, strerror(-rc));
    destroy(l);
}

/* Whether a list of words with commas has this one. */
static bool has_word(const char *list, const char *word)
{
    for (const char *p = list; p && *p;) {
        p += strspn(p, ", \t");
        size_t size = strcspn(p, ", \t");
        if (size == strlen(word) && strncasecmp(p, word, size) == 0)
            return true;
        p += size;
    }
    return false;
}

void http_live(struct http_request *r)
{
    char accept[WEBSOCKET_KEY_BYTES];
    const char *version = http_request_header(r, "Sec-WebSocket-Version");
    bool named = has_word(http_request_header(r, "Sec-WebSocket-Protocol"), PROTOCOL);
    const char *headers[] = {"Sec-WebSocket-Accept", accept,
                             named ? "Sec-WebSocket-Protocol" : NULL, PROTOCOL, NULL};
    if (!has_word(http_request_header(r, MHD_HTTP_HEADER_UPGRADE), "websocket") || !version ||
        strcmp(version, "13") != 0)
        http_request_refuse(r, MHD_HTTP_UPGRADE_REQUIRED, "websocket", NULL,
                            "here is a WebSocket (RFC 6455, version 13); connect with one");
    else if (!websocket_accept(http_request_header(r, "Sec-WebSocket-Key"), accept))
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "websocket", NULL,
                            "Sec-WebSocket-Key is missing, or of another length");
    else if (!rate_of(r))
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_value", "rate",
                            "rate is not from %d to %d", RATE_LEAST_HZ, RATE_MOST_HZ);
    else
        http_request_upgrade(r, on_upgraded, http_request_world(r), headers);
}

void http_lives_end(struct http_world *w)
{
    while (w->lives)
        destroy(w->lives);
}
