/* The daemon's ears as the caption window knows them, over GDBus: the microphone's, and one for
 * what the desktop plays, which is there for as long as it is shown. What is told comes from the
 * owner of the daemon's name and from nobody else. A daemon that goes, and a bus that goes, are
 * waited for; what was completed meanwhile is fetched. The main thread. */
#ifndef EARSHOT_OVERLAY_EAR_H
#define EARSHOT_OVERLAY_EAR_H

#include "overlay/captions.h"
#include "overlay/settings.h"

#include <glib.h>

/* What the ear tells, each on the main loop. The texts are the caller's only during the call. */
struct ear_events {
    void (*updated)(void *user, uint64_t id, enum caption_kind kind, unsigned seq,
                    size_t stable_bytes, const char *text);
    void (*completed)(void *user, uint64_t id, enum caption_kind kind, const char *text,
                      double confidence, const struct caption_word *words, size_t count);
    void (*lost)(void *user);                      /* what was not complete never will be */
    void (*changed)(void *user);                   /* a property; what it waits for */
    void (*refused)(void *user, const char *what); /* a setting was not taken: a sentence */
};

struct ear;

/* bus: "session", "system" or an address. Captions of what was said before are not told. */
struct ear *ear_create(const char *bus, enum settings_sound sound, const struct ear_events *events,
                       void *user);
void ear_destroy(struct ear *ear);

/* Why nothing can be heard now, and what to do; NULL: it can. Until the next call. */
const char *ear_waits(struct ear *ear);

bool ear_is_there(const struct ear *ear);
bool ear_is_muted(const struct ear *ear);
/* Empty while they are not known. */
const char *ear_mode(const struct ear *ear);
const char *ear_device(const struct ear *ear);
/* The sound server's microphones, aa{sv} as docs/dbus.md has them; NULL while they are not known.
 */
GVariant *ear_microphones(const struct ear *ear);

void ear_set_sound(struct ear *ear, enum settings_sound sound);
void ear_set_muted(struct ear *ear, bool muted);
void ear_set_mode(struct ear *ear, const char *mode);
void ear_set_device(struct ear *ear, const char *device);

#endif
