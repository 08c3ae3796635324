/* Words of a text, where some languages have spaces between them and others (Chinese, Japanese,
 * Thai) do not: there two letters count as a word. Pure text, UTF-8. Any thread.
 */
#ifndef EARSHOT_PIPELINE_WORDS_H
#define EARSHOT_PIPELINE_WORDS_H

#include <stddef.h>

size_t words_count(const char *text);

/* The leading bytes on which two texts agree, cut back to the end of a word, or of a letter where
 * no spaces are. */
size_t words_agreed(const char *a, const char *b);

#endif
