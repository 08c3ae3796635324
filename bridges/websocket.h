/* One WebSocket, the server's end: wslay over a connection, in an sd-event loop. A peer is pinged,
 * and lost where it says nothing; what waits for it is limited. One thread.
 */
#ifndef EARSHOT_BRIDGES_WEBSOCKET_H
#define EARSHOT_BRIDGES_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum {
    WEBSOCKET_MESSAGE_MAX = 64 * 1024, /* bytes of one that comes */
    WEBSOCKET_OUT_MAX = 1024 * 1024,   /* bytes that wait for the peer */
    WEBSOCKET_PING_S = 10,
    WEBSOCKET_SILENT_S = 30, /* without a byte of the peer's */
    WEBSOCKET_KEY_BYTES = 29,
};

struct websocket;

struct websocket_events {
    /* A whole message; text is as it came, without a NUL. */
    void (*message)(void *user, bool text, const uint8_t *data, size_t size);
    void (*gone)(void *user); /* it is over: to be destroyed, there or later */
};

/* What Sec-WebSocket-Accept says to this Sec-WebSocket-Key. False: it is no key. */
bool websocket_accept(const char *key, char accept[WEBSOCKET_KEY_BYTES]);

/* fd: connected, not blocking; the caller's. early: bytes that were read of it. Nothing is told
 * before this returns. 0 or -errno. */
int websocket_create(struct websocket **out, sd_event *event, int fd, const void *early,
                     size_t early_size, const struct websocket_events *events, void *user);
void websocket_destroy(struct websocket *w);

/* Sends text; where too much waits, the peer is lost. */
void websocket_send(struct websocket *w, const char *text);

/* Says why, and ends. */
void websocket_close(struct websocket *w, uint16_t code, const char *reason);

/* While it is paused nothing is read, but for a few KiB that were. */
void websocket_pause(struct websocket *w, bool pause);

#endif
