/* Recordings as files: their names, their texts, and which of them go. */
#include "daemon/recordings.h"

#include "base/file.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    NAME_MAX_SIZE = 64,
};

#define DATED_US 1577836800000000u         /* 2020: no clock that is set says less */
#define YEAR_US (366ull * 86400 * 1000000) /* nobody waits so long between two utterances */

static void local_time(uint64_t id, struct tm *local)
{
    time_t second = (time_t)(id / 1000000);
    if (!localtime_r(&second, local))
        *local = (struct tm){.tm_mday = 1, .tm_year = 70};
}

static void name_of(uint64_t id, char name[NAME_MAX_SIZE])
{
    char when[32];
    struct tm local;
    local_time(id, &local);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &local);
    snprintf(name, NAME_MAX_SIZE, "%s-%" PRIu64, when, id);
}

/* Skips exactly count digits (0: any number, at least one); NULL: they are not there. */
static const char *skip_digits(const char *p, size_t count)
{
    size_t n = strspn(p, "0123456789");
    return n > 0 && (!count || n == count) ? p + n : NULL;
}

/* Whether a file is a recording's, or was to become one; its id. */
static bool read_name(const char *name, uint64_t *id)
{
    const char *p = skip_digits(name, 8);
    p = p && *p == '-' ? skip_digits(p + 1, 6) : NULL;
    if (!p || *p != '-')
        return false;
    const char *digits = p + 1;
    p = skip_digits(digits, 0);
    if (!p || (strncmp(p, ".opus", 5) != 0 && strncmp(p, ".json", 5) != 0))
        return false;
    errno = 0;
    *id = strtoull(digits, NULL, 10);
    return errno == 0;
}

/* ISO 8601, with the distance from UTC. */
static void print_start(uint64_t id, char *out, size_t capacity)
{
    char date[32], zone[16];
    struct tm local;
    local_time(id, &local);
    strftime(date, sizeof date, "%FT%T", &local);
    strftime(zone, sizeof zone, "%z", &local);
    snprintf(out, capacity, "%s.%06d%.3s:%s", date, (int)(id % 1000000), zone, zone + 3);
}

/* The text's file, one line; free it. NULL: no memory. */
static char *describe(const struct recording *r)
{
    char start[64], id[24], *line = NULL;
    print_start(r->id, start, sizeof start);
    snprintf(id, sizeof id, "%" PRIu64, r->id);
    cJSON *o = cJSON_CreateObject();
    bool whole = cJSON_AddRawToObject(o, "id", id) && cJSON_AddStringToObject(o, "start", start) &&
                 cJSON_AddNumberToObject(o, "duration_ms", (double)r->duration_ms) &&
                 cJSON_AddStringToObject(o, "text", r->text) &&
                 (!r->reply || cJSON_AddStringToObject(o, "reply", r->reply));
    char *text = whole ? cJSON_PrintUnformatted(o) : NULL;
    cJSON_Delete(o);
    if (text && asprintf(&line, "%s\n", text) < 0)
        line = NULL;
    cJSON_free(text);
    return line;
}

static int join(char path[PATH_MAX], const char *directory, const char *name, const char *suffix)
{
    int n = snprintf(path, PATH_MAX, "%s/%s%s", directory, name, suffix);
    return n > 0 && n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

struct found {
    uint64_t id;
    uint64_t size; /* bytes */
    char name[NAME_MAX_SIZE];
};

struct list {
    struct found *items; /* [count], owned */
    size_t count, capacity;
    uint64_t total; /* bytes */
};

static int list_add(struct list *l, const struct found *f)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 64;
        struct found *items = realloc(l->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        l->items = items;
        l->capacity = capacity;
    }
    l->items[l->count++] = *f;
    l->total += f->size;
    return 0;
}

static int look_through(DIR *directory, struct list *l)
{
    struct stat st;
    const struct dirent *entry;
    int rc = 0;
    while (!rc && (entry = readdir(directory))) {
        struct found f;
        if (strlen(entry->d_name) >= sizeof f.name || !read_name(entry->d_name, &f.id) ||
            fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        f.size = (uint64_t)st.st_size;
        strcpy(f.name, entry->d_name);
        rc = list_add(l, &f);
    }
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* The first that has an age: a clock that was wrong, or is, stands behind a gap. When it has run on
 * for max_age_us from there, those before it are as old in any case. */
static size_t first_with_age(const struct list *l, const struct recordings_limits *limits)
{
    uint64_t next = limits->now, oldest = limits->now - limits->max_age_us;
    if (!limits->max_age_us || limits->max_age_us > limits->now)
        return l->count;
    for (size_t i = l->count; i-- > 0;) {
        uint64_t id = l->items[i].id;
        if (id < DATED_US || (id < next && next - id > YEAR_US && next >= oldest))
            return i + 1;
        if (id < next)
            next = id;
    }
    return 0;
}

static void delete_oldest(int directory, struct list *l, const struct recordings_limits *limits)
{
    uint64_t deleting = 0; /* a recording goes as a whole */
    size_t aged = first_with_age(l, limits);
    for (size_t i = 0; i < l->count; i++) {
        const struct found *f = &l->items[i];
        bool too_old = i >= aged && f->id < limits->now - limits->max_age_us;
        if (!too_old && f->id != deleting && l->total <= limits->max_bytes) {
            if (i >= aged)
                return;
            continue;
        }
        deleting = f->id;
        if (unlinkat(directory, f->name, 0) == 0)
            l->total -= f->size;
    }
}

static int keep_within(DIR *d, const char *directory, struct list *l,
                       const struct recordings_limits *limits, struct error *error)
{
    int rc = look_through(d, l);
    if (rc)
        return error_set(error, rc, "%s: %s", directory, strerror(-rc));
    if (limits->shared && l->total > limits->max_bytes)
        return error_set(error, -EDQUOT,
                         "%s: another earshotd has its recordings there, and they are as many as "
                         "[recordings] max_mb allows",
                         directory);
    if (limits->shared || !l->count)
        return 0;
    qsort(l->items, l->count, sizeof *l->items, compare);
    delete_oldest(dirfd(d), l, limits);
    return 0;
}

int recordings_limit(const char *directory, const struct recordings_limits *limits,
                     struct error *error)
{
    struct list l = {0};
    DIR *d = opendir(directory);
    if (!d)
        return error_set(error, -errno, "%s: %s", directory, strerror(errno));
    int rc = keep_within(d, directory, &l, limits, error);
    free(l.items);
    closedir(d);
    return rc;
}

static int make_room(const char *directory, struct recordings_limits limits, uint64_t bytes,
                     struct error *error)
{
    limits.max_bytes = limits.max_bytes > bytes ? limits.max_bytes - bytes : 0;
    return recordings_limit(directory, &limits, error);
}

int recordings_write(const char *directory, const struct recordings_limits *limits,
                     const struct recording *r, struct error *error)
{
    char name[NAME_MAX_SIZE], sound[PATH_MAX], text[PATH_MAX];
    name_of(r->id, name);
    if (join(sound, directory, name, ".opus") || join(text, directory, name, ".json"))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", directory);
    char *described = describe(r);
    if (!described)
        return error_set(error, -ENOMEM, "%s: out of memory", text);
    int rc = make_room(directory, *limits, r->sound_size + strlen(described), error);
    const struct file_text files[] = {{sound, r->sound, r->sound_size},
                                      {text, described, strlen(described)}};
    if (!rc)
        rc = file_replace_all(files, 2, error);
    free(described);
    if (rc) {
        unlink(sound);
        unlink(text);
    }
    return rc;
}
