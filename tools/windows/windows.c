/* For an encoder that looks both ways: how far rows from a sliding window are from those of the
 * whole utterance, and what they cost, over a range of windows.
 *
 *     windows MODEL.gguf AUDIO [LEFT,HOP,AHEAD ...]        AUDIO: 16 kHz mono; milliseconds
 *
 * A line a window: its delay (from a sound to its row, at most), the distance |windowed - exact| /
 * |exact| over all rows of the encoder, and of the adapter, and processor seconds for a second of
 * audio.
 */
#include "base/sound.h"
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
    "1000,160,160", "2000,160,160", "4000,160,160", "4000,320,320",  "4000,480,480",
    "8000,480,480", "4000,960,960", "8000,960,960", "8000,960,1920", "12000,1920,1920",
};

struct audio {
    float *samples; /* [count], owned */
    size_t count;
};

/* What one streaming of the encoder made of the audio, on the host. */
struct run {
    float *encoder, *adapter; /* [count], owned */
    size_t encoder_count, adapter_count;
    double cpu_s;
};

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
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

static int take(struct run *r, struct model *m, const struct features_rows *rows)
{
    size_t dim = m->encoder->info.dim, adapter = adapter_dim(m->adapter);
    if (append(m->backend, &r->encoder, &r->encoder_count, rows->encoder,
               rows->encoder_count * dim))
        return -1;
    return append(m->backend, &r->adapter, &r->adapter_count, rows->adapter,
                  rows->adapter_count * adapter);
}

static int hear(struct run *r, struct model *m, const struct audio *a, struct error *error)
{
    struct features *f = NULL;
    struct features_rows rows;
    int code = features_create(&f, m, error);
    if (code)
        return code;
    double begin = cpu_seconds();
    for (size_t at = 0; !code && at < a->count; at += FEATURES_BLOCK) {
        size_t n = a->count - at < FEATURES_BLOCK ? a->count - at : FEATURES_BLOCK;
        features_push(f, a->samples + at, n, &rows);
        code = take(r, m, &rows);
    }
    while (!code && features_end(f, &rows))
        code = take(r, m, &rows);
    r->cpu_s = cpu_seconds() - begin;
    features_destroy(f);
    return code ? error_set(error, code, "out of memory") : 0;
}

/* The rows of a model file under one streaming; options gets what the text says. */
static int stream(struct run *r, const char *path, const char *text, const struct audio *a,
                  struct encoder_options *options, struct error *error)
{
    struct backend *be = NULL;
    struct model *m = NULL;
    *r = (struct run){0};
    if (encoder_options_parse(options, text))
        return error_set(error, -1, "%s: not LEFT,HOP,AHEAD in ms", text);
    if (backend_cpu_create(&be, 0))
        return error_set(error, -1, "the cpu backend does not start");
    int code = model_load(&m, path, be, options, NULL, error);
    if (!code && !m->encoder)
        code = error_set(error, -1, "%s has no encoder", path);
    if (!code)
        code = hear(r, m, a, error);
    model_destroy(m);
    be->ops->destroy(be);
    return code;
}

static void run_finish(struct run *r)
{
    free(r->encoder);
    free(r->adapter);
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

static int compare(const char *model, const char *window, const struct audio *a,
                   const struct run *exact, struct error *error)
{
    struct encoder_options options;
    struct run r;
    char text[96];
    snprintf(text, sizeof(text), "windowed:%.80s", window);
    int code = stream(&r, model, text, a, &options, error);
    if (!code)
        printf("%8zu %6zu %6zu %9zu %9.4f %9.4f %9.3f\n", options.left_ms, options.hop_ms,
               options.ahead_ms, options.hop_ms + options.ahead_ms,
               distance(r.encoder, r.encoder_count, exact->encoder, exact->encoder_count),
               distance(r.adapter, r.adapter_count, exact->adapter, exact->adapter_count),
               r.cpu_s / ((double)a->count / RATE_HZ));
    fflush(stdout);
    run_finish(&r);
    return code;
}

int main(int argc, char **argv)
{
    struct audio a = {0};
    struct encoder_options options;
    struct run exact = {0};
    struct error error;
    if (argc < 3) {
        fprintf(stderr, "windows MODEL.gguf AUDIO [LEFT,HOP,AHEAD ...]\n");
        return 2;
    }
    int code = read_audio(&a, argv[2], &error);
    if (!code)
        code = stream(&exact, argv[1], "exact", &a, &options, &error);
    if (!code)
        printf("%s: %.1f s; exact: %.3f processor seconds a second of audio\n"
               "left, ms    hop  ahead delay, ms   encoder   adapter    cost\n",
               argv[2], (double)a.count / RATE_HZ, exact.cpu_s / ((double)a.count / RATE_HZ));
    size_t count = argc > 3 ? (size_t)argc - 3 : sizeof(standard) / sizeof(standard[0]);
    for (size_t i = 0; !code && i < count; i++)
        code = compare(argv[1], argc > 3 ? argv[3 + i] : standard[i], &a, &exact, &error);
    run_finish(&exact);
    free(a.samples);
    if (code)
        fprintf(stderr, "windows: %s\n", error.message);
    return code ? 1 : 0;
}
