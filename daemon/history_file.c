/* The file of the history: reading, appending, and making it anew. Main thread. */
#include "daemon/history_file.h"

#include "base/file.h"
#include "base/paths.h"
#include "daemon/places.h"
#include "pipeline/event.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SIZE_LIMIT = 1 << 30, /* bytes; 100000 utterances have less */
};

#define ID_MAX (INT64_MAX / 2) /* there is always a next one */

struct history_file {
    struct history *history;  /* not owned */
    struct folder_lock *lock; /* not owned */
    char *path;               /* owned */
    int fd;                   /* -1: it could not be opened */
    struct stat seen;         /* after our last write */
    size_t lines;             /* in the file, as far as they are ours */
    uint64_t missing;         /* the lowest id that could not be written; 0: none */
    bool damaged;             /* it is to be made anew, without what is no text */
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

/* The last field of a line, which may be missing: -1. */
static bool read_confidence(char **rest, double *out)
{
    char *field = next_field(rest), *end;
    *out = -1;
    if (!field)
        return true;
    *out = strtod(field, &end);
    return *field && !*end && *out >= 0 && *out <= 1;
}

/* False: the line is damaged. */
static bool take_line(struct history *h, char *line)
{
    int64_t id, start_us, end_us;
    if (!read_number(&line, &id) || !read_number(&line, &start_us) || !read_number(&line, &end_us))
        return false;
    double confidence;
    char *text = next_field(&line), *reply = next_field(&line);
    if (!read_confidence(&line, &confidence) || !text || !reply || line || !unescape(text) ||
        !unescape(reply) || strlen(text) >= EVENT_TEXT_MAX || strlen(reply) >= EVENT_TEXT_MAX)
        return false;
    if (id < 1 || id > ID_MAX || history_insert(h, (uint64_t)id, start_us, end_us, text))
        return false;
    if (confidence >= 0)
        history_set_confidence(h, (uint64_t)id, confidence);
    return !*reply || history_set_reply(h, (uint64_t)id, reply) != -ENOMEM;
}

static void close_end(struct history_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static int open_end(struct history_file *f)
{
    close_end(f);
    f->fd = file_open_regular(f->path, O_RDWR | O_APPEND | O_CREAT);
    if (f->fd == -ENOENT && paths_make_folders(f->lock->path) == 0)
        f->fd = file_open_regular(f->path, O_RDWR | O_APPEND | O_CREAT);
    if (f->fd < 0)
        return f->fd;
    return fstat(f->fd, &f->seen) == 0 ? 0 : -errno;
}

/* All of the file as a string; free it. Read, not mapped: another may cut it meanwhile. */
static int read_all(int fd, char **out, size_t *size)
{
    struct stat st;
    *size = 0;
    if (fstat(fd, &st) != 0)
        return -errno;
    if (st.st_size > SIZE_LIMIT)
        return -EFBIG;
    char *text = malloc((size_t)st.st_size + 1);
    if (!text)
        return -ENOMEM;
    ssize_t n = 1;
    while (*size < (size_t)st.st_size && n > 0) {
        n = pread(fd, text + *size, (size_t)st.st_size - *size, (off_t)*size);
        *size += n > 0 ? (size_t)n : 0;
    }
    text[*size] = '\0';
    *out = text;
    if (n >= 0)
        return 0;
    free(text);
    return -EIO;
}

struct lines {
    size_t count, damaged;
    bool cut; /* what comes behind the last newline was never whole */
};

static int read_lines(int fd, struct history *h, struct lines *lines)
{
    char *text = NULL;
    size_t size;
    int rc = read_all(fd, &text, &size);
    if (rc)
        return rc;
    char *line = text;
    for (char *end; (end = memchr(line, '\n', size - (size_t)(line - text))); line = end + 1) {
        *end = '\0';
        lines->damaged += strlen(line) != (size_t)(end - line) || !take_line(h, line);
        lines->count++;
    }
    lines->cut = line != text + size;
    free(text);
    return 0;
}

static int read_path(const char *path, struct history *h, struct lines *lines)
{
    int fd = file_open_regular(path, O_RDONLY);
    if (fd < 0)
        return fd;
    int rc = read_lines(fd, h, lines);
    close(fd);
    return rc;
}

static int merge(struct history *into, const struct history *from)
{
    for (size_t i = 0; i < history_count(from); i++) {
        const struct history_entry *e = history_at(from, i);
        if (history_insert(into, e->id, e->start_us, e->end_us, e->text) ||
            (e->reply && history_set_reply(into, e->id, e->reply) == -ENOMEM))
            return -ENOMEM;
        history_set_confidence(into, e->id, e->confidence);
    }
    return 0;
}

/* The newest texts of the file and of the history; history_destroy it, also on an error. */
static int merged(const struct history_file *f, const char *path, struct history **out)
{
    struct lines lines = {0};
    int rc = history_create(out, history_capacity(f->history));
    if (!rc)
        rc = read_path(path, *out, &lines);
    return rc && rc != -ENOENT ? rc : merge(*out, f->history);
}

static int replace_at(struct history_file *f, const char *path)
{
    struct history *all = NULL;
    size_t size = 0;
    int rc = merged(f, path, &all);
    char *text = rc ? NULL : lines_of(all, 0, history_count(all), &size);
    if (!rc)
        rc = text ? file_replace(path, text, size, NULL) : -ENOMEM;
    if (!rc) {
        f->lines = history_count(all);
        f->missing = 0;
        f->damaged = false;
    }
    free(text);
    history_destroy(all);
    return rc ? rc : open_end(f);
}

/* A link stays one. */
static int replace(struct history_file *f)
{
    char *target = realpath(f->path, NULL);
    int rc = replace_at(f, target ? target : f->path);
    free(target);
    return rc;
}

static bool ends_a_line(const struct history_file *f)
{
    char last = '\n';
    ssize_t n = f->seen.st_size ? pread(f->fd, &last, 1, f->seen.st_size - 1) : 1;
    return n == 1 && last == '\n';
}

/* What was written in part is taken back, unless another may have written behind it: then it stays,
 * a damaged line. */
static void take_back(struct history_file *f)
{
    f->damaged = !folder_lock_enter(f->lock);
    if (!f->damaged) {
        f->damaged = ftruncate(f->fd, f->seen.st_size) != 0;
        folder_lock_leave(f->lock);
    }
    fstat(f->fd, &f->seen);
}

static int write_text(struct history_file *f, const char *text, size_t size)
{
    if (fstat(f->fd, &f->seen) != 0)
        return -errno;
    ssize_t n = ends_a_line(f) || write(f->fd, "\n", 1) == 1 ? write(f->fd, text, size) : -1;
    int rc = n == (ssize_t)size ? 0 : n < 0 ? -errno : -ENOSPC;
    if (rc)
        take_back(f);
    else
        fstat(f->fd, &f->seen);
    return rc;
}

/* The entries from first on. */
static int append(struct history_file *f, size_t first)
{
    size_t size = 0, count = history_count(f->history) - first;
    char *text = lines_of(f->history, first, count, &size);
    int rc = text ? write_text(f, text, size) : -ENOMEM;
    free(text);
    if (rc)
        return rc;
    f->lines += count;
    f->missing = 0;
    return 0;
}

static bool is_the_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Another daemon only appends. */
static bool is_shared(struct history_file *f)
{
    bool alone = folder_lock_enter(f->lock);
    if (alone)
        folder_lock_leave(f->lock);
    return !alone;
}

static enum history_file_fate look(struct history_file *f)
{
    struct stat ours, there;
    if (f->fd < 0)
        return HISTORY_FILE_WHOLE;
    if (fstat(f->fd, &ours) != 0 || stat(f->path, &there) != 0 || ours.st_ino != there.st_ino ||
        ours.st_dev != there.st_dev)
        return HISTORY_FILE_GONE;
    if (ours.st_size == f->seen.st_size && is_the_same_time(&ours.st_mtim, &f->seen.st_mtim))
        return HISTORY_FILE_WHOLE;
    return ours.st_size > f->seen.st_size && is_shared(f) ? HISTORY_FILE_WHOLE
                                                          : HISTORY_FILE_CHANGED;
}

/* Made anew, or where that cannot be, or others have it too, appended to. */
static int write_missing(struct history_file *f, bool anew)
{
    int rc = -EBUSY;
    if (anew && folder_lock_enter(f->lock)) {
        rc = replace(f);
        folder_lock_leave(f->lock);
    }
    if (rc && f->fd < 0) {
        int opened = open_end(f);
        if (opened)
            return opened;
    }
    return rc ? append(f, history_after(f->history, f->missing - 1)) : 0;
}

int history_file_open(struct history_file **out, const char *path, struct folder_lock *lock,
                      struct history *h, size_t *damaged, struct error *error)
{
    struct history_file *f = calloc(1, sizeof *f);
    char *copy = strdup(path);
    *damaged = 0;
    if (!f || !copy) {
        free(f);
        free(copy);
        return error_set(error, -ENOMEM, "out of memory");
    }
    *f = (struct history_file){.history = h, .lock = lock, .path = copy, .fd = -1};
    struct lines lines = {0};
    int rc = open_end(f);
    int read = read_path(path, h, &lines);
    rc = rc ? rc : read;
    f->lines = lines.count;
    f->damaged = rc || lines.damaged || lines.cut;
    *damaged = lines.damaged;
    *out = f;
    return rc ? error_set(error, rc, "%s: %s", path, file_why(rc)) : 0;
}

void history_file_close(struct history_file *f)
{
    if (!f)
        return;
    if (f->missing || (f->damaged && f->fd >= 0))
        write_missing(f, f->damaged);
    close_end(f);
    free(f->path);
    free(f);
}

int history_file_write(struct history_file *f, size_t entry, enum history_file_fate *fate)
{
    bool long_enough = f->lines >= 2 * history_capacity(f->history);
    size_t first = entry;
    *fate = look(f);
    if (*fate == HISTORY_FILE_GONE)
        close_end(f);
    if (*fate != HISTORY_FILE_WHOLE || f->fd < 0) {
        f->damaged = true;
        first = 0;
    }
    uint64_t id = history_at(f->history, first)->id;
    if (!f->missing || id < f->missing)
        f->missing = id;
    return write_missing(f, f->damaged || long_enough);
}
