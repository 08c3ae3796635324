/* Shared by assistant.c (its life, messages of the engine), assistant_calls.c (calls of clients),
 * assistant_folder.c (what is on the disk), assistant_properties.c and assistant_signals.c. */
#ifndef EARSHOT_DAEMON_ASSISTANT_PRIVATE_H
#define EARSHOT_DAEMON_ASSISTANT_PRIVATE_H

#include "daemon/assistant.h"
#include "daemon/folder_lock.h"
#include "daemon/history.h"
#include "daemon/history_file.h"
#include "daemon/holders.h"
#include "model/sampler.h"

enum {
    ASSISTANT_PENDING = 64,    /* calls that wait for the engine */
    ASSISTANT_UPDATE_MS = 100, /* between two updates of one kind */
    ASSISTANT_PATH_MAX = 128,
    ASSISTANT_PARTS = 5, /* interfaces, with the one that ends them */
};

#define ERROR_PREFIX "org.earshot.Earshot1.Error."

struct pending {
    bool waits;
    DBusMessage *call; /* NULL: nobody wants the answer any more */
    struct engine_request request;
};

/* A call that is answered when the ear has done what was asked of it, which cannot fail. */
struct late {
    struct late *next;
    DBusMessage *call, *reply;       /* owned */
    enum engine_message_type answer; /* that tells so, with this number or a higher one */
    uint64_t number;
};

/* Of the last text of its kind, in ms. */
struct latency {
    double partial;     /* from audio to the update that has it */
    double wait;        /* from the end of an utterance until its text could be begun, */
    double compute;     /* and from there to the text */
    double reply_first; /* from the text to the reply's first token, */
    double reply;       /* and to its last */
};

/* The last update of a kind, held back until its time has come. */
struct update {
    struct assistant *assistant;
    struct loop_timer *timer;
    bool waits;
    struct event event;
};

struct assistant {
    const struct settings *settings; /* NULL: it is not the microphone's */
    struct assistant *beside;        /* as assistant_options has it, */
    const char *history_name;        /* as this */
    struct config started, config;   /* at the start, and as last read */
    int (*configure)(void *user, const struct config *config, struct error *error);
    void *configure_user;
    struct ear_settings *prepared; /* NULL: none are; of this configuration: */
    struct config prepared_config;
    struct microphones *microphones; /* not owned; NULL: a stream */
    struct loop *loop;
    struct bus *bus;
    struct ear *ear;
    char path[ASSISTANT_PATH_MAX];
    struct interface_part parts[ASSISTANT_PARTS];
    struct interface_object object;
    struct bus_watch bus_watch;
    struct folder_lock folder; /* the state folder; of a stream: none */
    bool owns_conversation;
    struct history *history;
    struct history_file *history_file; /* NULL: in memory only */
    bool told_unwritten;               /* the log has it */
    struct pending pending[ASSISTANT_PENDING];
    struct late *late;
    uint64_t last_number;
    struct holders holders, pausers; /* of push-to-talk, of a pause */
    unsigned shut;                   /* enum ear_shut, as last asked for */
    struct update utterance_update, reply_update;
    uint64_t words_id;   /* the utterance of which */
    uint32_t words_told; /* so many words have been told */

    enum assistant_state state; /* as last announced */
    uint32_t progress;          /* of loading, in per cent */
    bool loaded, failed, can_reply, hearing, busy, muted, paused, assistant_mode;
    bool mode_said; /* by Mode: a stream keeps it */
    bool resting;   /* assistant_pause has said so */
    enum engine_source source;
    bool open, listening; /* the device is, or it was, and what it heard is not all text yet */
    struct latency latency;
    uint64_t lost;                                             /* samples, 16 kHz */
    char device[EVENT_TEXT_MAX], device_error[EVENT_TEXT_MAX]; /* empty: none */
    char model[64];
    const char *backend; /* the engine's */
};

extern const struct interface assistant_interface;
extern const struct interface_method assistant_methods[];
extern const struct interface_property assistant_properties[];
extern const struct interface_signal assistant_signals[];

/* Passes the request on; its result answers the call, which may be NULL. 0 or -EBUSY. */
int assistant_pass_on(struct assistant *a, DBusMessage *call, const struct engine_request *request);
/* The same, and the error reply when it cannot be. */
DBusMessage *assistant_request(struct assistant *a, DBusMessage *call,
                               const struct engine_request *request);

/* Asks for what keeps the device closed; the reply to call is sent when it is so. NULL: nobody
 * asks. An error reply when there is no memory. */
DBusMessage *assistant_shut(struct assistant *a, DBusMessage *call, unsigned shut);
/* Sends reply to call with an answer that the engine will give. Takes the reply. NULL, or an error
 * reply when there is no memory. */
DBusMessage *assistant_answer_late(struct assistant *a, DBusMessage *call, DBusMessage *reply,
                                   enum engine_message_type answer);

/* The client, or with NULL every one, is gone: it pauses the device no longer. */
void assistant_resume_for(struct assistant *a, const char *client);

/* What a request that the engine has done changes here; */
void assistant_settle(struct assistant *a, const struct pending *p,
                      const struct engine_message *result);
/* and the reply to its call. */
DBusMessage *assistant_reply(const struct pending *p, const struct engine_message *result);

/* The state folder, the history, and what the folder has of it. 0 or -errno. */
int assistant_open_folder(struct assistant *a, struct error *error);
/* The entry of the history is new, or has changed. */
void assistant_write_history(struct assistant *a, uint64_t id);
DBusMessage *assistant_call_transcript(void *assistant, DBusMessage *call);
DBusMessage *assistant_call_utterances(void *assistant, DBusMessage *call);
DBusMessage *assistant_list_states(void *assistant, DBusMessage *call);
DBusMessage *assistant_delete_state(void *assistant, DBusMessage *call);

void assistant_update_state(struct assistant *a);

/* NotSupported, where the call is of a stream and means the microphone; else NULL. */
DBusMessage *assistant_not_of_stream(const struct assistant *a, DBusMessage *call);

/* {"words": a(uuxxd)}, of words of an utterance that begins at origin_us. */
void assistant_append_words(DBusMessageIter *dictionary, const struct event_word *words,
                            size_t count, int64_t origin_us);
/* The whole words that have not been told yet. */
/* {"intent": a{sv}} of a text, into a dictionary a{sv}. */
void assistant_append_intent(DBusMessageIter *dictionary, const struct event_intent *intent,
                             const char *text);

void assistant_signal_words(struct assistant *a, const struct event *e);
void assistant_signal_started(struct assistant *a, const struct event *e);
void assistant_signal_completed(struct assistant *a, const struct engine_message *from,
                                const char *member); /* UtteranceCompleted, ReplyCompleted */
void assistant_signal_lost(struct assistant *a, uint64_t samples);

int assistant_init_update(struct update *u, struct assistant *a); /* 0 or -ENOMEM */
/* Sends at once when the last is long enough ago; else keeps the newest for when it will be. */
void assistant_offer_update(struct update *u, const struct event *e);

#endif
