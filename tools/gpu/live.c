/* Streams that somebody speaks into all the time: 25 rows a second each, and every 240 ms a text of
 * what was heard so far, for which the hearing is forked. One state has all of it, hearings in its
 * first slots and forks in the others; a step takes one row or token of whoever has one. The clock
 * is one of its own: waiting for sound is skipped, what is computed takes as long as it takes.
 */
#include "model/backbone.h"
#include "tools/gpu/measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ROW_S 0.04
#define LIMIT_S 0.2 /* from the newest sound to its text */

enum {
    ROWS_PER_TEXT = 6,
    TEXT_STEPS = 14, /* a prompt of two tokens, and a text of twelve */
    STREAMS_MAX = 480,
};

struct stream {
    double begin;   /* when its first row is there */
    size_t rows;    /* taken */
    size_t left;    /* steps of its text; 0: none is made */
    double newest;  /* when the newest row that the text has was there */
    uint32_t token; /* of the text */
};

struct live {
    struct backbone_scratch *scratch;
    struct state *state;
    float *logits; /* backend memory [slots, vocab] */
    struct stream streams[STREAMS_MAX];
    struct intake intakes[2 * STREAMS_MAX];
    uint32_t next[2 * STREAMS_MAX];
    struct backend *backend;
    const float *row;
    size_t count; /* streams */
    bool talks;   /* a text is made in this step */
    double now, heard_s;
    double *late; /* of every text, [texts] */
    size_t texts;
};

static double row_time(const struct stream *s, size_t row)
{
    return s->begin + (double)row * ROW_S;
}

/* What every slot does next; false: nobody has anything. */
static bool plan(struct live *l)
{
    bool busy = false;

    l->talks = false;
    for (size_t i = 0; i < l->count; i++) {
        const struct stream *s = &l->streams[i];
        struct intake *hearing = &l->intakes[i], *fork = &l->intakes[l->count + i];

        hearing->type = row_time(s, s->rows) <= l->now ? INTAKE_ROW : INTAKE_NOTHING;
        hearing->row = l->row;
        fork->type = s->left > 0 ? INTAKE_TOKEN : INTAKE_NOTHING;
        fork->token = s->token;
        l->talks = l->talks || fork->type == INTAKE_TOKEN;
        busy = busy || l->talks || hearing->type == INTAKE_ROW;
    }
    return busy;
}

static void take_step(struct live *l)
{
    double begin = measure_now();

    backbone_step(l->scratch, l->state, l->intakes, l->talks ? l->logits : NULL);
    if (l->talks)
        l->backend->ops->argmax(l->backend, l->next, l->logits, 2 * l->count,
                                backbone_vocab(backbone_scratch_of(l->scratch)));
    measure_wait(l->backend, l->row);
    l->now += measure_now() - begin;
    for (size_t i = 0; i < l->count; i++) {
        struct stream *s = &l->streams[i];

        if (l->intakes[l->count + i].type == INTAKE_TOKEN) {
            s->token = l->next[l->count + i];
            if (--s->left == 0)
                l->late[l->texts++] = l->now - s->newest;
        }
        if (l->intakes[i].type != INTAKE_ROW || ++s->rows % ROWS_PER_TEXT != 0 || s->left > 0)
            continue;
        state_copy_slot(l->state, l->count + i, l->state, i);
        s->left = TEXT_STEPS;
        s->newest = row_time(s, s->rows - 1);
        s->token = 1;
    }
}

static void skip_silence(struct live *l)
{
    double next = row_time(&l->streams[0], l->streams[0].rows);

    for (size_t i = 1; i < l->count; i++) {
        double its = row_time(&l->streams[i], l->streams[i].rows);

        next = its < next ? its : next;
    }
    l->now = next;
}

static int later(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Streams that began at different times; true: they are served in time. A machine that is far too
 * slow for them is given up when it is a second late. */
static bool try_streams(struct live *l)
{
    double period = ROW_S * ROWS_PER_TEXT, p50, p99;

    l->now = 0.0;
    l->texts = 0;
    for (size_t i = 0; i < l->count; i++)
        l->streams[i] = (struct stream){.begin = period * (double)i / (double)l->count};
    while (l->now < l->heard_s) {
        if (plan(l))
            take_step(l);
        else
            skip_silence(l);
        if (l->now - row_time(&l->streams[0], l->streams[0].rows) > 1.0)
            break;
    }
    qsort(l->late, l->texts, sizeof(*l->late), later);
    p50 = l->texts ? l->late[l->texts / 2] : l->heard_s;
    p99 = l->texts ? l->late[l->texts * 99 / 100] : l->heard_s;
    printf("live, %3zu streams     %9.1f ms half of the texts, %9.1f ms 99 %%%s\n", l->count,
           1e3 * p50, 1e3 * p99, l->now < l->heard_s ? ", given up" : "");
    measure_figure(1e3 * p50, "ms", "half of the texts, %zu live streams", l->count);
    measure_figure(1e3 * p99, "ms", "99 %% of the texts, %zu live streams", l->count);
    return l->now >= l->heard_s && p99 <= LIMIT_S;
}

static void drop_slots(struct live *l)
{
    state_destroy(l->state);
    l->backend->ops->free(l->backend, l->logits);
    l->state = NULL;
    l->logits = NULL;
}

static bool make_slots(struct live *l, const struct backbone *b)
{
    size_t slots = 2 * l->count;

    l->logits = l->backend->ops->alloc(l->backend, slots * backbone_vocab(b));
    if (l->logits && state_create(&l->state, l->backend, backbone_state_shape(b), slots) == 0)
        return true;
    drop_slots(l);
    return false;
}

int measure_live(struct backbone_scratch *scratch, double heard_s, const size_t *counts, size_t n,
                 struct error *error)
{
    const struct backbone *b = backbone_scratch_of(scratch);
    struct backend *be = backbone_backend(b);
    struct live *l = calloc(1, sizeof(*l));
    float *row = be->ops->alloc(be, backbone_dim(b));
    double *late = calloc((size_t)(heard_s / ROW_S + 2) * STREAMS_MAX, sizeof(*late));
    size_t most = 0;
    bool served = true;
    int ret = l && row && late ? 0 : error_set(error, -ENOMEM, "out of memory");

    for (size_t i = 0; ret == 0 && served && i < n; i++) {
        l->count = counts[i];
        l->backend = be;
        l->row = row;
        l->late = late;
        l->heard_s = heard_s;
        l->scratch = scratch;
        if (2 * counts[i] > backbone_scratch_max_rows(scratch) || !make_slots(l, b))
            break; /* as many as there is room for */
        served = try_streams(l);
        most = served ? counts[i] : most;
        drop_slots(l);
    }
    if (ret == 0)
        printf("live streams         %9zu of those tried, with 99 %% of the texts within %.0f ms "
               "(without the encoder)\n",
               most, 1e3 * LIMIT_S);
    be->ops->free(be, row);
    free(late);
    free(l);
    return ret;
}
