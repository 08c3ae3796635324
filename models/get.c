/* earshot model get: fetches a model, or the checkpoint that it is made from, and converts it. What
 * has come of an interrupted one stays in the work folder, where the same command goes on. */
#include "base/paths.h"
#include "model/gguf.h"
#include "models/commands.h"
#include "models/download.h"
#include "models/hub.h"
#include "models/index.h"
#include "models/process.h"
#include "models/shelf.h"
#include "models/stop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ENCODER "encoder" /* the folder of the encoder's settings, within the work folder */
#define VOCABULARY "rwkv_vocab_v20230424.txt"

enum {
    FILES_MAX = 4,
    ARGUMENTS_MAX = INDEX_CONVERT_MAX + 10,
};

/* What is asked for. */
struct wish {
    struct index_entry entry; /* of the index, or made of the command line */
    bool keep;                /* what was fetched, after converting */
};

/* A file, and where it goes. */
struct part {
    struct hub_file file;
    char path[PATH_MAX];
};

/* What is fetched, and what becomes of it. */
struct plan {
    char folder[PATH_MAX]; /* the work folder, locked by `lock` */
    char model[PATH_MAX];  /* what it becomes */
    int lock;
    struct part parts[FILES_MAX]; /* the first is the checkpoint or the model */
    size_t count;
    char encoder[PATH_MAX]; /* the folder of its settings; "": none */
};

static int join(char path[PATH_MAX], const char *folder, const char *name, struct error *error)
{
    size_t above = strlen(folder), below = strlen(name);

    if (above + below + 2 > PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", folder);
    memcpy(path, folder, above);
    path[above] = '/';
    memcpy(path + above + 1, name, below + 1);
    return 0;
}

static int plan_folder(struct plan *p, const char *name, struct error *error)
{
    int rc = shelf_place(name, p->model, error);

    if (!rc && access(p->model, F_OK) == 0)
        return error_set(error, -EEXIST, "%s: is here already: %s", name, p->model);
    if (!rc)
        rc = shelf_work(name, p->folder, error);
    if (rc)
        return rc;
    if (mkdir(p->folder, 0700) != 0 && errno != EEXIST)
        return error_set(error, -errno, "%s: %s", p->folder, strerror(errno));
    int fd = open(p->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "%s: %s", p->folder, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return error_set(error, -EBUSY, "%s: another earshot model get is fetching it", name);
    }
    p->lock = fd;
    return 0;
}

/* Adds a file of a repository, which goes to a folder. */
static int plan_file(struct plan *p, const char *repository, const char *pattern,
                     const char *folder, struct error *error)
{
    struct part *part = &p->parts[p->count++];
    int rc = hub_find(&part->file, repository, pattern, error);

    return rc ? rc : join(part->path, folder, part->file.name, error);
}

static int plan_encoder(struct plan *p, const char *repository, struct error *error)
{
    int rc = join(p->encoder, p->folder, ENCODER, error);

    if (!rc && mkdir(p->encoder, 0700) != 0 && errno != EEXIST)
        rc = error_set(error, -errno, "%s: %s", p->encoder, strerror(errno));
    if (!rc)
        rc = plan_file(p, repository, "config.json", p->encoder, error);
    return rc ? rc : plan_file(p, repository, "preprocessor_config.json", p->encoder, error);
}

/* A checksum or a size of the index must be the hub's own, too. */
static int compare(const struct index_entry *entry, const struct hub_file *file,
                   struct error *error)
{
    if (entry->bytes && entry->bytes != file->bytes)
        return error_set(error, -EBADMSG, "%s: the hub's %s has %llu bytes, the index says %llu",
                         entry->name, file->name, (unsigned long long)file->bytes,
                         (unsigned long long)entry->bytes);
    if (entry->sum.kind && strcmp(entry->sum.hex, file->sum.hex) != 0)
        return error_set(error, -EBADMSG, "%s: the hub's %s has another SHA-256 than the index",
                         entry->name, file->name);
    return 0;
}

static int plan_hub(struct plan *p, const struct index_entry *entry, struct error *error)
{
    int rc = plan_file(p, entry->hub, entry->checkpoint, p->folder, error);

    if (!rc)
        rc = compare(entry, &p->parts[0].file, error);
    if (!rc && *entry->encoder)
        rc = plan_encoder(p, entry->encoder, error);
    if (!rc && *entry->vocabulary)
        rc = plan_file(p, entry->vocabulary, VOCABULARY, p->folder, error);
    return rc;
}

static int plan_address(struct plan *p, const struct index_entry *entry, struct error *error)
{
    struct part *part = &p->parts[p->count++];

    part->file = (struct hub_file){.bytes = entry->bytes, .sum = entry->sum};
    snprintf(part->file.name, sizeof part->file.name, "%.64s.gguf", entry->name);
    if (snprintf(part->file.address, HUB_ADDRESS_MAX, "%s", entry->address) >= HUB_ADDRESS_MAX)
        return error_set(error, -ENAMETOOLONG, "%s: the address is too long", entry->name);
    return join(part->path, p->folder, part->file.name, error);
}

/* Bytes of a file that are here already. */
static uint64_t bytes_here(const char *path)
{
    char part[PATH_MAX + 8];
    struct stat st;

    snprintf(part, sizeof part, "%s.part", path);
    return stat(path, &st) == 0 || stat(part, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* A converted model has at most about as many bytes as its checkpoint. */
static int check_space(const struct plan *p, struct error *error)
{
    struct statvfs fs;
    uint64_t missing = p->count > 1 ? p->parts[0].file.bytes : 0;

    for (size_t i = 0; i < p->count; i++) {
        uint64_t here = bytes_here(p->parts[i].path);
        missing += p->parts[i].file.bytes > here ? p->parts[i].file.bytes - here : 0;
    }
    if (statvfs(p->folder, &fs) != 0 || missing <= (uint64_t)fs.f_bavail * fs.f_frsize)
        return 0;
    return error_set(error, -ENOSPC, "%s: %.0f MB free, and %.0f MB are needed", p->folder,
                     (double)fs.f_bavail * (double)fs.f_frsize / 1e6, (double)missing / 1e6);
}

static int fetch_all(const struct plan *p, struct error *error)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct hub_file *file = &p->parts[i].file;
        const struct download d = {file->address, file->name, p->parts[i].path, file->bytes,
                                   file->sum};
        int rc = download_file(&d, error);
        if (rc)
            return rc;
        fprintf(stderr, "%s: here\n", file->name);
    }
    return 0;
}

/* Whether what came is a model file; anything else is deleted. */
static int check_kind(const struct plan *p, struct error *error)
{
    struct gguf *g;
    struct gguf_string kind;
    int rc = gguf_open(&g, p->parts[0].path, error);

    if (!rc) {
        rc = gguf_get_string(g, "general.architecture", &kind, error);
        if (!rc && !gguf_string_is(kind, "earshot"))
            rc = error_set(error, -EINVAL, "%s: a GGUF file, but no model of Earshot's",
                           p->parts[0].file.name);
        gguf_close(g);
    }
    if (rc)
        unlink(p->parts[0].path);
    return rc;
}

/* It gets its place. Without a checksum to hold it against, its own is said. */
static int place_model(const struct plan *p, struct error *error)
{
    struct checksum own;
    int rc = check_kind(p, error);

    if (!rc && p->parts[0].file.sum.kind == CHECKSUM_NONE)
        rc = checksum_of_file(&own, CHECKSUM_SHA256, p->parts[0].path, error);
    if (!rc && p->parts[0].file.sum.kind == CHECKSUM_NONE)
        fprintf(stderr, "nobody said its checksum; its SHA-256 is %s\n", own.hex);
    if (!rc && rename(p->parts[0].path, p->model) != 0)
        rc = error_set(error, -errno, "%s: %s", p->model, strerror(errno));
    return rc;
}

/* The converter says what it reads and assumes, and what is wrong. */
static int convert(const struct plan *p, const struct index_entry *entry, struct error *error)
{
    char program[PATH_MAX];
    char *argv[ARGUMENTS_MAX] = {program,  (char *)p->parts[0].path, "-o", (char *)p->model,
                                 "--name", (char *)entry->name};
    size_t count = 6;

    if (process_converter(program, sizeof program))
        return error_set(error, -ENOENT, "%s: the converter is missing; install Earshot again",
                         program);
    if (*p->encoder) {
        argv[count++] = "--encoder";
        argv[count++] = (char *)p->encoder;
    }
    for (size_t i = 0; entry->convert[i]; i++)
        argv[count++] = (char *)entry->convert[i];
    fprintf(stderr, "converting %s ...\n", p->parts[0].file.name);
    int code = process_run(argv, NULL, 0);
    if (stop_asked())
        return -EINTR;
    if (code < 0)
        return error_set(error, code, "%s: %s", program, strerror(-code));
    return code ? error_set(error, -EIO, "%s: was not converted; what was fetched is in %s",
                            entry->name, p->folder)
                : 0;
}

/* Before gigabytes are fetched: can the converter run? */
static int check_converter(struct error *error)
{
    char program[PATH_MAX], said[400];
    char *argv[] = {program, "--help", NULL};

    if (process_converter(program, sizeof program))
        return error_set(error, -ENOENT, "%s: the converter is missing; install Earshot again",
                         program);
    int code = process_run(argv, said, sizeof said);
    if (code == 0 || stop_asked())
        return code ? -EINTR : 0;
    if (code < 0)
        snprintf(said, sizeof said, "%s", strerror(-code));
    return error_set(error, -ENOEXEC, "the converter does not run: %s", said);
}

/* Deletes the files of a folder, and it. */
static void clear(const char *folder)
{
    struct dirent *entry;
    DIR *d = opendir(folder);

    while (d && (entry = readdir(d)))
        if (entry->d_type != DT_DIR)
            unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
    rmdir(folder);
}

static void plan_clear(const struct plan *p)
{
    if (*p->encoder)
        clear(p->encoder);
    clear(p->folder);
}

static int get_model(struct plan *p, const struct wish *wish, struct error *error)
{
    const struct index_entry *entry = &wish->entry;
    bool ready = *entry->address;
    int rc = ready ? 0 : check_converter(error);

    if (!rc)
        rc = plan_folder(p, entry->name, error);
    if (!rc)
        rc = ready ? plan_address(p, entry, error) : plan_hub(p, entry, error);
    if (!rc)
        rc = check_space(p, error);
    if (!rc)
        rc = fetch_all(p, error);
    if (!rc)
        rc = ready ? place_model(p, error) : convert(p, entry, error);
    if (!rc && !wish->keep)
        plan_clear(p);
    return rc;
}

/* Folders in which nothing is say nothing: they go. */
static void plan_close(struct plan *p)
{
    if (!p || p->lock < 0)
        return;
    if (*p->encoder)
        rmdir(p->encoder);
    rmdir(p->folder);
    close(p->lock);
}

static int get(const struct wish *wish)
{
    struct plan *p = calloc(1, sizeof *p);
    struct error error;

    if (p)
        p->lock = -1;
    stop_begin();
    download_begin();
    int rc = p ? get_model(p, wish, &error) : error_set(&error, -ENOMEM, "out of memory");
    if (rc == -EINTR)
        error_set(&error, rc, "interrupted; the same command goes on from there");
    if (!rc)
        printf("%s\nTo hear with it: earshot model use %s\n", p->model, wish->entry.name);
    plan_close(p);
    free(p);
    return rc ? command_fail(&error) : EXIT_DONE;
}

static int usage(FILE *to, int code)
{
    fprintf(to,
            "earshot model get NAME|ADDRESS [OPTION...]\n"
            "Fetches a model of earshot model list, or the model file at an https address, into\n"
            "~/.local/share/earshot/models. An interrupted one goes on with the same command.\n"
            "  --name NAME         what the model at an address is to be called\n"
            "  --sha256 DIGITS     the checksum that it must have\n"
            "  --checkpoint FILE   which file of its repository, where there are several\n"
            "  --keep              keep what it is converted from\n");
    return code;
}

/* The name that a model of an address gets by itself: the file's, without .gguf; "": none. */
static void name_of_address(const char *address, char name[INDEX_NAME_MAX + 1])
{
    const char *begin = strrchr(address, '/');
    size_t length = strcspn(begin ? begin + 1 : address, "?#"), end = strlen(".gguf");

    begin = begin ? begin + 1 : address;
    if (length > end && strncmp(begin + length - end, ".gguf", end) == 0)
        length -= end;
    snprintf(name, INDEX_NAME_MAX + 1, "%.*s", length <= INDEX_NAME_MAX ? (int)length : 0, begin);
}

/* Of the options, getopt's letters as indices. */
struct given {
    const char *name, *sum, *checkpoint;
    bool keep;
};

static int wish_of_address(struct wish *wish, const char *address, const struct given *given,
                           char name[INDEX_NAME_MAX + 1], struct error *error)
{
    wish->entry = (struct index_entry){.name = name, .address = address};
    if (given->name)
        snprintf(name, INDEX_NAME_MAX + 1, "%s", given->name);
    else
        name_of_address(address, name);
    if (strcmp(name, PATHS_DEFAULT_MODEL) == 0)
        return error_set(error, -EINVAL, "%s: the default model's name; --name NAME gives another",
                         name);
    if (index_is_name(name) && (!given->name || strcmp(given->name, name) == 0))
        return 0;
    return error_set(error, -EINVAL,
                     "%.200s: no name for a model (at most %d of a-z 0-9 . _ -); --name NAME gives "
                     "one",
                     given->name ? given->name : address, INDEX_NAME_MAX);
}

static int wish_of_name(struct wish *wish, const struct index *index, const char *name,
                        const struct given *given, struct error *error)
{
    const struct index_entry *entry = index_find(index, name);

    if (!entry)
        return error_set(error, -ENOENT,
                         "%.64s: not in the index; earshot model list shows what is", name);
    if (strcmp(name, PATHS_DEFAULT_MODEL) == 0)
        return error_set(error, -EINVAL, "%s: comes with Earshot, and is not fetched", name);
    if (!*entry->hub && !*entry->address)
        return error_set(error, -EINVAL, "%s: the index does not say where it is to be had", name);
    if (given->name)
        return error_set(error, -EINVAL, "--name is for an address; %s has its name", name);
    wish->entry = *entry;
    return 0;
}

static int make_wish(struct wish *wish, const struct index *index, const char *what,
                     const struct given *given, char name[INDEX_NAME_MAX + 1], struct error *error)
{
    bool is_address = strstr(what, "://");
    int rc = is_address ? wish_of_address(wish, what, given, name, error)
                        : wish_of_name(wish, index, what, given, error);

    if (!rc && given->checkpoint)
        wish->entry.checkpoint = given->checkpoint;
    if (!rc && given->sum &&
        (checksum_parse(&wish->entry.sum, given->sum) || wish->entry.sum.kind != CHECKSUM_SHA256))
        rc = error_set(error, -EINVAL, "--sha256 %.64s: not 64 hexadecimal digits", given->sum);
    wish->keep = given->keep;
    return rc;
}

static int get_named(const char *what, const struct given *given)
{
    char name[INDEX_NAME_MAX + 1];
    struct wish wish = {0};
    struct index *index = NULL;
    struct error error;
    int rc = index_open(&index, &error);

    if (!rc)
        rc = make_wish(&wish, index, what, given, name, &error);
    int code = rc ? command_fail(&error) : get(&wish);
    index_close(index);
    return code;
}

int command_get(int argc, char **argv)
{
    static const struct option options[] = {{"name", required_argument, NULL, 'n'},
                                            {"sha256", required_argument, NULL, 's'},
                                            {"checkpoint", required_argument, NULL, 'c'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct given given = {0};
    int c;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'n')
            given.name = optarg;
        else if (c == 's')
            given.sum = optarg;
        else if (c == 'c')
            given.checkpoint = optarg;
        else if (c == 'k')
            given.keep = true;
        else
            return c == 'h' ? usage(stdout, EXIT_DONE) : usage(stderr, EXIT_USAGE);
    }
    return argc - optind == 1 ? get_named(argv[optind], &given) : usage(stderr, EXIT_USAGE);
}
