/* The daemon's Streams interface (docs/streams.md), for a bridge: the connection to the bus, and
 * streams that are opened, sent to, and tell their texts. Only the owner of the daemon's name is
 * believed. One thread, in an sd-event loop; nothing here waits, but for streams_create.
 */
#ifndef EARSHOT_BRIDGES_STREAMS_H
#define EARSHOT_BRIDGES_STREAMS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

enum {
    STREAM_SEND_MAX = 65536, /* bytes of samples */
};

struct streams;
struct stream;

/* Each may call stream_close. */
struct stream_events {
    void (*ready)(void *user);                  /* there is room to send: again, or now first */
    void (*text)(void *user, const char *text); /* an utterance was completed */
    /* Takes the place of text where it is there: all that the stream's object tells, as
     * docs/dbus.md has it. */
    void (*signal)(void *user, const char *member, sd_bus_message *m);
    /* No more comes: all was told after stream_end (code NULL), or why not, with a word for it. */
    void (*over)(void *user, const char *code, const char *why);
};

/* bus: session, system or an address. The loop ends with a failure when the bus is gone. */
int streams_create(struct streams **out, sd_event *event, const char *bus, struct error *error);
void streams_destroy(struct streams *s);

sd_bus *streams_bus(const struct streams *s);
const char *streams_owner(const struct streams *s); /* of the daemon's name; empty: nobody */

/* s16 samples; name: of who sends them, which the stream's object has as its Device; NULL: none.
 * The daemon is started by the bus if it can be, and waited for while it loads. 0 or -ENOMEM: all
 * else is told by over. */
int stream_open(struct stream **out, struct streams *s, uint32_t rate_hz, uint32_t channels,
                const char *name, const struct stream_events *events, void *user);

/* frames interleaved. 1: sent; 0: there is no room, ready will tell; or -errno: the daemon has
 * closed it. */
int stream_send(struct stream *s, const void *samples, size_t frames);

/* ready tells once there is room: for who leaves others their turn. */
void stream_wait(struct stream *s);

/* So many frames are missing before what is sent next. */
void stream_skip(struct stream *s, uint64_t frames);

void stream_end(struct stream *s);   /* no more is sent: what is open is completed, then over */
void stream_close(struct stream *s); /* at once, and no more is told; NULL: nothing */

#endif
