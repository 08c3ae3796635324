/* earshot bench --daemon: how late the texts of the running daemon are. */
#ifndef EARSHOT_CLI_BENCH_DAEMON_H
#define EARSHOT_CLI_BENCH_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

struct bench_daemon_options {
    const char *path; /* a sound file; NULL: what the microphone hears */
    const char *bus;  /* "session", "system" or an address */
    size_t texts;     /* to wait for; 0: those of the file, or ten of the microphone */
    bool json;
};

/* Returns an exit code: 0 done, 1 failed. */
int bench_daemon(const struct bench_daemon_options *options);

#endif
