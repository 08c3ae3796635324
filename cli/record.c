/* earshot record: what a microphone hears, as the daemon would hear it (16 kHz, mono), into an Ogg
 * Opus file, without the daemon. To try a microphone, to take something for `earshot transcribe`,
 * or to show a problem. */
#include "audio/pickup.h"
#include "base/opus_writer.h"
#include "cli/client_commands.h"
#include "cli/offline.h"
#include "dsp/level.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert((int)OPUS_WRITER_RATE_HZ == (int)RESAMPLE_RATE_HZ, "sound is written as it is");

enum {
    OPTION_DEVICE,
    OPTION_SECONDS,
    REST_MS = 50,     /* until more is there */
    BUFFER_MS = 2000, /* of audio that can wait for a slow disk */
};

const struct bus_client_option client_record_options[] = {
    {"device", "NAME", "the microphone, by its name or description in `earshot devices`"},
    {"seconds", "N", "stop after N seconds (default: at Ctrl-C)"},
    {NULL},
};

struct recording {
    const char *path;
    FILE *file;
    struct pickup *pickup;
    struct opus_writer *writer;
    struct level level;
    float loudest_db; /* peak */
    uint64_t samples; /* written */
    uint64_t most;    /* to write; 0: any number */
    bool has_gaps;    /* the device, or we, were too slow */
    bool shows;       /* stderr is a terminal */
};

static volatile sig_atomic_t interrupted;

/* The first time; the second ends the process, whatever hangs. */
static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static int write_page(void *user, const void *data, size_t size)
{
    return fwrite(data, 1, size, user) == size ? 0 : -errno;
}

/* Nothing that is there is overwritten: a recording cannot be made twice. */
static int open_file(struct recording *r, struct error *error)
{
    int fd = open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    r->file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!r->file)
        return error_set(error, -errno, "%s: %s", r->path, strerror(errno));
    if (opus_writer_create(&r->writer, write_page, r->file))
        return error_set(error, -ENOMEM, "out of memory");
    return 0;
}

static void show(const struct recording *r)
{
    if (r->shows)
        fprintf(stderr, "\r\x1b[K%.1f s, %.0f dB", (double)r->samples / RESAMPLE_RATE_HZ,
                (double)level_rms_db(&r->level));
}

static int take(struct recording *r, const float *samples, size_t count, struct error *error)
{
    if (r->most && count > r->most - r->samples)
        count = (size_t)(r->most - r->samples);
    level_push(&r->level, samples, count);
    if (level_peak_db(&r->level) > r->loudest_db)
        r->loudest_db = level_peak_db(&r->level);
    r->samples += count;
    int rc = opus_writer_push(r->writer, samples, count);
    return rc ? error_set(error, rc, "%s: %s", r->path, strerror(-rc)) : 0;
}

static int read_some(struct recording *r, struct error *error)
{
    const float *samples;
    long count = pickup_read(r->pickup, &samples, error);
    if (count < 0)
        return (int)count;
    r->has_gaps |= pickup_has_lost(r->pickup);
    if (count == 0)
        nanosleep(&(struct timespec){.tv_nsec = REST_MS * 1000000}, NULL);
    return take(r, samples, (size_t)count, error);
}

static int run(struct recording *r, struct error *error)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int rc = 0;
    while (!rc && !interrupted && (!r->most || r->samples < r->most)) {
        rc = read_some(r, error);
        show(r);
    }
    if (r->shows)
        fputc('\n', stderr);
    return rc;
}

static int take_rest(struct recording *r, struct error *error)
{
    const float *samples;
    size_t count = pickup_flush(r->pickup, &samples);
    return take(r, samples, count, error);
}

/* Completes the file, also where the microphone was lost. */
static int finish(struct recording *r, int rc, struct error *error)
{
    if (!rc)
        rc = take_rest(r, error);
    int last = opus_writer_finish(r->writer);
    if (fclose(r->file) != 0 && !last)
        last = -errno;
    r->file = NULL;
    if (last == -ENODATA)
        unlink(r->path);
    if (last && !rc)
        rc = error_set(error, last, "%s: %s", r->path,
                       last == -ENODATA ? "nothing was heard" : strerror(-last));
    return rc;
}

static int record(struct recording *r, const char *device, struct error *error)
{
    int rc = pickup_open(&r->pickup, device ? device : "", BUFFER_MS, error);
    if (!rc)
        rc = open_file(r, error);
    if (!rc)
        rc = finish(r, run(r, error), error);
    return rc;
}

/* PortAudio may hang where the sound server has died: the end of the process lets go of the device.
 */
static void recording_finish(struct recording *r)
{
    if (r->file)
        fclose(r->file);
    opus_writer_destroy(r->writer);
    pickup_close(r->pickup);
}

static bool is_ogg(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".opus") == 0 || strcmp(dot, ".ogg") == 0);
}

static bool parse_seconds(const char *text, uint64_t *samples)
{
    char *end;
    double seconds = text ? strtod(text, &end) : 0;
    *samples = 0;
    if (!text)
        return true;
    if (end == text || *end || !(seconds >= 0.1 && seconds <= 86400))
        return false;
    *samples = (uint64_t)(seconds * RESAMPLE_RATE_HZ);
    return true;
}

int client_record(struct bus_client *c)
{
    struct recording r = {
        .path = c->words[0], .loudest_db = LEVEL_SILENCE_DB, .shows = isatty(STDERR_FILENO)};
    struct error error = {""};
    if (!is_ogg(r.path)) {
        error_print("earshot record: %s: it writes Ogg Opus, FILE.opus", r.path);
        return EXIT_USAGE;
    }
    if (!parse_seconds(c->given[OPTION_SECONDS], &r.most)) {
        error_print("earshot record: --seconds %s: not a number from 0.1 to 86400",
                    c->given[OPTION_SECONDS]);
        return EXIT_USAGE;
    }
    level_init(&r.level);
    int rc = record(&r, c->given[OPTION_DEVICE], &error);
    if (r.samples)
        printf("%s: %.1f s, at most %.0f dB%s\n", r.path, (double)r.samples / RESAMPLE_RATE_HZ,
               (double)r.loudest_db, r.has_gaps ? ", with gaps: the machine was too slow" : "");
    recording_finish(&r);
    return rc ? offline_fail("record", &error) : EXIT_DONE;
}
