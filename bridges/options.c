/* A bridge's options, from a file's section and from the command line. */
#include "bridges/options.h"

#include "base/paths.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_USAGE = 2,
    OPTIONS_MAX = 16,
    GIVEN_MAX = 64,
    PATH_BYTES = 4096,
    CONFIG = OPTIONS_MAX, /* what getopt gives for what all programs have */
    HELP,
    VERSION,
};

struct given {
    const struct bridge_option *option;
    const char *value;
};

struct reader {
    const struct bridge_program *program;
    void *settings;
    const char *config; /* --config; NULL: was not given */
    struct given given[GIVEN_MAX];
    size_t given_count;
    struct error error; /* the first one of the file's */
};

static void usage(const struct bridge_program *p, FILE *out)
{
    char name[64];
    fprintf(out, "Usage: %s [OPTION]...\n%s\n\n", p->name, p->summary);
    for (const struct bridge_option *o = p->options; o->name; o++) {
        snprintf(name, sizeof name, "--%s %s", o->name, o->value);
        fprintf(out, "  %-22s %s\n", name, o->help);
    }
    fprintf(out, "  %-22s the configuration, a section [%s] with these names as keys\n",
            "--config FILE", p->section);
    fprintf(out, "  --help, --version\n");
}

int options_number(const char *name, const char *value, unsigned least, unsigned most,
                   unsigned *out, struct error *error)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || number < least || number > most)
        return error_set(error, -EINVAL, "%s \"%s\" is not a number from %u to %u", name, value,
                         least, most);
    *out = (unsigned)number;
    return 0;
}

static int set_words(const struct bridge_option *o, void *settings, const char *value,
                     struct error *error)
{
    char *copy = strdup(value), *rest = NULL;
    int rc = copy ? 0 : error_set(error, -ENOMEM, "out of memory");
    char *word = copy ? strtok_r(copy, " \t", &rest) : NULL;
    for (; !rc && word; word = strtok_r(NULL, " \t", &rest))
        rc = o->set(settings, word, error);
    free(copy);
    return rc;
}

static int set(const struct bridge_option *o, void *settings, const char *value,
               struct error *error)
{
    return o->is_list ? set_words(o, settings, value, error) : o->set(settings, value, error);
}

static const struct bridge_option *find(const struct bridge_program *p, const char *name)
{
    const struct bridge_option *o = p->options;
    while (o->name && strcmp(o->name, name) != 0)
        o++;
    return o->name ? o : NULL;
}

static bool is_given(const struct reader *r, const struct bridge_option *o)
{
    for (size_t i = 0; i < r->given_count; i++)
        if (r->given[i].option == o)
            return true;
    return false;
}

/* Of inih: 0 is an error of this line. */
static int on_key(void *user, const char *section, const char *key, const char *value)
{
    struct reader *r = user;
    if (*r->error.message)
        return 1;
    const struct bridge_option *o = find(r->program, key);
    if (strcmp(section, r->program->section) != 0)
        error_set(&r->error, 0, "section [%s] is unknown; the only one is [%s]", section,
                  r->program->section);
    else if (!o)
        error_set(&r->error, 0, "key \"%s\" is unknown", key);
    else if (!is_given(r, o))
        set(o, r->settings, value, &r->error);
    return !*r->error.message;
}

/* 0 or -EINVAL, and all is said. */
static int read_file(struct reader *r)
{
    char name[64], found[PATH_BYTES];
    const char *path = r->config ? r->config : found;
    snprintf(name, sizeof name, "%s.conf", r->program->section);
    if (!r->config && paths_config(name, found, sizeof found))
        return 0;
    int line = ini_parse(path, on_key, r);
    if (line < 0)
        error_print("%s: %s: cannot be read: %s", r->program->name, path, strerror(errno));
    else if (line > 0)
        error_print("%s: %s:%d: %s", r->program->name, path, line,
                    *r->error.message ? r->error.message
                                      : "neither a key with a value nor a "
                                        "section");
    return line ? -EINVAL : 0;
}

static int give(struct reader *r, const struct bridge_option *o, const char *value)
{
    if (r->given_count == GIVEN_MAX) {
        error_print("%s: more than %d options", r->program->name, GIVEN_MAX);
        return EXIT_USAGE;
    }
    r->given[r->given_count++] = (struct given){o, value};
    return -1;
}

static int take_option(struct reader *r, int which, const char *value)
{
    const struct bridge_program *p = r->program;
    switch (which) {
    case CONFIG:
        r->config = value;
        return -1;
    case HELP:
        usage(p, stdout);
        return EXIT_SUCCESS;
    case VERSION:
        printf("%s " EARSHOT_VERSION "\n", p->name);
        return EXIT_SUCCESS;
    case '?':
        usage(p, stderr);
        return EXIT_USAGE;
    }
    return give(r, &p->options[which], value);
}

static int read_line(struct reader *r, int argc, char **argv)
{
    struct option longs[OPTIONS_MAX + 4] = {
        {"config", required_argument, NULL, CONFIG},
        {"help", no_argument, NULL, HELP},
        {"version", no_argument, NULL, VERSION},
    };
    for (int i = 0; r->program->options[i].name && i < OPTIONS_MAX; i++)
        longs[i + 3] = (struct option){r->program->options[i].name, required_argument, NULL, i};
    int status = -1;
    for (int which; status < 0 && (which = getopt_long(argc, argv, "", longs, NULL)) != -1;)
        status = take_option(r, which, optarg);
    if (status >= 0 || optind == argc)
        return status;
    error_print("%s: unexpected argument \"%s\"", r->program->name, argv[optind]);
    usage(r->program, stderr);
    return EXIT_USAGE;
}

int options_read(const struct bridge_program *p, int argc, char **argv, void *settings)
{
    static struct reader r;
    struct error error = {""};
    r = (struct reader){.program = p, .settings = settings};
    int status = read_line(&r, argc, argv);
    if (status >= 0)
        return status;
    if (read_file(&r))
        return EXIT_FAILURE;
    for (size_t i = 0; i < r.given_count; i++) {
        if (!set(r.given[i].option, settings, r.given[i].value, &error))
            continue;
        error_print("%s: --%s: %s", p->name, r.given[i].option->name, error.message);
        return EXIT_USAGE;
    }
    return -1;
}
