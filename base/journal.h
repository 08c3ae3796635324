/* Messages with fields for systemd's journal, over the datagrams of its native protocol
 * (systemd.io/JOURNAL_NATIVE_PROTOCOL). Not sd_journal_send: that one's socket has one place, so
 * that no test could stand in for the journal, and base would need libsystemd for it. Any thread.
 */
#ifndef EARSHOT_BASE_JOURNAL_H
#define EARSHOT_BASE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* EARSHOT_<name>=<text, or else number>. */
struct log_field {
    const char *name; /* A-Z and _; NULL ends a list */
    const char *text; /* NULL: number */
    int64_t number;
};

struct journal {
    int socket;
    struct sockaddr_un address;
};

/* Whether what is written to fd goes into the journal: $JOURNAL_STREAM is its device and inode,
 * which children inherit also where their output goes elsewhere. */
bool journal_has(int fd);

int journal_open(struct journal *j, const char *path); /* 0 or -errno */
void journal_close(struct journal *j);

/* priority: of syslog. id: 32 hexadecimal digits; NULL: none. fields NULL: none. A line break in a
 * text becomes a space; what does not fit into 4096 bytes is left out. 0 or -errno. */
int journal_send(const struct journal *j, int priority, const char *message, const char *id,
                 const struct log_field *fields);

#endif
