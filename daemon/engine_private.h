/* What the engine's two threads and its main-thread side share. Each atomic names its writer. */
#ifndef EARSHOT_DAEMON_ENGINE_PRIVATE_H
#define EARSHOT_DAEMON_ENGINE_PRIVATE_H

#include "base/queue.h"
#include "daemon/engine.h"
#include "daemon/sources.h"
#include "pipeline/frontend.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    ENGINE_PIECES = 512,  /* of at most 100 ms */
    ENGINE_REQUESTS = 16, /* that wait for a thread */
    ENGINE_MESSAGES = 64, /* that wait for the main thread */
    ENGINE_PATH_MAX = 4096,
};

enum piece_type {
    PIECE_BEGIN,
    PIECE_HOLD,
    PIECE_AUDIO,
    PIECE_END,
    PIECE_DROP,
    PIECE_STOP, /* nothing comes after it */
};

struct piece {
    enum piece_type type;
    uint32_t stamp; /* BEGIN: the stamp then */
    uint64_t id;    /* of the utterance */
    int64_t time_us;
    size_t count;
    float samples[FRONTEND_BLOCK]; /* [count], 16 kHz */
};

struct front;
struct inference;

struct engine {
    struct config config;
    char model_path[ENGINE_PATH_MAX];

    struct queue *pieces;                      /* struct piece: front end -> inference */
    struct queue *front_requests;              /* struct engine_request: main -> front end */
    struct queue *inference_requests;          /* struct engine_request: main -> inference */
    struct queue *front_messages;              /* struct engine_message: front end -> main */
    struct queue *inference_messages;          /* struct engine_message: inference -> main */
    int front_wake, inference_wake, main_wake; /* eventfds */

    atomic_bool stopping;       /* writer: main */
    atomic_bool aborted;        /* writer: main */
    atomic_uint_fast32_t stamp; /* writer: main; one more for every cancel */
    atomic_bool loaded;         /* writer: inference */
    atomic_size_t longest_ms;   /* writer: inference, before loaded; of an utterance, 0: any */
    atomic_bool gone;           /* writer: inference; it will take no more pieces */
    atomic_uint_fast64_t front_beats, inference_beats; /* writers: their threads */

    struct front *front;         /* the front-end thread's */
    struct inference *inference; /* the inference thread's */
    pthread_t front_thread, inference_thread;
    bool front_runs, inference_runs;
    uint64_t front_beats_seen, inference_beats_seen; /* main's */
};

void engine_wake(int eventfd);
void engine_wait(int eventfd, int timeout_ms); /* until woken */
void engine_nap(void);                         /* two milliseconds: the other side is busy */
void engine_beat(atomic_uint_fast64_t *beats);

/* Sends to the main thread; waits for room unless the engine is aborted. From front-end or
 * inference thread, each with its own queue. */
void engine_send(struct engine *e, struct queue *messages, const struct engine_message *m);

int front_create(struct front **out, struct engine *e, uint64_t last_id, struct error *error);
void front_destroy(struct front *f);
void *front_main(void *front); /* the thread */

int inference_create(struct inference **out, struct engine *e, struct error *error);
void inference_destroy(struct inference *i);
void *inference_main(void *inference); /* the thread */

#endif
