/* The saved conversations of a folder: which there are, and whether there may be another. */
#include "daemon/saved_states.h"

#include "daemon/places.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ".state"

static bool read_entry(int folder, const char *name, struct saved_state *s)
{
    size_t length = strlen(name), suffix = strlen(SUFFIX);
    struct stat st;
    if (length <= suffix || length - suffix >= sizeof s->name ||
        strcmp(name + length - suffix, SUFFIX) != 0 ||
        fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return false;
    snprintf(s->name, sizeof s->name, "%.*s", (int)(length - suffix), name);
    s->bytes = (uint64_t)st.st_size;
    s->saved_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    return places_is_name(s->name);
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct saved_state *)a)->name, ((const struct saved_state *)b)->name);
}

static int read_folder(DIR *d, struct saved_state **out, size_t *count)
{
    size_t capacity = 0;
    struct saved_state found;
    struct dirent *entry;
    while ((entry = readdir(d))) {
        if (!read_entry(dirfd(d), entry->d_name, &found))
            continue;
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            struct saved_state *grown = realloc(*out, capacity * sizeof **out);
            if (!grown)
                return -ENOMEM;
            *out = grown;
        }
        (*out)[(*count)++] = found;
    }
    if (*count)
        qsort(*out, *count, sizeof **out, compare);
    return 0;
}

int saved_states_list(const char *folder, struct saved_state **out, size_t *count,
                      struct error *error)
{
    *out = NULL;
    *count = 0;
    DIR *d = opendir(folder);
    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return error_set(error, -errno, "%s: %s", folder, strerror(errno));
    int rc = read_folder(d, out, count);
    closedir(d);
    if (!rc)
        return 0;
    free(*out);
    *out = NULL;
    return error_set(error, rc, "%s: %s", folder, strerror(-rc));
}

/* Whether path is the conversation's file. */
static bool is_at(const struct saved_state *s, const char *path)
{
    const char *name = strrchr(path, '/');
    size_t length = strlen(s->name);
    name = name ? name + 1 : path;
    return strncmp(name, s->name, length) == 0 && strcmp(name + length, SUFFIX) == 0;
}

int saved_states_check_room(const char *path, uint64_t bytes, uint64_t most_bytes,
                            struct error *error)
{
    char copy[PATH_MAX];
    struct saved_state *list;
    size_t count;
    snprintf(copy, sizeof copy, "%s", path);
    int rc = saved_states_list(dirname(copy), &list, &count, error);
    for (size_t i = 0; !rc && i < count; i++)
        if (!is_at(&list[i], path) && strcmp(list[i].name, SAVED_STATES_LAST) != 0)
            bytes += list[i].bytes;
    free(list);
    if (rc || bytes <= most_bytes)
        return rc;
    return error_set(error, -EDQUOT,
                     "the saved conversations would take %llu MB, [text] saved_mb allows %llu: "
                     "delete one (earshot states --delete NAME)",
                     (unsigned long long)((bytes + 999999) / 1000000),
                     (unsigned long long)(most_bytes / 1000000));
}
