/* earshot bench: how fast this machine runs the model. Every figure is the median of several runs
 * on data made here; a sound file, if one is named, gives the figures for real speech. */
#include "cli/command.h"
#include "cli/offline.h"
#include "pipeline/features.h"
#include "pipeline/recogniser.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
    RUNS = 5,
    RATE_HZ = FEATURES_RATE_HZ,
    AUDIO_S = 10,
    SILENCE_S = 60,
    PREFILL_ROWS = 64,
    DECODE_TOKENS = 64,
    CHAIN_TOKENS = 40, /* for AUDIO_S seconds: brisk speech */
    STREAM_BYTES = 256 << 20,
};

struct bench {
    struct offline session;
    struct recogniser *recogniser;
    struct frontend *frontend;
    uint64_t next_id;
    double latency_ms[4096]; /* end of speech to caption, each utterance */
    size_t utterances;
    uint64_t samples;
};

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    return count ? values[count / 2] : 0;
}

static void print_rate(const char *what, double *times, double items, const char *unit)
{
    double mid = median(times, RUNS);
    printf("%-34s %10.0f %-9s  (fastest %.0f, slowest %.0f)\n", what, items / mid, unit,
           items / times[0], items / times[RUNS - 1]);
}

/* Noise with the level of speech that rises and falls: what the encoder hears does not change how
 * long it takes. */
static float *make_audio(size_t count)
{
    float *x = malloc(count * sizeof(*x));
    uint32_t seed = 1;
    for (size_t i = 0; x && i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        float noise = (float)(seed >> 8) / 8388608.0f - 1.0f;
        x[i] = 0.1f * noise * (1.0f + sinf((float)i * 0.0008f));
    }
    return x;
}

/* Encoder and adapter alone: rows/s of the encoder. */
static int bench_features(struct bench *b, struct error *error)
{
    size_t count = (size_t)AUDIO_S * RATE_HZ, rows = 0;
    double times[RUNS];
    struct features *f;
    int code = features_create(&f, b->session.model, error);
    if (code)
        return code;
    float *audio = make_audio(count);
    for (int run = 0; audio && run < RUNS; run++) {
        struct features_rows out;
        double begin = seconds(CLOCK_MONOTONIC);
        features_begin(f);
        rows = 0;
        for (size_t i = 0; i < count; i += FEATURES_BLOCK) {
            size_t n = count - i < FEATURES_BLOCK ? count - i : FEATURES_BLOCK;
            features_push(f, audio + i, n, &out);
            rows += out.encoder_count;
        }
        while (features_end(f, &out))
            rows += out.encoder_count;
        times[run] = seconds(CLOCK_MONOTONIC) - begin;
    }
    free(audio);
    features_destroy(f);
    print_rate("encoder, pieces of 100 ms", times, (double)rows, "rows/s");
    return 0;
}

static int bench_backbone(struct bench *b)
{
    struct model *m = b->session.model;
    struct backend *be = m->backend;
    size_t dim = backbone_dim(m->backbone), vocab = backbone_vocab(m->backbone);
    float *rows = be->ops->alloc(be, PREFILL_ROWS * dim);
    float *logits = be->ops->alloc(be, vocab);
    struct state *s = NULL;
    double prefill[RUNS], decode[RUNS];
    int code = !rows || !logits ? -1 : state_create(&s, be, backbone_state_shape(m->backbone));
    for (int run = 0; !code && run < RUNS; run++) {
        state_reset(s);
        double begin = seconds(CLOCK_MONOTONIC);
        backbone_push_rows(m->backbone, s, rows, PREFILL_ROWS, NULL);
        prefill[run] = seconds(CLOCK_MONOTONIC) - begin;
        begin = seconds(CLOCK_MONOTONIC);
        uint32_t id = m->caption.count ? m->caption.ids[0] : 1;
        for (int i = 0; i < DECODE_TOKENS; i++) {
            backbone_push_tokens(m->backbone, s, &id, 1, logits);
            id = decoding_greedy(&m->decoding, be, logits, vocab);
        }
        decode[run] = seconds(CLOCK_MONOTONIC) - begin;
    }
    if (!code) {
        print_rate("backbone, 64 rows at once", prefill, PREFILL_ROWS, "rows/s");
        print_rate("backbone, one token at a time", decode, DECODE_TOKENS, "tokens/s");
    }
    state_destroy(s);
    be->ops->free(be, rows);
    be->ops->free(be, logits);
    return code;
}

/* An utterance from its first sample to its text, of as many tokens as people say in the time. */
static int bench_chain(struct bench *b, struct error *error)
{
    struct model *m = b->session.model;
    const struct backend_ops *op = m->backend->ops;
    size_t count = (size_t)AUDIO_S * RATE_HZ, vocab = backbone_vocab(m->backbone);
    double times[RUNS];
    struct features *f = NULL;
    struct state *s = NULL;
    struct features_rows out;
    float *audio = make_audio(count), *logits = op->alloc(m->backend, vocab);
    int code = features_create(&f, m, error);
    if (!code &&
        (!audio || !logits || state_create(&s, m->backend, backbone_state_shape(m->backbone))))
        code = error_set(error, -1, "out of memory");
    for (int run = 0; !code && run < RUNS; run++) {
        double begin = seconds(CLOCK_MONOTONIC);
        features_begin(f);
        state_reset(s);
        for (size_t i = 0; i < count; i += FEATURES_BLOCK) {
            size_t n = count - i < FEATURES_BLOCK ? count - i : FEATURES_BLOCK;
            features_push(f, audio + i, n, &out);
            backbone_push_rows(m->backbone, s, out.adapter, out.adapter_count, NULL);
        }
        while (features_end(f, &out))
            backbone_push_rows(m->backbone, s, out.adapter, out.adapter_count, NULL);
        uint32_t id = m->caption.count ? m->caption.ids[0] : 1;
        for (int i = 0; i < CHAIN_TOKENS; i++) {
            backbone_push_tokens(m->backbone, s, &id, 1, logits);
            id = decoding_greedy(&m->decoding, m->backend, logits, vocab);
        }
        times[run] = seconds(CLOCK_MONOTONIC) - begin;
    }
    if (!code) {
        double mid = median(times, RUNS);
        printf("%-34s %10.3f %-9s  (%d s of audio and %d tokens in %.2f s; %.2f to %.2f)\n",
               "whole chain, real-time factor", mid / AUDIO_S, "", AUDIO_S, CHAIN_TOKENS, mid,
               times[0], times[RUNS - 1]);
    }
    state_destroy(s);
    features_destroy(f);
    op->free(m->backend, logits);
    free(audio);
    return code;
}

/* What one thread reads from memory, the limit of decoding. */
static void bench_memory(void)
{
    size_t count = STREAM_BYTES / sizeof(uint64_t);
    uint64_t *x = malloc(STREAM_BYTES);
    double times[RUNS];
    volatile uint64_t keep = 0;
    if (!x)
        return;
    memset(x, 1, STREAM_BYTES);
    for (int run = 0; run < RUNS; run++) {
        uint64_t sum[8] = {0};
        double begin = seconds(CLOCK_MONOTONIC);
        for (size_t i = 0; i < count; i += 8)
            for (size_t j = 0; j < 8; j++)
                sum[j] += x[i + j];
        times[run] = seconds(CLOCK_MONOTONIC) - begin;
        for (size_t j = 0; j < 8; j++)
            keep += sum[j];
    }
    free(x);
    printf("%-34s %10.1f %-9s\n", "memory read, one thread",
           STREAM_BYTES / median(times, RUNS) / 1e9, "GB/s");
}

static void on_event(void *user, const struct event *e)
{
    struct bench *b = user;
    size_t most = sizeof(b->latency_ms) / sizeof(b->latency_ms[0]);
    if (e->type == EVENT_UTTERANCE_COMPLETED && b->utterances < most)
        b->latency_ms[b->utterances++] = e->compute_us / 1000.0;
}

static void on_piece(void *user, const struct frontend_piece *piece)
{
    struct bench *b = user;
    recogniser_take(b->recogniser, piece, &b->next_id);
}

static void on_samples(void *user, const float *samples, size_t count)
{
    struct bench *b = user;
    b->samples += count;
    frontend_push(b->frontend, samples, count);
}

static int open_pipeline(struct bench *b, struct error *error)
{
    struct recogniser_config config = {.partial_ms = 240,
                                       .min_confidence = RECOGNISER_MIN_CONFIDENCE,
                                       .min_evidence = RECOGNISER_MIN_EVIDENCE,
                                       .sink = on_event,
                                       .user = b};
    int code = recogniser_create(&b->recogniser, b->session.model, &config, error);
    if (code)
        return code;
    code = frontend_create(&b->frontend, NULL, on_piece, b);
    return code ? error_set(error, code, "out of memory") : 0;
}

static void close_pipeline(struct bench *b)
{
    frontend_destroy(b->frontend);
    recogniser_destroy(b->recogniser);
    b->frontend = NULL;
    b->recogniser = NULL;
}

static void print_share(const char *what, double cpu, double audio)
{
    printf("%-34s %10.2f %-9s  (%.2f s of computation for %.0f s of audio)\n", what,
           100 * cpu / audio, "% a core", cpu, audio);
}

/* Detector, encoder, a partial result every 240 ms and the captions. */
static int bench_file(struct bench *b, const char *path, struct error *error)
{
    int code = open_pipeline(b, error);
    if (!code) {
        double begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
        code = offline_read(path, on_samples, b, error);
        frontend_flush(b->frontend);
        double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
        double audio = (double)b->samples / RATE_HZ;
        if (!code) {
            print_share("listening to speech", cpu, audio);
            double mid = median(b->latency_ms, b->utterances);
            double most = b->utterances ? b->latency_ms[b->utterances - 1] : 0;
            printf("%-34s %10.1f %-9s  (median of %zu utterances, slowest %.1f)\n",
                   "end of speech to text, computation", mid, "ms", b->utterances, most);
        }
    }
    close_pipeline(b);
    return code;
}

static int bench_silence(struct bench *b, struct error *error)
{
    static const float silence[RATE_HZ];
    int code = open_pipeline(b, error);
    if (!code) {
        double begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
        for (int i = 0; i < SILENCE_S; i++)
            frontend_push(b->frontend, silence, RATE_HZ);
        print_share("listening to silence", seconds(CLOCK_PROCESS_CPUTIME_ID) - begin, SILENCE_S);
    }
    close_pipeline(b);
    return code;
}

static double resident_mb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1000;
}

static int bench_all(struct bench *b, const char *path, struct error *error)
{
    struct model *m = b->session.model;
    int code = m->encoder ? bench_features(b, error) : 0;
    if (!code && bench_backbone(b))
        return error_set(error, -1, "out of memory");
    if (!code && m->encoder)
        code = bench_chain(b, error);
    printf("%-34s %10.0f %-9s\n", "resident, at most", resident_mb(), "MB");
    bench_memory();
    if (!code && m->encoder)
        code = bench_silence(b, error);
    if (!code && m->encoder && path)
        code = bench_file(b, path, error);
    return code;
}

static int usage(FILE *to, int code)
{
    fprintf(to, "earshot bench [FILE] [-m MODEL] [--backend auto|cpu|cuda[:N]] [--threads N]\n"
                "                     [--streaming exact|windowed[:LEFT,HOP,AHEAD]]\n"
                "Prints the speed of each part; with a sound file of speech also the share of a\n"
                "core that listening takes and the time from the end of speech to the text.\n");
    return code;
}

int command_bench(int argc, char **argv)
{
    static const struct option options[] = {OFFLINE_LONG, {0}};
    struct offline_options o = {0};
    int c;
    while ((c = getopt_long(argc, argv, OFFLINE_SHORT, options, NULL)) != -1) {
        if (c == 'h')
            return usage(stdout, EXIT_DONE);
        if (offline_option(&o, c, optarg) != 1)
            return usage(stderr, EXIT_USAGE);
    }
    if (argc - optind > 1)
        return usage(stderr, EXIT_USAGE);
    static struct bench b = {.next_id = 1};
    struct error error;
    double begin = seconds(CLOCK_MONOTONIC);
    if (offline_open(&b.session, &o, &error))
        return offline_fail("bench", &error);
    struct model *m = b.session.model;
    printf("model %s, backend %s (%s)\n", m->name, m->backend->ops->name, b.session.why);
    printf("%-34s %10.0f %-9s  (file %.0f MB, resident at most %.0f MB)\n", "loading",
           1000 * (seconds(CLOCK_MONOTONIC) - begin), "ms", (double)gguf_size(m->gguf) / 1e6,
           resident_mb());
    int code = bench_all(&b, argv[optind], &error);
    offline_close(&b.session);
    return code ? offline_fail("bench", &error) : EXIT_DONE;
}
