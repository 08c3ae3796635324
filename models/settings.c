/* Lines of an INI file: [section], key = value, and comments, which begin with # or ;. */
#include "models/settings.h"

#include "base/file.h"
#include "base/paths.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION "model"
#define KEY "path"
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* which some editors begin a file with */

enum {
    LINE_MAX_BYTES = 198, /* as earshotd reads them */
};

static int read_text(const char *path, char **text, struct error *error)
{
    struct file_map map;
    int rc = file_map(&map, path, error);

    if (rc)
        return rc;
    if (map.size && memchr(map.data, '\0', map.size)) {
        file_unmap(&map);
        return error_set(error, -EINVAL, "%s: no text in UTF-8: it has a zero byte", path);
    }
    *text = malloc(map.size + 1);
    if (*text) {
        memcpy(*text, map.data ? (const char *)map.data : "", map.size);
        (*text)[map.size] = '\0';
    }
    file_unmap(&map);
    return *text ? 0 : error_set(error, -ENOMEM, "%s: out of memory", path);
}

/* A link stays one: what it leads to is written. */
static int find_target(char target[PATH_MAX], const char *path, struct error *error)
{
    struct stat st;

    if (realpath(path, target))
        return 0;
    if (lstat(path, &st) == 0)
        return error_set(error, -ENOENT, "%s: a link that leads nowhere", path);
    snprintf(target, PATH_MAX, "%s", path);
    return 0;
}

int settings_open(struct settings *s, const char *named, struct error *error)
{
    char found[PATH_MAX];
    bool there = named || paths_config("earshot.conf", found, sizeof found) == 0;
    int rc = 0;

    *s = (struct settings){0};
    if (there)
        rc = read_text(named ? named : found, &s->text, error);
    else if (!(s->text = strdup("")))
        rc = error_set(error, -ENOMEM, "out of memory");
    if (!rc && !named && paths_user_place("earshot.conf", found, sizeof found) != 0)
        rc = error_set(error, -ENOENT, "no place for a configuration: HOME is not set");
    return rc ? rc : find_target(s->path, named ? named : found, error);
}

void settings_close(struct settings *s)
{
    free(s->text);
    *s = (struct settings){0};
}

/* A line of the text: where it begins, and where the next one does. */
struct line {
    const char *begin, *end;
    bool in_section;
    bool is_key, is_example; /* path = ..., and the same behind a # */
    const char *value;       /* of the key, up to the line's end */
};

/* What follows the key and its sign, or NULL. */
static const char *value_of_key(const char *p)
{
    if (strncmp(p, KEY, strlen(KEY)) != 0)
        return NULL;
    p += strlen(KEY);
    p += strspn(p, " \t");
    return *p == '=' || *p == ':' ? p + 1 : NULL;
}

/* The line after line, or the first of the text; in_section goes on. False: there is none. */
static bool next_line(const char *text, struct line *line)
{
    const char *begin = line->begin ? line->end : text, *end = strchrnul(begin, '\n');

    if (!*begin)
        return false;
    *line = (struct line){begin, *end ? end + 1 : end, line->in_section};
    const char *mark =
        begin == text && strncmp(text, BYTE_ORDER_MARK, 3) == 0 ? BYTE_ORDER_MARK : "";
    const char *p = begin + strlen(mark);
    p += strspn(p, " \t");
    if (*p == '[')
        line->in_section = strncmp(p, "[" SECTION "]", strlen("[" SECTION "]")) == 0;
    line->value = line->in_section ? value_of_key(p) : NULL;
    line->is_key = line->value;
    line->is_example =
        line->in_section && (*p == '#' || *p == ';') && value_of_key(p + 1 + strspn(p + 1, " \t"));
    return true;
}

/* How long a value is without the comment and the blanks behind it. */
static size_t value_length(const char *value, const char *end)
{
    const char *p = value;

    while (p < end && *p != '\n' &&
           !((*p == '#' || *p == ';') && p > value && isblank((unsigned char)p[-1])))
        p++;
    while (p > value && isspace((unsigned char)p[-1]))
        p--;
    return (size_t)(p - value);
}

void settings_model(const struct settings *s, char *value, size_t capacity)
{
    struct line line = {0};

    *value = '\0';
    while (next_line(s->text, &line))
        if (line.is_key) {
            const char *begin = line.value + strspn(line.value, " \t");
            snprintf(value, capacity, "%.*s", (int)value_length(begin, line.end), begin);
        }
}

/* Whether a line of the file can hold the value. */
static bool can_hold(const char *value)
{
    bool plain = !isspace((unsigned char)*value) && *value != '#' && *value != ';';

    for (const char *p = value; *p && plain; p++) {
        bool comment = p > value && isblank((unsigned char)p[-1]) && (*p == '#' || *p == ';');
        plain = !iscntrl((unsigned char)*p) && !comment && !(isspace((unsigned char)*p) && !p[1]);
    }
    return plain && strlen(KEY " = ") + strlen(value) <= LINE_MAX_BYTES;
}

/* The text with what stands between two places of it replaced. */
static int splice(struct settings *s, const char *begin, const char *end, const char *put)
{
    size_t before = (size_t)(begin - s->text), length = strlen(put);
    char *text = malloc(strlen(s->text) - (size_t)(end - begin) + length + 1);

    if (!text)
        return -ENOMEM;
    memcpy(text, s->text, before);
    memcpy(text + before, put, length);
    strcpy(text + before + length, end);
    free(s->text);
    s->text = text;
    return 0;
}

/* Takes the key's lines out. place: where the last was, or behind an example of it, or behind the
 * section's head. False: there is no such section. */
static bool take_out(struct settings *s, size_t *place, int *rc)
{
    struct line line = {0};
    bool found = false;

    *rc = 0;
    while (*rc == 0 && next_line(s->text, &line)) {
        size_t at = (size_t)(line.begin - s->text);
        if ((line.in_section && !found) || line.is_example)
            *place = (size_t)(line.end - s->text);
        found = found || line.in_section;
        if (!line.is_key)
            continue;
        *place = at;
        *rc = splice(s, line.begin, line.end, "");
        line = (struct line){.begin = s->text, .end = s->text + at, .in_section = true};
    }
    return found;
}

int settings_set_model(struct settings *s, const char *value, struct error *error)
{
    char put[LINE_MAX_BYTES + 16 + sizeof SECTION] = "";
    size_t place = 0;
    int rc;

    if (*value && !can_hold(value))
        return error_set(error, -EINVAL,
                         "%s: a path that %s cannot hold (longer than %zu bytes, or with blanks "
                         "before # or ;)",
                         value, s->path, LINE_MAX_BYTES - strlen(KEY " = "));
    bool found = take_out(s, &place, &rc);
    if (!found)
        place = strlen(s->text);
    bool ended = place == 0 || s->text[place - 1] == '\n';
    if (*value)
        snprintf(put, sizeof put, "%s%s" KEY " = %s\n", ended ? "" : "\n",
                 found ? "" : "[" SECTION "]\n", value);
    if (!rc)
        rc = splice(s, s->text + place, s->text + place, put);
    return rc ? error_set(error, rc, "out of memory") : 0;
}

/* As it was, of whoever it was. */
static int give_back(const char *path, const struct stat *st, struct error *error)
{
    bool other = st->st_uid != geteuid() || st->st_gid != getegid();

    if (other && chown(path, st->st_uid, st->st_gid) != 0)
        return error_set(error, -errno, "%s: written, but its owner is another now: %s", path,
                         strerror(errno));
    if (chmod(path, st->st_mode & 07777) != 0)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    return 0;
}

int settings_write(const struct settings *s, struct error *error)
{
    char folder[PATH_MAX];
    struct stat st;
    bool old = stat(s->path, &st) == 0;

    if (old && access(s->path, W_OK) != 0)
        return error_set(error, -errno, "%s: %s", s->path, strerror(errno));
    snprintf(folder, sizeof folder, "%s", s->path);
    *strrchr(folder, '/') = '\0';
    int rc = *folder && !old ? paths_make_folders(folder) : 0;
    if (rc)
        return error_set(error, rc, "%s: cannot be made: %s", folder, strerror(-rc));
    rc = file_replace(s->path, s->text, strlen(s->text), error);
    return rc || !old ? rc : give_back(s->path, &st, error);
}
