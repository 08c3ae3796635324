/* Arrays of descriptors, timers and hooks; what is removed while they are gone through is swept
 * afterwards. */
#include "daemon/loop.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct loop_fd {
    struct loop_fd *next;
    int fd; /* -1: removed, freed by the next sweep */
    short events;
    short ready;
    loop_fd_function *function;
    void *user;
};

struct loop_timer {
    struct loop_timer *next;
    int64_t due_us; /* 0: at rest */
    bool removed;
    loop_timer_function *function;
    void *user;
};

struct loop {
    struct loop_fd *fds;
    struct loop_timer *timers;
    struct loop_hook *hooks;
    struct pollfd *polls; /* [poll_capacity], owned */
    size_t poll_capacity;
    bool stopped;
    int status;
};

int loop_create(struct loop **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : -ENOMEM;
}

static void sweep(struct loop *loop)
{
    for (struct loop_fd **p = &loop->fds; *p;) {
        struct loop_fd *f = *p;
        if (f->fd >= 0) {
            p = &f->next;
            continue;
        }
        *p = f->next;
        free(f);
    }
    for (struct loop_timer **p = &loop->timers; *p;) {
        struct loop_timer *t = *p;
        if (!t->removed) {
            p = &t->next;
            continue;
        }
        *p = t->next;
        free(t);
    }
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    for (struct loop_fd *f = loop->fds; f; f = f->next)
        f->fd = -1;
    for (struct loop_timer *t = loop->timers; t; t = t->next)
        t->removed = true;
    sweep(loop);
    free(loop->polls);
    free(loop);
}

struct loop_fd *loop_add_fd(struct loop *loop, int fd, short events, loop_fd_function *function,
                            void *user)
{
    struct loop_fd *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    *f = (struct loop_fd){loop->fds, fd, events, 0, function, user};
    loop->fds = f;
    return f;
}

void loop_set_events(struct loop_fd *fd, short events)
{
    fd->events = events;
}

void loop_remove_fd(struct loop_fd *fd)
{
    if (fd)
        fd->fd = -1;
}

struct loop_timer *loop_add_timer(struct loop *loop, loop_timer_function *function, void *user)
{
    struct loop_timer *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    *t = (struct loop_timer){loop->timers, 0, false, function, user};
    loop->timers = t;
    return t;
}

void loop_arm(struct loop_timer *timer, int after_ms)
{
    timer->due_us = clock_monotonic_us() + (int64_t)after_ms * 1000;
}

void loop_disarm(struct loop_timer *timer)
{
    timer->due_us = 0;
}

bool loop_is_armed(const struct loop_timer *timer)
{
    return timer->due_us != 0;
}

void loop_remove_timer(struct loop_timer *timer)
{
    if (!timer)
        return;
    timer->removed = true;
    timer->due_us = 0;
}

void loop_add_hook(struct loop *loop, struct loop_hook *hook)
{
    hook->next = loop->hooks;
    loop->hooks = hook;
}

void loop_remove_hook(struct loop *loop, struct loop_hook *hook)
{
    struct loop_hook **p = &loop->hooks;
    while (*p && *p != hook)
        p = &(*p)->next;
    if (*p)
        *p = hook->next;
}

/* Milliseconds until the next timer, rounded up; -1: none. */
static int sleep_ms(const struct loop *loop)
{
    int64_t due = 0;
    for (const struct loop_timer *t = loop->timers; t; t = t->next)
        if (t->due_us && (!due || t->due_us < due))
            due = t->due_us;
    if (!due)
        return -1;
    int64_t left = due - clock_monotonic_us();
    if (left <= 0)
        return 0;
    return left > 3600000000 ? 3600000 : (int)((left + 999) / 1000);
}

static int wait_descriptors(struct loop *loop)
{
    size_t count = 0;
    for (struct loop_fd *f = loop->fds; f; f = f->next)
        count++;
    if (count > loop->poll_capacity) {
        struct pollfd *grown = realloc(loop->polls, count * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        loop->polls = grown;
        loop->poll_capacity = count;
    }

    size_t i = 0;
    for (struct loop_fd *f = loop->fds; f; f = f->next, i++)
        loop->polls[i] = (struct pollfd){f->events ? f->fd : -1, f->events, 0};
    int rc = poll(loop->polls, count, sleep_ms(loop));
    if (rc < 0 && errno != EINTR)
        return -errno;
    i = 0;
    for (struct loop_fd *f = loop->fds; f; f = f->next, i++)
        f->ready = rc > 0 ? loop->polls[i].revents : 0;
    return 0;
}

static void dispatch(struct loop *loop)
{
    /* New descriptors and timers go to the front of the lists: not seen before the next round. */
    for (struct loop_fd *f = loop->fds; f && !loop->stopped; f = f->next)
        if (f->fd >= 0 && f->ready)
            f->function(f->user, f->ready);
    int64_t now = clock_monotonic_us();
    for (struct loop_timer *t = loop->timers; t && !loop->stopped; t = t->next) {
        if (!t->due_us || t->due_us > now)
            continue;
        t->due_us = 0;
        t->function(t->user);
    }
}

int loop_run(struct loop *loop)
{
    while (!loop->stopped) {
        for (struct loop_hook *h = loop->hooks; h; h = h->next)
            h->function(h->user);
        sweep(loop);
        if (loop->stopped)
            break;
        int rc = wait_descriptors(loop);
        if (rc)
            return rc;
        dispatch(loop);
    }
    return loop->status;
}

void loop_stop(struct loop *loop, int status)
{
    if (loop->stopped)
        return;
    loop->stopped = true;
    loop->status = status;
}
