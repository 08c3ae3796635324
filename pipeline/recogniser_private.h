/* Shared by recogniser.c (an utterance's way, replies, answers), recogniser_end.c (its end) and the
 * two ways to a caption, captions_prompted.c and captions_aligned.c, which the model's file chooses
 * between. */
#ifndef EARSHOT_PIPELINE_RECOGNISER_PRIVATE_H
#define EARSHOT_PIPELINE_RECOGNISER_PRIVATE_H

#include "pipeline/alignment.h"
#include "pipeline/beam.h"
#include "pipeline/decode.h"
#include "pipeline/evidence.h"
#include "pipeline/features.h"
#include "pipeline/intent.h"
#include "pipeline/recogniser.h"

/* Rows of the features. */
typedef void recogniser_rows(struct recogniser *r, const struct features_rows *rows);

/* A way to a caption. The recogniser hears; the way takes the rows, sends updates, and has the text
 * at the end. */
struct captions_way {
    void (*begin)(struct recogniser *r); /* the hearing is as the conversation left it */
    /* Rows of the features into the hearing; each encoder row goes through
     * recogniser_count_evidence. */
    void (*take)(struct recogniser *r, const struct features_rows *rows);
    int64_t (*due)(const struct recogniser *r); /* samples until update; INT64_MAX: never */
    void (*update)(struct recogniser *r);
    size_t (*silence)(const struct recogniser *r); /* samples to be heard after the last one */
    /* All rows are taken: text, words and confidence into the event; the fork becomes the hearing
     * with its caption. False: cancelled. */
    bool (*end)(struct recogniser *r);
    /* A judgement whether what is open is over. False: it cannot tell. */
    bool (*fork)(struct recogniser *r);
    recogniser_rows *take_fork;            /* hears the end in the fork; NULL: it is not heard */
    bool (*is_over)(struct recogniser *r); /* and the fork is no more */
    bool reads;                            /* a reply goes on from the fork, not from the hearing */
};

extern const struct captions_way captions_prompted;
extern const struct captions_way captions_aligned;

/* Of captions that are prompted. */
struct prompted {
    int64_t next_partial;          /* sample count at which the next partial result is due */
    char previous[EVENT_TEXT_MAX]; /* the last partial text */
};

enum {
    ALIGNED_ROWS = 8, /* that the state takes at once */
};

/* A beam, and how far it has heard. */
struct search {
    struct beam *beam;
    uint64_t row;          /* the number of the next row of the backbone */
    uint64_t encoder_rows; /* taken */
};

/* Of captions that are aligned. Times are in ms since the hearing began, but those of the event's
 * words. */
struct aligned {
    struct alignment *alignment; /* NULL: the file has no letters */
    struct search live, fork;    /* fork: of a hearing to which nothing is added */
    float *logits;               /* backend memory [ALIGNED_ROWS, vocab], owned */
    float *logs;          /* the same here: log probabilities of rows that were taken, owned */
    double surprise;      /* of the pieces of the text, */
    size_t pieces;        /* whose ids are decode.ids */
    int64_t part_ms;      /* where this utterance begins: others came before it */
    size_t words;         /* of the event, with the one that may grow */
    bool grows;           /* the last of them has no times yet */
    double likely;        /* probability of its pieces */
    uint64_t first_row;   /* that gave the first of them, */
    size_t first_letters; /* which had so many characters */
    uint64_t last_row;    /* that gave the last piece */
    bool untold;          /* the text has something that no update had */
    struct beam_token open[BEAM_OPEN_MAX]; /* pieces behind the text, */
    size_t open_count;
    uint32_t told[BEAM_OPEN_MAX]; /* and those of the last update */
    size_t told_count;
};

enum work_kind {
    WORK_NONE,
    WORK_JUDGE,
    WORK_TAIL, /* of an end: what is behind the last sample is heard, */
    WORK_TEXT,
    WORK_INTENT,
};

/* What is done a step at a time. */
struct work {
    enum work_kind kind;
    size_t silence;   /* samples of it that are to be heard yet */
    bool is_over;     /* what the judgement came to */
    bool whole;       /* the text is */
    int64_t end_us;   /* place in the audio of the end */
    uint64_t took_us; /* the steps so far */
};

enum made {
    MADE_NOTHING,
    MADE_REPLY,
    MADE_ANSWER,
};

struct recogniser {
    const struct model *model;
    struct backbone_scratch *scratch; /* of all who hear with the model */
    struct recogniser_config config;
    const struct captions_way *captions;
    struct features *features; /* NULL: a text-only model */
    struct state *conversation;
    uint64_t turn; /* changes of it */
    struct state *hearing;
    struct decode decode;
    struct intents *intents; /* NULL: the model writes none */
    uint64_t rows;           /* adapter rows of this utterance */
    int64_t heard;           /* samples of this utterance */
    bool open;
    bool told; /* the utterance has been announced */
    struct evidence evidence;
    struct text text; /* over event.text */
    enum made made;   /* token by token */
    struct work work;
    struct event event; /* the one being made */
    struct prompted prompted;
    struct aligned aligned;
    struct recogniser_stats stats;
};

/* What a backend gives after an error is nothing to be told. */
bool recogniser_has_failed(const struct recogniser *r);
bool recogniser_is_cancelled(void *recogniser);

/* Rows of the utterance. */
void recogniser_take_rows(struct recogniser *r, const struct features_rows *rows);

void recogniser_emit(struct recogniser *r, enum event_type type);
/* An update: the text so far, without the white space at its end, which may be what the whole ends
 * with. */
void recogniser_emit_so_far(struct recogniser *r, enum event_type type);

/* The first ids of decode.ids into the fork, as a text that is asked. */
void recogniser_read(struct recogniser *r, size_t count);

/* The utterance is speech. The text that is being made stays as it is. */
void recogniser_announce(struct recogniser *r);
/* One encoder row; announces when there is evidence enough. */
void recogniser_count_evidence(struct recogniser *r, float phone);

/* What noise is taken for is short, and the model is not sure of it. */
bool recogniser_is_noise(const struct recogniser *r);
/* What lets a text end in a pause, however it came about: the model is sure of it, and its last
 * word does not call for more. */
bool recogniser_sounds_finished(const struct recogniser *r);

/* The text is as it stays, though more is heard: COMPLETED. What is that long is no order.
 * begin_us: clock when the end of its audio was known. */
void recogniser_complete(struct recogniser *r, int64_t end_us, uint64_t begin_us);
void recogniser_forget_text(struct recogniser *r);

/* Leaves a judgement or an end that is not done; true: it was an end. */
bool recogniser_drop_work(struct recogniser *r);

/* Begins the reply, if one is wanted; else the conversation goes on from the caption. */
void recogniser_follow_caption(struct recogniser *r);

#endif
