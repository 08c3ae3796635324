/* org.earshot.Earshot1.Streams: clients that send their own audio. docs/streams.md describes it.
 * Main thread only.
 */
#ifndef EARSHOT_DAEMON_STREAMS_H
#define EARSHOT_DAEMON_STREAMS_H

#include "daemon/further.h"

struct streams;

/* *main: the assistant of the microphone, which need not be there yet. All outlive the result, but
 * for further, which is destroyed before it. 0 or -errno. */
int streams_create(struct streams **out, struct bus *bus, struct further *further,
                   struct assistant *const *main, struct error *error);
void streams_destroy(struct streams *s);

/* The interface, for the object at SERVICE_PATH. */
struct interface_part streams_part(struct streams *s);

#endif
