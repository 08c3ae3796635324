/* Several ears on one thread, as the daemon has them. Tokens: the states move side by side, as many
 * in a step as give the bits that each gives alone. Speech: every ear hears the same minute, each a
 * piece later than the one before, a piece of everybody in turn; what they write is compared with
 * what one writes alone. */
#include "cli/bench_streams.h"

#include "cli/offline.h"
#include "pipeline/features.h"
#include "pipeline/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RUNS = 5,
    TOKENS = 32,
    RATE_HZ = FEATURES_RATE_HZ,
    PIECE_MS = 100,
    PIECE = RATE_HZ / 1000 * PIECE_MS,
    SPEECH_S = 60,
    TEXT_MAX = 1 << 14,
};

/* States that take a token each, the likeliest of the last. */
struct group {
    struct state *state; /* owned */
    size_t slots;
    struct intake intakes[BACKEND_FEW_ROWS];
};

struct groups {
    struct group *items; /* [count], owned */
    size_t count;
    float *logits; /* backend memory [BACKEND_FEW_ROWS, vocab], owned */
};

static void groups_free(struct groups *g, const struct model *m)
{
    for (size_t i = 0; g->items && i < g->count; i++)
        state_destroy(g->items[i].state);
    free(g->items);
    m->backend->ops->free(m->backend, g->logits);
}

static int groups_create(struct groups *g, const struct model *m, size_t streams)
{
    struct backend *be = m->backend;
    g->count = (streams + BACKEND_FEW_ROWS - 1) / BACKEND_FEW_ROWS;
    g->items = calloc(g->count, sizeof(*g->items));
    g->logits = be->ops->alloc(be, BACKEND_FEW_ROWS * backbone_vocab(m->backbone));
    for (size_t i = 0; g->items && i < g->count; i++) {
        struct group *one = &g->items[i];
        size_t left = streams - i * BACKEND_FEW_ROWS;
        one->slots = left < BACKEND_FEW_ROWS ? left : BACKEND_FEW_ROWS;
        for (size_t slot = 0; slot < one->slots; slot++)
            one->intakes[slot] = (struct intake){.type = INTAKE_TOKEN, .token = 1};
        if (state_create(&one->state, be, backbone_state_shape(m->backbone), one->slots))
            return -ENOMEM;
    }
    return g->items && g->logits ? 0 : -ENOMEM;
}

static void step(struct group *g, struct hearing *h, float *logits)
{
    uint32_t best[BACKEND_FEW_ROWS];
    backbone_step(h->scratch, g->state, g->intakes, logits);
    hearing_choose(h, logits, g->slots, best);
    for (size_t slot = 0; slot < g->slots; slot++)
        g->intakes[slot].token = best[slot];
}

/* Tokens a second of all streams together; 0: out of memory. */
static double decode(struct bench_report *r, struct hearing *h, size_t streams, const char *name)
{
    struct groups g = {0};
    double times[RUNS];
    int rc = groups_create(&g, h->model, streams);
    for (int run = 0; rc == 0 && run < RUNS; run++) {
        double begin = bench_seconds(CLOCK_MONOTONIC);
        for (int i = 0; i < TOKENS; i++)
            for (size_t n = 0; n < g.count; n++)
                step(&g.items[n], h, g.logits);
        times[run] = bench_seconds(CLOCK_MONOTONIC) - begin;
    }
    groups_free(&g, h->model);
    if (rc < 0)
        return 0;
    double tokens = (double)(streams * TOKENS), middle = bench_median(times, RUNS);
    bench_add(r, (struct bench_figure){.name = name,
                                       .unit = "tokens/s",
                                       .value = tokens / middle,
                                       .slowest = tokens / times[RUNS - 1],
                                       .fastest = tokens / times[0]});
    return tokens / middle;
}

static void add_value(struct bench_report *r, const char *name, const char *unit, double value)
{
    bench_add(r,
              (struct bench_figure){
                  .name = name, .unit = unit, .value = value, .slowest = value, .fastest = value});
}

struct speech {
    float samples[SPEECH_S * RATE_HZ];
    size_t count;
};

static void keep(void *user, const float *samples, size_t count)
{
    struct speech *s = user;
    size_t room = SPEECH_S * RATE_HZ - s->count;
    count = count < room ? count : room;
    memcpy(s->samples + s->count, samples, count * sizeof(*samples));
    s->count += count;
}

struct stream {
    struct session *session; /* owned */
    size_t heard;            /* samples */
    char text[TEXT_MAX];     /* of all utterances */
};

static void on_event(void *user, const struct event *e)
{
    struct stream *s = user;
    size_t size = strlen(s->text);
    if (e->type == EVENT_UTTERANCE_COMPLETED && size + e->size + 2 < TEXT_MAX) {
        memcpy(s->text + size, e->text, e->size);
        memcpy(s->text + size + e->size, "\n", 2);
    }
}

static void streams_free(struct stream *streams, size_t count)
{
    for (size_t i = 0; streams && i < count; i++)
        session_destroy(streams[i].session);
    free(streams);
}

static int streams_create(struct stream **out, struct hearing *h, size_t count, struct error *error)
{
    struct stream *streams = calloc(count, sizeof(*streams));
    int rc = streams ? 0 : error_set(error, -ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct recogniser_config text = recogniser_config_default();
        text.sink = on_event;
        text.user = &streams[i];
        rc = session_create(&streams[i].session, h, &text, error);
        if (rc == 0)
            rc = session_begin(streams[i].session, NULL, error);
    }
    *out = streams;
    return rc;
}

/* A piece of one stream, the end behind the last. False: it has ended. */
static bool hear_piece(struct stream *s, const struct speech *speech)
{
    size_t left = speech->count - s->heard;
    if (left == 0)
        return false;
    size_t count = left < PIECE ? left : PIECE;
    session_push(s->session, speech->samples + s->heard, count);
    s->heard += count;
    if (s->heard == speech->count)
        session_flush(s->session);
    return true;
}

struct heard {
    double took_s, late_ms;
    size_t rounds;
};

/* A round is a piece of everybody who has begun and not ended. late_ms: how far behind the sound
 * one would come at most if it arrived as it is spoken. */
static struct heard hear_all(struct stream *streams, size_t count, const struct speech *speech)
{
    struct heard h = {0};
    double behind_ms = 0, begin = bench_seconds(CLOCK_MONOTONIC);
    for (bool goes_on = true; goes_on; h.rounds += goes_on) {
        double at = bench_seconds(CLOCK_MONOTONIC);
        goes_on = false;
        for (size_t i = 0; i < count && i <= h.rounds; i++)
            goes_on |= hear_piece(&streams[i], speech);
        behind_ms += 1000 * (bench_seconds(CLOCK_MONOTONIC) - at) - PIECE_MS;
        behind_ms = behind_ms > 0 ? behind_ms : 0;
        h.late_ms = behind_ms > h.late_ms ? behind_ms : h.late_ms;
    }
    h.took_s = bench_seconds(CLOCK_MONOTONIC) - begin;
    return h;
}

static size_t differing(const struct stream *streams, size_t count, const char *text)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += strcmp(streams[i].text, text) != 0;
    return found;
}

static void report(struct bench_report *r, struct heard one, struct heard all, size_t different,
                   double memory_mb)
{
    add_value(r, "hearing speech, one stream", "x real",
              1000 * one.took_s / (double)one.rounds / PIECE_MS);
    add_value(r, "hearing speech, all streams", "x real",
              1000 * all.took_s / (double)all.rounds / PIECE_MS);
    add_value(r, "behind live sound at most", "ms", all.late_ms);
    add_value(r, "streams with other texts than one", "", (double)different);
    add_value(r, "memory of a stream", "MB", memory_mb);
}

static int hear(struct bench_report *r, struct hearing *h, size_t count,
                const struct speech *speech, struct error *error)
{
    struct stream *alone = NULL, *streams = NULL;
    int rc = streams_create(&alone, h, 1, error);
    if (rc == 0) {
        struct heard one = hear_all(alone, 1, speech);
        double before_mb = bench_resident_mb();
        rc = streams_create(&streams, h, count, error);
        if (rc == 0) {
            struct heard all = hear_all(streams, count, speech);
            report(r, one, all, differing(streams, count, alone[0].text),
                   (bench_resident_mb() - before_mb) / (double)count);
        }
    }
    streams_free(alone, 1);
    streams_free(streams, count);
    return rc;
}

int bench_streams(struct bench_report *r, const struct opened *o, size_t streams, const char *path,
                  struct error *error)
{
    double one = decode(r, o->hearing, 1, "one token of one stream");
    double all = decode(r, o->hearing, streams, "a token of every stream at once");
    if (one == 0 || all == 0)
        return error_set(error, -ENOMEM, "out of memory");
    add_value(r, "as many tokens as one stream", "times", all / one);
    if (!path)
        return 0;
    struct speech *speech = calloc(1, sizeof(*speech));
    int rc = speech ? offline_read(path, keep, speech, error)
                    : error_set(error, -ENOMEM, "out of memory");
    if (rc == 0 && speech->count == 0)
        rc = error_set(error, -EINVAL, "%s: there is no sound in it", path);
    if (rc == 0)
        rc = hear(r, o->hearing, streams, speech, error);
    free(speech);
    return rc;
}
