/* earshot-wyoming: the Wyoming protocol for the daemon. This file puts it together. */
#include "base/core_dump.h"
#include "base/log.h"
#include "bridges/listener.h"
#include "bridges/options.h"
#include "bridges/wyoming_session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
    CONNECTIONS = 16, /* as many as the daemon has streams */
    CONNECTIONS_MOST = 200,
    REFUSED_MOST = 16, /* connections beyond the limit that are told so at once */
    BUS_BYTES = 256,
};

struct settings {
    struct listener_options where;
    struct wyoming_languages languages;
    unsigned connections;
    char bus[BUS_BYTES];
};

struct wyoming {
    struct settings settings;
    struct session_world world;
    struct listener *listener;
    struct session *sessions[CONNECTIONS_MOST + REFUSED_MOST]; /* [count], owned */
    size_t count;
};

static int set_listen(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    return listener_add(&s->where, value, error);
}

static int set_allow(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    return networks_add(&s->where.allowed, value, error);
}

static int set_language(void *user, const char *value, struct error *error)
{
    struct wyoming_languages *l = &((struct settings *)user)->languages;
    if (strlen(value) >= WYOMING_LANGUAGE_BYTES)
        return error_set(error, -EINVAL, "language \"%s\" is longer than %d bytes", value,
                         WYOMING_LANGUAGE_BYTES - 1);
    if (l->count == WYOMING_LANGUAGES_MAX)
        return error_set(error, -ENOBUFS, "language \"%s\": there are %d already", value,
                         WYOMING_LANGUAGES_MAX);
    snprintf(l->names[l->count++], WYOMING_LANGUAGE_BYTES, "%s", value);
    return 0;
}

static int set_connections(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    return options_number("connections", value, 1, CONNECTIONS_MOST, &s->connections, error);
}

static int set_bus(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    if (!*value || strlen(value) >= BUS_BYTES)
        return error_set(error, -EINVAL, "bus \"%s\" is not session, system or an address", value);
    snprintf(s->bus, sizeof s->bus, "%s", value);
    return 0;
}

static const struct bridge_option options[] = {
    {"listen", "ADDRESS", "tcp://ADDRESS:PORT or unix:///PATH; tcp://127.0.0.1:10300", set_listen,
     1},
    {"allow", "NETWORK", "who may connect beside this machine, as 192.168.1.0/24", set_allow, 1},
    {"connections", "NUMBER", "at once, at most; 16", set_connections, 0},
    {"language", "LANGUAGE", "what the daemon's model hears; en", set_language, 1},
    {"bus", "BUS", "session, system or an address; session", set_bus, 0},
    {NULL},
};

static const struct bridge_program program = {
    "earshot-wyoming",
    "wyoming",
    "Serves the Wyoming protocol: audio comes over the network, and the text that earshotd hears\n"
    "in it goes back. The command line wins over the file.",
    options,
};

static void on_gone(void *user, struct session *session)
{
    struct wyoming *w = user;
    size_t i = 0;
    while (w->sessions[i] != session)
        i++;
    w->sessions[i] = w->sessions[--w->count];
    session_destroy(session);
}

static void on_connection(void *user, int fd, const char *peer)
{
    struct wyoming *w = user;
    struct session *session;
    char why[64];
    if (w->count >= w->settings.connections + REFUSED_MOST) {
        close(fd);
        return;
    }
    int rc = session_create(&session, &w->world, fd, peer);
    if (rc < 0) {
        log_warning("%s: no connection: %s", peer, strerror(-rc));
        return;
    }
    w->sessions[w->count++] = session;
    log_debug("%s has connected, %zu in all", peer, w->count);
    if (w->count <= w->settings.connections)
        return;
    snprintf(why, sizeof why, "there are %u connections already", w->settings.connections);
    session_refuse(session, "busy", why);
}

static int block_signals(sd_event *event)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL))
        return -errno;
    signal(SIGPIPE, SIG_IGN);
    int rc = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
    return rc < 0 ? rc : sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
}

/* What main() returns. */
static int serve(struct wyoming *w, struct error *error)
{
    struct session_world *world = &w->world;
    int rc = sd_event_default(&world->event);
    if (rc >= 0)
        rc = block_signals(world->event);
    if (rc < 0)
        return error_set(error, rc, "no event loop: %s", strerror(-rc));
    rc = streams_create(&world->streams, world->event, w->settings.bus, error);
    if (!rc)
        rc = listener_create(&w->listener, world->event, &w->settings.where, on_connection, w,
                             error);
    if (rc)
        return rc;
    sd_event_set_watchdog(world->event, 1);
    sd_notify(0, "READY=1");
    rc = sd_event_loop(world->event);
    sd_notify(0, "STOPPING=1");
    return rc ? error_set(error, rc, "the bus \"%s\" is gone", w->settings.bus) : 0;
}

static void finish(struct wyoming *w)
{
    listener_destroy(w->listener);
    while (w->count)
        session_destroy(w->sessions[--w->count]);
    streams_destroy(w->world.streams);
    sd_event_unref(w->world.event);
}

int main(int argc, char **argv)
{
    static struct wyoming w = {.settings = {.connections = CONNECTIONS, .bus = "session"}};
    struct error error = {""};
    core_dump_forbid();
    int status = options_read(&program, argc, argv, &w.settings);
    if (status >= 0)
        return status;
    int rc = 0;
    if (!w.settings.where.count)
        rc = listener_add(&w.settings.where, "tcp://127.0.0.1:10300", &error);
    if (!rc && !w.settings.languages.count)
        rc = set_language(&w.settings, "en", &error);
    w.world.languages = w.settings.languages;
    w.world.gone = on_gone;
    w.world.user = &w;
    if (!rc)
        rc = serve(&w, &error);
    finish(&w);
    if (rc)
        log_error("earshot-wyoming: %s", error.message);
    return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
