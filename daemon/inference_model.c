/* The model and its backend: loaded, kept an eye on, and where a backend fails, loaded on the CPU.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/inference_private.h"
#include "daemon/journal_ids.h"
#include "daemon/recorder.h"

#include <errno.h>
#include <string.h>

enum {
    PROGRESS_STEP = 5,         /* per cent */
    PROGRESS_LOG_US = 2000000, /* between two lines of the log */
};

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
        queue_has_room(i->engine->inference_messages, INFERENCE_SPARE_MESSAGES))
        inference_send_text(i, ENGINE_PROGRESS, percent, "");
}

int inference_load(struct inference *i, const char *backend, struct error *error)
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

void inference_tell_loaded(struct inference *i)
{
    i->ear = NULL;
    inference_send_text(i, ENGINE_BACKEND, 0, i->opened.backend->ops->name);
    inference_send_text(i, ENGINE_LOADED, i->opened.model->reply.count > 0, i->opened.model->name);
    atomic_store(&i->engine->loaded, true);
}

static bool may_fall_back(const struct inference *i)
{
    return i->engine->config.fallback && strncmp(i->opened.backend->ops->name, "cpu", 3) != 0;
}

/* What only a backend has that may fail. */
void inference_keep_conversations(struct inference *i)
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
        inference_leave_judgement(ear);
        recogniser_cancel(ear->recogniser);
        inference_end_reply(i);
        recorder_end(ear->recorder);
        inference_count_work(ear);
        ear->heard_before = atomic_load(&ear->heard);
        ear->computed_before_us = atomic_load(&ear->computed_us);
        recogniser_destroy(ear->recogniser);
        ear->recogniser = NULL;
        ear->open = false;
    }
    i->ear = NULL;
    decode_group_destroy(i->group);
    i->group = NULL;
    model_close(&i->opened);
}

/* Before so many ears can make replies. */
int inference_create_group(struct inference *i, size_t ears, struct error *error)
{
    if (ears < 2 || i->group)
        return 0;
    int rc = decode_group_create(&i->group, i->opened.hearing);
    return rc ? error_set(error, rc, "no memory for a second ear") : 0;
}

static int join_backend(struct inference *i, struct error *error)
{
    int rc = inference_load(i, "cpu", error);
    if (!rc)
        rc = inference_create_group(i, i->count, error);
    for (size_t n = 0; !rc && n < i->count; n++) {
        struct ear *ear = i->ear = i->ears[n];
        rc = inference_create_recogniser(i, ear, error);
        if (!rc && keepsake_give(&ear->kept, ear->recogniser, error))
            log_warning("a conversation begins anew: %s", error->message);
    }
    return rc;
}

/* The backend has failed: the CPU takes its place, if that is wanted. */
int inference_fall_back(struct inference *i, struct error *error)
{
    if (!may_fall_back(i))
        return -EIO;
    log_error("%s: the cpu goes on", error->message);
    atomic_store(&i->engine->loaded, false);
    leave_backend(i);
    inference_send_text(i, ENGINE_LOADING, 0, error->message);
    int rc = join_backend(i, error);
    if (!rc)
        inference_tell_loaded(i);
    return rc;
}
