/* org.earshot.Earshot1.Streams and the ObjectManager that lists what it opened: clients that send
 * their own audio. docs/streams.md describes them. Main thread only.
 */
#ifndef EARSHOT_DAEMON_STREAMS_H
#define EARSHOT_DAEMON_STREAMS_H

#include "daemon/assistant.h"

struct streams;

int streams_create(struct streams **out, struct loop *loop, struct bus *bus, struct error *error);
void streams_destroy(struct streams *s); /* after the engine, whose ears are theirs */

/* The two interfaces, and the end of the list, for the object at SERVICE_PATH. */
void streams_parts(struct streams *s, struct interface_part parts[3]);

/* From now on streams can be opened, with the configuration of main. */
void streams_loaded(struct streams *s, struct engine *engine, struct assistant *main,
                    const char *model, bool can_reply);

/* assistant_prepare and assistant_configure of every stream that is open. */
int streams_prepare(struct streams *s, const struct config *config, struct error *error);
void streams_configure(struct streams *s, bool count);

/* The model is loaded anew, and streams_loaded is due again. */
void streams_loading(struct streams *s);

/* ENGINE_OPENED and ENGINE_CLOSED of a stream's ear. */
void streams_opened(struct streams *s, const struct engine_message *m);
void streams_closed(struct streams *s, const struct engine_message *m);

#endif
