/* earshot model use, and remove: which model file earshotd takes. */
#include "base/paths.h"
#include "model/model.h"
#include "model/open.h"
#include "models/commands.h"
#include "models/process.h"
#include "models/settings.h"
#include "models/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNIT "earshot.service"

/* What the configuration says, without a "~"; "": the default. 0 or -errno. */
static int read_configured(char path[PATH_MAX], struct error *error)
{
    char value[PATH_MAX];
    struct settings s;
    int rc = settings_open(&s, NULL, error);

    if (!rc) {
        settings_model(&s, value, sizeof value);
        if (paths_expand(value, path, PATH_MAX))
            snprintf(path, PATH_MAX, "%s", value);
    }
    settings_close(&s);
    return rc;
}

int command_current(char path[PATH_MAX], struct error *error)
{
    const char *named = getenv("EARSHOT_MODEL");
    int rc = read_configured(path, error);

    if (!rc && ((named && *named) || !*path) && paths_default_model(path, PATH_MAX) != 0)
        *path = '\0';
    return rc;
}

/* The file of a model by its name or its path; "" for the default. 0 or -errno. */
static int find_model(const char *name, char path[PATH_MAX], struct error *error)
{
    struct shelf shelf;
    const struct shelf_model *model;

    if (strchr(name, '/'))
        return realpath(name, path) ? 0 : error_set(error, -errno, "%s: %s", name, strerror(errno));
    int rc = shelf_open(&shelf, error);
    if (rc)
        return rc;
    model = shelf_find(&shelf, name);
    if (model)
        snprintf(path, PATH_MAX, "%s", model->kind == SHELF_INSTALLED ? "" : model->path);
    else if (!realpath(name, path))
        rc = error_set(error, -ENOENT,
                       "%.64s: no such model here; earshot model list shows all, and earshot model "
                       "get fetches one",
                       name);
    shelf_close(&shelf);
    return rc;
}

/* Whether earshotd can hear with a model file: it is loaded for once. */
static int check_model(const char *path, struct error *error)
{
    struct opened o = {0};
    struct encoder_options encoder;
    int rc = encoder_options_parse(&encoder, "auto");

    if (!rc)
        rc = model_open(&o, path, "cpu", 1, &encoder, NULL, error);
    if (!rc && !o.model->encoder)
        rc = error_set(error, -EINVAL, "%s: a model of text alone, which hears nothing", path);
    model_close(&o);
    return rc;
}

/* Has a unit of the user that runs start anew, since a model counts from the start on. */
static void restart(const char *name)
{
    char said[512];
    char *is_active[] = {"systemctl", "--user", "is-active", "--quiet", UNIT, NULL};
    char *start[] = {"systemctl", "--user", "restart", UNIT, NULL};

    if (process_run(is_active, said, sizeof said) != 0)
        printf("%s counts when earshotd starts anew.\n", name);
    else if (process_run(start, said, sizeof said) == 0)
        printf("earshotd was started anew with it.\n");
    else
        printf("%s counts when earshotd starts anew: systemctl --user restart " UNIT "\n", name);
}

/* Tells earshotd, where it runs. */
static void reload(const char *name)
{
    char program[PATH_MAX], said[512];

    if (paths_installed("earshot", program, sizeof program))
        snprintf(program, sizeof program, "earshot");
    char *argv[] = {program, "reload", NULL};
    if (process_run(argv, said, sizeof said) == 0) {
        restart(name);
        return;
    }
    said[strcspn(said, "\n")] = '\0';
    fprintf(stderr, "earshotd was not told (%s); it takes %s when it starts.\n", said, name);
}

static int write_model(const char *path, const char *config, char written[PATH_MAX],
                       struct error *error)
{
    struct settings s;
    int rc = settings_open(&s, config, error);

    if (!rc)
        rc = settings_set_model(&s, path, error);
    if (!rc)
        rc = settings_write(&s, error);
    snprintf(written, PATH_MAX, "%s", s.path);
    settings_close(&s);
    return rc;
}

static int use(const char *name, const char *config)
{
    struct error error;
    char path[PATH_MAX], written[PATH_MAX];
    const char *named = getenv("EARSHOT_MODEL");
    int rc = find_model(name, path, &error);

    if (!rc && *path)
        rc = check_model(path, &error);
    if (!rc)
        rc = write_model(path, config, written, &error);
    if (rc)
        return command_fail(&error);
    printf("%s: the model is now %s.\n", written, *path ? path : PATHS_DEFAULT_MODEL);
    if (named && *named)
        printf(
            "But EARSHOT_MODEL is set, and where earshotd has it, too, it wins over the file.\n");
    fflush(stdout);
    if (!config)
        reload(name);
    return EXIT_DONE;
}

static int use_usage(FILE *to, int code)
{
    fprintf(to, "earshot model use NAME|FILE [--config FILE]\n"
                "Writes the model into the configuration, and has earshotd take it.\n"
                "NAME is one of earshot model list; " PATHS_DEFAULT_MODEL " is the default.\n"
                "  --config FILE   write this file instead; no earshotd is told\n");
    return code;
}

int command_use(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *config = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h')
            return use_usage(stdout, EXIT_DONE);
        if (c != 'c')
            return use_usage(stderr, EXIT_USAGE);
        config = optarg;
    }
    return argc - optind == 1 ? use(argv[optind], config) : use_usage(stderr, EXIT_USAGE);
}

/* Deletes a folder of files and of folders of files. */
static int remove_folder(const char *path)
{
    char below[PATH_MAX];
    struct dirent *entry;
    DIR *d = opendir(path);

    while (d && (entry = readdir(d))) {
        bool self = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (self || snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= PATH_MAX)
            continue;
        if (unlink(below) != 0 && errno == EISDIR)
            remove_folder(below);
    }
    if (d)
        closedir(d);
    return rmdir(path) == 0 ? 0 : -errno;
}

static int remove_file(const struct shelf_model *model, struct error *error)
{
    char configured[PATH_MAX];

    if (model->kind == SHELF_INSTALLED)
        return error_set(error, -EPERM, "%s: came with the package, which keeps it", model->name);
    int rc = read_configured(configured, error); /* whatever this process's variables say */
    if (!rc && *configured && shelf_is(model, configured))
        rc = error_set(error, -EBUSY, "%s: in use; earshot model use " PATHS_DEFAULT_MODEL " first",
                       model->name);
    if (!rc && unlink(model->path) != 0)
        rc = error_set(error, -errno, "%s: %s", model->path, strerror(errno));
    return rc;
}

/* The model, and what is there of fetching it. */
static int remove_model(const struct shelf *shelf, const char *name, struct error *error)
{
    const struct shelf_model *model = shelf_find(shelf, name), *begun = shelf_begun(shelf, name);
    int rc = model ? remove_file(model, error) : 0;

    if (!model && !begun)
        return error_set(error, -ENOENT, "%.64s: no such model here", name);
    if (!rc && begun && (rc = remove_folder(begun->path)) != 0)
        rc = error_set(error, rc, "%s: %s", begun->path, strerror(-rc));
    return rc;
}

static int remove_usage(FILE *to, int code)
{
    fprintf(to,
            "earshot model remove NAME\n"
            "Deletes a model that earshot model get has brought, or an interrupted download.\n");
    return code;
}

int command_remove(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    struct error error;
    struct shelf shelf;
    int c = getopt_long(argc, argv, "h", options, NULL);

    if (c == 'h')
        return remove_usage(stdout, EXIT_DONE);
    if (c != -1 || argc - optind != 1)
        return remove_usage(stderr, EXIT_USAGE);
    int rc = shelf_open(&shelf, &error);
    if (!rc) {
        rc = remove_model(&shelf, argv[optind], &error);
        shelf_close(&shelf);
    }
    return rc ? command_fail(&error) : EXIT_DONE;
}
