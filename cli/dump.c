/* earshot dump: what a stage of the model computed, one whole file (or token list) as one
 * utterance, as float32 .npy. */
#include "cli/command.h"
#include "cli/npy.h"
#include "cli/offline.h"
#include "dsp/logmel.h"
#include "pipeline/features.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum stage {
    STAGE_NONE,
    STAGE_MEL,
    STAGE_ENCODER,
    STAGE_ADAPTER,
    STAGE_LOGITS,
    STAGE_INSIDE, /* the encoder: "conv", "stem", "layer0" ... */
};

enum {
    MEL_BINS = 80,
    TOKENS_MAX = 65536,
};

/* Rows that are collected on the host. */
struct table {
    float *data; /* [rows, cols], owned */
    size_t rows, cols, capacity;
    bool out_of_memory;
};

static float *table_add(struct table *t, size_t rows)
{
    if (t->rows + rows > t->capacity) {
        size_t capacity = 2 * t->capacity + rows;
        float *grown = realloc(t->data, capacity * t->cols * sizeof(float));
        if (!grown) {
            t->out_of_memory = true;
            return NULL;
        }
        t->data = grown;
        t->capacity = capacity;
    }
    t->rows += rows;
    return t->data + (t->rows - rows) * t->cols;
}

struct dump {
    enum stage stage;
    const struct model *model; /* NULL: mel alone */
    struct hearing *hearing;   /* NULL with it */
    struct logmel *mel;        /* STAGE_MEL */
    struct features *features; /* the other stages */
    struct state *state;
    float *logits;          /* backend memory [vocab] */
    const char *inside;     /* STAGE_INSIDE */
    struct encoder_tap tap; /* STAGE_INSIDE */
    struct table table;
};

static void add_backend(struct dump *d, const float *rows, size_t count)
{
    float *to = count ? table_add(&d->table, count) : NULL;
    if (to)
        d->model->backend->ops->download(d->model->backend, to, rows, count * d->table.cols);
}

/* As the model's captions hear it. */
static void push_row(struct dump *d, const float *row)
{
    struct backbone_scratch *t = d->hearing->scratch;
    if (d->model->captions == MODEL_CAPTIONS_PROMPTED)
        backbone_push_rows(t, d->state, 0, row, 1, d->logits);
    else
        backbone_push_heard(t, d->state, 0, row, 1, LANGUAGE_END, d->logits);
}

static void add_logits(struct dump *d, const float *rows, size_t count)
{
    size_t dim = backbone_dim(d->model->backbone);
    for (size_t i = 0; i < count; i++) {
        push_row(d, rows + i * dim);
        add_backend(d, d->logits, 1);
    }
}

static void add_features(struct dump *d, const struct features_rows *rows)
{
    switch (d->stage) {
    case STAGE_ENCODER:
        add_backend(d, rows->encoder, rows->encoder_count);
        break;
    case STAGE_ADAPTER:
        add_backend(d, rows->adapter, rows->adapter_count);
        break;
    case STAGE_LOGITS:
        add_logits(d, rows->adapter, rows->adapter_count);
        break;
    case STAGE_MEL:
    case STAGE_INSIDE:
    case STAGE_NONE:
        break;
    }
}

static void on_inside(void *user, const char *stage, const float *x, size_t rows, size_t dim)
{
    struct dump *d = user;
    if (strcmp(stage, d->inside))
        return;
    d->table.cols = dim;
    add_backend(d, x, rows);
}

static void on_samples(void *user, const float *samples, size_t count)
{
    struct dump *d = user;
    while (count > 0) {
        size_t n = count < FEATURES_BLOCK ? count : FEATURES_BLOCK;
        if (d->stage == STAGE_MEL) {
            float *to = table_add(&d->table, logmel_bound(n));
            size_t frames = to ? logmel_push(d->mel, samples, n, to) : 0;
            d->table.rows -= to ? logmel_bound(n) - frames : 0;
        } else {
            struct features_rows rows;
            features_push(d->features, samples, n, &rows);
            add_features(d, &rows);
        }
        samples += n;
        count -= n;
    }
}

static void at_end(struct dump *d)
{
    if (d->stage == STAGE_MEL) {
        float *to = table_add(&d->table, logmel_bound(0));
        size_t frames = to ? logmel_flush(d->mel, to) : 0;
        d->table.rows -= to ? logmel_bound(0) - frames : 0;
        return;
    }
    struct features_rows rows;
    while (features_end(d->features, &rows))
        add_features(d, &rows);
}

/* What the stage needs, and how wide its rows are. */
static int prepare(struct dump *d, struct error *error)
{
    const struct model *m = d->model;
    if (d->stage == STAGE_MEL) {
        bool by_model = m && m->encoder && m->encoder->info.input == ENCODER_INPUT_LOG_MEL;
        d->table.cols = by_model ? m->encoder->info.input_dim : MEL_BINS;
        int code = logmel_create(&d->mel, (int)d->table.cols);
        return code ? error_set(error, code, "no log-mel with %zu bins", d->table.cols) : 0;
    }
    d->table.cols = d->stage == STAGE_LOGITS    ? backbone_vocab(m->backbone)
                    : d->stage == STAGE_ADAPTER ? backbone_dim(m->backbone)
                    : m->encoder                ? m->encoder->info.dim
                                                : 0;
    if (d->stage != STAGE_LOGITS)
        return 0;
    d->logits = m->backend->ops->alloc(m->backend, d->table.cols);
    if (!d->logits || state_create(&d->state, m->backend, backbone_state_shape(m->backbone), 1))
        return error_set(error, -ENOMEM, "out of memory");
    return 0;
}

static void dump_finish(struct dump *d)
{
    logmel_destroy(d->mel);
    features_destroy(d->features);
    state_destroy(d->state);
    if (d->logits)
        d->model->backend->ops->free(d->model->backend, d->logits);
    free(d->table.data);
}

static int dump_file(struct dump *d, const char *path, struct error *error)
{
    const struct model *m = d->model;
    int code = prepare(d, error);
    if (code)
        return code;
    if (d->stage != STAGE_MEL) {
        if (!m->encoder)
            return error_set(error, -ENOTSUP, "%s has no speech encoder", m->name);
        code = features_create(&d->features, d->hearing, error);
        if (code)
            return code;
        d->tap = (struct encoder_tap){.take = on_inside, .user = d};
        features_tap(d->features, d->stage == STAGE_INSIDE ? &d->tap : NULL);
    }
    if (d->stage == STAGE_LOGITS && m->audio_begin.count)
        backbone_push_tokens(d->hearing->scratch, d->state, 0, m->audio_begin.ids,
                             m->audio_begin.count, NULL);
    code = offline_read(path, on_samples, d, error);
    if (!code)
        at_end(d);
    if (!code && d->stage == STAGE_INSIDE && d->table.rows == 0)
        return error_set(error, -EINVAL, "--stage %s: this encoder has no such stage", d->inside);
    return code;
}

/* list: decimal ids between commas. Returns how many, or -EINVAL naming the culprit. */
static long parse_tokens(const char *list, uint32_t *ids, size_t vocab, struct error *error)
{
    long count = 0;
    for (const char *p = list; *p && count < TOKENS_MAX; count++) {
        char *end;
        unsigned long id = strtoul(p, &end, 10);
        if (end == p || (*end && *end != ',') || id >= vocab)
            return error_set(error, -EINVAL, "--tokens %s: not an id under %zu at \"%s\"", list,
                             vocab, p);
        ids[count] = (uint32_t)id;
        p = *end ? end + 1 : end;
    }
    return count;
}

static int dump_tokens(struct dump *d, const char *list, struct error *error)
{
    int code = prepare(d, error);
    if (code)
        return code;
    uint32_t *ids = calloc(TOKENS_MAX, sizeof(*ids));
    if (!ids)
        return error_set(error, -ENOMEM, "out of memory");
    long count = parse_tokens(list, ids, d->table.cols, error);
    for (long i = 0; i < count; i++) {
        backbone_push_tokens(d->hearing->scratch, d->state, 0, &ids[i], 1, d->logits);
        add_backend(d, d->logits, 1);
    }
    free(ids);
    return count < 0 ? (int)count : 0;
}

static enum stage parse_stage(const char *name)
{
    static const char *const names[] = {[STAGE_MEL] = "mel",
                                        [STAGE_ENCODER] = "encoder",
                                        [STAGE_ADAPTER] = "adapter",
                                        [STAGE_LOGITS] = "logits"};
    for (enum stage s = STAGE_MEL; s <= STAGE_LOGITS; s++)
        if (!strcmp(name, names[s]))
            return s;
    return strncmp(name, "layer", 5) && strcmp(name, "conv") && strcmp(name, "stem") ? STAGE_NONE
                                                                                     : STAGE_INSIDE;
}

static int usage(FILE *to, int code)
{
    fprintf(
        to,
        "earshot dump --stage mel|encoder|adapter|logits FILE -o OUT.npy [OPTION]...\n"
        "earshot dump --stage conv|stem|layerN FILE -o OUT.npy [OPTION]...   inside encoders\n"
        "                                                  that look both ways\n"
        "earshot dump --stage logits --tokens 23,65,24 -o OUT.npy [OPTION]...\n"
        "Options: [-m MODEL] [--backend auto|cpu|cuda[:N]] [--threads N]\n"
        "         [--streaming auto|exact|alone|windowed[:LEFT,HOP,AHEAD]|\n"
        "                      blocks[:BLOCK,LEFT[,AHEAD]]]; -o is --output.\n"
        "Writes float32 [rows, dim]. The whole file counts as one utterance. logits has one row\n"
        "of the vocabulary's size for each adapter row, or with --tokens for each token.\n");
    return code;
}

static int run(enum stage stage, const char *inside, const struct offline_options *o,
               const char *file, const char *tokens, const char *out)
{
    struct error error;
    struct opened session = {0};
    if ((stage != STAGE_MEL || o->model) && offline_open(&session, o, &error))
        return offline_fail("dump", &error);
    struct dump d = {
        .stage = stage, .model = session.model, .hearing = session.hearing, .inside = inside};
    int code = tokens ? dump_tokens(&d, tokens, &error) : dump_file(&d, file, &error);
    if (!code && d.table.out_of_memory)
        code = error_set(&error, -ENOMEM, "out of memory");
    if (!code)
        code = npy_write(out, d.table.data, d.table.rows, d.table.cols, &error);
    dump_finish(&d);
    model_close(&session);
    return code ? offline_fail("dump", &error) : EXIT_DONE;
}

int command_dump(int argc, char **argv)
{
    static const struct option options[] = {OFFLINE_LONG,
                                            {"stage", required_argument, NULL, 's'},
                                            {"tokens", required_argument, NULL, 'k'},
                                            {"output", required_argument, NULL, 'o'},
                                            {0}};
    struct offline_options o = {0};
    enum stage stage = STAGE_NONE;
    const char *tokens = NULL, *out = NULL, *inside = NULL;
    int c;
    while ((c = getopt_long(argc, argv, OFFLINE_SHORT "o:", options, NULL)) != -1) {
        if (c == 'h')
            return usage(stdout, EXIT_DONE);
        if (c == 's' && (stage = parse_stage(optarg)) != STAGE_NONE) {
            inside = optarg;
            continue;
        }
        if (c == 'k')
            tokens = optarg;
        else if (c == 'o')
            out = optarg;
        else if (offline_option(&o, c, optarg) != 1)
            return usage(stderr, EXIT_USAGE);
    }
    int files = argc - optind;
    if (stage == STAGE_NONE || !out || files != (tokens ? 0 : 1) ||
        (tokens && stage != STAGE_LOGITS))
        return usage(stderr, EXIT_USAGE);
    return run(stage, inside, &o, argv[optind], tokens, out);
}
