/* Threads and the channels between them are made and ended here; requests are in asking.c, the
 * threads' work in front_*.c and inference_*.c. */
#include "daemon/engine.h"

#include "daemon/engine_private.h"
#include "daemon/requests.h"
#include "dsp/level.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

void engine_wake(int eventfd)
{
    uint64_t one = 1;
    ssize_t n = write(eventfd, &one, sizeof one);
    (void)n; /* only a full counter refuses, and then it is awake */
}

void engine_wait(int eventfd, int fd, int timeout_ms)
{
    struct pollfd p[2] = {{eventfd, POLLIN, 0}, {fd, POLLIN, 0}};
    uint64_t count;
    if (poll(p, 2, timeout_ms) > 0 && p[0].revents) {
        ssize_t n = read(eventfd, &count, sizeof count);
        (void)n;
    }
}

void engine_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

void engine_beat(atomic_uint_fast64_t *beats)
{
    uint64_t n = atomic_load_explicit(beats, memory_order_relaxed);
    atomic_store_explicit(beats, n + 1, memory_order_relaxed);
}

void engine_send(struct engine *e, struct queue *messages, const atomic_bool *aborted,
                 const struct engine_message *m)
{
    while (!queue_push(messages, m)) {
        if (atomic_load(aborted))
            return;
        engine_nap();
    }
    engine_wake(e->main_wake);
}

static int create_wake(int *out)
{
    *out = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *out < 0 ? -errno : 0;
}

static void close_wake(int fd)
{
    if (fd >= 0)
        close(fd);
}

static int create_channels(struct engine *e)
{
    int rc = queue_create(&e->openings, sizeof(struct ear *), ENGINE_EARS);
    if (!rc)
        rc = queue_create(&e->inference_messages, sizeof(struct engine_message), ENGINE_MESSAGES);
    if (!rc)
        rc = create_wake(&e->inference_wake);
    return rc ? rc : create_wake(&e->main_wake);
}

int engine_create(struct engine **out, const struct config *config, const char *model_path,
                  struct error *error)
{
    if (strlen(model_path) >= ENGINE_PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", model_path);
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return error_set(error, -ENOMEM, "out of memory");
    e->config = *config;
    strcpy(e->model_path, model_path);
    e->inference_wake = e->main_wake = -1;

    int rc = create_channels(e);
    if (!rc)
        rc = inference_create(&e->inference, e, error);
    if (!rc)
        rc = -pthread_create(&e->inference_thread, NULL, inference_main, e->inference);
    if (rc) {
        error_set(error, rc, "the engine: %s", strerror(-rc));
        engine_destroy(e);
        return rc;
    }
    e->inference_runs = true;
    *out = e;
    return 0;
}

void engine_destroy(struct engine *e)
{
    if (!e)
        return;
    engine_stop(e);
    engine_abort(e);
    if (e->inference_runs)
        pthread_join(e->inference_thread, NULL);
    while (e->ears)
        ear_destroy(e->ears);
    inference_destroy(e->inference);
    queue_destroy(e->openings);
    queue_destroy(e->inference_messages);
    close_wake(e->inference_wake);
    close_wake(e->main_wake);
    free(e);
}

const char *engine_backend(const struct engine *e)
{
    return e->backend;
}

int engine_fd(const struct engine *e)
{
    return e->main_wake;
}

/* What the main thread itself knows better from now on. */
static void note_backend(struct engine *e, const struct engine_message *m)
{
    if (m->type == ENGINE_BACKEND)
        snprintf(e->backend, sizeof e->backend, "%.63s", m->event.text);
}

/* What a front end sent before something of the inference thread is told before it. */
bool engine_poll(struct engine *e, struct engine_message *message)
{
    if (!e->last_waits)
        e->last_waits = queue_pop(e->inference_messages, &e->last);
    for (struct ear *ear = e->ears; ear; ear = ear->next)
        if (queue_pop(ear->front_messages, message))
            return true;
    if (!e->last_waits)
        return false;
    *message = e->last;
    e->last_waits = false;
    note_backend(e, message);
    return true;
}

static void stop_ear(struct ear *ear)
{
    atomic_store(&ear->stopping, true);
    engine_wake(ear->front_wake);
}

void engine_stop(struct engine *e)
{
    atomic_store(&e->stopping, true);
    for (struct ear *ear = e->ears; ear; ear = ear->next)
        stop_ear(ear);
    engine_wake(e->inference_wake);
}

void engine_abort(struct engine *e)
{
    atomic_store(&e->aborted, true);
    for (struct ear *ear = e->ears; ear; ear = ear->next)
        ear_abort(ear);
    engine_wake(e->inference_wake);
}

bool engine_is_alive(struct engine *e)
{
    uint64_t beats = atomic_load_explicit(&e->inference_beats, memory_order_relaxed);
    bool alive = beats != e->inference_beats_seen || !atomic_load(&e->loaded);
    e->inference_beats_seen = beats;
    for (struct ear *ear = e->ears; ear; ear = ear->next) {
        beats = atomic_load_explicit(&ear->front_beats, memory_order_relaxed);
        alive = alive && (beats != ear->front_beats_seen || atomic_load(&ear->front_ended));
        ear->front_beats_seen = beats;
    }
    return alive;
}

static int create_ear_channels(struct ear *ear, size_t pieces)
{
    int rc = queue_create(&ear->pieces, sizeof(struct piece), pieces);
    if (!rc)
        rc = queue_create(&ear->front_requests, sizeof(struct engine_request), ENGINE_REQUESTS);
    if (!rc)
        rc = queue_create(&ear->inference_requests, sizeof(struct engine_request), ENGINE_REQUESTS);
    if (!rc)
        rc = queue_create(&ear->front_messages, sizeof(struct engine_message), ENGINE_MESSAGES);
    return rc ? rc : create_wake(&ear->front_wake);
}

/* The inference thread adopts it, and must see its last piece before it may go. */
static int start_ear(struct ear *ear)
{
    struct engine *e = ear->engine;
    if (!queue_has_room(e->openings, 1))
        return -EBUSY;
    int rc = pthread_create(&ear->front_thread, NULL, front_main, ear->front);
    if (rc)
        return -rc;
    ear->front_runs = true;
    queue_push(e->openings, &ear);
    engine_wake(e->inference_wake);
    return 0;
}

int ear_create(struct ear **out, struct engine *e, struct source *source,
               const struct ear_options *options, struct error *error)
{
    struct ear *ear = calloc(1, sizeof *ear);
    if (!ear) {
        source_destroy(source);
        return error_set(error, -ENOMEM, "out of memory");
    }
    ear->engine = e;
    ear->user = options->user;
    ear->config = *options->config;
    atomic_init(&ear->shut, options->config->muted ? EAR_MUTED : 0);
    ear->recorder = options->recorder;
    ear->front_wake = -1;
    ear->front_beats_seen = UINT64_MAX;
    atomic_init(&ear->level_cdb, (int)(LEVEL_SILENCE_DB * 100.0f));
    ear->next = e->ears;
    e->ears = ear;

    int rc = front_create(&ear->front, ear, source, options, error);
    if (!rc) {
        rc = atomic_load(&e->stopping) ? -ESHUTDOWN : create_ear_channels(ear, options->pieces);
        if (!rc)
            rc = start_ear(ear);
        if (rc)
            error_set(error, rc, "an ear: %s", strerror(-rc));
    }
    if (rc) {
        ear_destroy(ear);
        return rc;
    }
    *out = ear;
    return 0;
}

static void unlink_ear(struct ear *ear)
{
    struct ear **p = &ear->engine->ears;
    while (*p != ear)
        p = &(*p)->next;
    *p = ear->next;
}

void ear_destroy(struct ear *ear)
{
    if (!ear)
        return;
    ear_abort(ear);
    if (ear->front_runs)
        pthread_join(ear->front_thread, NULL);
    unlink_ear(ear);
    front_destroy(ear->front);
    recogniser_destroy(ear->recogniser);
    ear_settings_destroy(atomic_load(&ear->front_settings));
    ear_settings_destroy(atomic_load(&ear->text_settings));
    keepsake_finish(&ear->kept);
    queue_destroy(ear->pieces);
    queue_destroy(ear->front_requests);
    queue_destroy(ear->inference_requests);
    queue_destroy(ear->front_messages);
    close_wake(ear->front_wake);
    free(ear);
}

int ear_request(struct ear *ear, struct engine_request *r)
{
    bool front = request_kinds[r->type].front != NULL;
    r->stamp = (uint32_t)atomic_load(&ear->stamp);
    if (!queue_push(front ? ear->front_requests : ear->inference_requests, r))
        return -EBUSY;
    engine_wake(front ? ear->front_wake : ear->engine->inference_wake);
    return 0;
}

void ear_shut(struct ear *ear, unsigned shut, uint64_t number)
{
    atomic_store(&ear->shut, number << 2 | shut);
    engine_wake(ear->front_wake);
}

void ear_release(struct ear *ear, uint64_t number)
{
    atomic_store(&ear->released, number);
    engine_wake(ear->front_wake);
}

int ear_settings_create(struct ear_settings **out, const struct config *config,
                        struct source *source)
{
    struct ear_settings *front = calloc(1, sizeof *front), *text = calloc(1, sizeof *text);
    if (!front || !text) {
        source_destroy(source);
        free(front);
        free(text);
        return -ENOMEM;
    }
    front->config = text->config = *config;
    front->source = source;
    front->other = text;
    *out = front;
    return 0;
}

void ear_settings_destroy(struct ear_settings *s)
{
    if (!s)
        return;
    source_destroy(s->source);
    free(s->other);
    free(s);
}

void ear_settings_reply(struct ear_settings *s, bool replies)
{
    s->other->sets_replies = true;
    s->other->replies = replies;
}

/* What nobody has seen yet gives its place, but for what the newer ones leave as it is. */
static void put_settings(_Atomic(struct ear_settings *) *place, struct ear_settings *s)
{
    struct ear_settings *unseen = atomic_exchange(place, NULL);
    if (unseen && !s->source) {
        s->source = unseen->source;
        unseen->source = NULL;
    }
    if (unseen && !s->sets_replies) {
        s->sets_replies = unseen->sets_replies;
        s->replies = unseen->replies;
    }
    ear_settings_destroy(unseen);
    atomic_store(place, s);
}

/* The texts' first: an utterance that the front end begins with the new ones finds them there. */
void ear_configure(struct ear *ear, struct ear_settings *s, uint64_t number)
{
    s->number = number;
    put_settings(&ear->text_settings, s->other);
    s->other = NULL;
    put_settings(&ear->front_settings, s);
    engine_wake(ear->engine->inference_wake);
    engine_wake(ear->front_wake);
}

void ear_cancel(struct ear *ear, uint64_t number)
{
    atomic_store(&ear->stamp, (uint32_t)(atomic_load(&ear->stamp) + 1));
    atomic_store(&ear->cancelled, number);
    engine_wake(ear->front_wake);
    engine_wake(ear->engine->inference_wake);
}

double ear_level_db(const struct ear *ear)
{
    return (double)atomic_load_explicit(&ear->level_cdb, memory_order_relaxed) / 100.0;
}

int64_t ear_date_us(const struct ear *ear)
{
    return atomic_load_explicit(&ear->date_us, memory_order_relaxed);
}

struct ear_work ear_work(const struct ear *ear)
{
    uint64_t heard = atomic_load_explicit(&ear->heard, memory_order_relaxed);
    uint64_t computed_us = atomic_load_explicit(&ear->computed_us, memory_order_relaxed);
    return (struct ear_work){(double)heard / FRONTEND_RATE_HZ, (double)computed_us / 1e6};
}

void ear_abort(struct ear *ear)
{
    atomic_store(&ear->aborted, true);
    stop_ear(ear);
    engine_wake(ear->engine->inference_wake);
}

bool ear_is_aborted(const struct ear *ear)
{
    return atomic_load(&ear->aborted);
}
