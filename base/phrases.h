/* Phrases that a text may begin with: alternatives between |, as "computer|hey computer". Compared
 * word by word, without case (of a-z) and punctuation; an apostrophe is nothing. Pure text, UTF-8.
 * Any thread.
 */
#ifndef EARSHOT_BASE_PHRASES_H
#define EARSHOT_BASE_PHRASES_H

#include "base/error.h"

#include <stddef.h>

/* 0, or -EINVAL with a message: an alternative without a word. */
int phrases_check(const char *phrases, struct error *error);

/* The leading bytes of the text [size] that are one of the phrases (the longest), with the
 * punctuation and spaces after it; 0: none is. */
size_t phrases_bytes(const char *phrases, const char *text, size_t size);

#endif
