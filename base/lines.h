/* Text files, line by line. */
#ifndef EARSHOT_BASE_LINES_H
#define EARSHOT_BASE_LINES_H

#include "base/error.h"

enum {
    LINES_BYTES = 8192, /* of a line with its NUL, at most */
};

/* A line without its newline, which may be written to; number: from 1. 0 or -errno. */
typedef int lines_sink(void *user, char *line, int number, struct error *error);

/* Hands on each line until one gives an error. A mark of UTF-8 at the beginning of the file is left
 * out. 0 or -errno with a message that names the file, and the line that is wrong. */
int lines_read(const char *path, lines_sink *take, void *user, struct error *error);

#endif
