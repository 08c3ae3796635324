/* Words of a text, where some languages have spaces between them and others (Chinese, Japanese,
 * Thai) do not: there two letters count as a word. Pure text, UTF-8. Any thread.
 */
#ifndef EARSHOT_PIPELINE_WORDS_H
#define EARSHOT_PIPELINE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

size_t words_count(const char *text);

/* Whether the bytes begin with a letter that is written without spaces. */
bool words_are_dense(const char *bytes, size_t size);

/* Whether a sentence ends with the text, by its punctuation, quotation marks or not. */
bool words_end_sentence(const char *text);

/* The leading bytes on which two texts agree, cut back to the end of a word, or of a letter where
 * no spaces are. */
size_t words_agreed(const char *a, const char *b);

#endif
