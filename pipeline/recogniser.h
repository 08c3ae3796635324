/* One hearing: utterance samples -> encoder -> adapter -> backbone state -> text. How captions come
 * about is the model's choice: after a prompt, from forks of the state, or aligned, with the rows;
 * a reply is a fork. Single-threaded, without an
 * operating system but a clock; allocates at create only. Any split of the samples gives the same
 * rows, state and final text. An utterance is told of when there is evidence enough that it is
 * speech (min_evidence), at its end with the words' help; of any other, nothing is.
 */
#ifndef EARSHOT_PIPELINE_RECOGNISER_H
#define EARSHOT_PIPELINE_RECOGNISER_H

#include "model/hearing.h"
#include "pipeline/event.h"
#include "pipeline/frontend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The confidence that a short text needs, where nobody says: on the dev recordings it keeps
 * single words and drops most of what the default model makes of noise. */
#define RECOGNISER_MIN_CONFIDENCE 0.7f

/* The evidence of speech that an utterance must have to be announced, where the model can tell
 * phones: tuned on the dev recordings, docs/performance.md. */
#define RECOGNISER_MIN_EVIDENCE 5.0f

struct recogniser_config {
    int partial_ms; /* of speech between partial results, >= 240, more on a slow machine; 0: none.
                       Those of aligned captions come with the words */
    int long_ms;    /* aligned captions: after so much speech a sentence's end completes, after
                       twice as much a pause; 0: neither */
    bool reply;     /* assistant mode: a reply after each caption */
    struct sampler_config sampling; /* of replies and answers; captions are greedy */
    float min_confidence;   /* 0..1: a text of one or two words below it is noise, and empty */
    float min_evidence;     /* what never has more is no utterance; 0: everything is; up to 20 */
    const char *open_words; /* ending.h; not owned; NULL: none */
    event_sink *sink;
    bool (*cancelled)(void *user); /* looked at between tokens; NULL: never */
    /* Sets addressed, which is true, and phrase_bytes of a whole caption that has words; NULL: all
     * are for the assistant. */
    void (*address)(void *user, struct event *caption);
    void *user; /* of these three */
};

/* 480 ms between partial results, texts as long as an utterance, no replies, the limits above and
 * ENDING_OPEN_WORDS. Whoever takes it adds the sink. */
struct recogniser_config recogniser_config_default(void);

/* What aligned captions make of a long utterance: several, told of one after the other. Each begins
 * where the one before ends, `continues`, and its id is later by as much. */

struct recogniser;
struct decode_group;

/* An ear of the hearing, which must outlive it; its model must have an encoder for anything but
 * recogniser_ask. 0 or -errno. */
int recogniser_create(struct recogniser **out, struct hearing *hearing,
                      const struct recogniser_config *config, struct error *error);
void recogniser_destroy(struct recogniser *r);

/* Both between two utterances. Of config all is taken but `reply` and the callbacks. */
void recogniser_set_reply(struct recogniser *r, bool reply);
void recogniser_configure(struct recogniser *r, const struct recogniser_config *config);

/* An utterance: begin, push as often as wanted, then end or cancel. Its end gives the caption, and
 * begins the reply, if one is wanted. Cancel drops the utterance, or cuts the reply or answer that
 * is being made. time_us: place in the source's audio. */
void recogniser_begin(struct recogniser *r, uint64_t id, int64_t time_us);
void recogniser_push(struct recogniser *r, const float *samples, size_t count);
void recogniser_end(struct recogniser *r, int64_t time_us);
void recogniser_cancel(struct recogniser *r);

/* The end a step a call, so that others can be heard in between; until work_on is false nothing
 * else may be called but recogniser_cancel. */
void recogniser_begin_end(struct recogniser *r, int64_t time_us);
bool recogniser_work_on(struct recogniser *r);
bool recogniser_is_working(const struct recogniser *r);

/* A reply or an answer is made a token a call, so that others can be heard in between; while it is,
 * nothing else may be called but recogniser_cancel. False: none is being made any more. */
bool recogniser_go_on(struct recogniser *r);
/* Of several that make one, at most DECODE_GROUP_MAX: what recogniser_go_on would do for each first
 * is done for all at once (pipeline/decode_group.h). */
void recogniser_prepare_together(struct decode_group *g, struct recogniser *const *makers,
                                 size_t count);
bool recogniser_is_making(const struct recogniser *r);

/* The detector's highest probability of speech in the open utterance so far. */
void recogniser_detect(struct recogniser *r, float probability);
/* The open utterance is one, whatever is heard: push-to-talk. */
void recogniser_hold(struct recogniser *r);
/* Whether an utterance is open that has been announced. */
bool recogniser_is_hearing(const struct recogniser *r);

/* In a pause, when all before it has been pushed: whether the open utterance sounds finished. The
 * model is sure of its words, which by themselves make a whole sentence, and the last of which does
 * not call for more. False where it cannot tell: an encoder that waits for the end, or for long. */
bool recogniser_is_over(struct recogniser *r);
/* The same in steps of recogniser_work_on, which give the verdict; of the ears of a hearing one at
 * a time. */
void recogniser_begin_judgement(struct recogniser *r);
bool recogniser_verdict(const struct recogniser *r);

/* What a piece of the front end asks for, with the whole reply; an utterance that begins takes the
 * id *next_id, which is then increased. */
void recogniser_take(struct recogniser *r, const struct frontend_piece *piece, uint64_t *next_id);

/* Begins the answer to a text. 0, or -ENOTSUP when the model has no prompt for it, -E2BIG. sampling
 * NULL: as the replies. */
int recogniser_ask(struct recogniser *r, const char *text, size_t size,
                   const struct sampler_config *sampling);
/* The answer, once it is made and until something else is called; NULL: it was cancelled. */
const char *recogniser_answer(const struct recogniser *r);

/* In a model that carries the conversation on, a turn becomes part of it as a whole, up to the stop
 * token: what was heard and the reply to it, or the caption where no reply was made; what was asked
 * and the answer. A turn that was cancelled, one without words, and one that was not addressed
 * to the assistant, leave it as it was. */

/* Forgets the conversation. */
void recogniser_reset(struct recogniser *r);
/* The conversation between utterances as a file (model/state.h). */
int recogniser_save(const struct recogniser *r, const char *path, struct error *error);
int recogniser_load(struct recogniser *r, const char *path, struct error *error);

/* The same in memory: recogniser_conversation_bytes, aligned as malloc's; encode fails where the
 * backend has failed, decode as recogniser_load. turn: another number after every change. */
uint64_t recogniser_turn(const struct recogniser *r);
size_t recogniser_conversation_bytes(const struct recogniser *r);
int recogniser_encode(const struct recogniser *r, void *out, struct error *error);
int recogniser_decode(struct recogniser *r, const void *data, struct error *error);

struct recogniser_stats {
    uint64_t samples;   /* heard */
    uint64_t rows;      /* of the encoder */
    uint64_t tokens;    /* decoded, partial results included */
    uint64_t encode_us; /* mel, encoder, adapter and backbone */
    uint64_t decode_us; /* all texts */
};

struct recogniser_stats recogniser_stats(const struct recogniser *r);

#endif
