/* SIGHUP reads the configuration again. SIGTERM and SIGINT: the open utterance is completed; what
 * is not done after GRACE_MS is given up; what hangs (a driver, a model that loads) is cut off
 * after LIMIT_MS.
 */
#include "daemon/supervisor.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

enum {
    GRACE_MS = 500,
    LIMIT_MS = 900,
};

struct supervisor {
    struct loop *loop;
    struct engine *engine; /* not owned, NULL until ready */
    int signals;           /* signalfd, -1: none */
    struct loop_fd *signals_fd;
    struct loop_timer *watchdog, *grace;
    int watchdog_ms; /* 0: nobody waits for us */
    bool stopping;
    void (*reload)(void *user); /* NULL: none */
    void *reload_user;
};

/* What cutting off exits with: a failure, so that the service manager starts us again, unless a
 * signal has asked for the end. */
static volatile sig_atomic_t cut_off_status = EXIT_FAILURE;

static void cut_off(int number)
{
    (void)number;
    static const char line[] = "earshotd: cut off what would not end\n";
    ssize_t n = write(STDERR_FILENO, line, sizeof line - 1);
    (void)n;
    _exit(cut_off_status);
}

static void limit_end(void)
{
    struct sigaction action = {.sa_handler = cut_off};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = LIMIT_MS * 1000}, NULL);
}

static void grace_over(void *user)
{
    struct supervisor *s = user;
    engine_abort(s->engine);
}

static void signal_came(void *user, short events)
{
    (void)events;
    struct supervisor *s = user;
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof info) != (ssize_t)sizeof info || s->stopping)
        return;
    if (info.ssi_signo == SIGHUP) {
        if (s->reload)
            s->reload(s->reload_user);
        return;
    }
    s->stopping = true;
    sd_notify(0, "STOPPING=1");
    cut_off_status = EXIT_SUCCESS;
    limit_end();
    if (!s->engine) {
        loop_stop(s->loop, 0);
        return;
    }
    engine_stop(s->engine);
    loop_arm(s->grace, GRACE_MS);
}

static void watchdog_due(void *user)
{
    struct supervisor *s = user;
    if (engine_is_alive(s->engine))
        sd_notify(0, "WATCHDOG=1");
    else
        log_warning("the engine does not go round");
    loop_arm(s->watchdog, s->watchdog_ms);
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on files is an error of write(2), as a full disk is */
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int supervisor_create(struct supervisor **out, struct error *error)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    s->signals = open_signals();
    if (s->signals < 0 || loop_create(&s->loop))
        goto fail;
    s->signals_fd = loop_add_fd(s->loop, s->signals, POLLIN, signal_came, s);
    s->watchdog = loop_add_timer(s->loop, watchdog_due, s);
    s->grace = loop_add_timer(s->loop, grace_over, s);
    if (!s->signals_fd || !s->watchdog || !s->grace)
        goto fail;
    *out = s;
    return 0;
fail:
    supervisor_destroy(s);
    return error_set(error, -ENOMEM, "no memory or descriptors for the main loop");
}

void supervisor_destroy(struct supervisor *s)
{
    if (!s)
        return;
    loop_destroy(s->loop);
    if (s->signals >= 0)
        close(s->signals);
    free(s);
}

struct loop *supervisor_loop(struct supervisor *s)
{
    return s->loop;
}

void supervisor_ready(struct supervisor *s, struct engine *engine)
{
    s->engine = engine;
    sd_notify(0, "READY=1\nSTATUS=loading");
    uint64_t limit_us;
    if (sd_watchdog_enabled(0, &limit_us) <= 0)
        return;
    s->watchdog_ms = (int)(limit_us / 3000);
    loop_arm(s->watchdog, s->watchdog_ms);
}

void supervisor_on_reload(struct supervisor *s, void (*reload)(void *user), void *user)
{
    s->reload = reload;
    s->reload_user = user;
}

void supervisor_ending(struct supervisor *s)
{
    if (!s->stopping)
        limit_end();
    s->stopping = true;
}
