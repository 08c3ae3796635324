/* What the end of a text says about a pause after it: who says a number or spells a word pauses
 * between its parts, and each part might be the last. Pure text, no model. Any thread.
 */
#ifndef EARSHOT_PIPELINE_ENDING_H
#define EARSHOT_PIPELINE_ENDING_H

#include <stdbool.h>

/* English numbers, and what the default model hears before something that is spelled, and before
 * a request: its wake words. */
#define ENDING_OPEN_WORDS                                                                          \
    "oh zero one two three four five six seven eight nine ten eleven twelve *teen *ty hundred "    \
    "thousand million enter erase rubout computer jarvis amelia athena android"

/* Whether more may well follow: the last word is a single letter, a number in digits, or one of
 * words, which have spaces between them; "*ty" is every word that ends so. Punctuation behind it
 * does not count, nor does the case of ASCII letters. */
bool ending_is_open(const char *text, const char *words);

#endif
