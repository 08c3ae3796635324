/* The handler writes to an eventfd, so that a poll that waits for sound ends. */
#include "cli/stop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int event_fd = -1;
static volatile sig_atomic_t asked;

static void ask(int number)
{
    int saved = errno;
    uint64_t one = 1;
    (void)number;
    asked = 1;
    ssize_t written = write(event_fd, &one, sizeof one);
    (void)written; /* it is readable already */
    errno = saved;
}

int stop_begin(void)
{
    struct sigaction action = {.sa_handler = ask, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd >= 0) {
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
    }
    return event_fd;
}

bool stop_asked(void)
{
    return asked;
}
