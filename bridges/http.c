/* earshot-http: the daemon over HTTP. This file puts it together. */
#include "base/core_dump.h"
#include "base/log.h"
#include "bridges/http_decoder.h"
#include "bridges/http_live.h"
#include "bridges/http_world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    UPLOAD_MB = 25, /* as OpenAI's */
    UPLOAD_MB_MOST = 1024,
};

struct settings {
    struct bridge_settings common;
    struct http_guard guard;
    unsigned upload_mb;
};

struct http {
    struct settings settings;
    struct http_world world;
    struct listener *listener;
    struct announce *announce; /* NULL: none */
};

static int set_host(void *user, const char *value, struct error *error)
{
    return http_guard_add_host(&((struct settings *)user)->guard, value, error);
}

static int set_token_file(void *user, const char *value, struct error *error)
{
    return http_guard_read_token(&((struct settings *)user)->guard, value, error);
}

static int set_upload_mb(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    return options_number("upload-mb", value, 1, UPLOAD_MB_MOST, &s->upload_mb, error);
}

static const struct bridge_option options[] = {
    {"listen", "ADDRESS", "tcp://ADDRESS:PORT or unix:///PATH; tcp://127.0.0.1:10380",
     bridge_set_listen, 1},
    {"allow", "NETWORK", "who may connect beside this machine, as 192.168.1.0/24", bridge_set_allow,
     1},
    {"token-file", "FILE", "its first line is the token that requests must have", set_token_file,
     0},
    {"host", "NAME", "by which it is reached, beside localhost and numbers", set_host, 1},
    {"connections", "NUMBER", "at once, at most; 16", bridge_set_connections, 0},
    {"upload-mb", "NUMBER", "of a request, at most; 25", set_upload_mb, 0},
    {"language", "LANGUAGE", "what the daemon's model hears; en", bridge_set_language, 1},
    {"announce", "NAME", "to the local network, by mDNS (Avahi); not unless it is set",
     bridge_set_announce, 0},
    {"bus", "BUS", "session, system or an address; session", bridge_set_bus, 0},
    {NULL},
};

static const struct bridge_program program = {
    "earshot-http",
    "http",
    "Serves HTTP: transcriptions of sound files as the OpenAI API has them, live audio over a\n"
    "WebSocket, and a page of live captions, by what earshotd hears. The command line wins over\n"
    "the file.",
    options,
};

static const struct http_route routes[] = {
    {"POST", "/v1/audio/transcriptions", http_transcribe, HTTP_ACCESS_TOKEN, true},
    {"GET", "/v1/models", http_models, HTTP_ACCESS_TOKEN, false},
    {"GET", "/metrics", http_metrics, HTTP_ACCESS_TOKEN, false},
    {"GET", "/healthz", http_health, HTTP_ACCESS_ALL, false},
    {"GET", "/v1/live", http_live, HTTP_ACCESS_PROTOCOL, false},
    {"GET", "/", http_page, HTTP_ACCESS_ALL, false},
    {"GET", "/captions.css", http_page, HTTP_ACCESS_ALL, false},
    {"GET", "/captions.js", http_page, HTTP_ACCESS_ALL, false},
    {"GET", "/worklet.js", http_page, HTTP_ACCESS_ALL, false},
    {NULL},
};

static void on_connection(void *user, int fd, const char *peer)
{
    struct http *h = user;
    log_debug("%s has connected", peer);
    http_server_add(h->world.server, fd);
}

/* 0 or -errno with a message. */
static int serve(struct http *h, struct error *error)
{
    const struct bridge_settings *s = &h->settings.common;
    const struct http_server_options server = {.connections = s->connections,
                                               .body_max = (size_t)h->settings.upload_mb << 20,
                                               .guard = &h->settings.guard,
                                               .routes = routes,
                                               .world = &h->world};
    int rc = bridge_begin(&h->world.event, &h->world.streams, s, error);
    if (rc)
        return rc;
    rc = http_server_create(&h->world.server, h->world.event, &server);
    if (rc)
        return error_set(error, rc, "no HTTP: %s", strerror(-rc));
    rc = listener_create(&h->listener, h->world.event, &s->where, on_connection, h, error);
    if (rc)
        return rc;
    h->announce = bridge_announce(s, h->world.event, h->listener, "_http._tcp");
    return bridge_loop(h->world.event, s, error);
}

static void finish(struct http *h)
{
    announce_destroy(h->announce);
    listener_destroy(h->listener);
    http_lives_end(&h->world);
    http_server_destroy(h->world.server);
    streams_destroy(h->world.streams);
    sd_event_unref(h->world.event);
}

int main(int argc, char **argv)
{
    static struct http h = {.settings = {.upload_mb = UPLOAD_MB}};
    struct error error = {""};
    int status = http_decoder_main(argc, argv);
    if (status >= 0)
        return status;
    core_dump_forbid();
    status = options_read(&program, argc, argv, &h.settings);
    if (status >= 0)
        return status;
    int rc = bridge_settle(&h.settings.common, "tcp://127.0.0.1:10380", &error);
    if (!rc && h.settings.common.where.allowed.count && !*h.settings.guard.token)
        rc = error_set(&error, -EPERM,
                       "--allow lets other machines in; they need a token: --token-file");
    h.world.languages = h.settings.common.languages;
    if (!rc)
        rc = serve(&h, &error);
    finish(&h);
    if (rc)
        log_error("earshot-http: %s", error.message);
    return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
