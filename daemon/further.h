/* Ears beside the microphone's, each with an object of its own that the ObjectManager lists: what
 * the streams of clients (streams.h) and named ears (ears.h) share. Main thread only.
 */
#ifndef EARSHOT_DAEMON_FURTHER_H
#define EARSHOT_DAEMON_FURTHER_H

#include "daemon/assistant.h"

struct further;

/* One of them, at the beginning of what its kind knows of it. */
struct further_ear {
    struct further_ear *next;
    struct further_kind *kind;
    struct assistant *assistant; /* owned, */
    struct ear *ear;             /* as is this */
    DBusMessage *call;           /* that asked for it, until it is answered; owned; or NULL */
    bool listed;
};

struct further_kind {
    struct further_ear *ears; /* the newest first */
    size_t count;
    void *user;
    /* Its configuration, of the daemon's. */
    void (*configure)(const struct further_ear *ear, const struct config *config,
                      struct config *out);
    /* The answer to its call, once it hears. NULL: there can be none, and it ends. */
    DBusMessage *(*answer)(struct further_ear *ear);
    /* Why it is over, for whoever waits for the answer. */
    const char *(*why)(const struct further_ear *ear, const struct engine_message *m);
    /* It is over, and its object is there a last time. NULL: nothing is to be told. */
    void (*over)(struct further_ear *ear);
    /* Frees it, and what its kind has of it; assistant and ear are none any more. */
    void (*destroy)(struct further_ear *ear);
};

int further_create(struct further **out, struct loop *loop, struct bus *bus, struct error *error);
void further_destroy(struct further *f); /* after the engine, whose ears are theirs */

/* The object manager, for the object at SERVICE_PATH. */
struct interface_part further_part(struct further *f);

/* From now on it looks after the ears of this kind, which outlives it. */
void further_add_kind(struct further *f, struct further_kind *kind);

/* From now on ears can begin. */
void further_attach(struct further *f, struct engine *engine);

/* Whether the model is there, or was and is loaded anew, and whether it has replies. */
bool further_is_loaded(const struct further *f);
bool further_can_reply(const struct further *f);

/* Makes an ear's object and begins to hear its source, which it takes also when it fails. Its kind,
 * and call, are set. options and ear: all but the configurations. 0 or -errno: destroy it then. */
int further_begin(struct further *f, struct further_ear *ear, const struct config *config,
                  struct assistant_options *options, struct source *source,
                  struct ear_options *ear_options, struct error *error);
/* An ear that has not begun, or is over. */
void further_finish(struct further_ear *ear);

/* The model is there, or is loaded anew; the engine's messages. */
void further_loaded(struct further *f, const char *model, bool can_reply);
void further_loading(struct further *f);
void further_opened(struct further *f, const struct engine_message *m);
void further_closed(struct further *f, const struct engine_message *m);

/* assistant_prepare and assistant_configure of all. */
int further_prepare(struct further *f, const struct config *config, struct error *error);
void further_configure(struct further *f, bool count);

#endif
