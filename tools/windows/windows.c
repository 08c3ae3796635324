/* For an encoder that looks both ways: how far the rows of other ways of streaming are from exact
 * ones, and what they cost.
 *
 *     windows MODEL.gguf AUDIO THREADS ROUNDS [STREAMING ...]
 *
 * AUDIO: 16 kHz mono, of which 30 s are heard; STREAMING as of `earshot transcribe`, a range of
 * windows unless told. A line a way: its delay (from a sound to its row, at most), the distance
 * |way - exact| / |exact| over all rows of the encoder, and of the adapter, and what it takes for a
 * second of audio: of the processor, and on the clock. Times are medians of rounds, and a round is
 * every way once.
 */
#include "audio/sound.h"
#include "pipeline/features.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RATE_HZ = 16000,
    SECONDS_MAX = 30, /* what the shorter of the encoders takes as one utterance */
};

static const char *const standard[] = {
    "exact",
    "windowed:1000,160,160",
    "windowed:2000,160,160",
    "windowed:4000,160,160",
    "windowed:4000,320,320",
    "windowed:4000,480,480",
    "windowed:8000,480,480",
    "windowed:4000,960,960",
    "windowed:8000,960,960",
    "windowed:8000,960,1920",
    "windowed:12000,1920,1920",
};

struct audio {
    float *samples; /* [count], owned */
    size_t count;
};

/* One way of streaming: its model, and what it made of the audio, on the host. */
struct way {
    const char *text;
    struct backend *be;
    struct model *model;
    struct hearing *hearing;
    struct features *features;
    float *encoder, *adapter; /* [count], owned */
    size_t encoder_count, adapter_count;
    double *cpu_s, *wall_s; /* [rounds], owned */
};

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int read_audio(struct audio *a, const char *path, struct error *error)
{
    struct sound *s = NULL;
    int code = sound_open(&s, path, error);
    if (code)
        return code;
    if (sound_rate_hz(s) != RATE_HZ || sound_channels(s) != 1) {
        sound_close(s);
        return error_set(error, -1, "%s: not 16 kHz mono", path);
    }
    a->samples = calloc((size_t)RATE_HZ * SECONDS_MAX, sizeof(float));
    int64_t got = a->samples ? sound_read(s, a->samples, (size_t)RATE_HZ * SECONDS_MAX) : -1;
    sound_close(s);
    if (got <= 0)
        return error_set(error, -1, "%s: nothing to hear", path);
    a->count = (size_t)got;
    return 0;
}

static int append(struct backend *be, float **to, size_t *count, const float *rows, size_t more)
{
    float *grown = realloc(*to, (*count + more + 1) * sizeof(float));
    if (!grown)
        return -1;
    be->ops->download(be, grown + *count, rows, more);
    *to = grown;
    *count += more;
    return 0;
}

static int take(struct way *w, const struct features_rows *rows)
{
    const struct model *m = w->model;
    size_t dim = m->encoder->info.dim, adapter = adapter_dim(m->adapter);
    if (append(w->be, &w->encoder, &w->encoder_count, rows->encoder, rows->encoder_count * dim))
        return -1;
    return append(w->be, &w->adapter, &w->adapter_count, rows->adapter,
                  rows->adapter_count * adapter);
}

static int hear(struct way *w, const struct audio *a, size_t round)
{
    struct features_rows rows;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    int rc = 0;
    w->encoder_count = w->adapter_count = 0;
    features_begin(w->features);
    for (size_t at = 0; !rc && at < a->count; at += FEATURES_BLOCK) {
        size_t n = a->count - at < FEATURES_BLOCK ? a->count - at : FEATURES_BLOCK;
        features_push(w->features, a->samples + at, n, &rows);
        rc = take(w, &rows);
    }
    while (!rc && features_end(w->features, &rows))
        rc = take(w, &rows);
    w->cpu_s[round] = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    w->wall_s[round] = seconds(CLOCK_MONOTONIC) - wall;
    return rc;
}

static int open_way(struct way *w, const char *path, const char *text, int threads, size_t rounds,
                    struct error *error)
{
    struct encoder_options options;
    w->text = text;
    w->cpu_s = calloc(rounds, sizeof(double));
    w->wall_s = calloc(rounds, sizeof(double));
    if (!w->cpu_s || !w->wall_s)
        return error_set(error, -1, "out of memory");
    if (encoder_options_parse(&options, text))
        return error_set(error, -1, "%s: no way of streaming", text);
    if (backend_cpu_create(&w->be, threads))
        return error_set(error, -1, "the cpu backend does not start");
    int rc = model_load(&w->model, path, w->be, &options, NULL, error);
    if (!rc && !w->model->encoder)
        rc = error_set(error, -1, "%s has no encoder", path);
    if (!rc)
        rc = hearing_create(&w->hearing, w->model, error);
    return rc ? rc : features_create(&w->features, w->hearing, error);
}

static void close_way(struct way *w)
{
    features_destroy(w->features);
    hearing_destroy(w->hearing);
    model_destroy(w->model);
    if (w->be)
        w->be->ops->destroy(w->be);
    free(w->encoder);
    free(w->adapter);
    free(w->cpu_s);
    free(w->wall_s);
}

static double distance(const float *x, size_t count, const float *exact, size_t exact_count)
{
    double off = 0.0, size = 0.0;
    if (count != exact_count)
        return NAN;
    for (size_t i = 0; i < count; i++) {
        off += ((double)x[i] - (double)exact[i]) * ((double)x[i] - (double)exact[i]);
        size += (double)exact[i] * (double)exact[i];
    }
    return sqrt(off / size);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t count)
{
    qsort(x, count, sizeof(x[0]), by_size);
    return (x[(count - 1) / 2] + x[count / 2]) / 2;
}

static void tell(struct way *w, const struct way *exact, double audio_s, size_t rounds)
{
    const struct encoder_info *info = &w->model->encoder->info;
    char delay[32] = "the utterance";
    if (!info->at_end)
        snprintf(delay, sizeof(delay), "%zu ms", info->lookahead_ms);
    printf("%-26s %13s %9.4f %9.4f %9.4f %9.4f\n", w->text, delay,
           distance(w->encoder, w->encoder_count, exact->encoder, exact->encoder_count),
           distance(w->adapter, w->adapter_count, exact->adapter, exact->adapter_count),
           median(w->cpu_s, rounds) / audio_s, median(w->wall_s, rounds) / audio_s);
    fflush(stdout);
}

/* ways[0] is exact, to compare with; those told follow. */
static int compare(struct way *ways, size_t count, const struct audio *a, size_t rounds,
                   struct error *error)
{
    int rc = 0;
    for (size_t round = 0; !rc && round < rounds; round++)
        for (size_t i = round == 0 ? 0 : 1; !rc && i < count; i++)
            rc = hear(&ways[i], a, round);
    if (rc)
        return error_set(error, rc, "out of memory");
    printf("%-26s %13s %9s %9s %9s %9s\n", "", "delay", "encoder", "adapter", "processor", "clock");
    for (size_t i = 1; i < count; i++)
        tell(&ways[i], &ways[0], (double)a->count / RATE_HZ, rounds);
    return 0;
}

int main(int argc, char **argv)
{
    struct audio a = {0};
    struct error error = {"out of memory"};
    if (argc < 5 || atoi(argv[3]) < 0 || atoi(argv[4]) < 1) {
        fprintf(stderr, "windows MODEL.gguf AUDIO THREADS ROUNDS [STREAMING ...]\n");
        return 2;
    }
    const char *const *texts = argc > 5 ? (const char *const *)argv + 5 : standard;
    size_t told = argc > 5 ? (size_t)argc - 5 : sizeof(standard) / sizeof(standard[0]);
    size_t rounds = (size_t)atoi(argv[4]);
    struct way *ways = calloc(told + 1, sizeof(ways[0]));
    int rc = ways ? read_audio(&a, argv[2], &error) : -1;
    for (size_t i = 0; !rc && i <= told; i++)
        rc = open_way(&ways[i], argv[1], i ? texts[i - 1] : "exact", atoi(argv[3]), rounds, &error);
    if (!rc)
        rc = compare(ways, told + 1, &a, rounds, &error);
    for (size_t i = 0; ways && i <= told; i++)
        close_way(&ways[i]);
    free(ways);
    free(a.samples);
    if (rc)
        fprintf(stderr, "windows: %s\n", error.message);
    return rc ? 1 : 0;
}
