/* Utterances as text, JSON, SubRip or WebVTT, for whatever has them: a file, the daemon. */
#ifndef EARSHOT_CUES_CUES_H
#define EARSHOT_CUES_CUES_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum cue_format {
    CUE_FORMAT_TEXT, /* a line each */
    CUE_FORMAT_JSON, /* an object a line */
    CUE_FORMAT_SRT,
    CUE_FORMAT_VTT,
};

struct cue_word {
    size_t at, size;          /* bytes of the text */
    int64_t start_us, end_us; /* since the cue's start */
    double confidence;        /* 0 to 1 */
};

struct cue {
    int64_t start_us, end_us;
    const char *text;
    const char *reply; /* NULL: none */
    double confidence; /* the mean probability of its words, 0 to 1; below 0: not known */
    const struct cue_word *words; /* [word_count], in order; not owned */
    size_t word_count;            /* 0: times of words are not known */
    const cJSON *intent;          /* what it asks for (cli/intent.h); NULL: nothing, or not known */
    const char *ear;              /* that heard it, of several; plain. NULL: it needs no name */
};

/* Whether the words of such a confidence may well be others: what a terminal shows faint. */
bool cue_is_unsure(double confidence);

/* A text on one line, whatever it holds: control characters become spaces, what is not UTF-8 '?'.
 */
void cue_print_text(const char *text, FILE *out);

/* What a file of the format begins with. */
void cue_print_head(enum cue_format format, FILE *out);

/* The cue in SRT or VTT; number counts from 1. Where the times of its words are known it is cut
 * into captions that can be read: at the ends of sentences, and before they have more than two
 * lines. How many were written. */
unsigned cue_print(const struct cue *cue, enum cue_format format, unsigned number, FILE *out);

/* {"start_ms", "end_ms", "ear" where it has a name, "text", "reply", "confidence", "words" and
 * "intent" where they are known}, owned by the caller; NULL: out of memory. */
cJSON *cue_object(const struct cue *cue);

/* JSON as cJSON printed it; what is not UTF-8 in its strings becomes U+FFFD, and what a terminal
 * may obey is escaped. */
void cue_print_json(const char *json, FILE *out);

/* The object on a line; deletes it. 0 or -ENOMEM. */
int cue_print_object(cJSON *object, FILE *out);

#endif
