/* What the recogniser tells: fixed-size messages that can be queued between threads.
 * Every utterance has a 64-bit id. BEGIN and COMPLETED come exactly once, updates only between
 * them; text never changes after COMPLETED; an utterance that is dropped ends with CANCELLED.
 */
#ifndef EARSHOT_PIPELINE_EVENT_H
#define EARSHOT_PIPELINE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    EVENT_TEXT_MAX = 4096, /* bytes with the NUL */
    EVENT_WORDS_MAX = 512,
    EVENT_SLOTS_MAX = 8,
    EVENT_INTENT_NAME_MAX = 32, /* bytes with the NUL */
    EVENT_SLOT_NAME_MAX = 16,
};

enum event_type {
    EVENT_UTTERANCE_STARTED,
    EVENT_UTTERANCE_UPDATED,   /* text so far; may still change behind stable_bytes */
    EVENT_UTTERANCE_COMPLETED, /* the caption, final */
    EVENT_UTTERANCE_CANCELLED,
    EVENT_REPLY_UPDATED,   /* the reply so far, only grows */
    EVENT_REPLY_COMPLETED, /* final; cut where it was cancelled */
};

/* A word of the text, with its punctuation. */
struct event_word {
    uint16_t at, size;         /* bytes of the text */
    uint32_t start_ms, end_ms; /* since start_us; it begins where the one before ends, or later */
    float confidence;          /* 0..1 */
};

/* Words of the text that fill a slot of an order. */
struct event_slot {
    char name[EVENT_SLOT_NAME_MAX];
    uint16_t at, size; /* bytes of the text */
};

/* What a text asks for, "timer.set" with its "duration". */
struct event_intent {
    char name[EVENT_INTENT_NAME_MAX]; /* empty: nothing, or it is not known */
    float confidence;                 /* 0..1 */
    uint32_t slot_count;
    struct event_slot slots[EVENT_SLOTS_MAX];
};

struct event {
    enum event_type type;
    uint64_t id;
    uint32_t seq;          /* of updates of this utterance or reply, from 1 */
    uint32_t stable_bytes; /* leading bytes on which the last two updates agree, at a word's end */
    int64_t start_us, end_us; /* place in the audio since the source began; end 0: not yet */
    uint32_t compute_us; /* COMPLETED: from the end of the audio to this text, computation only */
    bool addressed;      /* COMPLETED: it has words, and for the assistant; else it is forgotten */
    uint32_t phrase_bytes; /* COMPLETED: leading bytes of text that call the assistant, 0: none */
    float confidence;      /* COMPLETED: mean probability of the tokens (geometric), 0..1 */
    bool continues;        /* it goes on from the utterance before, which had become long */
    uint32_t size;         /* bytes of text without the NUL */
    char text[EVENT_TEXT_MAX];
    uint32_t
        word_count; /* of UPDATED and COMPLETED: words that are whole; 0: times are not known */
    struct event_word words[EVENT_WORDS_MAX];
    struct event_intent intent; /* COMPLETED and addressed */
};

/* Called with each event, on the thread that drives the pipeline; the event is valid until the
 * call returns. */
typedef void event_sink(void *user, const struct event *event);

#endif
