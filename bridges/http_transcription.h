/* One sound file that the daemon hears: a decoder's samples go into a stream, as fast as the daemon
 * takes them. One thread, in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_HTTP_TRANSCRIPTION_H
#define EARSHOT_BRIDGES_HTTP_TRANSCRIPTION_H

#include "bridges/http_world.h"
#include "bridges/transcript.h"

struct http_transcription;

/* Neither is called by create. */
struct http_transcription_events {
    void (*segment)(void *user, const struct transcript *t); /* the last one is new */
    /* All was heard (code NULL), or why not; bad_file: what was sent is wrong. It may be destroyed
     * in it. */
    void (*over)(void *user, const struct transcript *t, bool bad_file, const char *code,
                 const char *why);
};

/* Keeps a descriptor of its own of the file. 0 or -errno. */
int http_transcription_create(struct http_transcription **out, const struct http_world *w, int file,
                              const struct http_transcription_events *events, void *user);
void http_transcription_destroy(struct http_transcription *t);

#endif
