/* One WebSocket. wslay takes frames apart, joins and answers them; this file moves bytes and
 * counts. */
#include "bridges/websocket.h"

#include "bridges/buffer.h"
#include "bridges/share.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#define SECOND_US UINT64_C(1000000)
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* of RFC 6455 */

enum {
    KEY_CHARACTERS = 24,
    TURN_BYTES = 64 * 1024, /* that are read before others have their turn, */
    TURN_MESSAGES = 32,     /* or messages: the shortest have two bytes, and may want an answer */
    REASON_BYTES = 64,
    CLOSING_S = 5, /* for the peer to say that it has understood */
};

struct websocket {
    wslay_event_context_ptr context;
    const struct websocket_events *events;
    void *user;
    int fd;
    sd_event *event;
    sd_event_source *io, *tick;
    struct buffer early;
    size_t turn;       /* bytes that may be read in this one */
    unsigned messages; /* that were */
    struct share share;
    uint64_t heard_us, closing_us;
    uint16_t code; /* to close with, once all before it is sent; 0: none */
    char reason[REASON_BYTES];
    bool paused, gone, told;
    bool over; /* all was said; what still comes is thrown away until the peer has read that */
};

bool websocket_accept(const char *key, char accept[WEBSOCKET_KEY_BYTES])
{
    char text[KEY_CHARACTERS + sizeof GUID];
    uint8_t hash[20];
    gnutls_datum_t from = {hash, sizeof hash}, to = {NULL, 0};
    if (!key || strlen(key) != KEY_CHARACTERS)
        return false;
    snprintf(text, sizeof text, "%s" GUID, key);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA1, text, strlen(text), hash) ||
        gnutls_base64_encode2(&from, &to))
        return false;
    snprintf(accept, WEBSOCKET_KEY_BYTES, "%.*s", (int)to.size, to.data);
    gnutls_free(to.data);
    return true;
}

static uint64_t now_us(const struct websocket *w)
{
    uint64_t us;
    sd_event_now(w->event, CLOCK_MONOTONIC, &us);
    return us;
}

/* Of wslay. */

static ssize_t take_early(struct websocket *w, uint8_t *to, size_t size)
{
    size_t n = w->early.size < size ? w->early.size : size;
    memcpy(to, w->early.data, n);
    buffer_drop(&w->early, n);
    return (ssize_t)n;
}

static ssize_t on_receive(wslay_event_context_ptr context, uint8_t *to, size_t size, int flags,
                          void *user)
{
    (void)flags;
    struct websocket *w = user;
    ssize_t n = -1;
    errno = EAGAIN;
    if (!w->paused && w->early.size)
        n = take_early(w, to, size);
    else if (!w->paused && w->turn)
        n = recv(w->fd, to, size < w->turn ? size : w->turn, MSG_DONTWAIT);
    if (n > 0) {
        w->turn -= (size_t)n < w->turn ? (size_t)n : w->turn;
        return n;
    }
    wslay_event_set_error(context, n < 0 && (errno == EAGAIN || errno == EINTR)
                                       ? WSLAY_ERR_WOULDBLOCK
                                       : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr context, const uint8_t *data, size_t size, int flags,
                       void *user)
{
    (void)flags;
    const struct websocket *w = user;
    ssize_t n = send(w->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    wslay_event_set_error(context, errno == EAGAIN || errno == EINTR ? WSLAY_ERR_WOULDBLOCK
                                                                     : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_message(wslay_event_context_ptr context, const struct wslay_event_on_msg_recv_arg *m,
                       void *user)
{
    (void)context;
    struct websocket *w = user;
    if (++w->messages == TURN_MESSAGES)
        w->turn = 0;
    if (m->opcode == WSLAY_TEXT_FRAME || m->opcode == WSLAY_BINARY_FRAME)
        w->events->message(w->user, m->opcode == WSLAY_TEXT_FRAME, m->msg, m->msg_length);
}

/* wslay sends a close before all that waits, and nothing behind it. */
static int send_waiting(struct websocket *w)
{
    int rc = wslay_event_send(w->context);
    if (rc || !w->code || wslay_event_get_queued_msg_count(w->context))
        return rc;
    wslay_event_queue_close(w->context, w->code, (const uint8_t *)w->reason, strlen(w->reason));
    w->code = 0;
    return wslay_event_send(w->context);
}

/* A connection that is closed with bytes unread takes those that it sent last along. */
static void finish(struct websocket *w)
{
    w->over = true;
    shutdown(w->fd, SHUT_WR);
    w->closing_us = w->closing_us ? w->closing_us : now_us(w);
    sd_event_source_set_time_relative(w->tick, SECOND_US);
}

/* The last thing that a callback does: w may be gone after it. */
static void settle(struct websocket *w)
{
    wslay_event_context_ptr c = w->context;
    if (!w->gone && (send_waiting(w) || wslay_event_get_queued_msg_length(c) > WEBSOCKET_OUT_MAX))
        w->gone = true;
    bool reads = wslay_event_want_read(c), writes = wslay_event_want_write(c);
    if (!reads && !writes && !w->over)
        finish(w);
    uint32_t events = ((reads && !w->paused) || w->over ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0);
    if (sd_event_source_set_io_events(w->io, events) < 0)
        w->gone = true;
    share_end(&w->share, w->io);
    if (!w->gone || w->told)
        return;
    w->told = true;
    share_finish(&w->share);
    sd_event_source_set_enabled(w->io, SD_EVENT_OFF);
    sd_event_source_set_enabled(w->tick, SD_EVENT_OFF);
    w->events->gone(w->user);
}

static void receive(struct websocket *w)
{
    w->turn = TURN_BYTES;
    w->messages = 0;
    if (!wslay_event_recv(w->context))
        return;
    wslay_event_shutdown_read(w->context); /* with what is wrong, if the peer is there */
    w->gone = wslay_event_send(w->context) != 0;
}

static void throw_away(struct websocket *w)
{
    char nothing[16 * 1024];
    ssize_t n = recv(w->fd, nothing, sizeof nothing, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        w->gone = true;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)source;
    (void)fd;
    struct websocket *w = user;
    share_begin(&w->share);
    if (w->over) {
        throw_away(w);
    } else if (events & EPOLLIN) {
        w->heard_us = now_us(w);
        receive(w);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        w->gone = true;
    }
    settle(w);
    return 0;
}

static void ping(struct websocket *w)
{
    const struct wslay_event_msg m = {WSLAY_PING, NULL, 0};
    if (wslay_event_get_write_enabled(w->context))
        wslay_event_queue_msg(w->context, &m);
}

static int on_tick(sd_event_source *source, uint64_t us, void *user)
{
    struct websocket *w = user;
    share_begin(&w->share);
    if (w->early.size && !w->over)
        receive(w);
    if (w->paused)
        w->heard_us = us; /* its bytes wait */
    if (us > w->heard_us + WEBSOCKET_SILENT_S * SECOND_US ||
        (w->closing_us && us > w->closing_us + CLOSING_S * SECOND_US))
        w->gone = true;
    if (!w->closing_us)
        ping(w);
    sd_event_source_set_time(source, us + (w->closing_us ? 1 : WEBSOCKET_PING_S) * SECOND_US);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    settle(w);
    return 0;
}

/* Outside of a callback of this file's: settles in a moment, when the caller is done. */
static void settle_soon(struct websocket *w)
{
    if (!w->told)
        sd_event_source_set_io_events(w->io, (w->paused ? 0 : EPOLLIN) | EPOLLOUT);
}

void websocket_send(struct websocket *w, const char *text)
{
    const struct wslay_event_msg m = {WSLAY_TEXT_FRAME, (const uint8_t *)text, strlen(text)};
    if (wslay_event_get_write_enabled(w->context) && wslay_event_queue_msg(w->context, &m) &&
        !w->closing_us)
        w->gone = true;
    settle_soon(w);
}

void websocket_close(struct websocket *w, uint16_t code, const char *reason)
{
    if (w->closing_us)
        return;
    w->closing_us = now_us(w);
    w->code = code;
    snprintf(w->reason, sizeof w->reason, "%s", reason);
    w->paused = false;
    sd_event_source_set_time_relative(w->tick, SECOND_US);
    settle_soon(w);
}

void websocket_pause(struct websocket *w, bool pause)
{
    if (w->paused == pause || w->closing_us)
        return;
    w->paused = pause;
    settle_soon(w);
    if (!pause && w->early.size)
        sd_event_source_set_time_relative(w->tick, 0);
}

/* libmicrohttpd lets small packets wait for the answer to the one before. It fails on a unix
 * socket.
 */
static void send_at_once(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &(int){0}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

int websocket_create(struct websocket **out, sd_event *event, int fd, const void *early,
                     size_t early_size, const struct websocket_events *events, void *user)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_receive, .send_callback = on_send, .on_msg_recv_callback = on_message};
    struct websocket *w = calloc(1, sizeof(struct websocket));
    if (!w)
        return -ENOMEM;
    w->events = events;
    w->user = user;
    w->fd = fd;
    w->event = event;
    w->heard_us = now_us(w);
    share_init(&w->share, SHARE_OF_A_CONNECTION);
    send_at_once(fd);
    int rc = buffer_append(&w->early, early, early_size, TURN_BYTES);
    if (!rc && wslay_event_context_server_init(&w->context, &callbacks, w))
        rc = -ENOMEM;
    if (!rc)
        rc = sd_event_add_io(event, &w->io, fd, EPOLLIN, on_io, w);
    if (rc >= 0)
        rc = sd_event_add_time_relative(event, &w->tick, CLOCK_MONOTONIC, 0, 1, on_tick, w);
    if (rc < 0) {
        websocket_destroy(w);
        return rc;
    }
    wslay_event_config_set_max_recv_msg_length(w->context, WEBSOCKET_MESSAGE_MAX);
    *out = w;
    return 0;
}

void websocket_destroy(struct websocket *w)
{
    if (!w)
        return;
    share_finish(&w->share);
    sd_event_source_disable_unref(w->io);
    sd_event_source_disable_unref(w->tick);
    if (w->context)
        wslay_event_context_free(w->context);
    buffer_free(&w->early);
    free(w);
}
