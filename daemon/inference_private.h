/* What inference_thread.c (ears and requests in turn), inference_pieces.c (what an ear hears and
 * what is made of it) and inference_model.c (the model and its backend) share. All belongs to the
 * inference thread.
 */
#ifndef EARSHOT_DAEMON_INFERENCE_PRIVATE_H
#define EARSHOT_DAEMON_INFERENCE_PRIVATE_H

#include "daemon/engine_private.h"
#include "model/open.h"
#include "pipeline/decode_group.h"
#include "pipeline/recogniser.h"

enum {
    INFERENCE_SPARE_MESSAGES = 16, /* room that updates leave to what must not be lost */
};

struct inference {
    struct engine *engine;
    struct opened opened;
    struct ear *ears[ENGINE_EARS]; /* [count] */
    size_t count;
    struct decode_group *group; /* of replies that are made at once; NULL: there is one ear */
    size_t next;                /* ear to look at first when replies may go on */
    int rounds;                 /* since they did */
    int64_t opening_due_us;     /* as due_us of an ear, of those that begin */
    int64_t progress_us;        /* clock when the log had a load's progress */
    struct ear *ear;            /* that is served */
    struct piece piece;         /* scratch */
    struct engine_request request;
    struct engine_message message;
};

/* i->message, of the ear that is served; and one of a type, with a text. */
void inference_send(struct inference *i);
void inference_send_text(struct inference *i, enum engine_message_type type, int64_t value,
                         const char *text);

/* The model. Loads it, and tells so; on the CPU where its backend has failed, if that is wanted. */
int inference_load(struct inference *i, const char *backend, struct error *error);
void inference_tell_loaded(struct inference *i);
void inference_keep_conversations(struct inference *i); /* for that case */
int inference_fall_back(struct inference *i, struct error *error);

/* Requests (requests.h) of the ear that is served. */
int64_t inference_ask(struct inference *i, const struct engine_request *r, struct error *error);
int64_t inference_forget(struct inference *i, const struct engine_request *r, struct error *error);
int64_t inference_save(struct inference *i, const struct engine_request *r, struct error *error);
int64_t inference_restore(struct inference *i, const struct engine_request *r, struct error *error);
int64_t inference_follow_mode(struct inference *i, const struct engine_request *r,
                              struct error *error);

/* The ear that is served. */
int inference_create_recogniser(struct inference *i, struct ear *ear, struct error *error);
int inference_create_group(struct inference *i, size_t ears, struct error *error);
bool inference_take_piece(struct inference *i); /* false: that was the last */
void inference_work_on(struct inference *i);    /* a step of its judgement or of its end */
void inference_leave_judgement(struct ear *ear);
void inference_take_settings(const struct inference *i, struct ear *ear);
void inference_set_replies(struct ear *ear, bool replies);
bool inference_is_cancelled(void *inference); /* what is made is not wanted any more */
void inference_tell_busy(struct inference *i, bool busy);
void inference_end_turn(struct ear *ear);
void inference_end_reply(struct inference *i);
void inference_count_work(struct ear *ear);
void inference_count_time(struct ear *ear, int64_t us); /* of audio, that it was served */

#endif
