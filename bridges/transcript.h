/* What was said in one sound, utterance by utterance, as UtteranceCompleted tells it, and how the
 * OpenAI API writes it down. One thread.
 */
#ifndef EARSHOT_BRIDGES_TRANSCRIPT_H
#define EARSHOT_BRIDGES_TRANSCRIPT_H

#include "bridges/buffer.h"
#include "cues/cues.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

enum {
    TRANSCRIPT_BYTES_MAX = 1024 * 1024, /* of all its texts */
    TRANSCRIPT_WORDS_MAX = 4096,        /* of an utterance */
};

struct transcript_segment {
    int64_t start_us, end_us; /* since the sound began */
    char *text;               /* owned */
    double confidence;        /* 0 to 1; below 0: not known */
    struct cue_word *words;   /* [word_count], owned; 0: their times are not known */
    size_t word_count;
};

struct transcript {
    struct transcript_segment *segments; /* [count], owned; none is empty */
    size_t count, capacity, bytes;
    uint64_t samples; /* at 16 kHz, of the sound */
};

/* Reads the arguments of UtteranceCompleted. 1: a segment more; 0: it has no words; -ENOBUFS: all
 * of them are longer than they may be; -ENOMEM; -EBADMSG. */
int transcript_add(struct transcript *t, sd_bus_message *m);
void transcript_finish(struct transcript *t);

/* The texts with blanks between them. 0 or -ENOMEM. */
int transcript_text(const struct transcript *t, struct buffer *out);

enum transcript_form {
    TRANSCRIPT_JSON,
    TRANSCRIPT_TEXT,
    TRANSCRIPT_SRT,
    TRANSCRIPT_VTT,
    TRANSCRIPT_VERBOSE_JSON,
};

/* The form of this name, or -EINVAL. */
int transcript_find_form(const char *name);
const char *transcript_type(enum transcript_form form); /* as Content-Type has it */

struct transcript_options {
    enum transcript_form form;
    const char *language;
    bool words, segments; /* of TRANSCRIPT_VERBOSE_JSON */
};

/* 0 or -ENOMEM. */
int transcript_write(const struct transcript *t, const struct transcript_options *o,
                     struct buffer *out);

#endif
