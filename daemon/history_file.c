#include "daemon/history_file.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct history_file {
    struct history *history; /* not owned */
    char *path;              /* owned */
    int fd;
    off_t size;   /* of what is whole */
    size_t lines; /* in the file */
    bool behind;  /* an entry could not be written */
};

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\t')
            fputs("\\t", out);
        else if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\\')
            fputs("\\\\", out);
        else
            fputc(*text, out);
    }
}

static void put_entry(FILE *out, const struct history_entry *e)
{
    fprintf(out, "%" PRIu64 "\t%" PRId64 "\t%" PRId64 "\t", e->id, e->start_us, e->end_us);
    put_escaped(out, e->text);
    fputc('\t', out);
    put_escaped(out, e->reply ? e->reply : "");
    fputc('\n', out);
}

/* The lines of count entries of h from first on; free them. NULL: no memory. */
static char *lines_of(const struct history *h, size_t first, size_t count, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (!out)
        return NULL;
    for (size_t i = 0; i < count; i++)
        put_entry(out, history_at(h, first + i));
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* In place. False: a backslash before something else. */
static bool unescape(char *text)
{
    char *to = text;
    for (const char *p = text; *p; p++) {
        if (*p != '\\') {
            *to++ = *p;
            continue;
        }
        p++;
        if (*p != 't' && *p != 'n' && *p != '\\')
            return false;
        *to++ = *p == 't' ? '\t' : *p == 'n' ? '\n' : '\\';
    }
    *to = '\0';
    return true;
}

/* The next field of a line; NULL when there is none. */
static char *next_field(char **rest)
{
    return *rest ? strsep(rest, "\t") : NULL;
}

static bool read_number(char **rest, int64_t *out)
{
    char *field = next_field(rest), *end;
    if (!field || !*field)
        return false;
    errno = 0;
    *out = strtoll(field, &end, 10);
    return !*end && errno == 0;
}

/* False: the line is damaged. */
static bool take_line(struct history *h, char *line)
{
    int64_t id, start_us, end_us;
    if (!read_number(&line, &id) || !read_number(&line, &start_us) || !read_number(&line, &end_us))
        return false;
    char *text = next_field(&line), *reply = next_field(&line);
    if (!text || !reply || line || !unescape(text) || !unescape(reply))
        return false;
    size_t count = history_count(h);
    uint64_t last = count ? history_at(h, count - 1)->id : 0;
    if (id > (int64_t)last && history_add(h, (uint64_t)id, start_us, end_us, text))
        return false;
    return !*reply || history_set_reply(h, (uint64_t)id, reply) == 0;
}

/* What comes behind the last newline was never whole. */
static int read_lines(struct history_file *f, size_t *damaged, struct error *error)
{
    struct file_map map;
    int rc = file_map(&map, f->path, error);
    if (rc)
        return rc;
    char *text = malloc(map.size + 1);
    if (!text) {
        file_unmap(&map);
        return error_set(error, -ENOMEM, "%s: out of memory", f->path);
    }
    if (map.size)
        memcpy(text, map.data, map.size);
    text[map.size] = '\0';
    size_t size = map.size;
    file_unmap(&map);
    char *line = text;
    for (char *end; (end = memchr(line, '\n', size - (size_t)(line - text))); line = end + 1) {
        *end = '\0';
        *damaged += strlen(line) != (size_t)(end - line) || !take_line(f->history, line);
        f->lines++;
    }
    f->size = line - text;
    f->behind = (size_t)f->size != size || *damaged;
    free(text);
    return 0;
}

static int open_end(struct history_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = file_open_regular(f->path, O_WRONLY | O_APPEND | O_CREAT);
    return f->fd < 0 ? f->fd : 0;
}

/* The disk cannot be written now; what is on it can be read. */
static bool may_be_read(int rc)
{
    return rc == -EROFS || rc == -ENOSPC || rc == -EDQUOT;
}

static int write_whole(struct history_file *f)
{
    size_t size = 0;
    char *text = lines_of(f->history, 0, history_count(f->history), &size);
    if (!text)
        return -ENOMEM;
    int rc = file_replace(f->path, text, size, NULL);
    free(text);
    if (!rc)
        rc = open_end(f);
    if (rc)
        return rc;
    f->size = (off_t)size;
    f->lines = history_count(f->history);
    f->behind = false;
    return 0;
}

static int append(struct history_file *f, size_t entry)
{
    size_t size = 0;
    char *text = lines_of(f->history, entry, 1, &size);
    if (!text)
        return -ENOMEM;
    ssize_t n = write(f->fd, text, size);
    int rc = n == (ssize_t)size ? 0 : n < 0 ? -errno : -ENOSPC;
    free(text);
    if (rc)
        return ftruncate(f->fd, f->size) == 0 ? rc : -errno;
    f->size += (off_t)size;
    f->lines++;
    return 0;
}

int history_file_open(struct history_file **out, const char *path, struct history *h,
                      size_t *damaged, struct error *error)
{
    struct history_file *f = calloc(1, sizeof *f);
    if (!f)
        return error_set(error, -ENOMEM, "out of memory");
    f->history = h;
    f->fd = -1;
    f->path = strdup(path);
    *damaged = 0;
    int rc = f->path ? open_end(f) : -ENOMEM;
    if (rc)
        error_set(error, rc, "%s: %s", path, file_why(rc));
    int unwritten = may_be_read(rc) ? rc : 0;
    if (!rc)
        rc = read_lines(f, damaged, error);
    else if (unwritten)
        rc = read_lines(f, damaged, NULL);
    if (rc == -ENOENT && unwritten)
        rc = 0;
    if (rc) {
        f->behind = false;
        history_file_close(f);
        return rc;
    }
    f->behind = f->behind || unwritten;
    *out = f;
    return unwritten;
}

void history_file_close(struct history_file *f)
{
    if (!f)
        return;
    if (f->behind)
        write_whole(f);
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f);
}

int history_file_write(struct history_file *f, size_t entry)
{
    bool long_enough = f->lines >= 2 * history_capacity(f->history);
    int rc = f->behind || long_enough ? write_whole(f) : append(f, entry);
    f->behind = f->behind || rc;
    return rc;
}
