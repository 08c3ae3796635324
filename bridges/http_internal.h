/* What http_server.c and http_request.c share. */
#ifndef EARSHOT_BRIDGES_HTTP_INTERNAL_H
#define EARSHOT_BRIDGES_HTTP_INTERNAL_H

#include "bridges/buffer.h"
#include "bridges/http_server.h"
#include "bridges/networks.h"
#include "bridges/share.h"

enum {
    HTTP_HEADERS_S = 10, /* from the connection to the end of the first request's headers */
    HTTP_IDLE_S = 60,    /* the same from the end of the request before */
    HTTP_BODY_S = 120,   /* from there to the end of its body */
    HTTP_ANSWER_S = 60,  /* from the answer to when the client has it */
    HTTP_SILENT_S = 30,  /* without a byte, wherever one is due */
    HTTP_REQUESTS = 50,  /* a second of a connection; more of them wait */
    HTTP_MEMORY = 32768, /* bytes of a connection: headers, what is read and written */
};

/* A connection. */
struct http_link {
    struct http_link *next;
    struct http_server *server;
    int fd;
    char peer[NETWORKS_ADDRESS_BYTES];
    uint64_t deadline_us; /* UINT64_MAX: none */
    bool reads;           /* a request is to come, or comes */
    unsigned half_open;   /* for so many sweeps: it reads, and its peer sends no more */
    int64_t due_us;       /* clock when it has waited for the requests that it made */
};

struct http_server {
    sd_event *event;
    sd_event_source *io, *timer, *sweep;
    struct share share; /* of all its connections */
    struct MHD_Daemon *daemon;
    struct http_server_options options;
    struct http_link *links;
    struct http_request *requests;
    struct http_server_counts counts;
};

/* seconds 0: none. reads: what is due comes from the peer. */
void http_link_set_deadline(struct http_link *l, unsigned seconds, bool reads);

/* As libmicrohttpd calls them. */
enum MHD_Result http_request_access(void *server, struct MHD_Connection *connection,
                                    const char *url, const char *method, const char *version,
                                    const char *data, size_t *size, void **context);
void http_request_completed(void *server, struct MHD_Connection *connection, void **context,
                            enum MHD_RequestTerminationCode why);

/* Every request ends, as if its client had gone. */
void http_requests_abandon(struct http_server *s);

#endif
