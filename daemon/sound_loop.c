/* A table of functions that libpulse calls, each a line or two over loop.h. Descriptors and timers
 * of the loop may be removed from within their callbacks, and so may these. */
#include "daemon/sound_loop.h"

#include <errno.h>
#include <poll.h>
#include <pulse/mainloop-api.h>
#include <stdlib.h>
#include <sys/time.h>

struct sound_loop {
    struct pa_mainloop_api api; /* its userdata is the loop */
};

struct pa_io_event {
    struct pa_mainloop_api *api;
    struct loop_fd *in_loop;
    int fd;
    pa_io_event_cb_t ready;
    pa_io_event_destroy_cb_t destroy;
    void *user;
};

static short to_poll(pa_io_event_flags_t flags)
{
    return (short)((flags & PA_IO_EVENT_INPUT ? POLLIN : 0) |
                   (flags & PA_IO_EVENT_OUTPUT ? POLLOUT : 0));
}

static void io_ready(void *user, short events)
{
    pa_io_event *e = user;
    int flags = (events & POLLIN ? PA_IO_EVENT_INPUT : 0) |
                (events & POLLOUT ? PA_IO_EVENT_OUTPUT : 0) |
                (events & POLLHUP ? PA_IO_EVENT_HANGUP : 0) |
                (events & (POLLERR | POLLNVAL) ? PA_IO_EVENT_ERROR : 0);
    e->ready(e->api, e, e->fd, (pa_io_event_flags_t)flags, e->user);
}

static pa_io_event *io_new(pa_mainloop_api *api, int fd, pa_io_event_flags_t flags,
                           pa_io_event_cb_t ready, void *user)
{
    pa_io_event *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (pa_io_event){.api = api, .fd = fd, .ready = ready, .user = user};
    e->in_loop = loop_add_fd(api->userdata, fd, to_poll(flags), io_ready, e);
    if (e->in_loop)
        return e;
    free(e);
    return NULL;
}

static void io_enable(pa_io_event *e, pa_io_event_flags_t flags)
{
    loop_set_events(e->in_loop, to_poll(flags));
}

static void io_free(pa_io_event *e)
{
    loop_remove_fd(e->in_loop);
    if (e->destroy)
        e->destroy(e->api, e, e->user);
    free(e);
}

static void io_set_destroy(pa_io_event *e, pa_io_event_destroy_cb_t destroy)
{
    e->destroy = destroy;
}

struct pa_time_event {
    struct pa_mainloop_api *api;
    struct loop_timer *timer;
    struct timeval due; /* of the day */
    pa_time_event_cb_t over;
    pa_time_event_destroy_cb_t destroy;
    void *user;
};

static void time_over(void *user)
{
    pa_time_event *e = user;
    e->over(e->api, e, &e->due, e->user);
}

static void time_restart(pa_time_event *e, const struct timeval *due)
{
    struct timeval now, left;
    if (!due) {
        loop_disarm(e->timer);
        return;
    }
    e->due = *due;
    gettimeofday(&now, NULL);
    timersub(due, &now, &left);
    long long ms = (long long)left.tv_sec * 1000 + left.tv_usec / 1000 + 1;
    loop_arm(e->timer, ms < 0 ? 0 : ms > 3600000 ? 3600000 : (int)ms);
}

static pa_time_event *time_new(pa_mainloop_api *api, const struct timeval *due,
                               pa_time_event_cb_t over, void *user)
{
    pa_time_event *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (pa_time_event){.api = api, .over = over, .user = user};
    e->timer = loop_add_timer(api->userdata, time_over, e);
    if (!e->timer) {
        free(e);
        return NULL;
    }
    time_restart(e, due);
    return e;
}

static void time_free(pa_time_event *e)
{
    loop_remove_timer(e->timer);
    if (e->destroy)
        e->destroy(e->api, e, e->user);
    free(e);
}

static void time_set_destroy(pa_time_event *e, pa_time_event_destroy_cb_t destroy)
{
    e->destroy = destroy;
}

struct pa_defer_event {
    struct pa_mainloop_api *api;
    struct loop_timer *timer; /* armed while it is enabled */
    pa_defer_event_cb_t work;
    pa_defer_event_destroy_cb_t destroy;
    void *user;
};

/* It stays enabled until it says otherwise. */
static void defer_due(void *user)
{
    pa_defer_event *e = user;
    loop_arm(e->timer, 0);
    e->work(e->api, e, e->user);
}

static pa_defer_event *defer_new(pa_mainloop_api *api, pa_defer_event_cb_t work, void *user)
{
    pa_defer_event *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (pa_defer_event){.api = api, .work = work, .user = user};
    e->timer = loop_add_timer(api->userdata, defer_due, e);
    if (!e->timer) {
        free(e);
        return NULL;
    }
    loop_arm(e->timer, 0);
    return e;
}

static void defer_enable(pa_defer_event *e, int enabled)
{
    if (enabled)
        loop_arm(e->timer, 0);
    else
        loop_disarm(e->timer);
}

static void defer_free(pa_defer_event *e)
{
    loop_remove_timer(e->timer);
    if (e->destroy)
        e->destroy(e->api, e, e->user);
    free(e);
}

static void defer_set_destroy(pa_defer_event *e, pa_defer_event_destroy_cb_t destroy)
{
    e->destroy = destroy;
}

/* No part of libpulse that is used here asks for it. */
static void quit(pa_mainloop_api *api, int status)
{
    (void)api, (void)status;
}

int sound_loop_create(struct sound_loop **out, struct loop *loop, struct error *error)
{
    struct sound_loop *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    s->api = (struct pa_mainloop_api){
        .userdata = loop,
        .io_new = io_new,
        .io_enable = io_enable,
        .io_free = io_free,
        .io_set_destroy = io_set_destroy,
        .time_new = time_new,
        .time_restart = time_restart,
        .time_free = time_free,
        .time_set_destroy = time_set_destroy,
        .defer_new = defer_new,
        .defer_enable = defer_enable,
        .defer_free = defer_free,
        .defer_set_destroy = defer_set_destroy,
        .quit = quit,
    };
    *out = s;
    return 0;
}

void sound_loop_destroy(struct sound_loop *s)
{
    free(s);
}

struct pa_mainloop_api *sound_loop_api(struct sound_loop *s)
{
    return &s->api;
}
