/* The hub's list of files is JSON: [{"type": "file", "path": ..., "size": ..., "oid": ..., "lfs":
 * {"oid": ...}}, ...]. A large file's lfs.oid is its SHA-256, a small file's oid is git's name of
 * it. */
#include "models/hub.h"

#include "models/download.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIST_MAX = 4 << 20, /* bytes */
};

#define REVISION "main"

static const char *endpoint(void)
{
    const char *named = getenv("HF_ENDPOINT");

    return named && *named ? named : "https://huggingface.co";
}

/* Letters, digits and . _ - alone, and no dot at its beginning: a name that is part of an address
 * and of a path as it is. */
static bool is_plain_name(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);

    return length > 0 && length <= HUB_NAME_MAX && *name != '.' && strspn(name, letters) == length;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    return text ? text : "";
}

static bool matches(const cJSON *item, const char *pattern)
{
    const char *path = text_of(item, "path");

    return strcmp(text_of(item, "type"), "file") == 0 && is_plain_name(path) &&
           fnmatch(pattern, path, 0) == 0;
}

static int take(struct hub_file *file, const cJSON *item, const char *repository,
                struct error *error)
{
    const cJSON *lfs = cJSON_GetObjectItemCaseSensitive(item, "lfs");
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(item, "size");
    const char *path = text_of(item, "path");

    *file = (struct hub_file){0};
    snprintf(file->name, sizeof file->name, "%s", path);
    snprintf(file->address, sizeof file->address, "%s/%s/resolve/" REVISION "/%s", endpoint(),
             repository, path);
    if (!cJSON_IsNumber(size) || !(size->valuedouble >= 1 && size->valuedouble < 1e13) ||
        checksum_parse(&file->sum, text_of(lfs ? lfs : item, "oid")) != 0)
        return error_set(error, -EINVAL, "%s: the hub says no size or checksum of %s", repository,
                         path);
    file->bytes = (uint64_t)size->valuedouble;
    return 0;
}

static int choose(struct hub_file *file, const cJSON *list, const char *repository,
                  const char *pattern, struct error *error)
{
    const cJSON *item, *found = NULL, *second = NULL;

    cJSON_ArrayForEach(item, list)
    {
        if (matches(item, pattern) && found)
            second = item;
        else if (matches(item, pattern))
            found = item;
    }
    if (!found)
        return error_set(error, -ENOENT, "%s: the repository has no file %s", repository, pattern);
    if (second)
        return error_set(error, -EINVAL,
                         "%s: the repository has several files %s (%s, %s); --checkpoint FILE says "
                         "which",
                         repository, pattern, text_of(found, "path"), text_of(second, "path"));
    return take(file, found, repository, error);
}

int hub_find(struct hub_file *file, const char *repository, const char *pattern,
             struct error *error)
{
    char address[HUB_ADDRESS_MAX], *text;
    int length = snprintf(address, sizeof address, "%s/api/models/%s/tree/" REVISION, endpoint(),
                          repository);

    if (length >= (int)(sizeof address - HUB_NAME_MAX))
        return error_set(error, -ENAMETOOLONG, "%s: its address is too long", repository);
    int rc = download_text(address, repository, LIST_MAX, &text, error);
    if (rc)
        return rc;
    cJSON *list = cJSON_Parse(text);
    if (cJSON_IsArray(list))
        rc = choose(file, list, repository, pattern, error);
    else
        rc = error_set(error, -EIO, "%s: what came is no list of files", repository);
    cJSON_Delete(list);
    free(text);
    return rc;
}
