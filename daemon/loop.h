/* The main thread's event loop: descriptors and timers over one poll(2). Callbacks may add and
 * remove anything, themselves included. One thread.
 */
#ifndef EARSHOT_DAEMON_LOOP_H
#define EARSHOT_DAEMON_LOOP_H

#include <stdbool.h>

struct loop;
struct loop_fd;
struct loop_timer;

typedef void loop_fd_function(void *user, short events); /* poll(2) events */
typedef void loop_timer_function(void *user);

int loop_create(struct loop **out); /* 0 or -ENOMEM */
void loop_destroy(struct loop *loop);

/* NULL: out of memory. events: POLLIN, POLLOUT. The descriptor is not owned. */
struct loop_fd *loop_add_fd(struct loop *loop, int fd, short events, loop_fd_function *function,
                            void *user);
void loop_set_events(struct loop_fd *fd, short events); /* 0: none for now */
void loop_remove_fd(struct loop_fd *fd);

/* A timer is created at rest. NULL: out of memory. */
struct loop_timer *loop_add_timer(struct loop *loop, loop_timer_function *function, void *user);
void loop_arm(struct loop_timer *timer, int after_ms); /* fires once; re-arming moves it */
void loop_disarm(struct loop_timer *timer);
bool loop_is_armed(const struct loop_timer *timer);
void loop_remove_timer(struct loop_timer *timer);

/* Called before every sleep: work that must not wait for a descriptor. Stays the caller's; not to
 * be removed from within a hook. */
struct loop_hook {
    loop_timer_function *function;
    void *user;
    struct loop_hook *next; /* the loop's */
};

void loop_add_hook(struct loop *loop, struct loop_hook *hook);
void loop_remove_hook(struct loop *loop, struct loop_hook *hook); /* or one that is not there */

int loop_run(struct loop *loop);               /* until loop_stop; its status */
void loop_stop(struct loop *loop, int status); /* the first status wins */

#endif
