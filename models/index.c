/* Reads the index (JSON, docs/models.md) into structs whose texts belong to the parsed tree. */
#include "models/index.h"

#include "base/file.h"
#include "base/paths.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILES = 2,
    ENTRIES_MAX = 1000,
    SHORT = 60, /* of what an error quotes */
};

struct index {
    cJSON *trees[FILES];
    struct index_entry *entries; /* [count] */
    size_t count;
};

int index_is_name(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && length <= INDEX_NAME_MAX && !strchr("._-", *name) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == length;
}

/* Whether a text is OWNER/NAME of letters, digits and . _ - alone. */
static int is_repository(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t owner = strspn(text, letters);

    return owner > 0 && text[owner] == '/' && text[0] != '.' && text[owner + 1] != '.' &&
           text[owner + 1] != '\0' && text[owner + 1 + strspn(text + owner + 1, letters)] == '\0';
}

/* What is read, for messages. */
struct reading {
    const char *path;
    const cJSON *entry;
    const char *name; /* of the entry, or "" */
    struct error *error;
};

static int refuse(const struct reading *r, const char *key, const char *why)
{
    return error_set(r->error, -EINVAL, "%s: model %.*s: %s: %s", r->path, SHORT,
                     *r->name ? r->name : "without a name", key, why);
}

/* A text of the entry, "" where it has none. */
static int read_text(const struct reading *r, const char *key, const char **text)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(r->entry, key);

    *text = "";
    if (!value)
        return 0;
    if (!cJSON_IsString(value))
        return refuse(r, key, "not a text");
    *text = value->valuestring;
    return 0;
}

static int read_repository(const struct reading *r, const char *key, const char **text)
{
    int rc = read_text(r, key, text);

    return rc || !**text || is_repository(*text) ? rc : refuse(r, key, "not OWNER/NAME");
}

static int read_sum(const struct reading *r, struct index_entry *entry)
{
    const char *hex;
    const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(r->entry, "bytes");
    int rc = read_text(r, "sha256", &hex);

    if (!rc && *hex && (checksum_parse(&entry->sum, hex) || entry->sum.kind != CHECKSUM_SHA256))
        rc = refuse(r, "sha256", "not 64 hexadecimal digits");
    if (!rc && bytes &&
        (!cJSON_IsNumber(bytes) || !(bytes->valuedouble >= 1 && bytes->valuedouble < 1e13)))
        rc = refuse(r, "bytes", "not a number of bytes");
    if (!rc && bytes)
        entry->bytes = (uint64_t)bytes->valuedouble;
    return rc;
}

/* ["en", "zh"] becomes the text "en zh", which takes the list's place in the tree. */
static int read_languages(const struct reading *r, struct index_entry *entry)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(r->entry, "languages"), *item;
    char text[256] = "";
    size_t used = 0;

    entry->languages = "";
    if (!list)
        return 0;
    if (!cJSON_IsArray(list))
        return refuse(r, "languages", "not a list of texts");
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || strlen(item->valuestring) + 2 > sizeof text - used)
            return refuse(r, "languages", "not a list of short texts");
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "",
                                 item->valuestring);
    }
    cJSON *joined = cJSON_CreateString(text);
    if (!joined || !cJSON_ReplaceItemInObjectCaseSensitive((cJSON *)r->entry, "languages", joined))
        return error_set(r->error, -ENOMEM, "%s: out of memory", r->path);
    entry->languages = joined->valuestring;
    return 0;
}

static int read_convert(const struct reading *r, struct index_entry *entry)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(r->entry, "convert"), *item;
    size_t count = 0;

    if (!list)
        return 0;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > INDEX_CONVERT_MAX)
        return refuse(r, "convert", "not a list of at most 16 texts");
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            return refuse(r, "convert", "not a list of texts");
        entry->convert[count++] = item->valuestring;
    }
    return 0;
}

static int read_places(const struct reading *r, struct index_entry *entry)
{
    int rc = read_repository(r, "hub", &entry->hub);

    if (!rc)
        rc = read_repository(r, "encoder", &entry->encoder);
    if (!rc)
        rc = read_repository(r, "vocabulary", &entry->vocabulary);
    if (!rc)
        rc = read_text(r, "checkpoint", &entry->checkpoint);
    if (!rc && !*entry->checkpoint)
        entry->checkpoint = "*.pth";
    if (!rc)
        rc = read_text(r, "address", &entry->address);
    if (!rc && *entry->hub && *entry->address)
        rc = refuse(r, "address", "beside hub; one of them says where the model is");
    return rc;
}

static int read_entry(struct reading *r, struct index_entry *entry)
{
    int rc = read_text(r, "name", &entry->name);

    if (!rc && !index_is_name(entry->name))
        rc = refuse(r, "name", "not of a-z 0-9 . _ - alone");
    if (rc)
        return rc;
    r->name = entry->name;
    rc = read_text(r, "about", &entry->about);
    if (!rc)
        rc = read_text(r, "licence", &entry->licence);
    if (!rc)
        rc = read_languages(r, entry);
    if (!rc)
        rc = read_places(r, entry);
    if (!rc)
        rc = read_sum(r, entry);
    return rc ? rc : read_convert(r, entry);
}

static int read_entries(struct index *index, const char *path, const cJSON *tree,
                        struct error *error)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(tree, "models"), *item;
    int count = cJSON_GetArraySize(list), rc = 0;

    if (!cJSON_IsArray(list) || count > ENTRIES_MAX)
        return error_set(error, -EINVAL, "%s: has no list \"models\" of at most %d", path,
                         ENTRIES_MAX);
    void *grown =
        realloc(index->entries, (index->count + (size_t)count + 1) * sizeof(struct index_entry));
    if (!grown)
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    index->entries = grown;
    cJSON_ArrayForEach(item, list)
    {
        struct reading r = {path, item, "", error};
        struct index_entry entry = {0};
        if (rc == 0)
            rc = read_entry(&r, &entry);
        if (rc == 0 && !index_find(index, entry.name))
            index->entries[index->count++] = entry;
    }
    return rc;
}

static int read_file(struct index *index, size_t n, const char *path, struct error *error)
{
    struct file_map map;
    const char *end = NULL;
    int rc = file_map(&map, path, error);

    if (rc)
        return rc;
    index->trees[n] = cJSON_ParseWithLengthOpts((const char *)map.data, map.size, &end, 0);
    size_t at = end && map.data ? (size_t)(end - (const char *)map.data) : 0;
    file_unmap(&map);
    if (!index->trees[n])
        return error_set(error, -EINVAL, "%s: not JSON, from byte %zu on", path, at);
    return read_entries(index, path, index->trees[n], error);
}

int index_open(struct index **out, struct error *error)
{
    char path[PATH_MAX];
    struct index *index = calloc(1, sizeof *index);
    int rc = index ? 0 : error_set(error, -ENOMEM, "out of memory");

    if (!rc && paths_user_config("models.json", path, sizeof path) == 0)
        rc = read_file(index, 0, path, error);
    if (!rc && paths_data("models.json", "models/models.json", path, sizeof path) != 0)
        rc = error_set(error, -ENOENT, "%s: missing; install Earshot again", path);
    if (!rc)
        rc = read_file(index, 1, path, error);
    if (rc)
        index_close(index);
    else
        *out = index;
    return rc;
}

void index_close(struct index *index)
{
    if (!index)
        return;
    for (size_t n = 0; n < FILES; n++)
        cJSON_Delete(index->trees[n]);
    free(index->entries);
    free(index);
}

size_t index_count(const struct index *index)
{
    return index->count;
}

const struct index_entry *index_at(const struct index *index, size_t i)
{
    return &index->entries[i];
}

const struct index_entry *index_find(const struct index *index, const char *name)
{
    for (size_t i = 0; i < index->count; i++)
        if (strcmp(index->entries[i].name, name) == 0)
            return &index->entries[i];
    return NULL;
}
