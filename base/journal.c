/* A datagram to journald's socket: NAME=value lines, a value with line breaks with its length. */
#include "base/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct datagram {
    char data[4096]; /* [size] */
    size_t size;
};

bool journal_has(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device = 0;
    unsigned long long inode = 0;
    struct stat st;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

int journal_open(struct journal *j, const char *path)
{
    *j = (struct journal){.address.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof j->address.sun_path)
        return -ENAMETOOLONG;
    strcpy(j->address.sun_path, path);
    j->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return j->socket < 0 ? -errno : 0;
}

void journal_close(struct journal *j)
{
    if (j->socket >= 0)
        close(j->socket);
    j->socket = -1;
}

/* A field a line: a value with a line break in it would be another field. */
static void put(struct datagram *d, const char *prefix, const char *name, const char *value)
{
    char *line = d->data + d->size;
    size_t room = sizeof d->data - d->size;
    int n = snprintf(line, room, "%s%s=%s", prefix, name, value);
    if (n < 0 || (size_t)n + 1 >= room)
        return;
    for (char *p = line; *p; p++)
        if (*p == '\n')
            *p = ' ';
    line[n] = '\n';
    d->size += (size_t)n + 1;
}

static void put_number(struct datagram *d, const char *prefix, const char *name, int64_t number)
{
    char value[24];
    snprintf(value, sizeof value, "%" PRId64, number);
    put(d, prefix, name, value);
}

int journal_send(const struct journal *j, int priority, const char *message, const char *id,
                 const struct log_field *fields)
{
    struct datagram d = {.size = 0};
    put(&d, "", "MESSAGE", message);
    put_number(&d, "", "PRIORITY", priority);
    put(&d, "", "SYSLOG_IDENTIFIER", program_invocation_short_name);
    if (id)
        put(&d, "", "MESSAGE_ID", id);
    for (const struct log_field *f = fields; f && f->name; f++) {
        if (f->text)
            put(&d, "EARSHOT_", f->name, f->text);
        else
            put_number(&d, "EARSHOT_", f->name, f->number);
    }
    ssize_t n = sendto(j->socket, d.data, d.size, MSG_NOSIGNAL, (const void *)&j->address,
                       sizeof j->address);
    return n == (ssize_t)d.size ? 0 : -errno;
}
