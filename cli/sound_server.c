/* libpulse, driven by its own loop up to a deadline: a server that hangs must not hold the command.
 */
#include "cli/sound_server.h"

#include <errno.h>
#include <pulse/pulseaudio.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum {
    ANSWER_MS = 3000,
};

struct listing {
    sound_server_source *each;
    void *user;
    bool over, failed;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void take_source(pa_context *c, const pa_source_info *source, int end, void *user)
{
    struct listing *l = user;
    (void)c;
    if (end) {
        l->over = true;
        l->failed = end < 0;
    } else {
        l->each(l->user, source->name, source->description);
    }
}

/* One turn of the loop. False: the time is over, or the loop. */
static bool turn(pa_mainloop *loop, int64_t until_ms)
{
    int64_t left_ms = until_ms - now_ms();
    return left_ms > 0 && pa_mainloop_prepare(loop, (int)(left_ms * 1000)) >= 0 &&
           pa_mainloop_poll(loop) >= 0 && pa_mainloop_dispatch(loop) >= 0;
}

static bool is_ready(pa_mainloop *loop, const pa_context *c, int64_t until_ms)
{
    while (PA_CONTEXT_IS_GOOD(pa_context_get_state(c)))
        if (pa_context_get_state(c) == PA_CONTEXT_READY)
            return true;
        else if (!turn(loop, until_ms))
            break;
    return false;
}

static int list(pa_mainloop *loop, pa_context *c, struct listing *l, struct error *error)
{
    int64_t until_ms = now_ms() + ANSWER_MS;
    pa_operation *operation = NULL;
    if (pa_context_connect(c, NULL, PA_CONTEXT_NOAUTOSPAWN, NULL) >= 0 &&
        is_ready(loop, c, until_ms))
        operation = pa_context_get_source_info_list(c, take_source, l);
    while (operation && !l->over && turn(loop, until_ms))
        ;
    if (operation)
        pa_operation_unref(operation);
    if (l->over && !l->failed)
        return 0;
    int code = pa_context_errno(c);
    return error_set(error, -EIO, "%s", code ? pa_strerror(code) : "no answer");
}

int sound_server_list(sound_server_source *each, void *user, struct error *error)
{
    struct listing l = {.each = each, .user = user};
    pa_mainloop *loop = pa_mainloop_new();
    pa_context *c = loop ? pa_context_new(pa_mainloop_get_api(loop), "Earshot") : NULL;
    int rc = c ? list(loop, c, &l, error) : error_set(error, -ENOMEM, "out of memory");
    if (c) {
        pa_context_disconnect(c);
        pa_context_unref(c);
    }
    if (loop)
        pa_mainloop_free(loop);
    return rc;
}
