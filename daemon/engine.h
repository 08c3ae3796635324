/* The engine: one model and the inference thread that uses it, and ears: each a source, a front-end
 * thread (source -> 16 kHz -> utterances), a conversation and its texts. Main thread only.
 *
 *   source ─► front-end thread ──pieces──► inference thread ◄──pieces── front-end thread ◄─ source
 *                 ▲      │                    ▲       │                     ▲      │
 *              requests messages          requests  messages             requests messages
 *                 │      ▼                    │       ▼                     │      ▼
 *                 └──────────────────────── main thread ────────────────────┘
 *
 * Every arrow between threads is a single-producer single-consumer queue with an eventfd.
 */
#ifndef EARSHOT_DAEMON_ENGINE_H
#define EARSHOT_DAEMON_ENGINE_H

#include "base/error.h"
#include "daemon/config.h"
#include "daemon/sources.h"
#include "model/sampler.h"
#include "pipeline/event.h"

#include <stdbool.h>
#include <stdint.h>

enum engine_request_type {                 /* requests.c has what does each */
                           ENGINE_HOLD,    /* result: the id of the utterance that is open now; see
                                              also ear_release */
                           ENGINE_FINISH,  /* the open utterance ends now */
                           ENGINE_DEVICE,  /* text: the capture device's name, empty for any */
                           ENGINE_REOPEN,  /* the capture device is to be looked for anew */
                           ENGINE_ASK,     /* text, sampling; result: the reply */
                           ENGINE_RESET,   /* forgets the conversation */
                           ENGINE_SAVE,    /* text: path */
                           ENGINE_RESTORE, /* text: path */
                           ENGINE_REPLIES, /* flag: replies after captions, from the next utterance
                                              on */
};

struct engine_request {
    enum engine_request_type type;
    uint64_t number; /* chosen by the caller, handed back with the result */
    uint32_t stamp;  /* set by the engine */
    bool flag;
    struct sampler_config sampling;
    char text[EVENT_TEXT_MAX];
};

enum engine_message_type {
    /* of the engine */
    ENGINE_LOADING,  /* again: text: why; until ENGINE_LOADED every ear waits, what was open is
                        dropped, conversations are as they were after the last whole turn */
    ENGINE_PROGRESS, /* value: per cent of the model's file that is loaded, now and then */
    ENGINE_BACKEND,  /* text: engine_backend from now on; before ENGINE_LOADED */
    ENGINE_LOADED,   /* text: the model's name; value: 1 when it can reply */
    ENGINE_FAILED,   /* text: why; the engine does nothing any more */
    ENGINE_STOPPED,  /* all threads are done */
    /* of an ear */
    ENGINE_OPENED,    /* it hears */
    ENGINE_CLOSED,    /* it is over, ear_destroy is due; value: 0, or -errno with text saying why */
    ENGINE_EVENT,     /* event: of the recogniser */
    ENGINE_BUSY,      /* value: 1 a text is being decoded for good, 0 no longer */
    ENGINE_RESULT,    /* of request number; value: 0, an id, or -errno with text saying why */
    ENGINE_SOURCE,    /* value: enum engine_source; text: the device, or why there is none */
    ENGINE_LOST,      /* value: samples (16 kHz) that were captured and lost */
    ENGINE_QUIET,     /* muted or paused, and what was heard before has its text and its reply */
    ENGINE_SHUT,      /* what ear_shut asked for with number is so; value: enum ear_shut, ored */
    ENGINE_CANCELLED, /* what ear_cancel asked for with number, and all before it, is done */
    ENGINE_CONFIGURED, /* the settings with number, and all before them, count */
    ENGINE_RELEASED,   /* the hold that request number began, and all before it, are over */
};

enum engine_source {
    ENGINE_SOURCE_STARTING, /* about to open: at first, untold, and after a pause */
    ENGINE_SOURCE_CLOSED,
    ENGINE_SOURCE_OPEN,
    ENGINE_SOURCE_MISSING, /* tried again, later and later, up to every 10 s */
};

struct engine_message {
    enum engine_message_type type;
    void *user; /* of the ear */
    uint64_t number;
    int64_t value;
    struct event event; /* only EVENT uses more than its text */
    /* EVENT: of an update, from the newest audio to its text; of a completed text, from the end of
     * the audio until it could be begun; of a reply, from the completed text to its first token. */
    int64_t latency_us;
};

struct engine;
struct ear;

/* Starts the inference thread, where the model loads. Returns 0 or -errno. */
int engine_create(struct engine **out, const struct config *config, const char *model_path,
                  struct error *error);

/* Joins the threads, and destroys the ears that are left: after ENGINE_STOPPED this is at once. */
void engine_destroy(struct engine *e);

/* Where the model computes, once ENGINE_LOADED has come. */
const char *engine_backend(const struct engine *e);

int engine_fd(const struct engine *e); /* readable when there may be messages */
bool engine_poll(struct engine *e, struct engine_message *message);

/* Ends: what is open is completed, every ear is closed, then ENGINE_STOPPED comes. */
void engine_stop(struct engine *e);
/* Ends now: what is still being decoded is given up. After engine_stop. */
void engine_abort(struct engine *e);

/* True when all threads have gone round since the last call; a model that loads counts as going. */
bool engine_is_alive(struct engine *e);

struct ear_options {
    const struct config *config; /* copied */
    uint64_t last_id;            /* ids of utterances are above it */
    size_t pieces;               /* of at most 100 ms that may wait for the model */
    struct recorder *recorder;   /* of what becomes text, outlives the engine; NULL: none */
    void *user;                  /* comes with its messages */
};

/* Takes the source, also when it fails. ENGINE_OPENED or ENGINE_CLOSED follows. 0 or -errno. */
int ear_create(struct ear **out, struct engine *e, struct source *source,
               const struct ear_options *options, struct error *error);
void ear_destroy(struct ear *ear); /* after ENGINE_CLOSED; NULL: nothing */

/* 0, or -EBUSY when too many requests wait. r->stamp is set. */
int ear_request(struct ear *ear, struct engine_request *r);

/* What follows reaches the ear at once, whatever waits for it. Numbers are those of requests, and
 * grow. */

/* What keeps the device closed; it opens when nothing does. ENGINE_SHUT comes when it is closed, or
 * open, or missing; of several that follow each other at once, of the last alone. */
enum ear_shut {
    EAR_MUTED = 1,
    EAR_PAUSED = 2, /* for a while */
};
void ear_shut(struct ear *ear, unsigned shut, uint64_t number);

/* The open utterance is dropped, and every text whose utterance or question is older than this
 * call; a hold that was asked for before is none. ENGINE_CANCELLED follows. */
void ear_cancel(struct ear *ear, uint64_t number);

/* Whoever asked for the holds up to this request is gone: they end as with ENGINE_FINISH. */
void ear_release(struct ear *ear, uint64_t number);

/* A configuration for both threads: [speech] counts from the next silence on, [text] but for its
 * mode, [reply] and [recordings] from the next utterance on, a source at once. */
struct ear_settings;

/* Takes the source, also when it fails; NULL: it stays as it is. 0 or -ENOMEM. */
int ear_settings_create(struct ear_settings **out, const struct config *config,
                        struct source *source);
void ear_settings_destroy(struct ear_settings *s);
/* Replies after captions, from the next utterance on. */
void ear_settings_reply(struct ear_settings *s, bool replies);
/* Takes them. ENGINE_CONFIGURED follows; newer ones take the place of what has not been seen. */
void ear_configure(struct ear *ear, struct ear_settings *s, uint64_t number);

/* Of what it hears now, in dB full scale, as dsp/level.h has it. */
double ear_level_db(const struct ear *ear);

/* How far the ids of its newest utterances are above CLOCK_BOOTTIME, in µs. */
int64_t ear_date_us(const struct ear *ear);

/* Since it was opened: the audio of utterances, and how long the model computed for it. */
struct ear_work {
    double heard_s, computed_s;
};

struct ear_work ear_work(const struct ear *ear);

/* Ends it; what is open is dropped. ENGINE_CLOSED follows. */
void ear_abort(struct ear *ear);

/* Whether ear_abort or engine_abort has been called. */
bool ear_is_aborted(const struct ear *ear);

#endif
