/* ~/.local/share/earshot/models/NAME.gguf, beside it .NAME.get while it is fetched, and the default
 * model wherever it is. */
#include "models/shelf.h"

#include "base/paths.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "models"
#define SUFFIX ".gguf"
#define DEFAULT_NAME "earshot-en"

enum {
    MODELS_MAX = 1000,
};

/* The folder of the user's models. */
static int folder_of(char path[PATH_MAX], struct error *error)
{
    int rc = paths_user_data(FOLDER, path, PATH_MAX - INDEX_NAME_MAX - 16);

    return rc ? error_set(error, rc, "no folder for models: HOME is not set, or too long") : 0;
}

static int place(const char *format, const char *name, char path[PATH_MAX], struct error *error)
{
    int rc = folder_of(path, error);

    if (!rc && (rc = paths_make_folders(path)) != 0)
        rc = error_set(error, rc, "%s: cannot be made: %s", path, strerror(-rc));
    size_t used = strlen(path);
    if (!rc)
        snprintf(path + used, PATH_MAX - used, format, name);
    return rc;
}

int shelf_place(const char *name, char path[PATH_MAX], struct error *error)
{
    return place("/%s" SUFFIX, name, path, error);
}

int shelf_work(const char *name, char path[PATH_MAX], struct error *error)
{
    return place("/.%s.get", name, path, error);
}

static int add(struct shelf *shelf, const char *name, size_t length, const char *path, bool own)
{
    struct stat st;

    if (length > INDEX_NAME_MAX || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    void *grown = realloc(shelf->models, (shelf->count + 1) * sizeof(struct shelf_model));
    if (!grown)
        return -ENOMEM;
    shelf->models = grown;
    struct shelf_model *model = &shelf->models[shelf->count++];
    *model = (struct shelf_model){.bytes = (uint64_t)st.st_size, .own = own};
    snprintf(model->name, sizeof model->name, "%.*s", (int)length, name);
    snprintf(model->path, sizeof model->path, "%s", path);
    return 0;
}

static int add_folder(struct shelf *shelf, const char *folder)
{
    struct dirent *entry;
    char path[PATH_MAX];
    DIR *d = opendir(folder);
    int rc = 0;

    while (d && rc == 0 && shelf->count < MODELS_MAX && (entry = readdir(d))) {
        size_t length = strlen(entry->d_name), end = strlen(SUFFIX);
        bool named = length > end && strcmp(entry->d_name + length - end, SUFFIX) == 0;
        if (named && *entry->d_name != '.' &&
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path)
            rc = add(shelf, entry->d_name, length - end, path, true);
    }
    if (d)
        closedir(d);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct shelf_model *)a)->name, ((const struct shelf_model *)b)->name);
}

int shelf_open(struct shelf *shelf, struct error *error)
{
    char path[PATH_MAX];
    int rc = folder_of(path, error);

    *shelf = (struct shelf){0};
    if (rc)
        return rc;
    rc = add_folder(shelf, path);
    if (rc == 0 && !shelf_find(shelf, DEFAULT_NAME) && paths_own_model(path, sizeof path) == 0)
        rc = add(shelf, DEFAULT_NAME, strlen(DEFAULT_NAME), path, false);
    if (rc) {
        shelf_close(shelf);
        return error_set(error, rc, "out of memory");
    }
    if (shelf->count)
        qsort(shelf->models, shelf->count, sizeof *shelf->models, by_name);
    return 0;
}

void shelf_close(struct shelf *shelf)
{
    free(shelf->models);
    *shelf = (struct shelf){0};
}

const struct shelf_model *shelf_find(const struct shelf *shelf, const char *name)
{
    for (size_t i = 0; i < shelf->count; i++)
        if (strcmp(shelf->models[i].name, name) == 0)
            return &shelf->models[i];
    return NULL;
}
