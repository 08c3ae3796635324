/* What the offline commands share: a loaded model, and files driven through the pipeline. */
#ifndef EARSHOT_CLI_OFFLINE_H
#define EARSHOT_CLI_OFFLINE_H

#include "audio/mono.h"
#include "base/error.h"
#include "model/open.h"

#include <stddef.h>

enum { /* exit codes of every command */
       EXIT_DONE = 0,
       EXIT_FAILED = 1,
       EXIT_USAGE = 2,
};

struct offline_options {
    const char *model;     /* path; NULL: the default model */
    const char *backend;   /* "auto", "cpu", "cuda", "cuda:N"; NULL: auto */
    int threads;           /* 0: one a core, at most 8 */
    const char *streaming; /* as encoder_options_parse reads it; NULL: auto */
};

/* Returns 0 or -errno with a message for the user. */
int offline_open(struct opened *o, const struct offline_options *options, struct error *error);

/* Opens a sound file of any kind, "-" for standard input; when stop_fd becomes readable, a pipe
 * ends there. 0 or -errno, the message names the path. */
int offline_sound(struct mono **out, const char *path, int stop_fd, struct error *error);

/* Called with 16 kHz mono samples, at most a second at a time. */
typedef void offline_samples(void *user, const float *samples, size_t count);

/* Reads a sound file of any kind. 0 or -errno, the message names the path. */
int offline_read(const char *path, offline_samples *each, void *user, struct error *error);

/* Prints "earshot COMMAND: message" on stderr and returns EXIT_FAILED. */
int offline_fail(const char *command, const struct error *error);

/* "-m" and its like, shared by every command: returns 1 when option was one of them, 0 when not,
 * -EINVAL when its value is wrong (said on stderr). option is what getopt_long returned. */
#define OFFLINE_SHORT "m:b:t:e:h"
#define OFFLINE_LONG                                                                               \
    {"model", required_argument, NULL, 'm'}, {"backend", required_argument, NULL, 'b'},            \
        {"threads", required_argument, NULL, 't'}, {"streaming", required_argument, NULL, 'e'},    \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
int offline_option(struct offline_options *o, int option, const char *value);

#endif
