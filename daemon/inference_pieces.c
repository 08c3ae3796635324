/* What an ear hears, piece by piece, and what the recogniser makes of it, as events. */
#include "base/clock.h"
#include "base/phrases.h"
#include "daemon/inference_private.h"
#include "daemon/recorder.h"

#include <string.h>

/* Only some of what is said is for the assistant. */
static bool is_gated(const struct ear *ear)
{
    return ear->replies && *ear->wake.phrases;
}

/* Somebody speaks while a reply is being made, and that is to end it. Where only a phrase makes a
 * turn, no speech does: nobody hears phrases meanwhile. */
static bool is_interrupted(const struct ear *ear)
{
    bool any_speech = !is_gated(ear) || ear->wake.follow_up_ms > 0;
    uint64_t newest = atomic_load(any_speech ? &ear->begun : &ear->held);
    return recogniser_is_making(ear->recogniser) && ear->config.barge_in &&
           newest > ear->replying_to;
}

bool inference_is_cancelled(void *user)
{
    const struct inference *i = user;
    const struct ear *ear = i->ear;
    engine_beat(&i->engine->inference_beats);
    return is_interrupted(ear) || atomic_load(&ear->aborted) ||
           (uint32_t)atomic_load(&ear->stamp) != ear->heard_stamp;
}

static int64_t latency_us(struct ear *ear, const struct event *event)
{
    int64_t now_us = clock_monotonic_us();
    switch (event->type) {
    case EVENT_UTTERANCE_STARTED:
    case EVENT_UTTERANCE_CANCELLED:
        return 0;
    case EVENT_UTTERANCE_UPDATED:
        return now_us - ear->heard_us;
    case EVENT_UTTERANCE_COMPLETED:
        ear->completed_us = now_us;
        ear->first_us = 0;
        return ear->open ? 0 : ear->wait_us + now_us - ear->heard_us - (int64_t)event->compute_us;
    case EVENT_REPLY_UPDATED:
    case EVENT_REPLY_COMPLETED:
        if (!ear->first_us)
            ear->first_us = now_us - ear->completed_us;
        return ear->first_us;
    }
    return 0;
}

/* Each utterance of a long hearing is a recording. */
static void record_event(const struct ear *ear, const struct event *event)
{
    if (event->type == EVENT_UTTERANCE_STARTED && event->continues) {
        recorder_end(ear->recorder);
        recorder_begin(ear->recorder, event->id);
    }
    if (event->type == EVENT_UTTERANCE_COMPLETED && event->addressed && *event->text)
        recorder_text(ear->recorder, event->text);
    else if (event->type == EVENT_REPLY_COMPLETED)
        recorder_reply(ear->recorder, event->text);
}

static void take_event(void *user, const struct event *event)
{
    struct inference *i = user;
    record_event(i->ear, event);
    if (event->type == EVENT_REPLY_COMPLETED)
        i->ear->replied = event->size > 0;
    bool update = event->type == EVENT_UTTERANCE_UPDATED || event->type == EVENT_REPLY_UPDATED;
    i->message.latency_us = latency_us(i->ear, event);
    if (update && !queue_has_room(i->engine->inference_messages, INFERENCE_SPARE_MESSAGES))
        return;
    i->message.type = ENGINE_EVENT;
    i->message.event = *event;
    inference_send(i);
}

/* Whether a caption is for the assistant. What is held is, whatever it says; what goes on is what
 * it was. */
static void address(void *user, struct event *caption)
{
    struct inference *i = user;
    struct ear *ear = i->ear;
    if (caption->continues && is_gated(ear)) {
        caption->addressed = ear->turn != WAKE_NONE;
        return;
    }
    caption->phrase_bytes =
        (uint32_t)phrases_bytes(ear->wake.phrases, caption->text, strlen(caption->text));
    if (!is_gated(ear))
        return;
    ear->turn =
        ear->is_held ? WAKE_CALLED : wake_turn(&ear->wake, caption->text, caption->start_us);
    caption->addressed = ear->turn != WAKE_NONE;
}

static struct recogniser_config recogniser_config(const struct config *c)
{
    struct recogniser_config text = c->text;
    if (!c->partials)
        text.partial_ms = 0;
    text.long_ms = c->endpoint.max_ms;
    text.open_words = c->open_words;
    return text;
}

int inference_create_recogniser(struct inference *i, struct ear *ear, struct error *error)
{
    struct recogniser_config text = recogniser_config(&ear->config);
    text.reply = ear->replies;
    text.sink = take_event;
    text.address = address;
    text.cancelled = inference_is_cancelled;
    text.user = i;
    return recogniser_create(&ear->recogniser, i->opened.hearing, &text, error);
}

void inference_tell_busy(struct inference *i, bool busy)
{
    if (i->ear->busy == busy)
        return;
    i->ear->busy = busy;
    inference_send_text(i, ENGINE_BUSY, busy, "");
}

/* What follows soon needs no phrase. */
void inference_end_turn(struct ear *ear)
{
    wake_taken(&ear->wake, ear->turn, ear->replied,
               ear->ended_us + clock_monotonic_us() - ear->heard_us);
}

static void tell_verdict(struct ear *ear, uint32_t pause, bool over)
{
    atomic_store(&ear->verdict, (uint64_t)pause << 1 | over);
    engine_wake(ear->front_wake);
}

void inference_leave_judgement(struct ear *ear)
{
    if (ear->judged)
        tell_verdict(ear, ear->judged, false);
    ear->judged = 0;
}

/* The caption is there; a reply to it has begun. */
static void end_utterance(struct inference *i)
{
    struct ear *ear = i->ear;
    bool makes = recogniser_is_making(ear->recogniser);
    inference_tell_busy(i, makes);
    if (makes)
        return;
    inference_end_turn(ear);
    recorder_end(ear->recorder);
}

void inference_work_on(struct inference *i)
{
    struct ear *ear = i->ear;
    if (!ear->judged && inference_is_cancelled(i))
        recogniser_cancel(ear->recogniser);
    if (recogniser_work_on(ear->recogniser))
        return;
    if (!ear->judged) {
        end_utterance(i);
        return;
    }
    tell_verdict(ear, ear->judged, recogniser_verdict(ear->recogniser));
    ear->judged = 0;
}

/* One ear is judged at a time: there is one fork for all. */
static void end_other_judgement(struct inference *i)
{
    struct ear *ear = i->ear;
    for (size_t n = 0; n < i->count; n++)
        for (i->ear = i->ears[n]; i->ear->judged;)
            inference_work_on(i);
    i->ear = ear;
}

/* Whether what is open is over; where nothing is, it is not. */
static void begin_judgement(struct inference *i, uint32_t pause)
{
    struct ear *ear = i->ear;
    if (!ear->open) {
        tell_verdict(ear, pause, false);
        return;
    }
    end_other_judgement(i);
    ear->judged = pause;
    recogniser_begin_judgement(ear->recogniser);
    if (!recogniser_is_working(ear->recogniser))
        inference_work_on(i);
}

static void begin_end(struct inference *i)
{
    struct ear *ear = i->ear;
    ear->open = false;
    if (inference_is_cancelled(i)) {
        recogniser_cancel(ear->recogniser);
        recorder_end(ear->recorder);
        return;
    }
    inference_tell_busy(i, recogniser_is_hearing(ear->recogniser));
    recogniser_begin_end(ear->recogniser, i->piece.time_us);
}

static void set_text(struct ear *ear, const struct config *c)
{
    bool resume = ear->config.resume; /* waits for the next start */
    ear->config = *c;                 /* the recogniser keeps what points into it */
    ear->config.resume = resume;
    struct recogniser_config text = recogniser_config(&ear->config);
    recogniser_configure(ear->recogniser, &text);
    recorder_configure(ear->recorder, &ear->config.recordings);
    ear->wake.follow_up_ms = ear->config.follow_up_ms; /* its phrases are the configuration's */
}

void inference_set_replies(struct ear *ear, bool replies)
{
    ear->replies = replies;
    recogniser_set_reply(ear->recogniser, replies);
}

/* Between two utterances: what was begun stays whole, and nothing begins with the old ones. */
void inference_take_settings(const struct inference *i, struct ear *ear)
{
    struct ear_settings *s = atomic_exchange(&ear->text_settings, NULL);
    if (!s)
        return;
    set_text(ear, &s->config);
    if (s->sets_replies)
        inference_set_replies(ear, s->replies && i->opened.model->reply.count);
    ear_settings_destroy(s);
}

static void hear(struct ear *ear, const struct piece *p)
{
    const float *samples = p->samples;
    for (size_t i = 0; i < p->part_count; samples += p->parts[i].count, i++) {
        recogniser_detect(ear->recogniser, p->parts[i].speech);
        recogniser_push(ear->recogniser, samples, p->parts[i].count);
    }
    recorder_push(ear->recorder, p->samples, p->count);
}

void inference_count_time(struct ear *ear, int64_t us)
{
    ear->due_us = clock_paid_us(ear->due_us, us);
    ear->served_us += us;
}

/* False: that was the last piece. */
bool inference_take_piece(struct inference *i)
{
    struct ear *ear = i->ear;
    const struct piece *p = &i->piece;
    ear->heard_us = p->heard_us;
    switch (p->type) {
    case PIECE_BEGIN:
        inference_take_settings(i, ear);
        ear->open = true;
        ear->is_held = false;
        ear->turn = WAKE_NONE;
        ear->replied = false;
        ear->heard_stamp = p->stamp;
        ear->replying_to = p->id;
        recogniser_begin(ear->recogniser, p->id, p->time_us);
        recorder_begin(ear->recorder, p->id);
        return true;
    case PIECE_HOLD:
        ear->is_held = true;
        if (ear->open)
            recogniser_hold(ear->recogniser);
        return true;
    case PIECE_AUDIO:
        inference_count_time(ear, (int64_t)p->count * 1000 / (FRONTEND_RATE_HZ / 1000));
        if (ear->open)
            hear(ear, p);
        return true;
    case PIECE_PAUSE:
        begin_judgement(i, p->pause);
        return true;
    case PIECE_END:
        ear->ended_us = p->time_us + p->wait_us;
        ear->wait_us = p->wait_us;
        if (ear->open) {
            recogniser_detect(ear->recogniser, p->speech);
            begin_end(i);
        }
        return true;
    case PIECE_DROP:
        if (ear->open)
            recogniser_cancel(ear->recogniser);
        ear->open = false;
        recorder_end(ear->recorder);
        return true;
    case PIECE_CLOSED:
        inference_send_text(i, ENGINE_QUIET, 0, "");
        return true;
    case PIECE_STOP:
        return false;
    }
    return true;
}
