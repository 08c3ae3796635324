/* The wake words that a bridge listens for: phrases, told apart by their number. One thread. */
#ifndef EARSHOT_BRIDGES_WAKE_WORDS_H
#define EARSHOT_BRIDGES_WAKE_WORDS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
    WAKE_WORDS_MAX = 16,
    WAKE_WORD_BYTES = 64,
};

/* A set of them is a mask: bit i stands for names[i]. */
struct wake_words {
    char names[WAKE_WORDS_MAX][WAKE_WORD_BYTES];
    size_t count;
};

/* phrases: alternatives between |, in the place of all there were. 0 or -errno with a message. */
int wake_words_set(struct wake_words *w, const char *phrases, struct error *error);

uint32_t wake_words_all(const struct wake_words *w);
uint32_t wake_words_named(const struct wake_words *w, const char *name); /* 0: there is none */

/* The one of the set that the text begins with, the longest; NULL: none. */
const char *wake_words_find(const struct wake_words *w, uint32_t set, const char *text,
                            size_t size);

#endif
