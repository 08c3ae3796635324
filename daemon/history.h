/* The last completed utterances: a ring of a fixed number of entries. Main thread. */
#ifndef EARSHOT_DAEMON_HISTORY_H
#define EARSHOT_DAEMON_HISTORY_H

#include "pipeline/event.h"

#include <stddef.h>
#include <stdint.h>

struct history_entry {
    uint64_t id;
    int64_t start_us, end_us;
    char *text;                  /* owned */
    char *reply;                 /* owned, NULL: none */
    double confidence;           /* 0 to 1; below 0: not known */
    char *words;                 /* owned, as history_words.h has them; NULL: not known */
    struct event_intent *intent; /* what the text asks for, owned; NULL: nothing, or not known */
};

struct history;

int history_create(struct history **out, size_t capacity); /* 0, -EINVAL or -ENOMEM */
void history_destroy(struct history *h);

/* id: above all others. Copies the text; the oldest entry is forgotten when the ring is full. 0 or
 * -ENOMEM. */
int history_add(struct history *h, uint64_t id, int64_t start_us, int64_t end_us, const char *text);
/* The same for any id: an entry takes its place among the others, and where there is one with the
 * id already nothing happens. An older one than all of a full ring is forgotten. */
int history_insert(struct history *h, uint64_t id, int64_t start_us, int64_t end_us,
                   const char *text);
/* 0, -ENOENT when the utterance is not (or no longer) there, or -ENOMEM. */
int history_set_reply(struct history *h, uint64_t id, const char *reply);

/* How sure the model was of the text, which nobody knows before; -ENOENT as above. */
int history_set_confidence(struct history *h, uint64_t id, double confidence);

/* The words, whose times nobody knows before; as history_set_reply, and -EINVAL where they are not
 * the text's. */
int history_set_words(struct history *h, uint64_t id, const char *words);

/* What it asks for; one without a name is none. Errors as of history_set_reply. */
int history_set_intent(struct history *h, uint64_t id, const struct event_intent *intent);

size_t history_capacity(const struct history *h);
size_t history_count(const struct history *h);
const struct history_entry *history_at(const struct history *h, size_t i); /* 0 is the oldest */

/* Index of the first entry with an id above since_id; history_count when there is none. */
size_t history_after(const struct history *h, uint64_t since_id);

#endif
