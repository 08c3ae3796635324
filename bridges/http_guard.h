/* Who may ask what, by what a request says of itself: the name that it was sent to, the page that
 * sent it, and its token. Pure functions, any thread.
 *
 * A page of any site can make a browser on this machine send requests to it. Host tells of those
 * that came by a name that somebody else answers for (DNS rebinding), Origin of those that another
 * site's page sent.
 */
#ifndef EARSHOT_BRIDGES_HTTP_GUARD_H
#define EARSHOT_BRIDGES_HTTP_GUARD_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_HOSTS_MAX = 8,
    HTTP_HOST_BYTES = 256,
    HTTP_TOKEN_LEAST = 16, /* characters */
    HTTP_TOKEN_MOST = 256,
};

struct http_guard {
    char hosts[HTTP_HOSTS_MAX][HTTP_HOST_BYTES]; /* names beside numbers and localhost */
    size_t host_count;
    char token[HTTP_TOKEN_MOST + 1]; /* empty: none is asked for */
};

/* A name without a port. 0, -EINVAL or -ENOBUFS with a message. */
int http_guard_add_host(struct http_guard *g, const char *name, struct error *error);

/* Reads the token: the first line of a file. 0 or -errno with a message that names the file. */
int http_guard_read_token(struct http_guard *g, const char *path, struct error *error);

/* Of the header Host; NULL: there was none. */
bool http_guard_has_host(const struct http_guard *g, const char *host);

/* Whether a page of this origin is one of this program's own: Origin and Host name the same. NULL:
 * no page sent it. */
bool http_guard_is_same(const char *origin, const char *host);

/* Whether the header Authorization has the token; always, where none is asked for. */
bool http_guard_admits(const struct http_guard *g, const char *authorization);

/* Whether the header Sec-WebSocket-Protocol, which a page can set, has "bearer.TOKEN". */
bool http_guard_admits_protocol(const struct http_guard *g, const char *protocols);

#endif
