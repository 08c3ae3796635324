/* What the caption window shows, as text: a line for each utterance and each reply, in the order of
 * their ids, and how each part of a line looks. Knows no toolkit: a change says which bytes of
 * which line are others now, so that a view edits these alone and no word that stands moves. One
 * thread.
 */
#ifndef EARSHOT_OVERLAY_CAPTIONS_H
#define EARSHOT_OVERLAY_CAPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CAPTIONS_MAX = 200,      /* older ones are dropped */
    CAPTION_WORDS_MAX = 512, /* words of a line whose confidence is known */
    CAPTION_TEXT_MAX = 8192, /* bytes; a longer text ends there */
};

/* Below this confidence a word may well be another, as for earshot captions. */
#define CAPTION_SURE 0.8

/* A word of a line's text, as the daemon tells it. */
struct caption_word {
    size_t at, size; /* bytes of the text that the daemon sent */
    double confidence;
};

enum caption_kind {
    CAPTION_SAID,
    CAPTION_REPLY,
    CAPTION_PLAYED, /* said by what the desktop plays, where both are shown */
};

struct caption_line {
    uint64_t id;
    enum caption_kind kind;
    bool complete, lost; /* lost: the daemon went before it was complete */
    unsigned seq;        /* of the last update; 0: none */
    char *text;          /* [size + 1], owned; one line of valid UTF-8 */
    size_t size;
    size_t settled;             /* leading bytes that stand; all of them once it is complete */
    double confidence;          /* of the whole; below 0: not known */
    struct caption_word *words; /* [word_count], owned, in order */
    size_t word_count;
};

struct captions {
    struct caption_line line[CAPTIONS_MAX + 1]; /* [count], by id, a reply after what it answers */
    size_t count;                               /* at most CAPTIONS_MAX between two calls */
};

/* What a view does, in this order: insert or remove the line at index; take its text from byte
 * `from` on anew; take its looks from look_from on anew; drop lines from the top. */
struct captions_change {
    enum { CAPTIONS_SAME, CAPTIONS_ADDED, CAPTIONS_EDITED, CAPTIONS_REMOVED } what;
    size_t index; /* as it is before lines are dropped */
    size_t from, look_from;
    size_t dropped; /* of the oldest lines; 0 or 1 */
};

enum caption_look {
    CAPTION_SETTLED,
    CAPTION_GUESS,  /* may yet become something else */
    CAPTION_UNSURE, /* stands, and may well be wrong */
};

void captions_init(struct captions *captions);
void captions_finish(struct captions *captions);

/* An update of an utterance, or of a reply. What is not newer than the last is left out. */
struct captions_change captions_update(struct captions *captions, uint64_t id,
                                       enum caption_kind kind, unsigned seq, size_t stable_bytes,
                                       const char *text);

/* The complete text. An empty one removes the line. words: [count], NULL where they are not known.
 */
struct captions_change captions_complete(struct captions *captions, uint64_t id,
                                         enum caption_kind kind, const char *text,
                                         double confidence, const struct caption_word *words,
                                         size_t count);

/* Completes the first line that is not complete, as far as it is known, as its daemon is gone.
 * CAPTIONS_SAME: all are complete. */
struct captions_change captions_lose(struct captions *captions);

/* The largest id there is of what was said that is complete; 0: none. */
uint64_t captions_last_id(const struct captions *captions);

/* The look of the text from byte `from` on, and in *end where it ends. from is below the size. */
enum caption_look caption_look(const struct caption_line *line, size_t from, size_t *end);

#endif
