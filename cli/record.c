/* earshot record: what a microphone hears, as the daemon would hear it (16 kHz, mono), into an Ogg
 * Opus file, without the daemon. To try a microphone, to take something for `earshot transcribe`,
 * or to show a problem. */
#include "audio/microphone.h"
#include "audio/quiet.h"
#include "audio/resample.h"
#include "audio/sound_client.h"
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
    CHUNKS_HZ = 20,   /* reads a second */
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
    struct microphone *microphone;
    struct resample *resample;
    struct opus_writer *writer;
    float *in;    /* [chunk, channels] */
    float *out;   /* [resample_bound(chunk)] */
    size_t chunk; /* frames */
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

/* The one that the daemon would have. */
static int open_microphone(struct recording *r, const char *name, struct error *error)
{
    const struct microphone_choice choice = {
        .device = name ? name : "", .known_as = "", .buffer_ms = BUFFER_MS};
    int rc = microphone_open(&r->microphone, &choice, error);
    if (rc)
        return rc;
    int rate_hz = microphone_rate_hz(r->microphone);
    r->chunk = (size_t)(rate_hz / CHUNKS_HZ);
    rc = resample_create(&r->resample, rate_hz, microphone_channels(r->microphone));
    return rc ? error_set(error, rc, "%s, %d Hz: %s", microphone_name(r->microphone), rate_hz,
                          strerror(-rc))
              : 0;
}

/* Nothing that is there is overwritten: a recording cannot be made twice. */
static int open_file(struct recording *r, struct error *error)
{
    int fd = open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    r->file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!r->file)
        return error_set(error, -errno, "%s: %s", r->path, strerror(errno));
    r->in = calloc(r->chunk * (size_t)microphone_channels(r->microphone), sizeof *r->in);
    r->out = calloc(resample_bound(r->resample, r->chunk) + resample_bound(r->resample, 0),
                    sizeof *r->out);
    if (!r->in || !r->out || opus_writer_create(&r->writer, write_page, r->file))
        return error_set(error, -ENOMEM, "out of memory");
    return 0;
}

static void show(const struct recording *r)
{
    if (r->shows)
        fprintf(stderr, "\r\x1b[K%.1f s, %.0f dB", (double)r->samples / RESAMPLE_RATE_HZ,
                (double)level_rms_db(&r->level));
}

static int take(struct recording *r, size_t count, struct error *error)
{
    if (r->most && count > r->most - r->samples)
        count = (size_t)(r->most - r->samples);
    level_push(&r->level, r->out, count);
    if (level_peak_db(&r->level) > r->loudest_db)
        r->loudest_db = level_peak_db(&r->level);
    r->samples += count;
    int rc = opus_writer_push(r->writer, r->out, count);
    return rc ? error_set(error, rc, "%s: %s", r->path, strerror(-rc)) : 0;
}

static int read_some(struct recording *r, struct error *error)
{
    long frames = microphone_read(r->microphone, r->in, r->chunk);
    if (frames < 0)
        return error_set(error, (int)frames, "the microphone %s gives nothing any more",
                         microphone_name(r->microphone));
    r->has_gaps |= microphone_lost(r->microphone) > 0;
    if (frames == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000000 / CHUNKS_HZ}, NULL);
    return take(r, resample_push(r->resample, r->in, (size_t)frames, r->out), error);
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

/* Completes the file, also where the microphone was lost. */
static int finish(struct recording *r, int rc, struct error *error)
{
    if (!rc)
        rc = take(r, resample_flush(r->resample, r->out), error);
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
    sound_client_introduce(0);
    int saved = quiet_begin();
    int rc = open_microphone(r, device, error);
    quiet_end(saved);
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
    resample_destroy(r->resample);
    free(r->in);
    free(r->out);
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
