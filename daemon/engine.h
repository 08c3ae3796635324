/* The engine: a front-end thread (source -> 16 kHz -> utterances) and an inference thread
 * (utterances -> text), driven by requests and heard through messages. Main thread only.
 *
 *   source ─► front-end thread ──pieces──► inference thread
 *                 ▲      │                    ▲       │
 *              requests messages          requests  messages
 *                 │      ▼                    │       ▼
 *                 └──────────── main thread ──────────┘
 *
 * Every arrow between threads is a single-producer single-consumer queue with an eventfd.
 */
#ifndef EARSHOT_DAEMON_ENGINE_H
#define EARSHOT_DAEMON_ENGINE_H

#include "base/error.h"
#include "daemon/config.h"
#include "model/sampler.h"
#include "pipeline/event.h"

#include <stdbool.h>
#include <stdint.h>

enum engine_request_type {
    /* for the front-end thread */
    ENGINE_HOLD,        /* result: the id of the utterance that is open now */
    ENGINE_FINISH,      /* the open utterance ends now */
    ENGINE_CANCEL,      /* the open utterance is dropped; see also engine_cancel */
    ENGINE_MUTE,        /* flag: close the device, or open it */
    ENGINE_DEVICE,      /* text: the capture device's name, empty for any */
    ENGINE_SET_HEARING, /* config: [speech] from the next silence on, [audio] when the source opens
                         */
    /* for the inference thread, between two utterances */
    ENGINE_ASK,      /* text, sampling; result: the reply */
    ENGINE_RESET,    /* forgets the conversation */
    ENGINE_SAVE,     /* text: path */
    ENGINE_RESTORE,  /* text: path */
    ENGINE_REPLIES,  /* flag: replies after captions, from the next utterance on */
    ENGINE_SET_TEXT, /* config: [text] but for its mode, and [reply] */
};

struct engine_request {
    enum engine_request_type type;
    uint64_t number; /* chosen by the caller, handed back with the result */
    uint32_t stamp;  /* set by the engine */
    bool flag;
    struct sampler_config sampling;
    union {
        char text[EVENT_TEXT_MAX];
        struct config config;
    };
};

enum engine_message_type {
    ENGINE_LOADED,  /* text: the model's name; value: 1 when it can reply */
    ENGINE_FAILED,  /* text: why; the engine does nothing any more */
    ENGINE_EVENT,   /* event: of the recogniser */
    ENGINE_BUSY,    /* value: 1 a text is being decoded for good, 0 no longer */
    ENGINE_RESULT,  /* of request number; value: 0, an id, or -errno with text saying why */
    ENGINE_SOURCE,  /* value: enum engine_source; text: the device, or why there is none */
    ENGINE_LOST,    /* value: samples (16 kHz) that were captured and lost */
    ENGINE_STOPPED, /* both threads are done */
};

enum engine_source {
    ENGINE_SOURCE_CLOSED,
    ENGINE_SOURCE_OPEN,
    ENGINE_SOURCE_MISSING, /* tried again, later and later, up to every 10 s */
};

struct engine_message {
    enum engine_message_type type;
    uint64_t number;
    int64_t value;
    struct event event; /* only EVENT uses more than its text */
};

struct engine;

/* Checks the source and starts both threads; the model loads on its thread. Ids of utterances are
 * above last_id. Returns 0 or -errno. */
int engine_create(struct engine **out, const struct config *config, const char *model_path,
                  uint64_t last_id, struct error *error);

/* Joins the threads: after ENGINE_STOPPED this is at once. */
void engine_destroy(struct engine *e);

int engine_fd(const struct engine *e); /* readable when there may be messages */
bool engine_poll(struct engine *e, struct engine_message *message);

/* 0, or -EBUSY when too many requests wait. r->stamp is set. */
int engine_request(struct engine *e, struct engine_request *r);

/* Every text whose utterance or question is older than this call is no longer wanted. */
void engine_cancel(struct engine *e);

/* Ends: the open utterance is completed, then ENGINE_STOPPED comes. */
void engine_stop(struct engine *e);
/* Ends now: what is still being decoded is given up. After engine_stop. */
void engine_abort(struct engine *e);

/* True when both threads have gone round since the last call; a model that loads counts as going.
 */
bool engine_is_alive(struct engine *e);

#endif
