/* One request, for the handler that answers it, now or later. A handler is called when the request
 * is whole and may be asked; whatever it starts is abandoned when the client goes. One thread.
 */
#ifndef EARSHOT_BRIDGES_HTTP_REQUEST_H
#define EARSHOT_BRIDGES_HTTP_REQUEST_H

#include "bridges/http_form.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

struct http_request;

enum http_access {
    HTTP_ACCESS_TOKEN,    /* the token, where one is asked for */
    HTTP_ACCESS_PROTOCOL, /* or as a protocol of a WebSocket */
    HTTP_ACCESS_ALL,
};

struct http_route {
    const char *method, *path; /* GET is HEAD, too */
    void (*handle)(struct http_request *r);
    enum http_access access;
    bool has_form; /* its body is one; else it has none */
};

void *http_request_world(const struct http_request *r);
struct http_form *http_request_form(struct http_request *r);
const char *http_request_header(struct http_request *r, const char *name); /* NULL: none */
const char *http_request_query(struct http_request *r, const char *name);  /* NULL: none */
const char *http_request_path(const struct http_request *r);
const char *http_request_peer(const struct http_request *r);

/* The answer comes later; abandon is called instead where the client goes before it has come. */
void http_request_wait(struct http_request *r, void (*abandon)(void *work), void *work);

/* The whole answer; it is copied. headers: pairs of a name and a value, NULL ends them; may be
 * NULL. The first answer counts. */
void http_request_answer(struct http_request *r, unsigned status, const char *type,
                         const void *body, size_t size, const char *const *headers);

/* An error as the OpenAI API has it; param: the field that is wrong, or NULL. */
__attribute__((format(printf, 5, 6))) void http_request_refuse(struct http_request *r,
                                                               unsigned status, const char *code,
                                                               const char *param,
                                                               const char *format, ...);

/* An answer that is written piece by piece. http_request_write: 0 or -ENOBUFS: the client takes
 * nothing. abandon counts until http_request_end. */
void http_request_begin(struct http_request *r, const char *type);
int http_request_write(struct http_request *r, const void *data, size_t size);
void http_request_end(struct http_request *r);

/* Answers with 101 and hands the connection over; headers as above. */
void http_request_upgrade(struct http_request *r, MHD_UpgradeHandler function, void *user,
                          const char *const *headers);

#endif
