/* What every bridge has: common options, the loop, signals. */
#include "bridges/bridge.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <systemd/sd-daemon.h>

int bridge_set_listen(void *settings, const char *value, struct error *error)
{
    struct bridge_settings *s = settings;
    return listener_add(&s->where, value, error);
}

int bridge_set_allow(void *settings, const char *value, struct error *error)
{
    struct bridge_settings *s = settings;
    return networks_add(&s->where.allowed, value, error);
}

int bridge_set_language(void *settings, const char *value, struct error *error)
{
    struct bridge_languages *l = &((struct bridge_settings *)settings)->languages;
    if (strlen(value) >= BRIDGE_LANGUAGE_BYTES)
        return error_set(error, -EINVAL, "language \"%s\" is longer than %d bytes", value,
                         BRIDGE_LANGUAGE_BYTES - 1);
    if (l->count == BRIDGE_LANGUAGES_MAX)
        return error_set(error, -ENOBUFS, "language \"%s\": there are %d already", value,
                         BRIDGE_LANGUAGES_MAX);
    snprintf(l->names[l->count++], BRIDGE_LANGUAGE_BYTES, "%s", value);
    return 0;
}

int bridge_set_connections(void *settings, const char *value, struct error *error)
{
    struct bridge_settings *s = settings;
    return options_number("connections", value, 1, BRIDGE_CONNECTIONS_MOST, &s->connections, error);
}

int bridge_set_bus(void *settings, const char *value, struct error *error)
{
    struct bridge_settings *s = settings;
    if (!*value || strlen(value) >= BRIDGE_BUS_BYTES)
        return error_set(error, -EINVAL, "bus \"%s\" is not session, system or an address", value);
    snprintf(s->bus, sizeof s->bus, "%s", value);
    return 0;
}

int bridge_settle(struct bridge_settings *s, const char *address, struct error *error)
{
    int rc = s->where.count ? 0 : listener_add(&s->where, address, error);
    if (!rc && !s->languages.count)
        rc = bridge_set_language(s, "en", error);
    if (!rc && !*s->bus)
        rc = bridge_set_bus(s, "session", error);
    if (!s->connections)
        s->connections = BRIDGE_CONNECTIONS;
    return rc;
}

int bridge_set_announce(void *settings, const char *value, struct error *error)
{
    struct bridge_settings *s = settings;
    if (strlen(value) >= sizeof s->announce || !*value)
        return error_set(error, -EINVAL, "announce \"%s\" is not a name of 1 to %d bytes", value,
                         ANNOUNCE_NAME_BYTES - 1);
    snprintf(s->announce, sizeof s->announce, "%s", value);
    return 0;
}

struct announce *bridge_announce(const struct bridge_settings *s, sd_event *event,
                                 const struct listener *l, const char *type)
{
    uint16_t port = *s->announce ? listener_port(l) : 0;
    if (*s->announce && !port)
        log_warning("\"%s\" is not announced: this machine alone can reach it", s->announce);
    return port ? announce_create(event, s->announce, type, port) : NULL;
}

static bool is_language(const char *ours, const char *asked)
{
    size_t size = strcspn(asked, "-_");
    return strcasecmp(ours, asked) == 0 ||
           (strlen(ours) == size && strncasecmp(ours, asked, size) == 0);
}

const char *bridge_language(const struct bridge_languages *l, const char *asked)
{
    for (size_t i = 0; i < l->count; i++)
        if (is_language(l->names[i], asked))
            return l->names[i];
    return NULL;
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

int bridge_begin(sd_event **event, struct streams **streams, const struct bridge_settings *s,
                 struct error *error)
{
    int rc = sd_event_default(event);
    if (rc >= 0)
        rc = block_signals(*event);
    if (rc < 0)
        return error_set(error, rc, "no event loop: %s", strerror(-rc));
    return streams_create(streams, *event, s->bus, error);
}

int bridge_loop(sd_event *event, const struct bridge_settings *s, struct error *error)
{
    sd_event_set_watchdog(event, 1);
    sd_notify(0, "READY=1");
    int rc = sd_event_loop(event);
    sd_notify(0, "STOPPING=1");
    return rc ? error_set(error, rc, "the bus \"%s\" is gone", s->bus) : 0;
}
