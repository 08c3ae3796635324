/* The inference thread: the only user of the model and of its backend. It serves the ears a piece
 * of audio (inference_pieces.c) or a request at a time: first of ears that are in time, then
 * of those ahead of it, so that who sends faster than people speak waits for who does not. Texts
 * come first: replies and answers are made a token at a time, all of them at once, while no ear has
 * anything to be heard.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/inference_private.h"
#include "daemon/mode.h"
#include "daemon/places.h"
#include "daemon/recorder.h"
#include "daemon/requests.h"
#include "daemon/saved_states.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FAST_US = 100000,    /* that an ear may be ahead and in time all the same: clocks differ */
    REQUEST_US = 100000, /* of audio, that a request counts as, */
    OPENING_US = 50000,  /* and an ear that begins */
    DROPPED_PIECES = 64, /* of a cancelled utterance, passed over in one go */
    REPLY_ROUNDS = 4,    /* at most without a token of a reply: somebody may send without end */
};

int inference_create(struct inference **out, struct engine *e, struct error *error)
{
    struct inference *i = calloc(1, sizeof *i);
    if (!i)
        return error_set(error, -ENOMEM, "out of memory");
    i->engine = e;
    *out = i;
    return 0;
}

void inference_destroy(struct inference *i)
{
    if (!i)
        return;
    decode_group_destroy(i->group);
    model_close(&i->opened);
    free(i);
}

void inference_send(struct inference *i)
{
    struct engine *e = i->engine;
    i->message.user = i->ear ? i->ear->user : NULL;
    engine_send(e, e->inference_messages, &e->aborted, &i->message);
}

void inference_send_text(struct inference *i, enum engine_message_type type, int64_t value,
                         const char *text)
{
    i->message.type = type;
    i->message.value = value;
    i->message.number = 0;
    snprintf(i->message.event.text, sizeof i->message.event.text, "%s", text);
    inference_send(i);
}

int64_t inference_ask(struct inference *i, const struct engine_request *r, struct error *error)
{
    struct ear *ear = i->ear;
    ear->heard_stamp = r->stamp;
    if (inference_is_cancelled(i))
        return error_set(error, -ECANCELED, "cancelled");
    ear->asked_us = clock_monotonic_us();
    ear->replying_to = atomic_load(&ear->begun);
    int rc = recogniser_ask(ear->recogniser, r->text, strlen(r->text), &r->sampling);
    if (rc == -ENOTSUP)
        return error_set(error, rc, "the model has no replies");
    if (rc == -E2BIG)
        return error_set(error, rc, "the question is longer than the model takes");
    if (rc)
        return error_set(error, rc, "%s", strerror(-rc));
    ear->question = r->number;
    inference_tell_busy(i, true);
    return REQUEST_LATER; /* when it is made */
}

static void send_result(struct inference *i, uint64_t number, int64_t value, const char *text)
{
    i->message.type = ENGINE_RESULT;
    i->message.number = number;
    i->message.value = value;
    snprintf(i->message.event.text, sizeof i->message.event.text, "%s", text);
    inference_send(i);
}

/* What was made is whole, or as far as it will be. */
void inference_end_reply(struct inference *i)
{
    struct ear *ear = i->ear;
    inference_tell_busy(i, false);
    recorder_end(ear->recorder);
    if (!ear->question) {
        inference_end_turn(ear);
        return;
    }
    const char *answer = recogniser_answer(ear->recogniser);
    i->message.event.compute_us = (uint32_t)(clock_monotonic_us() - ear->asked_us);
    send_result(i, ear->question, answer ? 0 : -ECANCELED, answer ? answer : "cancelled");
    ear->question = 0;
}

void inference_count_work(struct ear *ear)
{
    struct recogniser_stats stats = recogniser_stats(ear->recogniser);
    atomic_store_explicit(&ear->heard, ear->heard_before + stats.samples, memory_order_relaxed);
    atomic_store_explicit(&ear->computed_us,
                          ear->computed_before_us + stats.encode_us + stats.decode_us,
                          memory_order_relaxed);
}

/* The next ears in turn that make a reply or an answer, as many as a group takes. */
static size_t find_makers(struct inference *i, struct ear **makers)
{
    size_t found = 0, n = i->next;
    for (size_t looked = 0; looked < i->count && found < DECODE_GROUP_MAX; looked++, n++)
        if (recogniser_is_making(i->ears[n % i->count]->recogniser))
            makers[found++] = i->ears[n % i->count];
    i->next = i->count ? n % i->count : 0;
    return found;
}

/* A token for each of them; false: there are none. */
static bool reply_on(struct inference *i)
{
    struct ear *makers[DECODE_GROUP_MAX];
    struct recogniser *recognisers[DECODE_GROUP_MAX];
    size_t count = find_makers(i, makers);
    for (size_t n = 0; n < count; n++)
        recognisers[n] = makers[n]->recogniser;
    if (count > 1)
        recogniser_prepare_together(i->group, recognisers, count);
    for (size_t n = 0; n < count; n++) {
        i->ear = makers[n];
        if (!recogniser_go_on(i->ear->recogniser))
            inference_end_reply(i);
        inference_count_work(i->ear);
    }
    return count > 0;
}

int64_t inference_forget(struct inference *i, const struct engine_request *r, struct error *error)
{
    (void)r;
    (void)error;
    recogniser_reset(i->ear->recogniser);
    wake_close(&i->ear->wake);
    return 0;
}

int64_t inference_save(struct inference *i, const struct engine_request *r, struct error *error)
{
    const struct ear *ear = i->ear;
    uint64_t most = (uint64_t)ear->config.saved_mb * 1000000;
    int rc = saved_states_check_room(r->text, recogniser_conversation_bytes(ear->recogniser), most,
                                     error);
    return rc ? rc : recogniser_save(ear->recogniser, r->text, error);
}

int64_t inference_restore(struct inference *i, const struct engine_request *r, struct error *error)
{
    return recogniser_load(i->ear->recogniser, r->text, error);
}

int64_t inference_follow_mode(struct inference *i, const struct engine_request *r,
                              struct error *error)
{
    if (r->flag && !i->opened.model->reply.count)
        return error_set(error, -ENOTSUP, "the model has no replies");
    inference_set_replies(i->ear, r->flag);
    return 0;
}

static void take_request(struct inference *i)
{
    const struct engine_request *r = &i->request;
    struct error error = {""};
    int64_t value = request_kinds[r->type].inference(i, r, &error);
    if (value != REQUEST_LATER)
        send_result(i, r->number, value, error.message);
}

/* The conversation that the daemon before ended with, if it is to go on. */
static void resume(const struct ear *ear)
{
    char path[ENGINE_PATH_MAX];
    struct error error;
    int rc = places_saved_state(SAVED_STATES_LAST, path, sizeof path, &error);
    if (!rc && access(path, F_OK) != 0)
        return;
    if (!rc)
        rc = recogniser_load(ear->recogniser, path, &error);
    if (rc)
        log_warning("the conversation begins anew: %s", error.message);
}

static void save_for_later(const struct ear *ear)
{
    char path[ENGINE_PATH_MAX];
    struct error error;
    int rc = places_saved_state(SAVED_STATES_LAST, path, sizeof path, &error);
    if (!rc)
        rc = recogniser_save(ear->recogniser, path, &error);
    if (rc)
        log_error("the conversation is not saved: %s", error.message);
}

static void adopt(struct inference *i, struct ear *ear)
{
    struct error error;
    struct ear_settings *s = atomic_exchange(&ear->text_settings, NULL);
    if (s) {
        bool resume = ear->config.resume;
        ear->config = s->config;
        ear->config.resume = resume;
    }
    ear_settings_destroy(s);
    i->ear = ear;
    ear->replies = mode_replies(ear->config.mode) && i->opened.model->reply.count > 0;
    wake_init(&ear->wake, ear->config.wake, ear->config.follow_up_ms);
    int rc = i->count == ENGINE_EARS ? error_set(&error, -EBUSY, "too many ears")
                                     : inference_create_group(i, i->count + 1, &error);
    if (!rc)
        rc = inference_create_recogniser(i, ear, &error);
    if (rc) {
        inference_send_text(i, ENGINE_CLOSED, rc, error.message);
        return;
    }
    if (ear->config.resume)
        resume(ear);
    recorder_configure(ear->recorder, &ear->config.recordings);
    i->ears[i->count++] = ear;
    ear->due_us = clock_monotonic_us();
    inference_send_text(i, ENGINE_OPENED, 0, "");
    atomic_store(&ear->opened, true);
    engine_wake(ear->front_wake);
}

/* The main thread may free the ear once it is told. */
static void let_go(struct inference *i, size_t n)
{
    struct ear *ear = i->ears[n];
    i->ears[n] = i->ears[--i->count];
    if (ear->recogniser) {
        inference_leave_judgement(ear);
        recogniser_cancel(ear->recogniser);
        inference_end_reply(i);
        if (ear->config.resume)
            save_for_later(ear);
        recogniser_destroy(ear->recogniser);
        ear->recogniser = NULL;
    }
    inference_send_text(i, ENGINE_CLOSED, 0, "");
}

/* Nothing of it is wanted; its front end, which may have had no room for PIECE_STOP, ends first. */
static bool drop_aborted(struct inference *i, size_t n)
{
    struct ear *ear = i->ears[n];
    bool ended = atomic_load(&ear->front_ended), some = ended;
    while (queue_pop(ear->pieces, &i->piece))
        some = true;
    if (ended)
        let_go(i, n);
    return some;
}

static bool serve_request(struct inference *i)
{
    if (i->ear->open || !queue_pop(i->ear->inference_requests, &i->request))
        return false;
    i->ear->requested = true;
    inference_count_time(i->ear, REQUEST_US);
    take_request(i);
    return true;
}

/* Of an utterance that is dropped, which nothing needs but its end. */
static bool is_dropped_piece(struct inference *i)
{
    return i->piece.type == PIECE_AUDIO && (!i->ear->open || inference_is_cancelled(i));
}

static bool serve_piece(struct inference *i, size_t n)
{
    struct queue *pieces = i->ear->pieces;
    if (!queue_pop(pieces, &i->piece))
        return false;
    for (int most = DROPPED_PIECES; most && is_dropped_piece(i); most--)
        if (!queue_pop(pieces, &i->piece))
            return true;
    i->ear->requested = false;
    bool more = inference_take_piece(i);
    inference_count_work(i->ear);
    if (!more)
        let_go(i, n);
    return true;
}

/* One request or one piece of the ear's, in turns, or who asks without end would keep it from
 * hearing. Both wait while an end is heard, in a pause, too, and while a reply is made. False:
 * there was none. */
static bool serve(struct inference *i, size_t n)
{
    struct ear *ear = i->ear = i->ears[n];
    if (atomic_load(&ear->aborted))
        return drop_aborted(i, n);
    if (recogniser_is_working(ear->recogniser)) {
        inference_work_on(i);
        inference_count_work(ear);
        return true;
    }
    if (recogniser_is_making(ear->recogniser))
        return false;
    if (!ear->open)
        inference_take_settings(i, ear);
    if (ear->requested)
        return serve_piece(i, n) || serve_request(i);
    return serve_request(i) || serve_piece(i, n);
}

/* Whether serve() would find something. */
static bool has_work(const struct ear *ear)
{
    if (atomic_load(&ear->aborted))
        return atomic_load(&ear->front_ended) || !queue_is_empty(ear->pieces);
    if (recogniser_is_making(ear->recogniser))
        return false;
    if (recogniser_is_working(ear->recogniser))
        return true;
    return !queue_is_empty(ear->pieces) || (!ear->open && !queue_is_empty(ear->inference_requests));
}

static bool is_ahead(int64_t due_us, int64_t now_us)
{
    return due_us > now_us + FAST_US;
}

/* Ears in time come first, the earliest due first of all. Ears ahead of time hear files: the least
 * served goes first, so that short files end first. Who was cancelled costs nothing. */
static bool precedes(const struct ear *a, const struct ear *b, int64_t now_us)
{
    bool aborted = atomic_load(&a->aborted), ahead = is_ahead(a->due_us, now_us);
    if (aborted != atomic_load(&b->aborted))
        return aborted;
    if (ahead != is_ahead(b->due_us, now_us))
        return !ahead;
    return ahead ? a->served_us < b->served_us : a->due_us < b->due_us;
}

/* Of the ears that have something; count: none has. */
static size_t find_first(const struct inference *i, int64_t now_us)
{
    size_t first = i->count;
    for (size_t n = 0; n < i->count; n++)
        if (has_work(i->ears[n]) &&
            (first == i->count || precedes(i->ears[n], i->ears[first], now_us)))
            first = n;
    return first;
}

/* Ears that begin have a place in the order, as one ear that is due OPENING_US later with each: who
 * opens streams without end waits for who speaks. */
static bool opens_first(const struct ear *first, int64_t due_us, int64_t now_us)
{
    if (!first)
        return true;
    if (is_ahead(due_us, now_us))
        return false;
    return is_ahead(first->due_us, now_us) || due_us <= first->due_us;
}

/* False: there was nothing. */
static bool serve_first(struct inference *i)
{
    struct ear *ear;
    int64_t now_us = clock_monotonic_us();
    int64_t due_us = i->opening_due_us > now_us ? i->opening_due_us : now_us;
    size_t first = find_first(i, now_us);
    bool none = first == i->count;
    if (opens_first(none ? NULL : i->ears[first], due_us, now_us) &&
        queue_pop(i->engine->openings, &ear)) {
        i->opening_due_us = due_us + OPENING_US;
        adopt(i, ear);
        return true;
    }
    return !none && serve(i, first);
}

/* False: it is over. */
static bool go_round(struct inference *i)
{
    struct engine *e = i->engine;
    struct error error;
    engine_beat(&e->inference_beats);
    bool served = serve_first(i);
    if (!served || ++i->rounds >= REPLY_ROUNDS * (int)i->count) {
        served = reply_on(i) || served;
        i->rounds = 0;
    }
    i->ear = NULL;
    inference_keep_conversations(i);
    if (atomic_load(&e->aborted) || (atomic_load(&e->stopping) && !i->count))
        return false;
    if (!served)
        engine_wait(e->inference_wake, -1, 1000);
    if (i->opened.backend->ops->status(i->opened.backend, &error) == 0 ||
        inference_fall_back(i, &error) == 0)
        return true;
    i->ear = NULL;
    inference_send_text(i, ENGINE_FAILED, 0, error.message);
    return false;
}

static void run(struct inference *i)
{
    struct error error;
    if (inference_load(i, i->engine->config.backend, &error)) {
        inference_send_text(i, ENGINE_FAILED, 0, error.message);
        return;
    }
    inference_tell_loaded(i);
    while (go_round(i))
        ;
    while (i->count) {
        i->ear = i->ears[i->count - 1];
        let_go(i, i->count - 1);
    }
    i->ear = NULL;
}

void *inference_main(void *inference)
{
    struct inference *i = inference;
    pthread_setname_np(pthread_self(), "earshot-infer");
    run(i);
    atomic_store(&i->engine->gone, true);
    inference_send_text(i, ENGINE_STOPPED, 0, "");
    return NULL;
}
