/* The bytes of a sound file or of a pipe, from their begin. Whatever was read can be read again
 * until input_commit, so that a format can be recognised in a pipe, too. One thread at a time.
 */
#ifndef EARSHOT_AUDIO_INPUT_H
#define EARSHOT_AUDIO_INPUT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct input;

/* path: "-" is standard input. stop_fd: when it becomes readable, a pipe ends here; -1: never.
 * 0 or -errno, the message names the path. */
int input_open(struct input **out, const char *path, int stop_fd, struct error *error);
/* The same over a descriptor, which is taken, also on failure. */
int input_open_fd(struct input **out, int fd);
void input_close(struct input *in);

/* At least one byte, at most size, waiting for it if it must; 0 at the end, -errno. */
ssize_t input_read(struct input *in, void *data, size_t size);
/* size bytes, or fewer at the end; -errno. */
ssize_t input_read_all(struct input *in, void *data, size_t size);
/* The bytes that come next, which stay to be read; fewer than size at the end; -errno. */
ssize_t input_peek(struct input *in, void *data, size_t size);
/* 0, -ENODATA at the end, or -errno. */
int input_skip(struct input *in, uint64_t size);

/* Back to the begin, before input_commit. */
void input_rewind(struct input *in);
/* What is read from now on is read once. */
void input_commit(struct input *in);

/* A descriptor of a regular file with all the bytes, at their begin, owned by the input: the file,
 * or a copy of the pipe in memory, made when the pipe has ended. Before input_commit. -errno. */
int input_file(struct input *in);

bool input_is_live(const struct input *in);     /* bytes may come later: a pipe, a terminal */
bool input_was_stopped(const struct input *in); /* by stop_fd, not by its end */

#endif
