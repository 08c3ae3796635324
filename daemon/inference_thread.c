/* The inference thread: the only user of the model and of its backend. It goes round the ears, a
 * piece of audio or a request of each at a time. Texts come first: a reply or an answer is made a
 * token at a time, while no ear has anything to be heard.
 */
#include "base/log.h"
#include "daemon/clock.h"
#include "daemon/engine_private.h"
#include "daemon/journal_ids.h"
#include "daemon/places.h"
#include "daemon/recorder.h"
#include "daemon/saved_states.h"
#include "model/open.h"
#include "pipeline/recogniser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PROGRESS_STEP = 5,         /* per cent */
    PROGRESS_LOG_US = 2000000, /* between two lines of the log */
    SPARE_MESSAGES = 16,       /* room that updates leave to what must not be lost */
    DROPPED_PIECES = 64,       /* of a cancelled utterance, passed over in one go */
    REPLY_ROUNDS = 4, /* at most without a token of a reply: somebody may send without end */
};

struct inference {
    struct engine *engine;
    struct opened opened;
    struct ear *ears[ENGINE_EARS]; /* [count] */
    size_t count;
    size_t next;         /* ear to look at first when a reply may go on */
    int rounds;          /* since one did */
    int64_t progress_us; /* clock when the log had a load's progress */
    struct ear *ear;     /* that is served */
    struct piece piece;  /* scratch */
    struct engine_request request;
    struct engine_message message;
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
    model_close(&i->opened);
    free(i);
}

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

static bool is_cancelled(void *user)
{
    const struct inference *i = user;
    const struct ear *ear = i->ear;
    engine_beat(&i->engine->inference_beats);
    return is_interrupted(ear) || atomic_load(&ear->aborted) ||
           (uint32_t)atomic_load(&ear->stamp) != ear->heard_stamp;
}

static void send(struct inference *i)
{
    struct engine *e = i->engine;
    i->message.user = i->ear ? i->ear->user : NULL;
    engine_send(e, e->inference_messages, &e->aborted, &i->message);
}

static void send_text(struct inference *i, enum engine_message_type type, int64_t value,
                      const char *text)
{
    i->message.type = type;
    i->message.value = value;
    i->message.number = 0;
    snprintf(i->message.event.text, sizeof i->message.event.text, "%s", text);
    send(i);
}

static int64_t latency_us(struct ear *ear, enum event_type type)
{
    int64_t now_us = clock_monotonic_us();
    switch (type) {
    case EVENT_UTTERANCE_STARTED:
    case EVENT_UTTERANCE_CANCELLED:
        return 0;
    case EVENT_UTTERANCE_UPDATED:
        return now_us - ear->heard_us;
    case EVENT_UTTERANCE_COMPLETED:
        ear->completed_us = now_us;
        ear->first_us = 0;
        return ear->open ? 0 : ear->wait_us;
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
    i->message.latency_us = latency_us(i->ear, event->type);
    if (update && !queue_has_room(i->engine->inference_messages, SPARE_MESSAGES))
        return;
    i->message.type = ENGINE_EVENT;
    i->message.event = *event;
    send(i);
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
    caption->phrase_bytes = (uint32_t)wake_phrase_bytes(ear->wake.phrases, caption->text);
    if (!is_gated(ear))
        return;
    ear->turn =
        ear->is_held ? WAKE_CALLED : wake_turn(&ear->wake, caption->text, caption->start_us);
    caption->addressed = ear->turn != WAKE_NONE;
}

static struct recogniser_config recogniser_config(const struct config *c)
{
    return (struct recogniser_config){
        .partial_ms = c->partials ? c->partial_ms : 0,
        .long_ms = c->endpoint.max_ms,
        .sampling = c->reply,
        .min_confidence = c->min_confidence,
        .min_evidence = c->min_evidence,
        .open_words = c->open_words,
    };
}

/* In steps, where there is room; the log has it of what takes long. */
static void take_progress(void *user, int percent)
{
    struct inference *i = user;
    int64_t now_us = clock_monotonic_us();
    if (now_us - i->progress_us >= PROGRESS_LOG_US) {
        log_info("loading the model: %d %%", percent);
        i->progress_us = now_us;
    }
    if (percent % PROGRESS_STEP == 0 &&
        queue_has_room(i->engine->inference_messages, SPARE_MESSAGES))
        send_text(i, ENGINE_PROGRESS, percent, "");
}

static int load(struct inference *i, const char *backend, struct error *error)
{
    const struct config *c = &i->engine->config;
    int64_t begin_us = clock_monotonic_us();
    const struct model_watch watch = {take_progress, i};
    struct encoder_options encoder = config_encoder(c);
    struct opened *o = &i->opened;
    i->progress_us = begin_us;
    int rc = model_open(o, i->engine->model_path, backend, c->threads, &encoder, &watch, error);
    if (rc)
        return rc;
    log_info("backend %s: %s", o->backend->ops->name, o->why);
    if (!o->model->encoder)
        return error_set(error, -EINVAL, "%s: a model without an encoder cannot hear",
                         i->engine->model_path);
    atomic_store(&i->engine->longest_ms, model_longest_ms(o->model));
    atomic_store(&i->engine->tail_ms, model_tail_ms(o->model));
    int64_t load_ms = (clock_monotonic_us() - begin_us) / 1000;
    log_event(LOG_LEVEL_INFO, JOURNAL_LOADED,
              (struct log_field[]){{"MODEL", .text = o->model->name},
                                   {"BACKEND", .text = o->backend->ops->name},
                                   {"LOAD_MS", .number = load_ms},
                                   {NULL}},
              "model %s loaded in %lld ms", o->model->name, (long long)load_ms);
    return 0;
}

static void tell_loaded(struct inference *i)
{
    i->ear = NULL;
    send_text(i, ENGINE_BACKEND, 0, i->opened.backend->ops->name);
    send_text(i, ENGINE_LOADED, i->opened.model->reply.count > 0, i->opened.model->name);
    atomic_store(&i->engine->loaded, true);
}

static int create_recogniser(struct inference *i, struct ear *ear, struct error *error)
{
    struct recogniser_config text = recogniser_config(&ear->config);
    text.reply = ear->replies;
    text.sink = take_event;
    text.address = address;
    text.cancelled = is_cancelled;
    text.user = i;
    return recogniser_create(&ear->recogniser, i->opened.hearing, &text, error);
}

static void tell_busy(struct inference *i, bool busy)
{
    if (i->ear->busy == busy)
        return;
    i->ear->busy = busy;
    send_text(i, ENGINE_BUSY, busy, "");
}

/* What follows soon needs no phrase. */
static void end_turn(struct ear *ear)
{
    wake_taken(&ear->wake, ear->turn, ear->replied,
               ear->ended_us + clock_monotonic_us() - ear->heard_us);
}

/* The caption; a reply to it is begun. */
static void complete(struct inference *i, int64_t time_us)
{
    struct ear *ear = i->ear;
    ear->open = false;
    if (is_cancelled(i)) {
        recogniser_cancel(ear->recogniser);
        return;
    }
    tell_busy(i, recogniser_is_hearing(ear->recogniser));
    recogniser_end(ear->recogniser, time_us);
    tell_busy(i, recogniser_is_making(ear->recogniser));
    if (!recogniser_is_making(ear->recogniser))
        end_turn(ear);
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

static void set_replies(struct ear *ear, bool replies)
{
    ear->replies = replies;
    recogniser_set_reply(ear->recogniser, replies);
}

/* Between two utterances: what was begun stays whole, and nothing begins with the old ones. */
static void take_settings(const struct inference *i, struct ear *ear)
{
    struct ear_settings *s = atomic_exchange(&ear->text_settings, NULL);
    if (!s)
        return;
    set_text(ear, &s->config);
    if (s->sets_replies)
        set_replies(ear, s->replies && i->opened.model->reply.count);
    ear_settings_destroy(s);
}

static void judge(struct ear *ear, uint32_t pause)
{
    bool over = ear->open && recogniser_is_over(ear->recogniser);
    atomic_store(&ear->verdict, (uint64_t)pause << 1 | over);
    engine_wake(ear->front_wake);
}

/* False: that was the last piece. */
static bool take_piece(struct inference *i)
{
    struct ear *ear = i->ear;
    const struct piece *p = &i->piece;
    ear->heard_us = p->heard_us;
    switch (p->type) {
    case PIECE_BEGIN:
        take_settings(i, ear);
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
        if (ear->open) {
            recogniser_detect(ear->recogniser, p->speech);
            recogniser_push(ear->recogniser, p->samples, p->count);
            recorder_push(ear->recorder, p->samples, p->count);
        }
        return true;
    case PIECE_PAUSE:
        judge(ear, p->pause);
        return true;
    case PIECE_END:
        ear->ended_us = p->time_us + p->wait_us;
        ear->wait_us = p->wait_us + clock_monotonic_us() - p->heard_us;
        if (ear->open) {
            recogniser_detect(ear->recogniser, p->speech);
            complete(i, p->time_us);
            if (!recogniser_is_making(ear->recogniser))
                recorder_end(ear->recorder);
        }
        return true;
    case PIECE_DROP:
        if (ear->open)
            recogniser_cancel(ear->recogniser);
        ear->open = false;
        recorder_end(ear->recorder);
        return true;
    case PIECE_CLOSED:
        send_text(i, ENGINE_QUIET, 0, "");
        return true;
    case PIECE_STOP:
        return false;
    }
    return true;
}

static int ask(struct inference *i, const struct engine_request *r, struct error *error)
{
    struct ear *ear = i->ear;
    ear->heard_stamp = r->stamp;
    if (is_cancelled(i))
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
    tell_busy(i, true);
    return 0;
}

static void send_result(struct inference *i, uint64_t number, int value, const char *text)
{
    i->message.type = ENGINE_RESULT;
    i->message.number = number;
    i->message.value = value;
    snprintf(i->message.event.text, sizeof i->message.event.text, "%s", text);
    send(i);
}

/* What was made is whole, or as far as it will be. */
static void end_reply(struct inference *i)
{
    struct ear *ear = i->ear;
    tell_busy(i, false);
    recorder_end(ear->recorder);
    if (!ear->question) {
        end_turn(ear);
        return;
    }
    const char *answer = recogniser_answer(ear->recogniser);
    i->message.event.compute_us = (uint32_t)(clock_monotonic_us() - ear->asked_us);
    send_result(i, ear->question, answer ? 0 : -ECANCELED, answer ? answer : "cancelled");
    ear->question = 0;
}

static void count_work(struct ear *ear)
{
    struct recogniser_stats stats = recogniser_stats(ear->recogniser);
    atomic_store_explicit(&ear->heard, ear->heard_before + stats.samples, memory_order_relaxed);
    atomic_store_explicit(&ear->computed_us,
                          ear->computed_before_us + stats.encode_us + stats.decode_us,
                          memory_order_relaxed);
}

/* A token for the next ear in turn that makes a reply or an answer; false: none does. */
static bool reply_on(struct inference *i)
{
    size_t n = i->next;
    for (size_t looked = 0; looked < i->count; looked++, n++) {
        i->ear = i->ears[n % i->count];
        if (!recogniser_is_making(i->ear->recogniser))
            continue;
        if (!recogniser_go_on(i->ear->recogniser))
            end_reply(i);
        count_work(i->ear);
        i->next = n % i->count + 1;
        return true;
    }
    return false;
}

static void forget(struct ear *ear)
{
    recogniser_reset(ear->recogniser);
    wake_close(&ear->wake);
}

static int save(const struct ear *ear, const char *path, struct error *error)
{
    uint64_t most = (uint64_t)ear->config.saved_mb * 1000000;
    int rc =
        saved_states_check_room(path, recogniser_conversation_bytes(ear->recogniser), most, error);
    return rc ? rc : recogniser_save(ear->recogniser, path, error);
}

static int do_request(struct inference *i, const struct engine_request *r, struct error *error)
{
    if (r->type == ENGINE_ASK)
        return ask(i, r, error);
    if (r->type == ENGINE_SAVE)
        return save(i->ear, r->text, error);
    if (r->type == ENGINE_RESTORE)
        return recogniser_load(i->ear->recogniser, r->text, error);
    if (r->type == ENGINE_RESET)
        forget(i->ear);
    else if (r->type == ENGINE_REPLIES && r->flag && !i->opened.model->reply.count)
        return error_set(error, -ENOTSUP, "the model has no replies");
    else if (r->type == ENGINE_REPLIES)
        set_replies(i->ear, r->flag);
    return 0;
}

/* The answer to a question is sent when it is made. */
static void take_request(struct inference *i)
{
    struct error error = {""};
    int rc = do_request(i, &i->request, &error);
    if (!i->ear->question)
        send_result(i, i->request.number, rc, rc ? error.message : "");
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
    ear->replies = strcmp(ear->config.mode, "assistant") == 0 && i->opened.model->reply.count > 0;
    wake_init(&ear->wake, ear->config.wake, ear->config.follow_up_ms);
    int rc = i->count == ENGINE_EARS ? error_set(&error, -EBUSY, "too many ears")
                                     : create_recogniser(i, ear, &error);
    if (rc) {
        send_text(i, ENGINE_CLOSED, rc, error.message);
        return;
    }
    if (ear->config.resume)
        resume(ear);
    recorder_configure(ear->recorder, &ear->config.recordings);
    i->ears[i->count++] = ear;
    send_text(i, ENGINE_OPENED, 0, "");
    atomic_store(&ear->opened, true);
    engine_wake(ear->front_wake);
}

/* The main thread may free the ear once it is told. */
static void let_go(struct inference *i, size_t n)
{
    struct ear *ear = i->ears[n];
    i->ears[n] = i->ears[--i->count];
    if (ear->recogniser) {
        recogniser_cancel(ear->recogniser);
        end_reply(i);
        if (ear->config.resume)
            save_for_later(ear);
        recogniser_destroy(ear->recogniser);
        ear->recogniser = NULL;
    }
    send_text(i, ENGINE_CLOSED, 0, "");
}

/* Nothing of it is wanted; its front end, which may have had no room for PIECE_STOP, ends first. */
static bool drop_aborted(struct inference *i, size_t n)
{
    struct ear *ear = i->ears[n];
    bool ended = atomic_load(&ear->front_ended);
    while (queue_pop(ear->pieces, &i->piece))
        ;
    if (ended)
        let_go(i, n);
    return ended;
}

static bool serve_request(struct inference *i)
{
    if (i->ear->open || !queue_pop(i->ear->inference_requests, &i->request))
        return false;
    i->ear->requested = true;
    take_request(i);
    return true;
}

/* Of an utterance that is dropped, which nothing needs but its end. */
static bool is_dropped_piece(struct inference *i)
{
    return i->piece.type == PIECE_AUDIO && (!i->ear->open || is_cancelled(i));
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
    bool more = take_piece(i);
    count_work(i->ear);
    if (!more)
        let_go(i, n);
    return true;
}

/* One request or one piece of the ear's, in turn, or who asks without end would keep it from
 * hearing. Both wait while a reply is made. False: there was none. */
static bool serve(struct inference *i, size_t n)
{
    struct ear *ear = i->ear = i->ears[n];
    if (atomic_load(&ear->aborted))
        return drop_aborted(i, n);
    if (recogniser_is_making(ear->recogniser))
        return false;
    if (!ear->open)
        take_settings(i, ear);
    if (ear->requested)
        return serve_piece(i, n) || serve_request(i);
    return serve_request(i) || serve_piece(i, n);
}

static bool may_fall_back(const struct inference *i)
{
    return i->engine->config.fallback && strncmp(i->opened.backend->ops->name, "cpu", 3) != 0;
}

/* What only a backend has that may fail. */
static void keep_conversations(struct inference *i)
{
    struct error error;
    for (size_t n = 0; may_fall_back(i) && n < i->count; n++)
        if (keepsake_take(&i->ears[n]->kept, i->ears[n]->recogniser, &error))
            log_debug("a conversation is not kept: %s", error.message);
}

/* What is open is dropped. */
static void leave_backend(struct inference *i)
{
    for (size_t n = 0; n < i->count; n++) {
        struct ear *ear = i->ear = i->ears[n];
        recogniser_cancel(ear->recogniser);
        end_reply(i);
        recorder_end(ear->recorder);
        count_work(ear);
        ear->heard_before = atomic_load(&ear->heard);
        ear->computed_before_us = atomic_load(&ear->computed_us);
        recogniser_destroy(ear->recogniser);
        ear->recogniser = NULL;
        ear->open = false;
    }
    i->ear = NULL;
    model_close(&i->opened);
}

static int join_backend(struct inference *i, struct error *error)
{
    int rc = load(i, "cpu", error);
    for (size_t n = 0; !rc && n < i->count; n++) {
        struct ear *ear = i->ear = i->ears[n];
        rc = create_recogniser(i, ear, error);
        if (!rc && keepsake_give(&ear->kept, ear->recogniser, error))
            log_warning("a conversation begins anew: %s", error->message);
    }
    return rc;
}

/* The backend has failed: the CPU takes its place, if that is wanted. */
static int fall_back(struct inference *i, struct error *error)
{
    if (!may_fall_back(i))
        return -EIO;
    log_error("%s: the cpu goes on", error->message);
    atomic_store(&i->engine->loaded, false);
    leave_backend(i);
    send_text(i, ENGINE_LOADING, 0, error->message);
    int rc = join_backend(i, error);
    if (!rc)
        tell_loaded(i);
    return rc;
}

/* False: it is over. */
static bool go_round(struct inference *i)
{
    struct engine *e = i->engine;
    struct error error;
    struct ear *ear;
    bool served = false;
    engine_beat(&e->inference_beats);
    while (queue_pop(e->openings, &ear))
        adopt(i, ear);
    for (size_t n = i->count; n-- > 0;)
        served = serve(i, n) || served;
    if (!served || ++i->rounds >= REPLY_ROUNDS) {
        served = reply_on(i) || served;
        i->rounds = 0;
    }
    i->ear = NULL;
    keep_conversations(i);
    if (atomic_load(&e->aborted) || (atomic_load(&e->stopping) && !i->count))
        return false;
    if (!served)
        engine_wait(e->inference_wake, -1, 1000);
    if (i->opened.backend->ops->status(i->opened.backend, &error) == 0 || fall_back(i, &error) == 0)
        return true;
    i->ear = NULL;
    send_text(i, ENGINE_FAILED, 0, error.message);
    return false;
}

static void run(struct inference *i)
{
    struct error error;
    if (load(i, i->engine->config.backend, &error)) {
        send_text(i, ENGINE_FAILED, 0, error.message);
        return;
    }
    tell_loaded(i);
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
    send_text(i, ENGINE_STOPPED, 0, "");
    return NULL;
}
