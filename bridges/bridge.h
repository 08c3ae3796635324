/* What every bridge has: the options that all of them take, the event loop with the daemon's
 * streams in it, and its end by a signal. One thread.
 */
#ifndef EARSHOT_BRIDGES_BRIDGE_H
#define EARSHOT_BRIDGES_BRIDGE_H

#include "bridges/announce.h"
#include "bridges/listener.h"
#include "bridges/options.h"
#include "bridges/streams.h"

#include <stdbool.h>

enum {
    BRIDGE_CONNECTIONS = 16, /* as many as the daemon has streams */
    BRIDGE_CONNECTIONS_MOST = 200,
    BRIDGE_REFUSED_MOST = 16, /* connections beyond the limit that are told so at once */
    BRIDGE_BUS_BYTES = 256,
    BRIDGE_LANGUAGES_MAX = 16,
    BRIDGE_LANGUAGE_BYTES = 36,
};

struct bridge_languages {
    char names[BRIDGE_LANGUAGES_MAX][BRIDGE_LANGUAGE_BYTES];
    size_t count;
};

/* The first member of a bridge's own settings. */
struct bridge_settings {
    struct listener_options where;
    struct bridge_languages languages;
    unsigned connections;
    char bus[BRIDGE_BUS_BYTES];
    char announce[ANNOUNCE_NAME_BYTES]; /* by this name; empty: not at all */
};

/* Setters for a table of options. */
int bridge_set_listen(void *settings, const char *value, struct error *error);
int bridge_set_allow(void *settings, const char *value, struct error *error);
int bridge_set_connections(void *settings, const char *value, struct error *error);
int bridge_set_language(void *settings, const char *value, struct error *error);
int bridge_set_bus(void *settings, const char *value, struct error *error);
int bridge_set_announce(void *settings, const char *value, struct error *error);

/* What was not given: this address, English, the session's bus. */
int bridge_settle(struct bridge_settings *s, const char *address, struct error *error);

/* The name among them that asked stands for, as "en" does for en-US and en_GB; NULL: none. */
const char *bridge_language(const struct bridge_languages *l, const char *asked);

/* A loop, which SIGTERM and SIGINT end, and the bus in it. 0, or -errno with a message; what was
 * made is the caller's in both cases. */
int bridge_begin(sd_event **event, struct streams **streams, const struct bridge_settings *s,
                 struct error *error);

/* Announces what l listens at as a service of a type, if that is set; NULL: it is not, or nobody
 * else could reach it, as the log says. */
struct announce *bridge_announce(const struct bridge_settings *s, sd_event *event,
                                 const struct listener *l, const char *type);

/* Tells systemd that all is ready, and goes round. 0, or -errno: the bus is gone. */
int bridge_loop(sd_event *event, const struct bridge_settings *s, struct error *error);

#endif
