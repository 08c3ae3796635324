/* org.earshot.Earshot1.Assistant, for one ear: turns calls into requests, and messages into
 * replies, signals and properties. docs/dbus.md describes the interface. Main thread only.
 */
#ifndef EARSHOT_DAEMON_ASSISTANT_H
#define EARSHOT_DAEMON_ASSISTANT_H

#include "daemon/bus.h"
#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/interface.h"
#include "daemon/microphones.h"
#include "daemon/settings.h"

#define ASSISTANT_INTERFACE "org.earshot.Earshot1.Assistant"

enum assistant_state {
    ASSISTANT_UNKNOWN,
    ASSISTANT_LOADING,
    ASSISTANT_IDLE,
    ASSISTANT_HEARING,
    ASSISTANT_THINKING,
    ASSISTANT_MUTED,
    ASSISTANT_FAILED,
};

struct assistant;

struct assistant_options {
    const char *path;                /* of the object */
    const struct config *config;     /* copied */
    const struct settings *settings; /* where it came from, for Reload, not owned; NULL: this is not
                                        the microphone's */
    struct microphones *microphones; /* of the sound server, not owned; NULL: a stream */
    struct assistant *beside;        /* whose state folder it shares, outlives it; NULL: nobody's */
    const char *history;             /* and its name there; outlives it */
    const struct interface_part *more; /* of the object, ends with a NULL interface; NULL: none */
    /* Makes another configuration count, here and everywhere else, or nowhere: assistant_prepare
     * and assistant_configure. 0 or -errno. NULL: not the microphone's. */
    int (*configure)(void *user, const struct config *config, struct error *error);
    void *user; /* of configure */
};

/* Exports the object. 0 or -errno. */
int assistant_create(struct assistant **out, struct loop *loop, struct bus *bus,
                     const struct assistant_options *options, struct error *error);
void assistant_destroy(struct assistant *a); /* answers the calls that wait */

/* Its ear, which is not owned and has the assistant for its user. */
void assistant_attach(struct assistant *a, struct ear *ear);
/* No id in the history is above it, nor the end of its newest utterance; 0: there is none. */
uint64_t assistant_last_id(const struct assistant *a);
/* [text] resume counts: no other daemon does the same in the same folder. */
bool assistant_owns_conversation(const struct assistant *a);
const struct config *assistant_config(const struct assistant *a); /* as last read */
const struct interface_object *assistant_object(const struct assistant *a);

/* What the engine tells: the model is there; it is loaded anew; a message of the ear; the end. */
void assistant_loaded(struct assistant *a, const struct engine *engine, const char *model,
                      bool can_reply);
void assistant_loading(struct assistant *a);
void assistant_progress(struct assistant *a, int percent); /* of loading */
void assistant_take(struct assistant *a, const struct engine_message *m);
void assistant_failed(struct assistant *a);
void assistant_removed(struct assistant *a); /* its ear, for good */
/* Its device is open, or was and what it heard is not all text yet. */
bool assistant_listens(const struct assistant *a);

/* The sound server's microphones have changed; the one that was chosen is to be opened anew. */
void assistant_microphones_changed(struct assistant *a);
void assistant_reopen(struct assistant *a);

/* Closes the device for a while, or opens it, unless it is muted. */
void assistant_pause(struct assistant *a, bool paused);

/* Reload, asked for by nobody on the bus. What goes wrong is logged. */
void assistant_reload(void *assistant);

/* Another configuration: all that may fail is done by prepare, 0 or -errno; then it is made to
 * count or forgotten. */
int assistant_prepare(struct assistant *a, const struct config *config, struct error *error);
void assistant_configure(struct assistant *a, bool count);

/* The error org.earshot.Earshot1.Error.<name>. */
DBusMessage *assistant_error(DBusMessage *call, const char *name, const char *text);

#endif
