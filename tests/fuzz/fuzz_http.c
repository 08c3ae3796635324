/* HTTP over any bytes, which come in pieces: the first byte chooses these, and whether they are
 * whole requests or the body of an upload. Whatever comes, the connection is given back when it is
 * closed, and a handler is called only for a form that has a file. */
#include "base/log.h"
#include "bridges/http_server.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BODY_MAX = 4096,
    PIECES_MAX = 64,
    IDLE_MAX = 10,         /* turns of the loop in which nothing came, until all is done */
    PATIENCE_US = 1000000, /* for what it has to wait for */
};

static void on_form(struct http_request *r)
{
    const struct http_form *f = http_request_form(r);
    if (f->file < 0 || !f->file_bytes || f->file_bytes > BODY_MAX || *f->error.message)
        abort();
    if (lseek(f->file, 0, SEEK_END) != (off_t)f->file_bytes)
        abort();
    http_request_answer(r, MHD_HTTP_OK, "text/plain", f->model, strlen(f->model), NULL);
}

static void on_plain(struct http_request *r)
{
    http_request_begin(r, "text/plain");
    http_request_write(r, "said", 4);
    http_request_end(r);
}

static const struct http_route routes[] = {
    {"POST", "/f", on_form, HTTP_ACCESS_TOKEN, true},
    {"GET", "/p", on_plain, HTTP_ACCESS_ALL, false},
    {NULL},
};

static void turn(sd_event *event, int fd)
{
    char answer[4096];
    while (sd_event_run(event, 0) > 0)
        ;
    while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
        ;
}

static void send_in_pieces(sd_event *event, int fd, const uint8_t *data, size_t size, size_t most)
{
    if (most < size / PIECES_MAX)
        most = size / PIECES_MAX;
    for (size_t at = 0; at < size; at += most) {
        if (send(fd, data + at, size - at < most ? size - at : most, MSG_NOSIGNAL | MSG_DONTWAIT) <
            0)
            return;
        turn(event, fd);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1 << 20, 1, 7, 300};
    static const struct http_guard guard;
    static sd_event *event;
    struct http_server *server;
    char head[200];
    int ends[2];
    const struct http_server_options options = {
        .connections = 2, .body_max = BODY_MAX, .guard = &guard, .routes = routes};
    if (!size || size > 65536)
        return 0;
    log_set_level(LOG_LEVEL_ERROR);
    if (!event && sd_event_new(&event) < 0)
        abort();
    if (http_server_create(&server, event, &options) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
        abort();
    http_server_add(server, ends[0]);
    int head_size = snprintf(head, sizeof head,
                             "POST /f HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                             "multipart/form-data; boundary=a\r\nContent-Length: %zu\r\n\r\n",
                             size - 1);
    if (data[0] & 0x80)
        send_in_pieces(event, ends[1], (const uint8_t *)head, (size_t)head_size, 1 << 20);
    send_in_pieces(event, ends[1], data + 1, size - 1,
                   pieces[data[0] % (sizeof pieces / sizeof *pieces)]);
    close(ends[1]);
    for (int idle = 0; idle < IDLE_MAX && http_server_counts(server).connections;)
        idle += sd_event_run(event, PATIENCE_US) == 0;
    if (http_server_counts(server).connections)
        abort();
    http_server_destroy(server);
    return 0;
}
