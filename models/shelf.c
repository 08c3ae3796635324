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

#define WORK_END ".get"

/* The folder of the user's models. */
static int folder_of(char path[PATH_MAX], struct error *error)
{
    int rc = paths_user_data(PATHS_MODELS, path, PATH_MAX - NAME_MAX - 1);

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
    return place("/%s" PATHS_MODEL_SUFFIX, name, path, error);
}

int shelf_work(const char *name, char path[PATH_MAX], struct error *error)
{
    return place("/.%s" WORK_END, name, path, error);
}

static int add(struct shelf *shelf, enum shelf_kind kind, const char *name, size_t length,
               const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0 || !(kind == SHELF_BEGUN ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)))
        return 0;
    void *grown = realloc(shelf->models, (shelf->count + 1) * sizeof(struct shelf_model));
    if (!grown)
        return -ENOMEM;
    shelf->models = grown;
    struct shelf_model *model = &shelf->models[shelf->count++];
    *model = (struct shelf_model){.kind = kind};
    model->bytes = kind == SHELF_BEGUN ? 0 : (uint64_t)st.st_size;
    snprintf(model->name, sizeof model->name, "%.*s", (int)length, name);
    snprintf(model->path, sizeof model->path, "%s", path);
    return 0;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), end = strlen(suffix);

    return length > end && strcmp(name + length - end, suffix) == 0;
}

static int add_entry(struct shelf *shelf, const char *folder, const char *name)
{
    char path[PATH_MAX];
    size_t length = strlen(name);

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return 0;
    if (*name != '.' && ends_with(name, PATHS_MODEL_SUFFIX))
        return add(shelf, SHELF_OWN, name, length - strlen(PATHS_MODEL_SUFFIX), path);
    if (*name == '.' && ends_with(name + 1, WORK_END))
        return add(shelf, SHELF_BEGUN, name + 1, length - 1 - strlen(WORK_END), path);
    return 0;
}

static int add_folder(struct shelf *shelf, const char *folder, struct error *error)
{
    struct dirent *entry;
    DIR *d = opendir(folder);
    int rc = 0;

    if (!d && errno != ENOENT)
        return error_set(error, -errno, "%s: %s", folder, strerror(errno));
    while (d && rc == 0 && (entry = readdir(d)))
        rc = add_entry(shelf, folder, entry->d_name);
    if (d)
        closedir(d);
    return rc ? error_set(error, rc, "out of memory") : 0;
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
    if (!rc)
        rc = add_folder(shelf, path, error);
    if (!rc && !shelf_find(shelf, PATHS_DEFAULT_MODEL) && paths_own_model(path, sizeof path) == 0 &&
        add(shelf, SHELF_INSTALLED, PATHS_DEFAULT_MODEL, strlen(PATHS_DEFAULT_MODEL), path))
        rc = error_set(error, -ENOMEM, "out of memory");
    if (rc)
        shelf_close(shelf);
    else if (shelf->count)
        qsort(shelf->models, shelf->count, sizeof *shelf->models, by_name);
    return rc;
}

void shelf_close(struct shelf *shelf)
{
    free(shelf->models);
    *shelf = (struct shelf){0};
}

static const struct shelf_model *find(const struct shelf *shelf, const char *name, bool begun)
{
    for (size_t i = 0; i < shelf->count; i++)
        if ((shelf->models[i].kind == SHELF_BEGUN) == begun &&
            strcmp(shelf->models[i].name, name) == 0)
            return &shelf->models[i];
    return NULL;
}

const struct shelf_model *shelf_find(const struct shelf *shelf, const char *name)
{
    return find(shelf, name, false);
}

const struct shelf_model *shelf_begun(const struct shelf *shelf, const char *name)
{
    return find(shelf, name, true);
}

bool shelf_is(const struct shelf_model *model, const char *path)
{
    struct stat x, y;

    return stat(model->path, &x) == 0 && stat(path, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}
