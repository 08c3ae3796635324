/* The place in the file outlives stop: a file that was muted goes on where it was. */
#include "daemon/file_source.h"

#include "audio/mono.h"
#include "audio/resample.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAIT_MS = 20,
};

struct file_source {
    struct source source;
    struct mono *sound;
    bool fast, blamed;
    int64_t start_us;   /* clock at the last start */
    int64_t start_read; /* frames read before it */
    int64_t read;       /* frames read */
};

static struct file_source *cast(struct source *s)
{
    return (struct file_source *)(void *)s;
}

static void set_quiet(struct source *s, bool quiet)
{
    s->wait_ms = cast(s)->fast ? 0 : quiet ? SOURCE_QUIET_MS : WAIT_MS;
}

static int start(struct source *s, struct error *error)
{
    (void)error;
    struct file_source *f = cast(s);
    f->start_us = clock_monotonic_us();
    f->start_read = f->read;
    set_quiet(s, false);
    return 0;
}

static long read_frames(struct source *s, float *samples, size_t frames)
{
    struct file_source *f = cast(s);
    if (!f->fast) {
        int64_t due = f->start_read + (clock_monotonic_us() - f->start_us) * s->rate_hz / 1000000;
        int64_t ready = due - f->read;
        if (ready <= 0)
            return 0;
        if ((int64_t)frames > ready)
            frames = (size_t)ready;
    }
    int64_t n = mono_read(f->sound, samples, frames);
    if (n < 0 && !f->blamed)
        log_warning("%s: %s", s->name, mono_why(f->sound));
    f->blamed |= n < 0;
    if (n <= 0)
        return -ENODATA;
    f->read += n;
    return (long)n;
}

static void lost(struct source *s, struct source_lost *out)
{
    (void)s;
    (void)out;
}

static void stop(struct source *s)
{
    (void)s;
}

static void destroy(struct source *s)
{
    struct file_source *f = cast(s);
    mono_destroy(f->sound);
    free(f);
}

static const struct source_ops file_ops = {start, read_frames, lost, set_quiet, stop, destroy};

static int open_file(struct file_source *f, const char *path, struct error *error)
{
    int fd = file_open_regular(path, O_RDONLY), rc;
    if (fd < 0)
        return error_set(error, fd, "%s: %s", path, file_why(fd));
    close(fd); /* it is a file that nobody waits for */
    struct sound *sound;
    struct error what;
    rc = sound_open(&sound, path, error);
    if (rc)
        return rc;
    rc = mono_create(&f->sound, sound, &what);
    if (rc)
        return error_set(error, rc, "%s: %s", path, what.message);
    f->source.rate_hz = RESAMPLE_RATE_HZ;
    f->source.channels = 1;
    return 0;
}

int file_source_create(struct source **out, const char *spec, struct error *error)
{
    static const char suffix[] = ":fast";
    size_t length = strlen(spec), cut = sizeof suffix - 1;
    struct file_source *f = calloc(1, sizeof *f);
    char *path = strdup(spec);
    int rc = f && path ? 0 : error_set(error, -ENOMEM, "out of memory");
    if (rc)
        goto out;

    f->source.ops = &file_ops;
    f->source.fd = -1;
    f->source.patient = true;
    f->fast = length > cut && strcmp(spec + length - cut, suffix) == 0;
    if (f->fast)
        path[length - cut] = '\0';
    set_quiet(&f->source, false);
    snprintf(f->source.name, sizeof f->source.name, "file:%s", path);
    rc = open_file(f, path, error);
out:
    free(path);
    if (rc && f)
        destroy(&f->source);
    else if (!rc)
        *out = &f->source;
    return rc;
}
