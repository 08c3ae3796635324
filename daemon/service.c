/* Puts bus, engine, logind and ears together, and takes each of the engine's messages to whom it
 * concerns. */
#include "daemon/service.h"

#include "base/log.h"
#include "daemon/assistant.h"
#include "daemon/ears.h"
#include "daemon/further.h"
#include "daemon/journal_ids.h"
#include "daemon/logind.h"
#include "daemon/microphones.h"
#include "daemon/recorder.h"
#include "daemon/streams.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    MICROPHONE_PIECES = 512, /* that may wait for the model: 51 s */
};

struct service {
    struct loop *loop;
    struct engine *engine;
    struct loop_fd *engine_fd;
    struct assistant *assistant; /* of the microphone */
    struct microphones *microphones;
    struct recorder *recorder;
    struct further *further; /* ears, of these two kinds: */
    struct streams *streams;
    struct ears *ears;
    struct logind *logind; /* NULL: there is none */
    bool asleep, locked, paused;
    struct engine_message message; /* scratch */
};

static void update_pause(struct service *s)
{
    const struct config *c = assistant_config(s->assistant);
    bool paused = (s->asleep && c->pause_asleep) || (s->locked && c->pause_locked);
    if (paused == s->paused)
        return;
    log_info(paused ? "paused" : "no longer paused");
    s->paused = paused;
    assistant_pause(s->assistant, paused);
    ears_pause(s->ears, paused);
}

/* The machine does not fall asleep in mid-sentence. */
static void update_delay(struct service *s)
{
    bool listening = assistant_listens(s->assistant) || ears_listen(s->ears);
    logind_delay_sleep(s->logind, listening && assistant_config(s->assistant)->pause_asleep);
}

/* All or nothing. */
static int configure(void *user, const struct config *config, struct error *error)
{
    struct service *s = user;
    int rc = assistant_prepare(s->assistant, config, error);
    if (!rc)
        rc = ears_check(s->ears, config, error);
    if (!rc)
        rc = further_prepare(s->further, config, error);
    further_configure(s->further, !rc);
    assistant_configure(s->assistant, !rc);
    if (rc)
        return rc;
    log_set_level(config_log_level(config));
    ears_follow(s->ears, config);
    update_pause(s);
    update_delay(s);
    return 0;
}

static void microphones_changed(void *user)
{
    const struct service *s = user;
    assistant_microphones_changed(s->assistant);
}

static void microphone_moved(void *user)
{
    const struct service *s = user;
    log_info("the microphone that was chosen has come, gone or changed");
    assistant_reopen(s->assistant);
}

int service_create(struct service **out, struct loop *loop, struct bus *bus,
                   const struct config *config, const struct settings *settings,
                   struct error *error)
{
    struct service *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(error, -ENOMEM, "out of memory");
    s->loop = loop;
    struct assistant_options options = {.path = SERVICE_PATH,
                                        .config = config,
                                        .settings = settings,
                                        .configure = configure,
                                        .user = s};
    const struct microphones_listener listener = {microphones_changed, microphone_moved, s};
    struct interface_part parts[4] = {{NULL}};
    int rc = recorder_create(&s->recorder, error);
    if (!rc)
        rc = microphones_create(&s->microphones, loop, &listener, error);
    if (!rc)
        rc = further_create(&s->further, loop, bus, error);
    if (!rc)
        rc = streams_create(&s->streams, bus, s->further, &s->assistant, error);
    if (!rc)
        rc = ears_create(&s->ears, loop, bus, s->further, &s->assistant, error);
    if (!rc) {
        parts[0] = streams_part(s->streams);
        parts[1] = ears_part(s->ears);
        parts[2] = further_part(s->further);
        options.more = parts;
        options.microphones = s->microphones;
        rc = assistant_create(&s->assistant, loop, bus, &options, error);
    }
    if (rc) {
        service_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void service_destroy(struct service *s)
{
    if (!s)
        return;
    loop_remove_fd(s->engine_fd);
    logind_destroy(s->logind);
    further_destroy(s->further);
    streams_destroy(s->streams);
    ears_destroy(s->ears);
    assistant_destroy(s->assistant);
    microphones_destroy(s->microphones);
    recorder_destroy(s->recorder);
    free(s);
}

static void take_loaded(struct service *s, const struct engine_message *m)
{
    assistant_loaded(s->assistant, s->engine, m->event.text, m->value);
    further_loaded(s->further, m->event.text, m->value);
}

static void fail(struct service *s, const char *why)
{
    log_event(LOG_LEVEL_ERROR, JOURNAL_FAILED, NULL, "%s", why);
    assistant_failed(s->assistant);
    loop_stop(s->loop, 1);
}

static void close_further(struct service *s, const struct engine_message *m)
{
    further_closed(s->further, m);
    ears_closed(s->ears);
}

/* The microphone's ear closes only when it could not be opened, or at the end. */
static void take_closed(struct service *s, const struct engine_message *m)
{
    if (m->user != s->assistant)
        close_further(s, m);
    else if (m->value)
        fail(s, m->event.text);
}

static void take_message(struct service *s, const struct engine_message *m)
{
    switch (m->type) {
    case ENGINE_LOADING:
        assistant_loading(s->assistant);
        further_loading(s->further);
        return;
    case ENGINE_PROGRESS:
        assistant_progress(s->assistant, (int)m->value);
        return;
    case ENGINE_BACKEND:
        return;
    case ENGINE_LOADED:
        take_loaded(s, m);
        return;
    case ENGINE_FAILED:
        fail(s, m->event.text);
        return;
    case ENGINE_STOPPED:
        loop_stop(s->loop, 0);
        return;
    case ENGINE_OPENED:
        if (m->user != s->assistant)
            further_opened(s->further, m);
        return;
    case ENGINE_CLOSED:
        take_closed(s, m);
        return;
    case ENGINE_SOURCE:
    case ENGINE_QUIET:
        assistant_take(m->user, m);
        update_delay(s);
        return;
    case ENGINE_EVENT:
    case ENGINE_BUSY:
    case ENGINE_RESULT:
    case ENGINE_LOST:
    case ENGINE_SHUT:
    case ENGINE_CANCELLED:
    case ENGINE_CONFIGURED:
    case ENGINE_RELEASED:
        assistant_take(m->user, m);
        return;
    }
}

static void engine_ready(void *user, short events)
{
    (void)events;
    struct service *s = user;
    uint64_t count;
    ssize_t n = read(engine_fd(s->engine), &count, sizeof count);
    (void)n;
    while (engine_poll(s->engine, &s->message))
        take_message(s, &s->message);
}

static void sleeping(void *user, bool asleep)
{
    struct service *s = user;
    s->asleep = asleep;
    update_pause(s);
}

static void locked(void *user, bool is_locked)
{
    struct service *s = user;
    s->locked = is_locked;
    update_pause(s);
}

/* Without a system bus there is nobody to tell of sleep and locks. */
static void listen_to_logind(struct service *s)
{
    struct logind_listener listener = {sleeping, locked, s};
    struct error error;
    if (logind_create(&s->logind, s->loop, &listener, &error))
        log_debug("no logind: %s", error.message);
}

int service_attach(struct service *s, struct engine *engine, struct error *error)
{
    struct config config = *assistant_config(s->assistant);
    config.resume = config.resume && assistant_owns_conversation(s->assistant);
    struct ear_options options = {.config = &config,
                                  .last_id = assistant_last_id(s->assistant),
                                  .pieces = MICROPHONE_PIECES,
                                  .recorder = s->recorder,
                                  .user = s->assistant};
    struct source *source;
    struct ear *ear;
    struct source_options how = config_source(&config);
    int rc = source_create(&source, config.source, &how, error);
    if (!rc)
        rc = ear_create(&ear, engine, source, &options, error);
    if (rc)
        return rc;
    assistant_attach(s->assistant, ear);
    microphones_choose(s->microphones, source_device(config.source));
    further_attach(s->further, engine);
    ears_follow(s->ears, &config);
    listen_to_logind(s);
    s->engine = engine;
    s->engine_fd = loop_add_fd(s->loop, engine_fd(engine), POLLIN, engine_ready, s);
    return s->engine_fd ? 0 : error_set(error, -ENOMEM, "out of memory");
}

void service_reload(void *service)
{
    struct service *s = service;
    assistant_reload(s->assistant);
}
