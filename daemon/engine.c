#include "daemon/engine.h"

#include "daemon/engine_private.h"

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

void engine_wait(int eventfd, int timeout_ms)
{
    struct pollfd p = {eventfd, POLLIN, 0};
    uint64_t count;
    if (poll(&p, 1, timeout_ms) > 0) {
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

void engine_send(struct engine *e, struct queue *messages, const struct engine_message *m)
{
    while (!queue_push(messages, m)) {
        if (atomic_load(&e->aborted))
            return;
        engine_nap();
    }
    engine_wake(e->main_wake);
}

static int create_queues(struct engine *e)
{
    int rc = queue_create(&e->pieces, sizeof(struct piece), ENGINE_PIECES);
    if (!rc)
        rc = queue_create(&e->front_requests, sizeof(struct engine_request), ENGINE_REQUESTS);
    if (!rc)
        rc = queue_create(&e->inference_requests, sizeof(struct engine_request), ENGINE_REQUESTS);
    if (!rc)
        rc = queue_create(&e->front_messages, sizeof(struct engine_message), ENGINE_MESSAGES);
    if (!rc)
        rc = queue_create(&e->inference_messages, sizeof(struct engine_message), ENGINE_MESSAGES);
    return rc;
}

static int create_wakes(struct engine *e)
{
    e->front_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->inference_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->main_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return e->front_wake < 0 || e->inference_wake < 0 || e->main_wake < 0 ? -errno : 0;
}

static int start_threads(struct engine *e)
{
    int rc = pthread_create(&e->inference_thread, NULL, inference_main, e->inference);
    if (rc)
        return -rc;
    e->inference_runs = true;
    rc = pthread_create(&e->front_thread, NULL, front_main, e->front);
    e->front_runs = rc == 0;
    return -rc;
}

int engine_create(struct engine **out, const struct config *config, const char *model_path,
                  uint64_t last_id, struct error *error)
{
    if (strlen(model_path) >= ENGINE_PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", model_path);
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return error_set(error, -ENOMEM, "out of memory");
    e->config = *config;
    strcpy(e->model_path, model_path);
    e->front_wake = e->inference_wake = e->main_wake = -1;

    int rc = create_queues(e);
    if (!rc)
        rc = create_wakes(e);
    if (rc) {
        error_set(error, rc, "the engine: %s", strerror(-rc));
        goto fail;
    }
    rc = front_create(&e->front, e, last_id, error);
    if (!rc)
        rc = inference_create(&e->inference, e, error);
    if (rc)
        goto fail;
    rc = start_threads(e);
    if (rc) {
        error_set(error, rc, "the engine's threads: %s", strerror(-rc));
        goto fail;
    }
    *out = e;
    return 0;
fail:
    engine_destroy(e);
    return rc;
}

static void close_wake(int fd)
{
    if (fd >= 0)
        close(fd);
}

void engine_destroy(struct engine *e)
{
    if (!e)
        return;
    if (e->front_runs || e->inference_runs) {
        engine_stop(e);
        engine_abort(e);
    }
    if (e->front_runs)
        pthread_join(e->front_thread, NULL);
    if (e->inference_runs)
        pthread_join(e->inference_thread, NULL);
    front_destroy(e->front);
    inference_destroy(e->inference);
    queue_destroy(e->pieces);
    queue_destroy(e->front_requests);
    queue_destroy(e->inference_requests);
    queue_destroy(e->front_messages);
    queue_destroy(e->inference_messages);
    close_wake(e->front_wake);
    close_wake(e->inference_wake);
    close_wake(e->main_wake);
    free(e);
}

int engine_fd(const struct engine *e)
{
    return e->main_wake;
}

bool engine_poll(struct engine *e, struct engine_message *message)
{
    return queue_pop(e->front_messages, message) || queue_pop(e->inference_messages, message);
}

int engine_request(struct engine *e, struct engine_request *r)
{
    bool front = r->type < ENGINE_ASK;
    r->stamp = (uint32_t)atomic_load(&e->stamp);
    if (!queue_push(front ? e->front_requests : e->inference_requests, r))
        return -EBUSY;
    engine_wake(front ? e->front_wake : e->inference_wake);
    return 0;
}

void engine_cancel(struct engine *e)
{
    atomic_store(&e->stamp, (uint32_t)(atomic_load(&e->stamp) + 1));
}

void engine_stop(struct engine *e)
{
    atomic_store(&e->stopping, true);
    engine_wake(e->front_wake);
    engine_wake(e->inference_wake);
}

void engine_abort(struct engine *e)
{
    atomic_store(&e->aborted, true);
    engine_wake(e->front_wake);
    engine_wake(e->inference_wake);
}

bool engine_is_alive(struct engine *e)
{
    uint64_t front = atomic_load_explicit(&e->front_beats, memory_order_relaxed);
    uint64_t inference = atomic_load_explicit(&e->inference_beats, memory_order_relaxed);
    bool alive = front != e->front_beats_seen &&
                 (inference != e->inference_beats_seen || !atomic_load(&e->loaded));
    e->front_beats_seen = front;
    e->inference_beats_seen = inference;
    return alive;
}
