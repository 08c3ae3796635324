/* What the engine's two threads and its main-thread side share. Each atomic names its writer. */
#ifndef EARSHOT_DAEMON_ENGINE_PRIVATE_H
#define EARSHOT_DAEMON_ENGINE_PRIVATE_H

#include "base/queue.h"
#include "daemon/engine.h"
#include "daemon/keepsake.h"
#include "pipeline/frontend.h"
#include "pipeline/recogniser.h"
#include "pipeline/wake.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    ENGINE_EARS = 256,    /* at once; the settings allow fewer */
    ENGINE_REQUESTS = 16, /* that wait for a thread */
    ENGINE_MESSAGES = 64, /* that wait for the main thread */
    ENGINE_PATH_MAX = 4096,
    ENGINE_NAME_MAX = 64,
    PIECE_PARTS = 10,
};

enum piece_type {
    PIECE_BEGIN,
    PIECE_HOLD,
    PIECE_AUDIO,
    PIECE_PAUSE, /* is it over? */
    PIECE_END,
    PIECE_DROP,
    PIECE_CLOSED, /* the source is, for a while */
    PIECE_STOP,   /* nothing comes after it */
};

/* Of AUDIO: what the front end handed on in one go. */
struct piece_part {
    float speech; /* the detector's highest probability in the utterance so far */
    size_t count; /* samples */
};

struct piece {
    enum piece_type type;
    uint32_t stamp; /* BEGIN: the stamp then */
    uint64_t id;    /* of the utterance */
    int64_t time_us;
    float speech;     /* END: as of a part */
    int64_t heard_us; /* clock when the newest audio came */
    uint32_t pause;   /* PAUSE: its number, from 1 */
    int64_t wait_us;  /* END: of audio between the end and the decision that it is one */
    size_t count, part_count;
    struct piece_part parts[PIECE_PARTS]; /* [part_count], count samples together */
    float samples[FRONTEND_BLOCK];        /* [count], 16 kHz */
};

/* What one of an ear's two threads gets of new settings. The newest wait in an atomic pointer,
 * which main fills and the thread empties: whoever exchanges it owns what was there. */
struct ear_settings {
    struct config config;
    struct source *source; /* front end's, owned; NULL: it stays */
    bool sets_replies, replies;
    uint64_t number;
    struct ear_settings *other; /* the inference thread's, until ear_configure; owned */
};

struct front;
struct inference;

struct ear {
    struct engine *engine;
    void *user;
    struct recorder *recorder;        /* inference's, not owned; NULL: none */
    struct queue *pieces;             /* struct piece: front end -> inference */
    struct queue *front_requests;     /* struct engine_request: main -> front end */
    struct queue *inference_requests; /* struct engine_request: main -> inference */
    struct queue *front_messages;     /* struct engine_message: front end -> main */
    int front_wake;                   /* eventfd */

    atomic_bool stopping;           /* writer: main */
    atomic_bool aborted;            /* writer: main */
    atomic_uint_fast32_t stamp;     /* writer: main; one more for every cancel */
    atomic_uint_fast64_t shut;      /* writer: main; number * 4 + enum ear_shut */
    atomic_uint_fast64_t cancelled; /* writer: main; number of the newest cancel */
    atomic_uint_fast64_t released;  /* writer: main; the newest request whose hold is to end */
    _Atomic(struct ear_settings *) front_settings, text_settings; /* NULL: none that are new */
    atomic_bool opened;               /* writer: inference; it takes pieces */
    atomic_bool front_ended;          /* writer: front end */
    atomic_uint_fast64_t begun;       /* writer: front end; the id of the newest utterance */
    atomic_uint_fast64_t held;        /* writer: front end; the id of the newest that is held */
    atomic_int_fast64_t date_us;      /* writer: front end; of ids above CLOCK_BOOTTIME */
    atomic_uint_fast64_t verdict;     /* writer: inference; on a pause: its number * 2 + over */
    atomic_int level_cdb;             /* writer: front end; hundredths of a dB */
    atomic_uint_fast64_t heard;       /* writer: inference; samples of utterances, 16 kHz, */
    atomic_uint_fast64_t computed_us; /* writer: inference; and what they and the replies took */
    atomic_uint_fast64_t front_beats; /* writer: front end */

    /* main's */
    struct ear *next;
    struct front *front; /* the front-end thread's while it runs */
    pthread_t front_thread;
    bool front_runs;
    uint64_t front_beats_seen;

    /* inference's while it runs */
    struct config config; /* of its texts */
    struct recogniser *recogniser;
    struct wake wake;
    bool replies;                              /* are wanted */
    struct keepsake kept;                      /* the conversation, where the backend may be lost */
    uint64_t heard_before, computed_before_us; /* on the backend before */
    bool open;                                 /* an utterance is, and its end is not known */
    uint32_t judged;                           /* the pause that is being judged; 0: none */
    bool is_held;                              /* and push-to-talk holds it */
    enum wake_turn turn;                       /* what it is */
    bool replied;                              /* its reply has words */
    bool requested;                            /* a request was served last */
    bool busy;                                 /* as last told */
    uint32_t heard_stamp;                      /* of the utterance or question at hand */
    uint64_t replying_to; /* the newest utterance when the reply or answer was asked for */
    uint64_t question;    /* the request whose answer is being made; 0: none */
    int64_t asked_us;     /* clock then */
    int64_t heard_us;     /* of its newest piece */
    int64_t due_us;       /* clock when a microphone would have given what was served */
    int64_t served_us;    /* of sound, or of time that counts as such, since it opened */
    int64_t ended_us;     /* place in the audio where its end was known */
    int64_t wait_us;      /* of audio, between its end and the decision that it is one */
    int64_t completed_us; /* clock when its text was there, */
    int64_t first_us;     /* and from then to the reply's first token; 0: none yet */
};

struct engine {
    struct config config;
    char model_path[ENGINE_PATH_MAX];
    struct ear *ears;              /* main's */
    char backend[ENGINE_NAME_MAX]; /* main's */

    struct queue *openings;           /* struct ear *: main -> inference */
    struct queue *inference_messages; /* struct engine_message: inference -> main */
    int inference_wake, main_wake;    /* eventfds */

    atomic_bool stopping;        /* writer: main */
    atomic_bool aborted;         /* writer: main */
    atomic_bool loaded;          /* writer: inference; false again while it loads anew */
    atomic_size_t longest_ms;    /* writer: inference, before loaded; as frontend_limit takes it */
    atomic_size_t tail_ms;       /* the same */
    atomic_bool gone;            /* writer: inference; it will take no more pieces */
    atomic_int_fast64_t turn_us; /* writers: front ends; clock when the next may hear of those that
                                    are ahead of time */
    atomic_uint_fast64_t inference_beats; /* writer: inference */

    struct inference *inference; /* the inference thread's while it runs */
    pthread_t inference_thread;
    bool inference_runs;
    uint64_t inference_beats_seen; /* main's */
    struct engine_message last;    /* of the inference thread's, held back by engine_poll */
    bool last_waits;
};

void engine_wake(int eventfd);
void engine_nap(void); /* two milliseconds: the other side is busy */
void engine_beat(atomic_uint_fast64_t *beats);
/* Until the eventfd is woken, or fd (-1: none) is readable. */
void engine_wait(int eventfd, int fd, int timeout_ms);

/* Sends to the main thread; waits for room unless *aborted. From front-end or inference thread,
 * each with its own queue. */
void engine_send(struct engine *e, struct queue *messages, const atomic_bool *aborted,
                 const struct engine_message *m);

/* Takes the source, also when it fails. */
int front_create(struct front **out, struct ear *ear, struct source *source,
                 const struct ear_options *options, struct error *error);
void front_destroy(struct front *f);
void *front_main(void *front); /* the thread */

int inference_create(struct inference **out, struct engine *e, struct error *error);
void inference_destroy(struct inference *i);
void *inference_main(void *inference); /* the thread */

#endif
