/* earshot-wyoming: the Wyoming protocol for the daemon. This file puts it together. */
#include "base/core_dump.h"
#include "base/log.h"
#include "bridges/bridge.h"
#include "bridges/wyoming_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct wyoming {
    struct bridge_settings settings; /* the options' */
    struct session_world world;
    struct listener *listener;
    struct announce *announce;                                               /* NULL: none */
    struct session *sessions[BRIDGE_CONNECTIONS_MOST + BRIDGE_REFUSED_MOST]; /* [count], owned */
    size_t count;
};

static int set_wake(void *settings, const char *value, struct error *error)
{
    struct wyoming *w = settings;
    return wake_words_set(&w->world.wake, value, error);
}

static const struct bridge_option options[] = {
    {"listen", "ADDRESS", "tcp://ADDRESS:PORT or unix:///PATH; tcp://127.0.0.1:10300",
     bridge_set_listen, 1},
    {"allow", "NETWORK", "who may connect beside this machine, as 192.168.1.0/24", bridge_set_allow,
     1},
    {"connections", "NUMBER", "at once, at most; 16", bridge_set_connections, 0},
    {"language", "LANGUAGE", "what the daemon's model hears; en", bridge_set_language, 1},
    {"wake", "PHRASES", "wake words, for clients that ask to be woken: computer|hey computer",
     set_wake, 0},
    {"announce", "NAME", "to the local network, by mDNS (Avahi); not unless it is set",
     bridge_set_announce, 0},
    {"bus", "BUS", "session, system or an address; session", bridge_set_bus, 0},
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
    if (w->count >= w->settings.connections + BRIDGE_REFUSED_MOST) {
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

/* 0 or -errno with a message. */
static int serve(struct wyoming *w, struct error *error)
{
    struct session_world *world = &w->world;
    int rc = bridge_begin(&world->event, &world->streams, &w->settings, error);
    if (!rc)
        rc = listener_create(&w->listener, world->event, &w->settings.where, on_connection, w,
                             error);
    if (rc)
        return rc;
    w->announce = bridge_announce(&w->settings, world->event, w->listener, "_wyoming._tcp");
    return bridge_loop(world->event, &w->settings, error);
}

static void finish(struct wyoming *w)
{
    announce_destroy(w->announce);
    listener_destroy(w->listener);
    while (w->count)
        session_destroy(w->sessions[--w->count]);
    streams_destroy(w->world.streams);
    sd_event_unref(w->world.event);
}

int main(int argc, char **argv)
{
    static struct wyoming w;
    struct error error = {""};
    core_dump_forbid();
    int status = options_read(&program, argc, argv, &w.settings);
    if (status >= 0)
        return status;
    int rc = bridge_settle(&w.settings, "tcp://127.0.0.1:10300", &error);
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
