/* What the handlers of earshot-http share, and the handlers. One thread. */
#ifndef EARSHOT_BRIDGES_HTTP_WORLD_H
#define EARSHOT_BRIDGES_HTTP_WORLD_H

#include "bridges/bridge.h"
#include "bridges/http_server.h"

struct http_world {
    sd_event *event;
    struct streams *streams;
    struct bridge_languages languages;
    struct http_server *server;
    struct live *lives; /* owned */
};

/* POST /v1/audio/transcriptions */
void http_transcribe(struct http_request *r);

/* GET /healthz, /metrics, /v1/models */
void http_health(struct http_request *r);
void http_metrics(struct http_request *r);
void http_models(struct http_request *r);

/* GET / and what the page there wants */
void http_page(struct http_request *r);

#endif
