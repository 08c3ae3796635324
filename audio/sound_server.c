/* libpulse: a context that is asked for the server, its sources and who uses them, in this order,
 * and again after each change that it tells of. */
#include "audio/sound_server.h"

#include "audio/sound_client.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>
#include <pulse/pulseaudio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sound_server {
    pa_context *context;
    pid_t daemon;
    struct sound_server_listener listener;
    bool asking, again; /* answers are to come; and a change has been told of meanwhile */
    bool told, lost;
    char default_source[SOUND_NAME_MAX], default_sink[SOUND_NAME_MAX];
    struct sound_sources now, next;
};

static void ask(struct sound_server *s);

static void copy_name(char *to, const char *from)
{
    snprintf(to, SOUND_NAME_MAX, "%s", from ? from : "");
}

/* Padding and all: the lists are compared as bytes. */
static struct sound_source *add_source(struct sound_sources *s)
{
    struct sound_source *source = &s->list[s->count++];
    memset(source, 0, sizeof *source);
    return source;
}

static void take_server(pa_context *c, const pa_server_info *info, void *user)
{
    struct sound_server *s = user;
    (void)c;
    copy_name(s->default_source, info ? info->default_source_name : NULL);
    copy_name(s->default_sink, info ? info->default_sink_name : NULL);
}

static void take_source(pa_context *c, const pa_source_info *info, int end, void *user)
{
    struct sound_server *s = user;
    (void)c;
    if (end || s->next.count == SOUND_SOURCES_MAX || strlen(info->name) >= SOUND_NAME_MAX)
        return;
    struct sound_source *source = add_source(&s->next);
    source->index = info->index;
    source->monitors = info->monitor_of_sink != PA_INVALID_INDEX;
    source->is_default = strcmp(info->name, s->default_source) == 0;
    source->monitors_desktop = source->monitors && info->monitor_of_sink_name &&
                               strcmp(info->monitor_of_sink_name, s->default_sink) == 0;
    copy_name(source->name, info->name);
    copy_name(source->description, info->description);
    utf8_make_plain(source->description);
}

/* A capture process of the daemon says whose it is, as sound_client.h has it. */
static bool is_ours(const struct sound_server *s, const pa_source_output_info *info)
{
    const char *daemon = pa_proplist_gets(info->proplist, SOUND_CLIENT_DAEMON);
    int of = daemon ? atoi(daemon) : 0;
    return s->daemon ? of == s->daemon : of != 0;
}

static void publish(struct sound_server *s)
{
    s->asking = false;
    bool changed = !s->told || s->now.count != s->next.count ||
                   memcmp(s->now.list, s->next.list, s->now.count * sizeof *s->now.list) != 0;
    s->told = true;
    if (changed) {
        s->now.count = s->next.count;
        memcpy(s->now.list, s->next.list, s->now.count * sizeof *s->now.list);
        s->listener.changed(s->listener.user, &s->now);
    }
    if (s->again && !s->lost)
        ask(s);
}

static void take_output(pa_context *c, const pa_source_output_info *info, int end, void *user)
{
    struct sound_server *s = user;
    (void)c;
    if (end) {
        publish(s);
        return;
    }
    for (size_t i = 0; i < s->next.count; i++)
        if (s->next.list[i].index == info->source && is_ours(s, info))
            s->next.list[i].in_use = true;
}

static void let_go(pa_operation *operation)
{
    if (operation)
        pa_operation_unref(operation);
}

/* The answers come in the order of the questions. */
static void ask(struct sound_server *s)
{
    s->asking = true;
    s->again = false;
    s->next.count = 0;
    let_go(pa_context_get_server_info(s->context, take_server, s));
    let_go(pa_context_get_source_info_list(s->context, take_source, s));
    let_go(pa_context_get_source_output_info_list(s->context, take_output, s));
}

static void take_change(pa_context *c, pa_subscription_event_type_t event, uint32_t index,
                        void *user)
{
    struct sound_server *s = user;
    (void)c, (void)event, (void)index;
    if (s->asking)
        s->again = true;
    else
        ask(s);
}

static void lose(struct sound_server *s)
{
    int code = pa_context_errno(s->context);
    s->lost = true;
    s->listener.lost(s->listener.user, code ? pa_strerror(code) : "it has gone");
}

static void take_state(pa_context *c, void *user)
{
    struct sound_server *s = user;
    pa_context_state_t state = pa_context_get_state(c);
    if (state == PA_CONTEXT_READY) {
        pa_subscription_mask_t mask =
            (pa_subscription_mask_t)(PA_SUBSCRIPTION_MASK_SERVER | PA_SUBSCRIPTION_MASK_SOURCE |
                                     PA_SUBSCRIPTION_MASK_SINK |
                                     PA_SUBSCRIPTION_MASK_SOURCE_OUTPUT);
        pa_context_set_subscribe_callback(c, take_change, s);
        let_go(pa_context_subscribe(c, mask, NULL, NULL));
        ask(s);
    } else if (!PA_CONTEXT_IS_GOOD(state) && !s->lost)
        lose(s);
}

static pa_context *make_context(struct pa_mainloop_api *api)
{
    pa_proplist *names = pa_proplist_new();
    pa_proplist_sets(names, PA_PROP_APPLICATION_NAME, SOUND_CLIENT_NAME);
    pa_proplist_sets(names, PA_PROP_APPLICATION_ID, SOUND_CLIENT_ID);
    pa_proplist_sets(names, PA_PROP_APPLICATION_ICON_NAME, SOUND_CLIENT_ICON);
    pa_context *c = pa_context_new_with_proplist(api, NULL, names);
    pa_proplist_free(names);
    return c;
}

int sound_server_create(struct sound_server **out, struct pa_mainloop_api *api, pid_t daemon,
                        const struct sound_server_listener *listener, struct error *error)
{
    struct sound_server *s = calloc(1, sizeof *s);
    if (!s || !(s->context = make_context(api))) {
        free(s);
        return error_set(error, -ENOMEM, "out of memory");
    }
    s->daemon = daemon;
    s->listener = *listener;
    if (pa_context_connect(s->context, NULL, PA_CONTEXT_NOAUTOSPAWN, NULL) < 0) {
        error_set(error, -EIO, "%s", pa_strerror(pa_context_errno(s->context)));
        sound_server_destroy(s);
        return -EIO;
    }
    pa_context_set_state_callback(s->context, take_state, s);
    *out = s;
    return 0;
}

void sound_server_destroy(struct sound_server *s)
{
    if (!s)
        return;
    pa_context_set_state_callback(s->context, NULL, NULL);
    pa_context_set_subscribe_callback(s->context, NULL, NULL);
    pa_context_disconnect(s->context);
    pa_context_unref(s->context);
    free(s);
}

struct listing {
    struct sound_sources *sources;
    struct error *error;
    bool there, lost;
};

static void take_list(void *user, const struct sound_sources *sources)
{
    struct listing *l = user;
    l->there = true;
    l->sources->count = sources->count;
    memcpy(l->sources->list, sources->list, sources->count * sizeof *sources->list);
}

static void take_loss(void *user, const char *why)
{
    struct listing *l = user;
    l->lost = true;
    error_set(l->error, -EIO, "%s", why);
}

/* One turn of the loop. False: the time is over, or the loop. */
static bool turn(pa_mainloop *loop, int64_t until_ms)
{
    int64_t left_ms = until_ms - clock_monotonic_ms();
    return left_ms > 0 && pa_mainloop_prepare(loop, (int)(left_ms * 1000)) >= 0 &&
           pa_mainloop_poll(loop) >= 0 && pa_mainloop_dispatch(loop) >= 0;
}

int sound_server_list(struct sound_sources *out, int wait_ms, struct error *error)
{
    struct listing l = {.sources = out, .error = error};
    const struct sound_server_listener listener = {take_list, take_loss, &l};
    struct sound_server *s;
    int64_t until_ms = clock_monotonic_ms() + wait_ms;
    pa_mainloop *loop = pa_mainloop_new();
    if (!loop)
        return error_set(error, -ENOMEM, "out of memory");
    int rc = sound_server_create(&s, pa_mainloop_get_api(loop), 0, &listener, error);
    if (!rc) {
        while (!l.there && !l.lost && turn(loop, until_ms))
            ;
        if (!l.there)
            rc = l.lost ? -EIO : error_set(error, -ETIMEDOUT, "no answer");
        sound_server_destroy(s);
    }
    pa_mainloop_free(loop);
    return rc;
}
