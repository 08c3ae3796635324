/* Options into a backend and a model; a sound file in pieces of a second at most. */
#include "cli/offline.h"

#include "base/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_SAMPLES = 4096,
    PATH_BYTES = 4096,
    THREADS_MAX = 256,
};

/* One line of a terminal, which goes when it is done. */
static void show_loaded(void *user, int percent)
{
    (void)user;
    fprintf(stderr, "\rloading the model: %d %%", percent);
}

/* The file of a model by its name in earshot model list, or as it was given. */
static const char *find_named(const char *given, char *path, size_t capacity)
{
    bool is_name = !strchr(given, '/') && access(given, F_OK) != 0;
    int rc =
        is_name ? paths_named_model(given, path, capacity) : paths_expand(given, path, capacity);
    return rc ? given : path;
}

int offline_open(struct opened *o, const struct offline_options *options, struct error *error)
{
    char found[PATH_BYTES];
    *o = (struct opened){0};
    if (!options->model && paths_default_model(found, sizeof(found)))
        return error_set(error, -ENOENT, "no model: name one with -m, or put it at %s", found);
    /* A shell expands -m ~/x, but not --model=~/x. */
    const char *path = options->model ? find_named(options->model, found, sizeof(found)) : found;
    struct encoder_options encoder;
    if (encoder_options_parse(&encoder, options->streaming ? options->streaming : "auto"))
        return error_set(
            error, -EINVAL,
            "--streaming %s: not auto, exact, alone, windowed[:LEFT,HOP,AHEAD] (ms) or "
            "blocks[:BLOCK,LEFT[,AHEAD]] (rows)",
            options->streaming);
    const struct model_watch watch = {show_loaded, NULL};
    bool terminal = isatty(STDERR_FILENO);
    int rc = model_open(o, path, options->backend ? options->backend : "auto", options->threads,
                        &encoder, terminal ? &watch : NULL, error);
    if (terminal)
        fputs("\r\033[K", stderr);
    return rc;
}

int offline_sound(struct mono **out, const char *path, int stop_fd, struct error *error)
{
    struct sound *s = NULL;
    struct error what;
    int rc = sound_open_until(&s, path, stop_fd, error);
    if (rc)
        return rc;
    rc = mono_create(out, s, &what);
    return rc ? error_set(error, rc, "%s: %s", path, what.message) : 0;
}

int offline_read(const char *path, offline_samples *each, void *user, struct error *error)
{
    float samples[READ_SAMPLES];
    struct mono *m = NULL;
    int64_t n;
    int rc = offline_sound(&m, path, -1, error);
    if (rc)
        return rc;
    while ((n = mono_read(m, samples, READ_SAMPLES)) > 0)
        each(user, samples, (size_t)n);
    if (n < 0)
        rc = error_set(error, (int)n, "%s: %s", path, mono_why(m));
    mono_destroy(m);
    return rc;
}

int offline_fail(const char *command, const struct error *error)
{
    error_print("earshot %s: %s", command, error->message);
    return EXIT_FAILED;
}

/* False: not a number of threads. */
static bool parse_threads(const char *text, int *threads)
{
    char *end;
    long n = strtol(text, &end, 10);
    *threads = (int)n;
    return end != text && !*end && n >= 0 && n <= THREADS_MAX;
}

int offline_option(struct offline_options *o, int option, const char *value)
{
    switch (option) {
    case 'm':
        o->model = value;
        return 1;
    case 'b':
        o->backend = value;
        return 1;
    case 'e':
        o->streaming = value;
        return 1;
    case 't':
        if (parse_threads(value, &o->threads))
            return 1;
        error_print("earshot: --threads %s: not a number from 0 to %d", value, THREADS_MAX);
        return -EINVAL;
    default:
        return 0;
    }
}
