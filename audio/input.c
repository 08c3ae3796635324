/* Bytes that may be read again are kept in `kept`, as are those that were peeked. */
#include "audio/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEPT_MAX = 64 << 20 }; /* bytes of a header, pictures and all */

struct input {
    int fd, stop_fd;
    bool live, stopped, ended, committed;
    size_t left;         /* bytes that were in the pipe when it was stopped */
    unsigned char *kept; /* [size of capacity], owned; at: where reading is in it */
    size_t size, capacity, at;
};

static bool is_regular(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int input_open_fd(struct input **out, int fd)
{
    struct input *in = calloc(1, sizeof *in);
    if (!in) {
        close(fd);
        return -ENOMEM;
    }
    *in = (struct input){.fd = fd, .stop_fd = -1, .live = !is_regular(fd)};
    *out = in;
    return 0;
}

int input_open(struct input **out, const char *path, int stop_fd, struct error *error)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                      : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    int rc = input_open_fd(out, fd);
    if (rc)
        return error_set(error, rc, "%s: %s", path, strerror(-rc));
    (*out)->stop_fd = stop_fd;
    return 0;
}

void input_close(struct input *in)
{
    if (!in)
        return;
    close(in->fd);
    free(in->kept);
    free(in);
}

/* Waits until there are bytes, the end, or a reason to stop: what is in the pipe by then is read.
 */
static void wait_for_bytes(struct input *in)
{
    struct pollfd fds[] = {{.fd = in->stop_fd, .events = POLLIN}, {in->fd, POLLIN, 0}};
    int there = 0;
    if (!in->live || in->stop_fd < 0 || in->stopped)
        return;
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    in->stopped = fds[0].revents != 0;
    if (in->stopped && ioctl(in->fd, FIONREAD, &there) == 0 && there > 0)
        in->left = (size_t)there;
}

static ssize_t read_bytes(struct input *in, void *data, size_t size)
{
    ssize_t n = 0;
    if (!in->ended)
        wait_for_bytes(in);
    if (in->stopped && size > in->left)
        size = in->left;
    if (!in->ended && size)
        do
            n = read(in->fd, data, size);
        while (n < 0 && errno == EINTR);
    if (n > 0 && in->stopped)
        in->left -= (size_t)n;
    in->ended |= n == 0;
    return n < 0 ? -errno : n;
}

/* Reads on, behind what is kept. As input_read. */
static ssize_t keep_more(struct input *in, size_t size)
{
    if (in->size + size > in->capacity) {
        size_t capacity = 2 * (in->size + size);
        unsigned char *grown = capacity <= KEPT_MAX ? realloc(in->kept, capacity) : NULL;
        if (!grown)
            return capacity <= KEPT_MAX ? -ENOMEM : -EFBIG;
        in->kept = grown;
        in->capacity = capacity;
    }
    ssize_t n = read_bytes(in, in->kept + in->size, size);
    if (n > 0)
        in->size += (size_t)n;
    return n;
}

static size_t take_kept(struct input *in, void *data, size_t size)
{
    size_t n = in->size - in->at < size ? in->size - in->at : size;
    if (n)
        memcpy(data, in->kept + in->at, n);
    in->at += n;
    if (in->committed && in->at == in->size)
        in->at = in->size = 0;
    return n;
}

ssize_t input_read(struct input *in, void *data, size_t size)
{
    if (in->at == in->size && in->committed)
        return read_bytes(in, data, size);
    if (in->at == in->size) {
        ssize_t n = keep_more(in, size);
        if (n <= 0)
            return n;
    }
    return (ssize_t)take_kept(in, data, size);
}

ssize_t input_read_all(struct input *in, void *data, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = input_read(in, (char *)data + got, size - got);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

ssize_t input_peek(struct input *in, void *data, size_t size)
{
    while (in->size - in->at < size) {
        ssize_t n = keep_more(in, size - (in->size - in->at));
        if (n < 0)
            return n;
        if (n == 0)
            break;
    }
    size_t there = in->size - in->at < size ? in->size - in->at : size;
    if (there)
        memcpy(data, in->kept + in->at, there);
    return (ssize_t)there;
}

int input_skip(struct input *in, uint64_t size)
{
    char nothing[4096];
    while (size) {
        ssize_t n = input_read(in, nothing, size < sizeof nothing ? (size_t)size : sizeof nothing);
        if (n <= 0)
            return n < 0 ? (int)n : -ENODATA;
        size -= (uint64_t)n;
    }
    return 0;
}

void input_rewind(struct input *in)
{
    in->at = 0;
}

void input_commit(struct input *in)
{
    in->committed = true;
    if (in->at == in->size)
        in->at = in->size = 0;
}

static int write_all(int fd, const unsigned char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno != EINTR)
            return -errno;
        data += n < 0 ? 0 : n;
        size -= n < 0 ? 0 : (size_t)n;
    }
    return 0;
}

/* No sound goes to a disk. */
static int copy_into_memory(struct input *in)
{
    unsigned char bytes[16384];
    int fd = memfd_create("earshot-sound", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n;
    int rc = 0;
    input_rewind(in);
    input_commit(in);
    while (!rc && (n = input_read(in, bytes, sizeof bytes)) > 0)
        rc = write_all(fd, bytes, (size_t)n);
    rc = rc ? rc : (int)n;
    if (rc) {
        close(fd);
        return rc;
    }
    close(in->fd);
    in->fd = fd;
    in->live = in->ended = in->committed = false;
    return 0;
}

int input_file(struct input *in)
{
    int rc = in->live ? copy_into_memory(in) : 0;
    if (rc)
        return rc;
    in->size = in->at = 0;
    return lseek(in->fd, 0, SEEK_SET) < 0 ? -errno : in->fd;
}

bool input_is_live(const struct input *in)
{
    return in->live;
}

bool input_was_stopped(const struct input *in)
{
    return in->stopped;
}
