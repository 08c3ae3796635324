/* The inference thread: the only user of the model and of its backend. */
#include "base/log.h"
#include "daemon/clock.h"
#include "daemon/engine_private.h"
#include "daemon/places.h"
#include "pipeline/recogniser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESUMED_NAME "last"

enum {
    SPARE_MESSAGES = 16, /* room that updates leave to what must not be lost */
};

struct inference {
    struct engine *engine;
    struct backend *backend;
    struct model *model;
    struct recogniser *recogniser;
    bool open;          /* an utterance is */
    uint32_t stamp;     /* of the utterance or question at hand */
    struct piece piece; /* scratch */
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
    recogniser_destroy(i->recogniser);
    model_destroy(i->model);
    if (i->backend)
        i->backend->ops->destroy(i->backend);
    free(i);
}

static bool is_cancelled(void *user)
{
    struct inference *i = user;
    struct engine *e = i->engine;
    engine_beat(&e->inference_beats);
    return atomic_load(&e->aborted) || (uint32_t)atomic_load(&e->stamp) != i->stamp;
}

static void send(struct inference *i)
{
    engine_send(i->engine, i->engine->inference_messages, &i->message);
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

static void take_event(void *user, const struct event *event)
{
    struct inference *i = user;
    bool update = event->type == EVENT_UTTERANCE_UPDATED || event->type == EVENT_REPLY_UPDATED;
    if (update && !queue_has_room(i->engine->inference_messages, SPARE_MESSAGES))
        return;
    i->message.type = ENGINE_EVENT;
    i->message.event = *event;
    send(i);
}

static struct recogniser_config recogniser_config(const struct config *c)
{
    return (struct recogniser_config){
        .partial_ms = c->partials ? c->partial_ms : 0,
        .sampling = c->reply,
        .min_confidence = c->min_confidence,
        .min_phones = c->min_phones,
    };
}

static int load(struct inference *i, struct error *error)
{
    const struct config *c = &i->engine->config;
    struct encoder_options encoder = config_encoder(c);
    int rc = backend_cpu_create(&i->backend, c->threads);
    if (rc)
        return error_set(error, rc, "the cpu backend: %s", strerror(-rc));
    rc = model_load(&i->model, i->engine->model_path, i->backend, &encoder, error);
    if (rc)
        return rc;
    if (!i->model->encoder)
        return error_set(error, -EINVAL, "%s: a model without an encoder cannot hear",
                         i->engine->model_path);
    atomic_store(&i->engine->longest_ms, i->model->encoder->info.max_ms);
    struct recogniser_config text = recogniser_config(c);
    text.reply = strcmp(c->mode, "assistant") == 0 && i->model->reply.count > 0;
    text.sink = take_event;
    text.cancelled = is_cancelled;
    text.user = i;
    return recogniser_create(&i->recogniser, i->model, &text, error);
}

static void complete(struct inference *i, int64_t time_us)
{
    i->open = false;
    if (is_cancelled(i)) {
        recogniser_cancel(i->recogniser);
        return;
    }
    bool hearing = recogniser_is_hearing(i->recogniser);
    if (hearing)
        send_text(i, ENGINE_BUSY, 1, "");
    recogniser_end(i->recogniser, time_us);
    if (hearing)
        send_text(i, ENGINE_BUSY, 0, "");
}

/* False: that was the last piece. */
static bool take_piece(struct inference *i)
{
    struct piece *p = &i->piece;
    switch (p->type) {
    case PIECE_BEGIN:
        i->open = true;
        i->stamp = p->stamp;
        recogniser_begin(i->recogniser, p->id, p->time_us);
        return true;
    case PIECE_HOLD:
        if (i->open)
            recogniser_hold(i->recogniser);
        return true;
    case PIECE_AUDIO:
        if (i->open)
            recogniser_push(i->recogniser, p->samples, p->count);
        return true;
    case PIECE_END:
        if (i->open)
            complete(i, p->time_us);
        return true;
    case PIECE_DROP:
        if (i->open)
            recogniser_cancel(i->recogniser);
        i->open = false;
        return true;
    case PIECE_STOP:
        return false;
    }
    return true;
}

static int ask(struct inference *i, const struct engine_request *r, struct error *error)
{
    char *reply = i->message.event.text;
    i->stamp = r->stamp;
    if (is_cancelled(i))
        return error_set(error, -ECANCELED, "cancelled");
    send_text(i, ENGINE_BUSY, 1, "");
    char text[EVENT_TEXT_MAX];
    int64_t begin_us = clock_monotonic_us();
    int n =
        recogniser_ask(i->recogniser, r->text, strlen(r->text), &r->sampling, text, sizeof text);
    i->message.event.compute_us = (uint32_t)(clock_monotonic_us() - begin_us);
    send_text(i, ENGINE_BUSY, 0, "");
    if (n == -ENOTSUP)
        return error_set(error, n, "the model has no replies");
    if (n == -ECANCELED)
        return error_set(error, n, "cancelled");
    if (n < 0)
        return error_set(error, n, "%s", strerror(-n));
    strcpy(reply, text);
    return 0;
}

static void set_text(struct inference *i, const struct config *c)
{
    struct recogniser_config text = recogniser_config(c);
    recogniser_configure(i->recogniser, &text);
}

static int do_request(struct inference *i, const struct engine_request *r, struct error *error)
{
    if (r->type == ENGINE_ASK)
        return ask(i, r, error);
    if (r->type == ENGINE_SAVE)
        return recogniser_save(i->recogniser, r->text, error);
    if (r->type == ENGINE_RESTORE)
        return recogniser_load(i->recogniser, r->text, error);
    if (r->type == ENGINE_SET_TEXT)
        set_text(i, &r->config);
    else if (r->type == ENGINE_RESET)
        recogniser_reset(i->recogniser);
    else if (r->type == ENGINE_REPLIES && r->flag && !i->model->reply.count)
        return error_set(error, -ENOTSUP, "the model has no replies");
    else if (r->type == ENGINE_REPLIES)
        recogniser_set_reply(i->recogniser, r->flag);
    return 0;
}

static void take_request(struct inference *i)
{
    struct error error;
    i->message.event.text[0] = '\0';
    int rc = do_request(i, &i->request, &error);
    i->message.type = ENGINE_RESULT;
    i->message.number = i->request.number;
    i->message.value = rc;
    if (rc)
        snprintf(i->message.event.text, sizeof i->message.event.text, "%s", error.message);
    send(i);
}

/* False: it is over. */
static bool go_round(struct inference *i)
{
    struct engine *e = i->engine;
    struct error error;
    engine_beat(&e->inference_beats);
    if (atomic_load(&e->aborted))
        return false;
    if (!i->open && queue_pop(e->inference_requests, &i->request))
        take_request(i);
    else if (!queue_pop(e->pieces, &i->piece))
        engine_wait(e->inference_wake, 1000);
    else if (!take_piece(i))
        return false;
    if (i->backend->ops->status(i->backend, &error) == 0)
        return true;
    send_text(i, ENGINE_FAILED, 0, error.message);
    return false;
}

/* The conversation that the daemon before ended with, if it is to go on. */
static void resume(struct inference *i)
{
    char path[ENGINE_PATH_MAX];
    struct error error;
    int rc = places_saved_state(RESUMED_NAME, path, sizeof path, &error);
    if (!rc && access(path, F_OK) != 0)
        return;
    if (!rc)
        rc = recogniser_load(i->recogniser, path, &error);
    if (rc)
        log_warning("the conversation begins anew: %s", error.message);
}

static void save_for_later(struct inference *i)
{
    char path[ENGINE_PATH_MAX];
    struct error error;
    int rc = places_saved_state(RESUMED_NAME, path, sizeof path, &error);
    if (!rc)
        rc = recogniser_save(i->recogniser, path, &error);
    if (rc)
        log_error("the conversation is not saved: %s", error.message);
}

static void run(struct inference *i)
{
    struct engine *e = i->engine;
    struct error error;
    int64_t begin_us = clock_monotonic_us();
    if (load(i, &error)) {
        send_text(i, ENGINE_FAILED, 0, error.message);
        return;
    }
    log_info("model %s loaded in %lld ms", i->model->name,
             (long long)((clock_monotonic_us() - begin_us) / 1000));
    send_text(i, ENGINE_LOADED, i->model->reply.count > 0, i->model->name);
    atomic_store(&e->loaded, true);
    engine_wake(e->front_wake);
    if (e->config.resume)
        resume(i);
    while (go_round(i))
        ;
    if (i->open)
        recogniser_cancel(i->recogniser);
    if (e->config.resume)
        save_for_later(i);
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
