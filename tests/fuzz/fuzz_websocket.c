/* A WebSocket over any bytes, which come in pieces: the first byte chooses these. Messages stay
 * within their limit, and a peer that has closed is told to be gone, once. */
#include "bridges/websocket.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIECES_MAX = 64,
    IDLE_MAX = 10,         /* turns of the loop in which nothing came, until all is done */
    PATIENCE_US = 1000000, /* for what it has to wait for */
};

static struct {
    struct websocket *socket;
    unsigned gone;
    size_t bytes;
} state;

static volatile unsigned sum;

static void on_message(void *user, bool text, const uint8_t *data, size_t size)
{
    (void)user;
    if (size > WEBSOCKET_MESSAGE_MAX || state.gone)
        abort();
    for (size_t i = 0; i < size; i++)
        sum += data[i];
    state.bytes += size;
    if (text && size && *data == 'x')
        websocket_close(state.socket, 1000, "x");
    else if (text)
        websocket_send(state.socket, "{\"type\":\"heard\"}");
    else
        websocket_pause(state.socket, size % 5 == 4);
}

static void on_gone(void *user)
{
    (void)user;
    state.gone++;
}

static const struct websocket_events events = {on_message, on_gone};

static void turn(sd_event *event, int fd)
{
    char answer[4096];
    while (sd_event_run(event, 0) > 0)
        ;
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
        ;
    websocket_pause(state.socket, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1 << 20, 1, 7, 300};
    static sd_event *event;
    int ends[2];
    if (!size)
        return 0;
    if (!event && sd_event_new(&event) < 0)
        abort();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        abort();
    size_t most = pieces[data[0] % (sizeof pieces / sizeof *pieces)], all = size - 1;
    if (most < all / PIECES_MAX)
        most = all / PIECES_MAX;
    size_t early = data[0] & 0x80 && all < 1000 ? all : 0;
    memset(&state, 0, sizeof state);
    if (websocket_create(&state.socket, event, ends[0], data + 1, early, &events, NULL))
        abort();
    turn(event, ends[1]);
    for (size_t at = early; at < all && !state.gone; at += most) {
        send(ends[1], data + 1 + at, all - at < most ? all - at : most,
             MSG_NOSIGNAL | MSG_DONTWAIT);
        turn(event, ends[1]);
    }
    close(ends[1]);
    for (int idle = 0; idle < IDLE_MAX && !state.gone;) {
        websocket_pause(state.socket, false);
        idle += sd_event_run(event, PATIENCE_US) == 0;
    }
    if (state.gone != 1 || state.bytes > size)
        abort();
    websocket_destroy(state.socket);
    close(ends[0]);
    return 0;
}
