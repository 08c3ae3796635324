/* Several ears on one thread, as the daemon has them. Tokens: the states move side by side, as many
 * in a step as give the bits that each gives alone. Speech: every ear hears the same minute, each a
 * piece later than the one before, a piece of everybody in turn; what they write is compared with
 * what one writes alone. */
#include "cli/bench_streams.h"

#include "cli/offline.h"
#include "pipeline/decode_group.h"
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

/* Of so many tokens in each of the runs. Their median a second. */
static double add_tokens(struct bench_report *r, const char *name, uint64_t tokens, double *times)
{
    double count = (double)tokens, middle = bench_median(times, RUNS);
    bench_add(r, (struct bench_figure){.name = name,
                                       .unit = "tokens/s",
                                       .value = count / middle,
                                       .slowest = count / times[RUNS - 1],
                                       .fastest = count / times[0]});
    return count / middle;
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
    return rc < 0 ? 0 : add_tokens(r, name, streams * TOKENS, times);
}

static void add_value(struct bench_report *r, const char *name, const char *unit, double value)
{
    bench_add(r,
              (struct bench_figure){
                  .name = name, .unit = unit, .value = value, .slowest = value, .fastest = value});
}

/* Recognisers that make answers, and their room. */
struct answering {
    struct decode_group *group;              /* owned */
    struct recogniser *of[DECODE_GROUP_MAX]; /* [count], owned */
    size_t count;
};

static int answering_create(struct answering *a, struct hearing *h, size_t count,
                            struct error *error)
{
    struct recogniser_config config = recogniser_config_default();
    *a = (struct answering){.count = count < DECODE_GROUP_MAX ? count : DECODE_GROUP_MAX};
    int rc = decode_group_create(&a->group, h);
    for (size_t i = 0; rc == 0 && i < a->count; i++)
        rc = recogniser_create(&a->of[i], h, &config, error);
    return rc;
}

static void answering_free(struct answering *a)
{
    for (size_t i = 0; i < a->count; i++)
        recogniser_destroy(a->of[i]);
    decode_group_destroy(a->group);
}

/* Seconds that the answers take, all at once or one after the other; tokens: of all of them. */
static double answer(struct answering *a, bool together, uint64_t *tokens)
{
    static const char question[] = "What is the time?";
    const struct sampler_config sampling = {
        .temperature = 1.0f, .top_p = 1.0f, .seed = 1, .max_tokens = TOKENS};
    uint64_t before = 0, after = 0;
    for (size_t i = 0; i < a->count; i++) {
        before += recogniser_stats(a->of[i]).tokens;
        if (recogniser_ask(a->of[i], question, sizeof question - 1, &sampling))
            return 0;
    }
    double begin = bench_seconds(CLOCK_MONOTONIC);
    for (size_t making = a->count; making > 0;) {
        making = 0;
        if (together)
            recogniser_prepare_together(a->group, a->of, a->count);
        for (size_t i = 0; i < a->count; i++)
            making += recogniser_go_on(a->of[i]);
    }
    double took_s = bench_seconds(CLOCK_MONOTONIC) - begin;
    for (size_t i = 0; i < a->count; i++)
        after += recogniser_stats(a->of[i]).tokens;
    *tokens = after - before;
    return took_s;
}

/* Side by side in pairs, so that a machine that becomes slower does so for both. */
static int compare_answers(struct bench_report *r, struct hearing *h, size_t streams,
                           struct error *error)
{
    struct answering a;
    double turns[RUNS], once[RUNS];
    uint64_t tokens = 0;
    int rc = answering_create(&a, h, streams, error);
    for (int run = 0; rc == 0 && run < RUNS; run++) {
        turns[run] = answer(&a, false, &tokens);
        once[run] = answer(&a, true, &tokens);
    }
    answering_free(&a);
    if (rc < 0 || tokens == 0)
        return rc;
    add_tokens(r, "answers, a token in turn", tokens, turns);
    add_tokens(r, "answers, a token of all at once", tokens, once);
    return 0;
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
    int rc = compare_answers(r, o->hearing, streams, error);
    if (rc < 0 || !path)
        return rc;
    struct speech *speech = calloc(1, sizeof(*speech));
    rc = speech ? offline_read(path, keep, speech, error)
                : error_set(error, -ENOMEM, "out of memory");
    if (rc == 0 && speech->count == 0)
        rc = error_set(error, -EINVAL, "%s: there is no sound in it", path);
    if (rc == 0)
        rc = hear(r, o->hearing, streams, speech, error);
    free(speech);
    return rc;
}
