/* The one reader of text files that people write. */
#include "base/lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The next line of the file. 0 or -EINVAL; *over: there was none. */
static int next_line(FILE *file, char line[static LINES_BYTES], bool *over, struct error *error)
{
    size_t length = 0;
    int c;
    while ((c = getc(file)) != EOF && c != '\n') {
        if (c == '\0')
            return error_set(error, -EINVAL, "not a line of text");
        if (length == LINES_BYTES - 1)
            return error_set(error, -EINVAL, "the line is too long");
        line[length++] = (char)c;
    }
    line[length] = '\0';
    *over = c == EOF && length == 0;
    return 0;
}

static int read_lines(FILE *file, const char *path, lines_sink *take, void *user,
                      struct error *error)
{
    static const char mark[] = "\xef\xbb\xbf"; /* what some editors begin a file with */
    char line[LINES_BYTES];
    bool over = false;
    for (int number = 1; !over; number++) {
        struct error what;
        int rc = next_line(file, line, &over, &what);
        if (ferror(file))
            return error_set(error, -errno, "%s: %s", path, strerror(errno));
        bool marked = number == 1 && strncmp(line, mark, strlen(mark)) == 0;
        if (!rc && !over)
            rc = take(user, line + (marked ? strlen(mark) : 0), number, &what);
        if (rc)
            return error_set(error, rc, "%s:%d: %s", path, number, what.message);
    }
    return 0;
}

int lines_read(const char *path, lines_sink *take, void *user, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    int rc = read_lines(file, path, take, user, error);
    fclose(file);
    return rc;
}
