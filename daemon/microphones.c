/* A connection to the sound server that nobody waits for, and what it tells; a server that has gone
 * has no microphones. */
#include "daemon/microphones.h"

#include "audio/sound_server.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/sound_loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOK_US = 1000000,
};

/* Where the chosen one is. What comes back under its own name has another index. */
struct place {
    bool there;
    uint32_t index;
};

struct microphones {
    struct microphones_listener listener;
    struct sound_loop *loop;     /* NULL: built without libpulse */
    struct sound_server *server; /* NULL: none is known */
    bool lost;                   /* it has gone */
    bool told;                   /* it has listed its sources */
    bool telling;                /* the listener, from within the server's own call */
    int64_t looked_us;
    struct sound_sources sources;
    char chosen[SOUND_NAME_MAX], known_as[SOUND_NAME_MAX];
    struct place place;
};

/* Remembers what people call it, for when it has another name. */
static struct place find_chosen(struct microphones *m)
{
    const struct sound_source *found =
        *m->chosen ? sound_sources_find(&m->sources, m->chosen, m->known_as) : NULL;
    if (!found)
        return (struct place){false, 0};
    snprintf(m->known_as, sizeof m->known_as, "%s", found->description);
    return (struct place){true, found->index};
}

static void take_sources(void *user, const struct sound_sources *sources)
{
    struct microphones *m = user;
    m->sources.count = sources->count;
    memcpy(m->sources.list, sources->list, sources->count * sizeof *sources->list);
    struct place before = m->place;
    m->place = find_chosen(m);
    bool moved = m->told && (m->place.there != before.there || m->place.index != before.index);
    m->told = m->telling = true;
    m->listener.changed(m->listener.user);
    if (moved)
        m->listener.moved(m->listener.user);
    m->telling = false;
}

static void take_loss(void *user, const char *why)
{
    struct microphones *m = user;
    log_debug("no sound server: %s", why);
    m->lost = true;
    m->told = false;
    bool had_some = m->sources.count > 0;
    m->sources.count = 0;
    m->telling = true;
    if (had_some)
        m->listener.changed(m->listener.user);
    m->telling = false;
}

int microphones_create(struct microphones **out, struct loop *loop,
                       const struct microphones_listener *listener, struct error *error)
{
    struct error none;
    struct microphones *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(error, -ENOMEM, "out of memory");
    m->listener = *listener;
    if (sound_loop_create(&m->loop, loop, &none))
        log_debug("microphones have no names: %s", none.message);
    *out = m;
    return 0;
}

void microphones_destroy(struct microphones *m)
{
    if (!m)
        return;
    sound_server_destroy(m->server);
    sound_loop_destroy(m->loop);
    free(m);
}

void microphones_look(struct microphones *m)
{
    const struct sound_server_listener listener = {take_sources, take_loss, m};
    struct error error;
    int64_t now_us = clock_monotonic_us();
    bool known = m->server && !m->lost;
    if (!m->loop || known || m->telling || (m->looked_us && now_us < m->looked_us + LOOK_US))
        return;
    m->looked_us = now_us;
    sound_server_destroy(m->server);
    m->server = NULL;
    m->lost = false;
    if (sound_server_create(&m->server, sound_loop_api(m->loop), getpid(), &listener, &error))
        log_debug("no sound server: %s", error.message);
}

void microphones_choose(struct microphones *m, const char *device)
{
    bool is_default = strcmp(device, "default") == 0;
    snprintf(m->chosen, sizeof m->chosen, "%s", is_default ? "" : device);
    m->known_as[0] = '\0';
    m->place = find_chosen(m);
}

const struct sound_sources *microphones_list(const struct microphones *m)
{
    return &m->sources;
}
