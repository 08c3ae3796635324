/* One request. Its life, as libmicrohttpd calls http_request_access:
 *
 *     headers ─► may it be asked? ─► body ─► turn ─► handler ─► suspended ─► answered ─► completed
 *
 * A request that is refused is read to its end all the same, where that is not too far: who still
 * sends would not see the answer. libmicrohttpd does not look at a connection that is suspended, so
 * this file watches whether its client has gone.
 */
#include "base/clock.h"
#include "base/log.h"
#include "bridges/http_internal.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#define SECOND_US INT64_C(1000000)

enum {
    DISCARD_MOST = 64 * 1024 * 1024, /* bytes of a body that nobody wants */
    OUT_MOST = 4 * 1024 * 1024,      /* bytes that wait for the client */
    ACCURACY_US = 1000,              /* of when a turn comes */
};

struct http_request {
    struct http_request *next;
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_link *link;
    const struct http_route *route;
    char *path; /* owned */
    struct http_form *form;
    size_t body_bytes;
    bool counted; /* among those that its connection made */
    bool asked;   /* the handler was called, or need not be */
    bool gone;    /* the client */

    struct MHD_Response *response; /* owned; NULL: none yet */
    unsigned status;
    struct buffer out; /* of an answer in pieces */
    bool streams, ended;

    bool suspended;
    sd_event_source *hangup, *turn;
    void (*abandon)(void *work);
    void *work;
};

void *http_request_world(const struct http_request *r)
{
    return r->server->options.world;
}

struct http_form *http_request_form(struct http_request *r)
{
    return r->form;
}

const char *http_request_header(struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *http_request_query(struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_request_path(const struct http_request *r)
{
    return r->path;
}

const char *http_request_peer(const struct http_request *r)
{
    return r->link->peer;
}

/* Waiting. */

static void resume(struct http_request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    r->hangup = sd_event_source_disable_unref(r->hangup);
    r->turn = sd_event_source_disable_unref(r->turn);
    MHD_resume_connection(r->connection);
    http_server_run_soon(r->server);
}

static int on_hangup(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)source;
    (void)fd;
    (void)events;
    struct http_request *r = user;
    r->gone = true;
    resume(r);
    return 0;
}

static void suspend(struct http_request *r)
{
    uint32_t gone = r->turn ? EPOLLHUP : EPOLLRDHUP; /* it may have sent all and read on */
    if (sd_event_add_io(r->server->event, &r->hangup, r->link->fd, gone, on_hangup, r) < 0)
        log_debug("%s: nobody sees whether it goes", r->link->peer);
    r->suspended = true;
    MHD_suspend_connection(r->connection);
}

void http_request_wait(struct http_request *r, void (*abandon)(void *work), void *work)
{
    r->abandon = abandon;
    r->work = work;
}

static void abandon(struct http_request *r)
{
    void (*function)(void *work) = r->abandon;
    r->abandon = NULL;
    if (function)
        function(r->work);
}

/* Answers. */

static void settle(struct http_request *r, unsigned status, struct MHD_Response *response)
{
    static const char *const common[][2] = {
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    if (r->response || !response) {
        if (response)
            MHD_destroy_response(response);
        r->gone |= !response;
        return resume(r);
    }
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        MHD_add_response_header(response, common[i][0], common[i][1]);
    r->response = response;
    r->status = status;
    resume(r);
}

static void add_headers(struct MHD_Response *response, const char *const *headers)
{
    for (; response && headers && headers[0]; headers += 2)
        MHD_add_response_header(response, headers[0], headers[1]);
}

void http_request_answer(struct http_request *r, unsigned status, const char *type,
                         const void *body, size_t size, const char *const *headers)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    add_headers(response, headers);
    r->abandon = NULL;
    settle(r, status, response);
}

static cJSON *error_object(unsigned status, const char *code, const char *param, const char *text)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *error = cJSON_AddObjectToObject(object, "error");
    cJSON_AddStringToObject(error, "message", text);
    cJSON_AddStringToObject(error, "type", status < 500 ? "invalid_request_error" : "server_error");
    if (param)
        cJSON_AddStringToObject(error, "param", param);
    else
        cJSON_AddNullToObject(error, "param");
    cJSON_AddStringToObject(error, "code", code);
    return object;
}

void http_request_refuse(struct http_request *r, unsigned status, const char *code,
                         const char *param, const char *format, ...)
{
    static const char *const again[] = {"Retry-After", "2", NULL};
    static const char *const bearer[] = {"WWW-Authenticate", "Bearer realm=\"earshot\"", NULL};
    struct error why;
    va_list arguments;
    va_start(arguments, format);
    error_set_list(&why, 0, format, arguments); /* plain: it may have the client's words */
    va_end(arguments);
    cJSON *object = error_object(status, code, param, why.message);
    char *line = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    log_info("%s: %u %s: %s", r->link->peer, status, code, why.message);
    r->server->counts.refused++;
    http_request_answer(r, status, "application/json", line ? line : "", line ? strlen(line) : 0,
                        status == MHD_HTTP_SERVICE_UNAVAILABLE ? again
                        : status == MHD_HTTP_UNAUTHORIZED      ? bearer
                                                               : NULL);
    cJSON_free(line);
}

/* Of libmicrohttpd: more of an answer in pieces. */
static ssize_t on_read(void *user, uint64_t position, char *to, size_t size)
{
    (void)position;
    struct http_request *r = user;
    if (r->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!r->out.size && r->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!r->out.size) {
        suspend(r);
        return 0;
    }
    size_t n = r->out.size < size ? r->out.size : size;
    memcpy(to, r->out.data, n);
    buffer_drop(&r->out, n);
    return (ssize_t)n;
}

void http_request_begin(struct http_request *r, const char *type)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, on_read, r, NULL);
    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    r->streams = true;
    settle(r, MHD_HTTP_OK, response);
}

int http_request_write(struct http_request *r, const void *data, size_t size)
{
    int rc = buffer_append(&r->out, data, size, OUT_MOST);
    r->gone |= rc != 0;
    resume(r);
    return rc;
}

void http_request_end(struct http_request *r)
{
    r->abandon = NULL;
    r->ended = true;
    http_link_set_deadline(r->link, HTTP_ANSWER_S, false);
    resume(r);
}

void http_request_upgrade(struct http_request *r, MHD_UpgradeHandler function, void *user,
                          const char *const *headers)
{
    struct MHD_Response *response = MHD_create_response_for_upgrade(function, user);
    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_UPGRADE, "websocket");
    add_headers(response, headers);
    settle(r, MHD_HTTP_SWITCHING_PROTOCOLS, response);
}

static enum MHD_Result queue(struct http_request *r)
{
    bool timed = !(r->streams && !r->ended) && r->status != MHD_HTTP_SWITCHING_PROTOCOLS;
    r->asked = true;
    http_link_set_deadline(r->link, timed ? HTTP_ANSWER_S : 0, false);
    return MHD_queue_response(r->connection, r->status, r->response);
}

/* Whether it may be asked. */

static const struct http_route *find_route(struct http_request *r, const char *method)
{
    bool known = false;
    for (const struct http_route *i = r->server->options.routes; i->method; i++) {
        if (strcmp(i->path, r->path) != 0)
            continue;
        if (strcmp(i->method, method) == 0 ||
            (strcmp(i->method, "GET") == 0 && strcmp(method, "HEAD") == 0))
            return i;
        known = true;
    }
    if (known)
        http_request_refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", NULL,
                            "%s takes another method than %.16s", r->path, method);
    else
        http_request_refuse(r, MHD_HTTP_NOT_FOUND, "unknown_url", NULL,
                            "there is nothing at %.100s; man earshot-http tells what there is",
                            r->path);
    return NULL;
}

static bool is_admitted(struct http_request *r)
{
    const struct http_guard *g = r->server->options.guard;
    enum http_access access = r->route->access;
    return access == HTTP_ACCESS_ALL ||
           http_guard_admits(g, http_request_header(r, MHD_HTTP_HEADER_AUTHORIZATION)) ||
           (access == HTTP_ACCESS_PROTOCOL &&
            http_guard_admits_protocol(g, http_request_header(r, "Sec-WebSocket-Protocol")));
}

static size_t announced(struct http_request *r)
{
    const char *text = http_request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text ? (size_t)strtoull(text, NULL, 10) : 0;
}

static void refuse_size(struct http_request *r)
{
    http_request_refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "too_large", "file",
                        "the request is larger than %zu MB (--upload-mb); send Opus or FLAC, or "
                        "cut it",
                        r->server->options.body_max >> 20);
}

/* Refuses it where it may not. */
static void examine(struct http_request *r, const char *method)
{
    const struct http_server_options *o = &r->server->options;
    const char *host = http_request_header(r, MHD_HTTP_HEADER_HOST);
    const char *origin = http_request_header(r, MHD_HTTP_HEADER_ORIGIN);
    if (!http_guard_has_host(o->guard, host))
        return http_request_refuse(r, MHD_HTTP_FORBIDDEN, "host", NULL,
                                   "the header Host has \"%.100s\", which is not a name of this "
                                   "program; use localhost or its number, or start it with --host",
                                   host ? host : "");
    if (!http_guard_is_same(origin, host))
        return http_request_refuse(r, MHD_HTTP_FORBIDDEN, "origin", NULL,
                                   "a page of %.100s may not ask here; only this program's own may",
                                   origin);
    if (r->server->counts.connections > o->connections)
        return http_request_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", NULL,
                                   "there are %u connections already (--connections)",
                                   o->connections);
    r->route = find_route(r, method);
    if (!r->route)
        return;
    if (!is_admitted(r))
        http_request_refuse(r, MHD_HTTP_UNAUTHORIZED, "invalid_api_key", NULL,
                            "the token is wrong or missing; send the one of --token-file as "
                            "Authorization: Bearer TOKEN");
    else if (announced(r) > o->body_max)
        refuse_size(r);
}

/* The request as libmicrohttpd has it. */

static void free_request(struct http_request *r)
{
    struct http_request **p = &r->server->requests;
    while (*p != r)
        p = &(*p)->next;
    *p = r->next;
    sd_event_source_disable_unref(r->hangup);
    sd_event_source_disable_unref(r->turn);
    if (r->response)
        MHD_destroy_response(r->response);
    http_form_destroy(r->form);
    buffer_free(&r->out);
    free(r->path);
    free(r);
}

static struct http_request *create(struct http_server *s, struct MHD_Connection *connection,
                                   const char *path)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_request *r = info->socket_context ? calloc(1, sizeof(struct http_request)) : NULL;
    char *copy = strdup(path);
    if (!r || !copy) {
        free(copy);
        free(r);
        return NULL;
    }
    *r = (struct http_request){.next = s->requests,
                               .server = s,
                               .connection = connection,
                               .link = info->socket_context,
                               .path = copy};
    s->requests = r;
    s->counts.requests++;
    return r;
}

static enum MHD_Result begin(struct http_request *r, const char *method)
{
    struct error error;
    http_link_set_deadline(r->link, HTTP_BODY_S, true);
    examine(r, method);
    if (!r->response && r->route->has_form && http_form_create(&r->form, r->connection, &error))
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "form", NULL, "%s", error.message);
    bool waits = http_request_header(r, MHD_HTTP_HEADER_EXPECT) != NULL;
    if (r->response && (waits || announced(r) > DISCARD_MOST)) {
        MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONNECTION, "close");
        return queue(r);
    }
    return MHD_YES;
}

static enum MHD_Result take_body(struct http_request *r, const char *data, size_t size)
{
    r->body_bytes += size;
    if (r->body_bytes > DISCARD_MOST + r->server->options.body_max)
        return MHD_NO;
    if (r->response)
        return MHD_YES;
    if (r->body_bytes > r->server->options.body_max)
        refuse_size(r);
    else if (r->form)
        http_form_take(r->form, data, size);
    return MHD_YES;
}

static int on_turn(sd_event_source *source, uint64_t us, void *user)
{
    (void)source;
    (void)us;
    resume(user);
    return 0;
}

/* A connection has HTTP_REQUESTS requests a second, and keeps what it did not use of the last one.
 * True: this one is suspended until its turn. */
static bool suspend_until_turn(struct http_request *r)
{
    struct http_link *l = r->link;
    if (r->counted)
        return false;
    r->counted = true;
    l->due_us = clock_paid_us(l->due_us, SECOND_US / HTTP_REQUESTS);
    if (l->due_us <= clock_monotonic_us() ||
        sd_event_add_time(r->server->event, &r->turn, CLOCK_MONOTONIC, (uint64_t)l->due_us,
                          ACCURACY_US, on_turn, r) < 0)
        return false;
    suspend(r);
    return true;
}

/* It is whole. */
static void ask(struct http_request *r)
{
    r->asked = true;
    http_link_set_deadline(r->link, 0, false);
    if (r->response)
        return;
    if (r->form && http_form_end(r->form))
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "form", r->form->field, "%s",
                            r->form->error.message);
    else
        r->route->handle(r);
}

enum MHD_Result http_request_access(void *server, struct MHD_Connection *connection,
                                    const char *url, const char *method, const char *version,
                                    const char *data, size_t *size, void **context)
{
    (void)version;
    struct http_request *r = *context;
    if (!r) {
        r = create(server, connection, url);
        *context = r;
        return r ? begin(r, method) : MHD_NO;
    }
    if (*size) {
        size_t all = *size;
        *size = 0;
        return take_body(r, data, all);
    }
    if (suspend_until_turn(r))
        return MHD_YES;
    if (!r->asked && !r->gone)
        ask(r);
    if (r->gone)
        return MHD_NO;
    if (r->response)
        return queue(r);
    suspend(r);
    return MHD_YES;
}

void http_request_completed(void *server, struct MHD_Connection *connection, void **context,
                            enum MHD_RequestTerminationCode why)
{
    (void)server;
    (void)connection;
    (void)why;
    struct http_request *r = *context;
    if (!r)
        return;
    *context = NULL;
    abandon(r);
    http_link_set_deadline(r->link, HTTP_IDLE_S, true);
    free_request(r);
}

void http_requests_abandon(struct http_server *s)
{
    for (struct http_request *r = s->requests; r; r = r->next) {
        r->gone = true;
        abandon(r);
        resume(r);
    }
}
