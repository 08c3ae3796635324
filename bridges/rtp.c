/* earshot-rtp: ears that send Opus over RTP, for the daemon. This file puts it together. */
#include "base/core_dump.h"
#include "base/log.h"
#include "bridges/bridge.h"
#include "bridges/rtp_receiver.h"

#include <stdlib.h>

enum {
    SENDERS = 16, /* as many as the daemon has streams */
};

struct settings {
    struct bridge_settings common;
    unsigned senders;
    struct srtp_keys *keys; /* NULL: packets are plain */
};

struct rtp {
    struct settings settings;
    sd_event *event;
    struct streams *streams;
    struct listener *listener;
    struct announce *announce; /* NULL: none */
    struct rtp_receiver *receiver;
};

static int set_senders(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    return options_number("senders", value, 1, RTP_SENDERS_MOST, &s->senders, error);
}

static int set_key_file(void *user, const char *value, struct error *error)
{
    struct settings *s = user;
    srtp_keys_destroy(s->keys);
    return srtp_keys_read(&s->keys, value, error);
}

static const struct bridge_option options[] = {
    {"listen", "ADDRESS", "udp://ADDRESS:PORT; udp://127.0.0.1:5004", bridge_set_listen, 1},
    {"allow", "NETWORK", "who may send beside this machine, as 192.168.1.0/24", bridge_set_allow,
     1},
    {"senders", "NUMBER", "at once, at most; 16", set_senders, 0},
    {"key-file", "FILE", "only who has one of its keys is heard (SRTP); lines of a NAME and a KEY",
     set_key_file, 0},
    {"announce", "NAME", "to the local network, by mDNS (Avahi); not unless it is set",
     bridge_set_announce, 0},
    {"bus", "BUS", "session, system or an address; session", bridge_set_bus, 0},
    {NULL},
};

static const struct bridge_program program = {
    "earshot-rtp",
    "rtp",
    "Receives RTP: Opus audio comes over the network, and each sender is a stream of earshotd,\n"
    "which tells on D-Bus what was said. The command line wins over the file.",
    options,
};

static void on_datagrams(void *user, int fd, const char *peer)
{
    (void)peer;
    struct rtp *r = user;
    rtp_receiver_read(r->receiver, r->listener, fd);
}

/* 0 or -errno with a message. */
static int serve(struct rtp *r, struct error *error)
{
    const struct settings *s = &r->settings;
    int rc = bridge_begin(&r->event, &r->streams, &s->common, error);
    if (!rc)
        rc = rtp_receiver_create(&r->receiver, r->event, r->streams, s->senders, s->keys, error);
    if (!rc)
        rc = listener_create(&r->listener, r->event, &s->common.where, on_datagrams, r, error);
    if (rc)
        return rc;
    r->announce = bridge_announce(&s->common, r->event, r->listener, "_rtp._udp");
    return bridge_loop(r->event, &s->common, error);
}

static void finish(struct rtp *r)
{
    announce_destroy(r->announce);
    listener_destroy(r->listener);
    rtp_receiver_destroy(r->receiver);
    streams_destroy(r->streams);
    sd_event_unref(r->event);
    srtp_keys_destroy(r->settings.keys);
}

int main(int argc, char **argv)
{
    static struct rtp r = {
        .settings = {.common = {.where = {.datagrams = true}}, .senders = SENDERS}};
    struct error error = {""};
    core_dump_forbid();
    int status = options_read(&program, argc, argv, &r.settings);
    if (status >= 0)
        return status;
    int rc = bridge_settle(&r.settings.common, "udp://127.0.0.1:5004", &error);
    if (!rc)
        rc = serve(&r, &error);
    finish(&r);
    if (rc)
        log_error("earshot-rtp: %s", error.message);
    return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
