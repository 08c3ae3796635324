/* earshot bench: how fast this machine runs the model, and beside it what the machine could do at
 * most, measured in the same run. Every figure is the median of several runs on data made here; a
 * sound file, if one is named, gives the figures for real speech. */
#include "cli/bench_daemon.h"
#include "cli/bench_report.h"
#include "cli/bench_streams.h"
#include "cli/command.h"
#include "cli/offline.h"
#include "pipeline/features.h"
#include "pipeline/session.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    RUNS = 5,
    RATE_HZ = FEATURES_RATE_HZ,
    AUDIO_S = 10,
    SILENCE_S = 60,
    PREFILL_ROWS = 64,
    DECODE_TOKENS = 64,
    CHAIN_TOKENS = 40, /* for AUDIO_S seconds: brisk speech */
    TEXTS_MAX = 4096,
    READ_LEAST = 64 << 20, /* bytes: less is in every cache */
};

/* What a row costs. */
struct cost {
    double operations; /* of products; a multiplication and its addition are two */
    double bytes;      /* of weights, and of the state twice */
};

struct bench {
    struct opened opened;
    struct cost encoder, backbone;
    struct bench_report report;
    struct session *session;
    double latency_ms[4096]; /* end of speech to caption, each utterance */
    size_t utterances;
    uint64_t samples;
};

/* times: of RUNS runs over so many rows that each cost c. */
static void add_rate(struct bench *b, const char *name, const char *unit, double *times,
                     double rows, struct cost c, double most)
{
    double mid = bench_median(times, RUNS);
    bench_add(&b->report,
              (struct bench_figure){name, unit, rows / mid, rows / times[RUNS - 1], rows / times[0],
                                    c.operations * rows / mid, c.bytes * rows / mid, most});
}

static bool begins(const struct gguf_tensor *t, const char *prefix)
{
    return t->name.size >= strlen(prefix) && memcmp(t->name.data, prefix, strlen(prefix)) == 0;
}

/* What a row of all matrices under prefix costs; those under but are left out. */
static struct cost cost_of(const struct gguf *g, const char *prefix, const char *but)
{
    struct cost c = {0};
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        size_t row_bytes = tensor_row_bytes(t->tensor.type, t->tensor.cols);
        if (!begins(t, prefix) || (but && begins(t, but)) || t->dims < 2)
            continue;
        c.operations += 2.0 * (double)t->tensor.rows * (double)t->tensor.cols;
        c.bytes += (double)t->tensor.rows * (double)row_bytes;
    }
    return c;
}

static void find_costs(struct bench *b)
{
    const struct model *m = b->opened.model;
    const struct state_shape *s = backbone_state_shape(m->backbone);
    size_t state = s->layers * s->heads * s->head_size * s->head_size;
    b->encoder = cost_of(m->gguf, "encoder.blocks.", NULL);
    b->backbone = cost_of(m->gguf, "backbone.", "backbone.emb.");
    b->backbone.bytes += 2.0 * (double)(state * sizeof(float));
    b->report.token_bytes = b->backbone.bytes;
    b->report.token_operations = b->backbone.operations;
}

/* One thread, and as many as the backend has. */
static void find_limits(struct bench *b)
{
    const struct backend_ops *ops = b->opened.backend->ops;
    size_t bytes = (size_t)b->backbone.bytes;
    bytes = bytes < READ_LEAST ? READ_LEAST : bytes;
    b->report.limited =
        cpu_limits_measure(&b->report.limits[0], ops, 1, bytes) == 0 &&
        cpu_limits_measure(&b->report.limits[1], ops, b->report.threads, bytes) == 0;
}

/* What products of many rows can come to at most. */
static double most_products(const struct bench *b)
{
    const struct cpu_limits *l = &b->report.limits[1];
    return l->tiles > 0 ? l->tiles : l->fma;
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
    int code = features_create(&f, b->opened.hearing, error);
    if (code)
        return code;
    float *audio = make_audio(count);
    for (int run = 0; audio && run < RUNS; run++) {
        struct features_rows out;
        double begin = bench_seconds(CLOCK_MONOTONIC);
        features_begin(f);
        rows = 0;
        for (size_t i = 0; i < count; i += FEATURES_BLOCK) {
            size_t n = count - i < FEATURES_BLOCK ? count - i : FEATURES_BLOCK;
            features_push(f, audio + i, n, &out);
            rows += out.encoder_count;
        }
        while (features_end(f, &out))
            rows += out.encoder_count;
        times[run] = bench_seconds(CLOCK_MONOTONIC) - begin;
    }
    free(audio);
    features_destroy(f);
    struct cost c = {.operations = b->encoder.operations};
    add_rate(b, "encoder, pieces of 100 ms", "rows/s", times, (double)rows, c,
             b->report.limits[1].fma);
    return 0;
}

/* Prefill computes the logits of no row. */
static double head_operations(const struct model *m)
{
    return cost_of(m->gguf, "backbone.head.", NULL).operations;
}

/* Tokens are chosen too: greedily, as captions are. */
static int bench_backbone(struct bench *b)
{
    const struct model *m = b->opened.model;
    struct backend *be = m->backend;
    struct backbone_scratch *scratch = b->opened.hearing->scratch;
    size_t dim = backbone_dim(m->backbone), vocab = backbone_vocab(m->backbone);
    float *rows = be->ops->alloc(be, PREFILL_ROWS * dim);
    float *logits = be->ops->alloc(be, vocab);
    struct state *s = NULL;
    double prefill[RUNS], decode[RUNS];
    int code = !rows || !logits ? -1 : state_create(&s, be, backbone_state_shape(m->backbone), 1);
    for (int run = 0; !code && run < RUNS; run++) {
        state_reset(s);
        double begin = bench_seconds(CLOCK_MONOTONIC);
        backbone_push_rows(scratch, s, 0, rows, PREFILL_ROWS, NULL);
        prefill[run] = bench_seconds(CLOCK_MONOTONIC) - begin;
        begin = bench_seconds(CLOCK_MONOTONIC);
        uint32_t id = m->caption.count ? m->caption.ids[0] : 1;
        for (int i = 0; i < DECODE_TOKENS; i++) {
            backbone_push_tokens(scratch, s, 0, &id, 1, logits);
            id = decoding_greedy(&m->decoding, be, logits, vocab);
        }
        decode[run] = bench_seconds(CLOCK_MONOTONIC) - begin;
    }
    if (!code) {
        struct cost c = {.operations = b->backbone.operations - head_operations(m)};
        add_rate(b, "backbone, 64 rows at once", "rows/s", prefill, PREFILL_ROWS, c,
                 most_products(b));
        add_rate(b, "backbone, one token at a time", "tokens/s", decode, DECODE_TOKENS, b->backbone,
                 b->report.limits[1].read);
    }
    state_destroy(s);
    be->ops->free(be, rows);
    be->ops->free(be, logits);
    return code;
}

/* An utterance from its first sample to its text, of as many tokens as people say in the time. */
static int bench_chain(struct bench *b, struct error *error)
{
    const struct model *m = b->opened.model;
    const struct backend_ops *op = m->backend->ops;
    struct backbone_scratch *scratch = b->opened.hearing->scratch;
    size_t count = (size_t)AUDIO_S * RATE_HZ, vocab = backbone_vocab(m->backbone);
    double times[RUNS];
    struct features *f = NULL;
    struct state *s = NULL;
    struct features_rows out;
    float *audio = make_audio(count), *logits = op->alloc(m->backend, vocab);
    int code = features_create(&f, b->opened.hearing, error);
    if (!code &&
        (!audio || !logits || state_create(&s, m->backend, backbone_state_shape(m->backbone), 1)))
        code = error_set(error, -1, "out of memory");
    for (int run = 0; !code && run < RUNS; run++) {
        double begin = bench_seconds(CLOCK_MONOTONIC);
        features_begin(f);
        state_reset(s);
        for (size_t i = 0; i < count; i += FEATURES_BLOCK) {
            size_t n = count - i < FEATURES_BLOCK ? count - i : FEATURES_BLOCK;
            features_push(f, audio + i, n, &out);
            backbone_push_rows(scratch, s, 0, out.adapter, out.adapter_count, NULL);
        }
        while (features_end(f, &out))
            backbone_push_rows(scratch, s, 0, out.adapter, out.adapter_count, NULL);
        uint32_t id = m->caption.count ? m->caption.ids[0] : 1;
        for (int i = 0; i < CHAIN_TOKENS; i++) {
            backbone_push_tokens(scratch, s, 0, &id, 1, logits);
            id = decoding_greedy(&m->decoding, m->backend, logits, vocab);
        }
        times[run] = bench_seconds(CLOCK_MONOTONIC) - begin;
    }
    if (!code) {
        double mid = bench_median(times, RUNS);
        bench_add(&b->report,
                  (struct bench_figure){"whole chain, 10 s and 40 tokens", "x real", mid / AUDIO_S,
                                        times[RUNS - 1] / AUDIO_S, times[0] / AUDIO_S, 0, 0, 0});
    }
    state_destroy(s);
    features_destroy(f);
    op->free(m->backend, logits);
    free(audio);
    return code;
}

static void on_event(void *user, const struct event *e)
{
    struct bench *b = user;
    size_t most = sizeof(b->latency_ms) / sizeof(b->latency_ms[0]);
    if (e->type == EVENT_UTTERANCE_COMPLETED && b->utterances < most)
        b->latency_ms[b->utterances++] = e->compute_us / 1000.0;
}

static void on_samples(void *user, const float *samples, size_t count)
{
    struct bench *b = user;
    b->samples += count;
    session_push(b->session, samples, count);
}

static int open_session(struct bench *b, struct error *error)
{
    struct recogniser_config text = recogniser_config_default();
    text.partial_ms = 240;
    text.sink = on_event;
    text.user = b;
    int code = session_create(&b->session, b->opened.hearing, &text, error);
    return code ? code : session_begin(b->session, NULL, error);
}

static void close_session(struct bench *b)
{
    session_destroy(b->session);
    b->session = NULL;
}

static void add_share(struct bench *b, const char *name, double cpu, double audio)
{
    double share = 100 * cpu / audio;
    bench_add(&b->report, (struct bench_figure){name, "% a core", share, share, share, 0, 0, 0});
}

/* Detector, encoder, a partial result every 240 ms and the captions. */
static int bench_file(struct bench *b, const char *path, struct error *error)
{
    int code = open_session(b, error);
    if (!code) {
        double begin = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
        code = offline_read(path, on_samples, b, error);
        session_flush(b->session);
        double cpu = bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
        double audio = (double)b->samples / RATE_HZ;
        if (!code) {
            add_share(b, "listening to speech", cpu, audio);
            double mid = bench_median(b->latency_ms, b->utterances);
            double most = b->utterances ? b->latency_ms[b->utterances - 1] : 0;
            bench_add(&b->report, (struct bench_figure){"end of speech to text, computation", "ms",
                                                        mid, most, b->latency_ms[0], 0, 0, 0});
        }
    }
    close_session(b);
    return code;
}

static int bench_silence(struct bench *b, struct error *error)
{
    static const float silence[RATE_HZ];
    int code = open_session(b, error);
    if (!code) {
        double begin = bench_seconds(CLOCK_PROCESS_CPUTIME_ID);
        for (int i = 0; i < SILENCE_S; i++)
            session_push(b->session, silence, RATE_HZ);
        add_share(b, "listening to silence", bench_seconds(CLOCK_PROCESS_CPUTIME_ID) - begin,
                  SILENCE_S);
    }
    close_session(b);
    return code;
}

static int bench_parts(struct bench *b, const char *path, struct error *error)
{
    const struct model *m = b->opened.model;
    find_costs(b);
    find_limits(b);
    int code = m->encoder ? bench_features(b, error) : 0;
    if (!code && bench_backbone(b))
        return error_set(error, -1, "out of memory");
    if (!code && m->encoder)
        code = bench_chain(b, error);
    if (!code && m->encoder)
        code = bench_silence(b, error);
    if (!code && m->encoder && path)
        code = bench_file(b, path, error);
    return code;
}

static int bench_all(struct bench *b, const char *path, size_t streams, struct error *error)
{
    int code = streams ? bench_streams(&b->report, &b->opened, streams, path, error)
                       : bench_parts(b, path, error);
    double resident = bench_resident_mb();
    bench_add(&b->report,
              (struct bench_figure){"resident", "MB", resident, resident, resident, 0, 0, 0});
    return code;
}

static int usage(FILE *to, int code)
{
    fprintf(
        to,
        "earshot bench [FILE] [-m MODEL] [--backend auto|cpu|cuda[:N]] [--threads N]\n"
        "                     [--streaming auto|exact|alone|windowed[:LEFT,HOP,AHEAD]|\n"
        "                                  blocks[:BLOCK,LEFT[,AHEAD]]] [--json]\n"
        "earshot bench --streams N [FILE] [the same]\n"
        "earshot bench --daemon [FILE] [--texts N] [--bus BUS] [--json]\n"
        "Prints the speed of each part beside the most that this machine can do. With a sound\n"
        "file of speech it also prints the share of a core that listening takes, and the time\n"
        "from the end of speech to the text.\n"
        "--streams measures N ears at once beside one: tokens a second, of answers too, and of a\n"
        "sound file, the first minute heard by all of them, how far it is from real time.\n"
        "--daemon measures the running daemon instead: how late its texts are, for a file sent\n"
        "to it at the speed of speech, or for what the microphone hears.\n");
    return code;
}

static bool read_count(const char *text, long most, size_t *count)
{
    char *end;
    long n = strtol(text, &end, 10);
    *count = n > 0 ? (size_t)n : 0;
    return n > 0 && n <= most && !*end;
}

static int bench_offline(const struct offline_options *o, const char *path, size_t streams,
                         bool json)
{
    static struct bench b;
    struct error error;
    double begin = bench_seconds(CLOCK_MONOTONIC);
    if (offline_open(&b.opened, o, &error))
        return offline_fail("bench", &error);
    double loading = 1000 * (bench_seconds(CLOCK_MONOTONIC) - begin);
    bench_add(&b.report,
              (struct bench_figure){"loading", "ms", loading, loading, loading, 0, 0, 0});
    b.report.model = b.opened.model;
    b.report.why = b.opened.why;
    b.report.threads = o->threads > 0 ? (size_t)o->threads : backend_cpu_threads();
    int code = bench_all(&b, path, streams, &error);
    if (!code && json)
        code = bench_print_json(&b.report) ? error_set(&error, -1, "out of memory") : 0;
    else if (!code)
        bench_print_text(&b.report);
    model_close(&b.opened);
    return code ? offline_fail("bench", &error) : EXIT_DONE;
}

int command_bench(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"daemon", no_argument, NULL, 'd'},
        {"texts", required_argument, NULL, 'n'},
        {"streams", required_argument, NULL, 's'},
        {"bus", required_argument, NULL, 'B'},
        OFFLINE_LONG,
        {0},
    };
    struct offline_options o = {0};
    struct bench_daemon_options live = {.bus = NULL};
    size_t streams = 0;
    bool json = false, daemon = false, offline = false;
    int c;
    while ((c = getopt_long(argc, argv, OFFLINE_SHORT, options, NULL)) != -1) {
        if (c == 'h')
            return usage(stdout, EXIT_DONE);
        if (c == 'j')
            json = true;
        else if (c == 'd')
            daemon = true;
        else if (c == 'B')
            live.bus = optarg;
        else if (c == 'n' && !read_count(optarg, TEXTS_MAX, &live.texts))
            return usage(stderr, EXIT_USAGE);
        else if (c == 's' && !read_count(optarg, BENCH_STREAMS_MAX, &streams))
            return usage(stderr, EXIT_USAGE);
        else if (c != 'n' && c != 's' && offline_option(&o, c, optarg) != 1)
            return usage(stderr, EXIT_USAGE);
        offline = offline || strchr("mbtes", c);
    }
    if (argc - optind > 1 || (daemon ? offline : live.bus || live.texts))
        return usage(stderr, EXIT_USAGE);
    if (daemon) {
        live.path = argv[optind];
        live.bus = live.bus ? live.bus : "session";
        live.json = json;
        return bench_daemon(&live);
    }
    return bench_offline(&o, argv[optind], streams, json);
}
