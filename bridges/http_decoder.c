/* Decodes uploads in a process of its own. Packets over a socket: a letter in four bytes, then
 * samples or a message. Without the last packet the process has crashed, or took more than it may.
 */
#include "bridges/http_decoder.h"

#include "audio/mono.h"
#include "base/child.h"
#include "base/core_dump.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_OPTION "--decode-standard-input"

enum {
    CPU_S = 600, /* of the process, and of each that it starts */
    NICE = 5,
    PACKET_SAMPLES = 'S',
    PACKET_ERROR = 'E',
    PACKET_END = 'Z',
};

struct packet {
    uint32_t kind;
    union {
        int16_t samples[HTTP_DECODER_SAMPLES];
        char message[sizeof(((struct error *)0)->message)];
    };
};

struct http_decoder {
    pid_t process;
    int fd;
    sd_event_source *io;
    void (*ready)(void *user);
    void *user;
    struct packet packet;
};

/* The child. */

static int send_packet(struct packet *p, uint32_t kind, size_t size)
{
    p->kind = kind;
    return send(STDOUT_FILENO, p, offsetof(struct packet, samples) + size, MSG_NOSIGNAL) < 0
               ? -errno
               : 0;
}

static int16_t round_sample(float sample)
{
    float scaled = sample * 32768.0f;
    return (int16_t)lrintf(fminf(fmaxf(scaled, -32768.0f), 32767.0f));
}

/* 0 at the end, or -errno with a message; -EPIPE: nobody listens. */
static int send_sound(struct mono *sound, struct packet *p, struct error *error)
{
    float samples[HTTP_DECODER_SAMPLES];
    int64_t left = (int64_t)HTTP_DECODER_HOURS * 3600 * HTTP_DECODER_RATE_HZ, n;
    while ((n = mono_read(sound, samples, HTTP_DECODER_SAMPLES)) > 0) {
        for (int64_t i = 0; i < n; i++)
            p->samples[i] = round_sample(samples[i]);
        int rc = send_packet(p, PACKET_SAMPLES, (size_t)n * sizeof(int16_t));
        if (rc)
            return rc;
        left -= n;
        if (left < 0)
            return error_set(error, -EFBIG, "it is longer than %d hours; cut it",
                             HTTP_DECODER_HOURS);
    }
    return n ? error_set(error, (int)n, "%s", mono_why(sound)) : 0;
}

static int decode(struct packet *p, struct error *error)
{
    struct sound *file;
    struct mono *sound;
    int rc = sound_open(&file, "-", error);
    if (!rc)
        rc = mono_create(&sound, file, error);
    if (rc)
        return rc;
    rc = send_sound(sound, p, error);
    mono_destroy(sound);
    return rc;
}

/* A wrong file may want any time. */
static void limit(void)
{
    const struct rlimit cpu = {CPU_S, CPU_S};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    core_dump_forbid();
    core_dump_forbid_children();
    setrlimit(RLIMIT_CPU, &cpu);
    if (setpriority(PRIO_PROCESS, 0, NICE))
        errno = 0; /* then it is as fast as others */
}

int http_decoder_main(int argc, char **argv)
{
    static struct packet p;
    struct error error = {""};
    if (argc != 2 || strcmp(argv[1], CHILD_OPTION) != 0)
        return -1;
    limit();
    int rc = decode(&p, &error);
    if (!rc)
        return send_packet(&p, PACKET_END, 0) ? EXIT_FAILURE : EXIT_SUCCESS;
    const char *why = strncmp(error.message, "-: ", 3) == 0 ? error.message + 3 : error.message;
    size_t size = strlen(why);
    memcpy(p.message, why, size);
    send_packet(&p, PACKET_ERROR, size);
    return EXIT_FAILURE;
}

/* The parent. */

static int spawn(struct http_decoder *d, int file, int socket)
{
    char *argv[] = {"earshot-http", CHILD_OPTION, NULL};
    const struct child_file files[] = {
        {file, STDIN_FILENO}, {socket, STDOUT_FILENO}, {-1, STDERR_FILENO}};
    return child_start(&d->process, argv, files, sizeof files / sizeof *files);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
    (void)fd;
    (void)events;
    struct http_decoder *d = user;
    int rc = sd_event_source_set_enabled(source, SD_EVENT_OFF);
    d->ready(d->user);
    return rc;
}

int http_decoder_create(struct http_decoder **out, sd_event *event, int file,
                        void (*ready)(void *user), void *user)
{
    int ends[2];
    struct http_decoder *d = calloc(1, sizeof(struct http_decoder));
    if (!d)
        return -ENOMEM;
    *d = (struct http_decoder){.fd = -1, .ready = ready, .user = user};
    int rc = lseek(file, 0, SEEK_SET) < 0 ? -errno : 0;
    if (!rc && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        rc = -errno;
    if (!rc) {
        d->fd = ends[0];
        rc = spawn(d, file, ends[1]);
        close(ends[1]);
    }
    if (!rc)
        rc = sd_event_add_io(event, &d->io, d->fd, EPOLLIN, on_io, d);
    if (rc < 0) {
        http_decoder_destroy(d);
        return rc;
    }
    *out = d;
    return 0;
}

void http_decoder_destroy(struct http_decoder *d)
{
    if (!d)
        return;
    sd_event_source_disable_unref(d->io);
    if (d->fd >= 0)
        close(d->fd);
    if (d->process) {
        kill(d->process, SIGKILL);
        while (waitpid(d->process, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    free(d);
}

int64_t http_decoder_read(struct http_decoder *d, int16_t *samples, struct error *error)
{
    const ssize_t head = offsetof(struct packet, samples);
    struct packet *p = &d->packet;
    ssize_t size = recv(d->fd, p, sizeof *p, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        int rc = sd_event_source_set_enabled(d->io, SD_EVENT_ON);
        return rc < 0 ? error_set(error, -EIO, "it cannot be decoded: %s", strerror(-rc)) : -EAGAIN;
    }
    if (size < head)
        return error_set(error, -EIO, "it could not be decoded: the decoder has ended");
    size -= head;
    if (p->kind == PACKET_END)
        return 0;
    if (p->kind != PACKET_SAMPLES)
        return error_set(error, -EINVAL, "%.*s", (int)size, p->message);
    memcpy(samples, p->samples, (size_t)size);
    return size / (ssize_t)sizeof(int16_t);
}
