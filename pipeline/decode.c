/* Decodes a text token by token. A token is chosen by the logits, told, and taken into the state
 * when the next one is wanted, or the text is ended: in between the tokens of several texts wait,
 * and can be taken together. */
#include "base/clock.h"
#include "pipeline/decode_group.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CIRCLE_MIN = 4,
    CIRCLE_MAX = 32,
};

uint64_t decode_now_us(void)
{
    return (uint64_t)clock_monotonic_us();
}

int decode_init(struct decode *d, struct hearing *hearing, struct text *text,
                bool (*cancelled)(void *user), void *user)
{
    const struct model *model = hearing->model;
    struct backend *be = model->backend;
    size_t vocab = backbone_vocab(model->backbone);
    *d = (struct decode){.model = model,
                         .scratch = hearing->scratch,
                         .text = text,
                         .cancelled = cancelled,
                         .user = user};
    d->logits = be->ops->alloc(be, vocab);
    d->ids = calloc(DECODE_IDS_MAX, sizeof(*d->ids));
    if (!d->logits || !d->ids ||
        state_create(&d->fork, be, backbone_state_shape(model->backbone), 1) ||
        sampler_create(&d->sampler, be, &model->decoding, model->tokenizer, vocab))
        return -ENOMEM;
    return 0;
}

void decode_finish(struct decode *d)
{
    if (!d->model)
        return;
    decode_leave(d);
    state_destroy(d->fork);
    sampler_destroy(d->sampler);
    d->model->backend->ops->free(d->model->backend, d->logits);
    free(d->ids);
}

void decode_begin(struct decode *d, const struct prompt *prompt,
                  const struct sampler_config *sampling)
{
    d->begin_us = decode_now_us();
    d->tokens = 0;
    d->surprise = 0.0;
    d->whole = true;
    d->stopped = false;
    d->given_count = d->given_taken = 0;
    d->untaken = false;
    text_clear(d->text);
    sampler_begin(d->sampler, sampling);
    backbone_push_tokens(d->scratch, d->fork, 0, prompt->ids, prompt->count, d->logits);
    d->all_us += decode_now_us() - d->begin_us;
}

void decode_give(struct decode *d, const char *text, size_t size)
{
    const struct model *m = d->model;
    size_t count = tokenizer_encode(m->tokenizer, text, size, d->given, DECODE_GIVEN_MAX);
    if (count < DECODE_GIVEN_MAX && m->decoding.stop_count > 0)
        d->given[count++] = m->decoding.stop[0];
    d->given_count = count < DECODE_GIVEN_MAX ? count : DECODE_GIVEN_MAX;
}

static void append_token(struct decode *d, uint32_t id)
{
    size_t size;
    const char *bytes = tokenizer_bytes(d->model->tokenizer, id, &size);
    text_go_on(d->text, bytes, size);
}

static bool has_failed(const struct decode *d)
{
    const struct backend *be = d->model->backend;
    return be->ops->status(be, NULL) != 0;
}

void decode_took_last(struct decode *d)
{
    d->untaken = false;
    d->whole = !has_failed(d);
}

/* The last token into the fork. */
static void take_last(struct decode *d)
{
    uint64_t begin = decode_now_us();
    if (!d->untaken)
        return;
    decode_leave(d);
    backbone_push_tokens(d->scratch, d->fork, 0, &d->last, 1, d->logits);
    decode_took_last(d);
    d->all_us += decode_now_us() - begin;
}

/* What comes next, by the logits. */
static uint32_t choose(struct decode *d)
{
    struct backend *be = d->model->backend;
    if (d->given_taken < d->given_count)
        return d->given[d->given_taken++];
    uint32_t id = sampler_next(d->sampler, d->logits);
    size_t vocab = backbone_vocab(d->model->backbone);
    d->surprise -= log((double)be->ops->probability(be, d->logits, vocab, id));
    return id;
}

bool decode_next(struct decode *d)
{
    if (d->tokens == sampler_max_tokens(d->sampler))
        return false;
    d->whole = !d->cancelled(d->user);
    if (d->whole)
        take_last(d);
    if (!d->whole)
        return false;
    uint64_t begin = decode_now_us();
    uint32_t id = choose(d);
    d->whole = !has_failed(d); /* a GPU may fail at what came before, and tell only now */
    if (!d->whole)
        return false;
    d->tokens++;
    d->last = id;
    d->untaken = true;
    d->stopped = decoding_stops(&d->model->decoding, id);
    if (!d->stopped)
        append_token(d, id);
    if (!d->stopped && d->tokens <= DECODE_IDS_MAX)
        d->ids[d->tokens - 1] = id;
    d->all_tokens++;
    d->all_us += decode_now_us() - begin;
    return !d->stopped && !d->text->full;
}

static bool came_before(const uint32_t *end, size_t count)
{
    return memcmp(end - count, end - 2 * count, count * sizeof(*end)) == 0;
}

bool decode_circles(const struct decode *d)
{
    size_t there = decode_text_tokens(d);
    const uint32_t *end = d->ids + there;
    for (size_t n = CIRCLE_MIN; n <= CIRCLE_MAX && 3 * n <= there && there <= DECODE_IDS_MAX; n++)
        if (came_before(end, n) && came_before(end - n, n))
            return true;
    return false;
}

bool decode_end(struct decode *d)
{
    text_trim(d->text);
    decode_leave(d);
    return d->whole;
}

void decode_settle(struct decode *d)
{
    if (d->whole)
        take_last(d);
}

float decode_confidence(const struct decode *d)
{
    return d->tokens ? (float)exp(-d->surprise / (double)d->tokens) : 0.0f;
}

size_t decode_text_tokens(const struct decode *d)
{
    return d->tokens - d->stopped;
}
