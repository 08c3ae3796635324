#include "cli/offline.h"

#include "base/paths.h"
#include "audio/sound.h"
#include "audio/resample.h"
#include "model/open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_FRAMES = 4096,
    PATH_BYTES = 4096,
    THREADS_MAX = 256,
};

/* One line of a terminal, which goes when it is done. */
static void show_loaded(void *user, int percent)
{
    (void)user;
    fprintf(stderr, "\rloading the model: %d %%", percent);
}

int offline_open(struct offline *o, const struct offline_options *options, struct error *error)
{
    char found[PATH_BYTES];
    *o = (struct offline){0};
    if (!options->model && paths_default_model(found, sizeof(found)))
        return error_set(error, -ENOENT, "no model: name one with -m, or put it at %s", found);
    /* A shell expands -m ~/x, but not --model=~/x. */
    const char *path = found;
    if (options->model && paths_expand(options->model, found, sizeof(found)))
        path = options->model;
    struct encoder_options encoder;
    if (encoder_options_parse(&encoder, options->streaming ? options->streaming : "auto"))
        return error_set(
            error, -EINVAL,
            "--streaming %s: not auto, exact, alone, windowed[:LEFT,HOP,AHEAD] (ms) or "
            "blocks[:BLOCK,LEFT] (rows)",
            options->streaming);
    const struct model_watch watch = {show_loaded, NULL};
    bool terminal = isatty(STDERR_FILENO);
    int rc = model_open(&o->model, &o->backend, path, options->backend ? options->backend : "auto",
                        options->threads, &encoder, terminal ? &watch : NULL, o->why, error);
    if (terminal)
        fputs("\r\033[K", stderr);
    return rc;
}

void offline_close(struct offline *o)
{
    model_destroy(o->model);
    if (o->backend)
        o->backend->ops->destroy(o->backend);
    *o = (struct offline){0};
}

static int read_all(struct sound *s, struct resample *r, const char *path, offline_samples *each,
                    void *user, struct error *error)
{
    float *in = calloc((size_t)READ_FRAMES * (size_t)sound_channels(s), sizeof(float));
    float *out = calloc(resample_bound(r, READ_FRAMES), sizeof(float));
    int code = 0;
    int64_t frames = 0;
    if (!in || !out) {
        code = error_set(error, -ENOMEM, "%s: out of memory", path);
        goto done;
    }
    while ((frames = sound_read(s, in, READ_FRAMES)) > 0) {
        size_t count = resample_push(r, in, (size_t)frames, out);
        if (count)
            each(user, out, count);
    }
    size_t count = resample_flush(r, out);
    if (count)
        each(user, out, count);
    if (frames < 0)
        code = error_set(error, (int)frames, "%s: the file is damaged", path);
done:
    free(in);
    free(out);
    return code;
}

int offline_read(const char *path, offline_samples *each, void *user, struct error *error)
{
    struct sound *s = NULL;
    struct resample *r = NULL;
    int code = sound_open(&s, path, error);
    if (code)
        return code;
    code = resample_create(&r, sound_rate_hz(s), sound_channels(s));
    if (code)
        error_set(error, code, "%s: %d Hz with %d channels is not supported", path,
                  sound_rate_hz(s), sound_channels(s));
    else
        code = read_all(s, r, path, each, user, error);
    resample_destroy(r);
    sound_close(s);
    return code;
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
