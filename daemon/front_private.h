/* What front_thread.c (utterances and requests) and front_source.c (the source, and what is heard
 * of it) share. All belongs to the front-end thread.
 */
#ifndef EARSHOT_DAEMON_FRONT_PRIVATE_H
#define EARSHOT_DAEMON_FRONT_PRIVATE_H

#include "audio/resample.h"
#include "daemon/audio_clock.h"
#include "daemon/engine_private.h"

enum {
    FRONT_RETRY_FIRST_MS = 500,
    FRONT_WAITING = 64, /* turns that wait for the source, at most */
};

struct front {
    struct engine *engine;
    struct ear *ear;
    struct frontend *frontend;
    struct source *source;
    struct resample *resample; /* while open */
    float *in;                 /* [chunk, channels], while open */
    float *out;                /* [resample_bound(chunk)], while open */
    size_t chunk;              /* frames a read takes: 20 ms */
    bool open, ended, muted, paused;
    bool starting;    /* it has neither opened nor failed since it was to open */
    bool quiet;       /* the source knows that nobody speaks */
    bool cancelling;  /* what is heard came before a Cancel that is under way */
    uint64_t skipped; /* samples of it that nobody listened to */
    uint64_t shut;    /* as last obeyed, as the ear's, */
    bool shut_untold;
    uint64_t cancelled; /* and the number of the last cancel */
    uint64_t hold;      /* the request that holds, or held last */
    bool holding;
    bool told_missing; /* the log has it */
    struct config config;
    bool reconfigured; /* the front end does not know of it yet */
    int retry_ms;
    int64_t retry_us; /* when to try again */

    uint64_t id; /* of the last utterance */
    struct audio_clock clock;
    uint32_t begun_stamp;  /* when it began */
    bool begun;            /* the inference thread knows of it, and not of its end */
    uint32_t pauses;       /* that were asked about */
    uint64_t samples_lost; /* to be told */
    int64_t told_lost_us;  /* clock then */
    int64_t heard_us;      /* clock at the last audio, or when push-to-talk was pressed since */
    int64_t looked_us;     /* clock when it was looked whether any comes */
    int64_t due_us;        /* clock when a microphone would have given what was heard */
    uint64_t waiting[FRONT_WAITING]; /* the numbers of turns that wait for the source */
    size_t waiting_count;
    struct piece audio; /* gathered, while what came before it waits for the model */
    struct piece piece; /* scratch */
    struct engine_message message;
};

bool front_is_to_shut(const struct front *f);

/* Requests (requests.h). */
int64_t front_hold(struct front *f, const struct engine_request *r, struct error *error);
int64_t front_finish(struct front *f, const struct engine_request *r, struct error *error);
int64_t front_choose_device(struct front *f, const struct engine_request *r, struct error *error);
int64_t front_reopen(struct front *f, const struct engine_request *r, struct error *error);

/* The message that front_send sends; its text is empty. */
struct engine_message *front_message(struct front *f, enum engine_message_type type, int64_t value);
void front_send(struct front *f);

/* The source. An open one is heard a chunk at a time; what fails is tried again later. */
void front_open_source(struct front *f);
void front_close_source(struct front *f);
void front_tell_source(struct front *f, enum engine_source state, const char *text);
void front_limit_frontend(struct front *f); /* to what the model takes */
void front_free_buffers(struct front *f);
void front_hear(struct front *f); /* a chunk, or waits for one */
/* Audio that was gathered goes to the inference thread if that has nothing else; true: none is
 * left. */
bool front_offer_audio(struct front *f);

/* What came before a turn was asked for, ended or dropped is heard before it is; or dropped. */
void front_catch_up(struct front *f);
void front_drop_what_came(struct front *f);

#endif
