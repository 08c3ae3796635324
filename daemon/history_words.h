/* The words of an utterance as one line of text, as the history keeps them: for each its place
 * in the text, its bytes, start and end in ms since the utterance's start, and its confidence in
 * thousandths, "0:5:120:410:973 6:3:...". Any thread.
 */
#ifndef EARSHOT_DAEMON_HISTORY_WORDS_H
#define EARSHOT_DAEMON_HISTORY_WORDS_H

#include "pipeline/event.h"

#include <stddef.h>

/* Owned by the caller; NULL: it has no words, or no memory. */
char *history_words_write(const struct event *e);

/* words[most]; their number, 0: they are not those of the text, or nothing that was written here.
 */
size_t history_words_read(const char *line, const char *text, struct event_word *words,
                          size_t most);

#endif
