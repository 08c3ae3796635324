/* HTTP over connections that are accepted elsewhere: libmicrohttpd within an sd-event loop, with
 * limits on how many there are and on the time that each part of a request may take. One thread.
 */
#ifndef EARSHOT_BRIDGES_HTTP_SERVER_H
#define EARSHOT_BRIDGES_HTTP_SERVER_H

#include "bridges/http_guard.h"
#include "bridges/http_request.h"

#include <systemd/sd-event.h>

struct http_server;

struct http_server_options {
    unsigned connections;           /* that are served; some more are told that they are too many */
    size_t body_max;                /* bytes */
    const struct http_guard *guard; /* outlives the server */
    const struct http_route *routes; /* outlive the server; method NULL ends them */
    void *world;                     /* the handlers' */
};

struct http_server_counts {
    unsigned connections;
    uint64_t requests, refused; /* since the start; refused: of them, answered by an error */
};

/* 0 or -errno. */
int http_server_create(struct http_server **out, sd_event *event,
                       const struct http_server_options *o);

/* Every request is abandoned. Connections that were taken over must have been given back. */
void http_server_destroy(struct http_server *s);

/* Takes the descriptor. */
void http_server_add(struct http_server *s, int fd);

/* libmicrohttpd has something to do that its epoll instance does not tell of: a connection that was
 * resumed, or given back. */
void http_server_run_soon(struct http_server *s);

struct http_server_counts http_server_counts(const struct http_server *s);

#endif
