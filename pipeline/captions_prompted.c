/* Captions after a prompt: the state is forked for every partial result and for the caption, the
 * prompt is pushed, and the text decoded. Partial results of a slow machine come less often.
 */
#include "pipeline/ending.h"
#include "pipeline/recogniser_private.h"
#include "pipeline/words.h"

#include <string.h>

enum {
    PARTIAL_COST_FACTOR = 4,   /* time between partial results over the time one takes, at least */
    JUDGED_LOOKAHEAD_MS = 100, /* rows that wait for more miss the last word in a pause */
};

/* What lets a text end in a pause, beside the model's being sure of it: that the model would end it
 * there if it had not heard a thing. Tuned on the dev recordings, docs/performance.md. */
static const float whole_sentence = 0.8f;

/* Models of the public checkpoints have one prompt: the one text it gives is the caption, and there
 * is no reply beside it. */
static const struct prompt *caption_prompt(const struct model *m)
{
    return m->caption.count ? &m->caption : &m->reply;
}

static bool decode_caption(struct recogniser *r)
{
    static const struct sampler_config greedy = {.temperature = 0.0f};
    struct decode *d = &r->decode;
    state_copy(d->fork, r->hearing);
    decode_begin(d, caption_prompt(r->model), &greedy);
    while (decode_next(d))
        ;
    bool whole = decode_end(d);
    r->event.confidence = decode_confidence(d);
    return whole;
}

static int64_t partial_step(const struct recogniser *r)
{
    return (int64_t)r->config.partial_ms * FEATURES_RATE_HZ / 1000;
}

static void begin(struct recogniser *r)
{
    r->prompted.previous[0] = '\0';
    r->prompted.next_partial = partial_step(r);
}

static void take(struct recogniser *r, const struct features_rows *rows)
{
    for (size_t i = 0; rows->phones && i < rows->encoder_count; i++)
        recogniser_count_evidence(r, rows->phones[i]);
    if (rows->adapter_count)
        backbone_push_rows(r->scratch, r->hearing, 0, rows->adapter, rows->adapter_count, NULL);
}

static int64_t due(const struct recogniser *r)
{
    return partial_step(r) > 0 ? r->prompted.next_partial - r->heard : INT64_MAX;
}

static void partial(struct recogniser *r)
{
    struct event *e = &r->event;
    char *previous = r->prompted.previous;
    if (!decode_caption(r) || strcmp(e->text, previous) == 0 || recogniser_is_noise(r))
        return;
    e->stable_bytes = (uint32_t)words_agreed(e->text, previous);
    memcpy(previous, e->text, r->text.size + 1);
    e->seq++;
    recogniser_emit(r, EVENT_UTTERANCE_UPDATED);
}

/* The next one is a step away, or as many steps as keep partial results under a quarter of the
 * time: on a slow machine they come less often. */
static void update(struct recogniser *r)
{
    int64_t step = partial_step(r);
    uint64_t begin_us = decode_now_us();
    if (r->rows > 0 && r->told)
        partial(r);
    int64_t cost = (int64_t)(decode_now_us() - begin_us) * FEATURES_RATE_HZ / 1000000;
    r->prompted.next_partial += step * (1 + PARTIAL_COST_FACTOR * cost / step);
}

static size_t silence(const struct recogniser *r)
{
    (void)r;
    return 0;
}

static bool end(struct recogniser *r)
{
    return r->rows == 0 || decode_caption(r);
}

/* The probability that the text ends where it does, for the model that has heard nothing. */
static float end_probability(struct recogniser *r)
{
    const struct model *m = r->model;
    struct decode *d = &r->decode;
    size_t vocab = backbone_vocab(m->backbone);
    const struct prompt *caption = caption_prompt(m);
    float sum = 0.0f;
    state_reset(d->fork);
    if (m->audio_begin.count)
        backbone_push_tokens(r->scratch, d->fork, 0, m->audio_begin.ids, m->audio_begin.count,
                             NULL);
    backbone_push_tokens(r->scratch, d->fork, 0, caption->ids, caption->count, NULL);
    backbone_push_tokens(r->scratch, d->fork, 0, d->ids, decode_text_tokens(d), d->logits);
    for (size_t i = 0; i < m->decoding.stop_count; i++)
        sum += m->backend->ops->probability(m->backend, d->logits, vocab, m->decoding.stop[i]);
    return sum;
}

/* Decoding forks by itself. */
static bool can_tell(struct recogniser *r)
{
    return r->rows > 0 && r->model->encoder->info.lookahead_ms <= JUDGED_LOOKAHEAD_MS;
}

static bool is_over(struct recogniser *r)
{
    if (!decode_caption(r) || decode_text_tokens(&r->decode) > DECODE_IDS_MAX ||
        !recogniser_sounds_finished(r))
        return false;
    return end_probability(r) >= whole_sentence;
}

const struct captions_way captions_prompted = {
    .begin = begin,
    .take = take,
    .due = due,
    .update = update,
    .silence = silence,
    .end = end,
    .fork = can_tell,
    .is_over = is_over,
};
