/* The end of an utterance, and the judgement in a pause whether this is one: a step at a time, so
 * that others can be heard between two steps. A step hears FEATURES_BLOCK of silence or some of the
 * rows behind it, has the text, or makes a token of its intent.
 *
 *     WORK_TAIL ─► WORK_TEXT ─► WORK_INTENT ─► COMPLETED; a reply begins
 *     WORK_JUDGE
 */
#include "pipeline/recogniser_private.h"

#include <assert.h>

/* One step through the silence behind what was heard, and the rows that wait for what will not
 * come. False: all is heard. */
static bool hear_tail(struct recogniser *r, recogniser_rows *take)
{
    static const float zeros[FEATURES_BLOCK];
    struct features_rows rows;
    struct work *w = &r->work;
    size_t n = w->silence < FEATURES_BLOCK ? w->silence : FEATURES_BLOCK;
    uint64_t begin = decode_now_us();
    bool more = true;
    if (n > 0)
        features_push(r->features, zeros, n, &rows);
    else
        more = features_end(r->features, &rows);
    if (more)
        take(r, &rows);
    w->silence -= n;
    r->stats.encode_us += decode_now_us() - begin;
    return more;
}

/* Whether words of some confidence make it speech. */
static bool words_suffice(const struct recogniser *r, float confidence)
{
    return evidence_with_words(&r->evidence, confidence) > r->config.min_evidence;
}

/* Whom the text is for. */
static void settle(struct recogniser *r, int64_t end_us, bool whole)
{
    struct event *e = &r->event;
    e->size = (uint32_t)r->text.size;
    e->end_us = end_us;
    e->stable_bytes = (uint32_t)r->text.size;
    e->addressed = whole && e->size > 0;
    if (e->addressed && r->config.address)
        r->config.address(r->config.user, e);
}

static void tell(struct recogniser *r, bool whole, uint64_t begin_us)
{
    r->event.compute_us = (uint32_t)(decode_now_us() - begin_us);
    recogniser_emit(r, whole ? EVENT_UTTERANCE_COMPLETED : EVENT_UTTERANCE_CANCELLED);
}

void recogniser_complete(struct recogniser *r, int64_t end_us, uint64_t begin_us)
{
    settle(r, end_us, true);
    tell(r, true, begin_us);
}

/* False: nothing was said, or nobody is to know of it. */
static bool end_text(struct recogniser *r)
{
    struct event *e = &r->event;
    struct work *w = &r->work;
    r->open = false;
    if (!r->told && !words_suffice(r, 1.0f))
        return false;
    w->whole = r->captions->end(r);
    if (!r->told && !(w->whole && r->text.size > 0 && words_suffice(r, e->confidence)))
        return false;
    recogniser_announce(r);
    if (recogniser_is_noise(r))
        recogniser_forget_text(r);
    settle(r, w->end_us, w->whole);
    return true;
}

static bool wants_intent(const struct recogniser *r)
{
    return r->event.addressed && r->intents;
}

static void begin_intent(struct recogniser *r)
{
    if (!wants_intent(r))
        return;
    decode_settle(&r->decode);
    intents_begin(r->intents, r->decode.fork);
}

/* A token. False: the intent is made, or none is wanted. */
static bool make_intent(struct recogniser *r)
{
    return wants_intent(r) && intents_go_on(r->intents, &r->event);
}

static void end(struct recogniser *r, uint64_t begin_us)
{
    r->work.kind = WORK_NONE;
    tell(r, r->work.whole, begin_us);
    if (r->event.addressed)
        recogniser_follow_caption(r);
}

static bool judge_on(struct recogniser *r)
{
    if (r->captions->take_fork && hear_tail(r, r->captions->take_fork))
        return true;
    r->work.kind = WORK_NONE;
    r->work.is_over = r->captions->is_over(r);
    return false;
}

static bool end_on(struct recogniser *r, uint64_t begin_us)
{
    struct work *w = &r->work;
    if (w->kind == WORK_TAIL) {
        w->kind = hear_tail(r, recogniser_take_rows) ? WORK_TAIL : WORK_TEXT;
    } else if (w->kind == WORK_TEXT) {
        w->kind = end_text(r) ? WORK_INTENT : WORK_NONE;
        if (w->kind == WORK_INTENT)
            begin_intent(r);
    } else if (!make_intent(r)) {
        end(r, begin_us);
    }
    return w->kind != WORK_NONE;
}

bool recogniser_work_on(struct recogniser *r)
{
    struct work *w = &r->work;
    uint64_t begin_us = decode_now_us() - w->took_us;
    if (w->kind == WORK_NONE)
        return false;
    bool more = w->kind == WORK_JUDGE ? judge_on(r) : end_on(r, begin_us);
    w->took_us = decode_now_us() - begin_us;
    return more;
}

bool recogniser_is_working(const struct recogniser *r)
{
    return r->work.kind != WORK_NONE;
}

bool recogniser_drop_work(struct recogniser *r)
{
    bool ends = r->work.kind != WORK_NONE && r->work.kind != WORK_JUDGE;
    if (r->work.kind == WORK_JUDGE && r->captions->take_fork)
        features_rejoin(r->features);
    r->work.kind = WORK_NONE;
    return ends;
}

void recogniser_begin_end(struct recogniser *r, int64_t time_us)
{
    assert(!recogniser_is_working(r));
    if (r->open)
        r->work =
            (struct work){.kind = WORK_TAIL, .silence = r->captions->silence(r), .end_us = time_us};
}

void recogniser_end(struct recogniser *r, int64_t time_us)
{
    recogniser_begin_end(r, time_us);
    while (recogniser_work_on(r))
        ;
}

void recogniser_begin_judgement(struct recogniser *r)
{
    assert(!recogniser_is_working(r));
    r->work = (struct work){.kind = WORK_NONE};
    if (!recogniser_is_hearing(r) || !r->captions->fork(r))
        return;
    r->work.kind = WORK_JUDGE;
    r->work.silence = r->captions->take_fork ? r->captions->silence(r) : 0;
}

bool recogniser_verdict(const struct recogniser *r)
{
    return r->work.is_over;
}

bool recogniser_is_over(struct recogniser *r)
{
    recogniser_begin_judgement(r);
    while (recogniser_work_on(r))
        ;
    return recogniser_verdict(r);
}
