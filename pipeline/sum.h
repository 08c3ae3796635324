/* Sums that are said or written, and their exact answers: a small model guesses, a computation does
 * not. English. Pure text. Any thread.
 */
#ifndef EARSHOT_PIPELINE_SUM_H
#define EARSHOT_PIPELINE_SUM_H

#include <stddef.h>

enum {
    SUM_ANSWER_MAX = 256, /* bytes of an answer, the end included */
};

/* The answer to "What is seven times eight?", "how much is minus 3 plus 2.5", "7 * 8": two numbers
 * as spoken_number knows them, of three decimals at most, with plus, minus, times or divided by
 * between them. In words, "Fifty-six."; a quotient of more than three decimals is rounded to two
 * and begins with "About". Its bytes, without the end, or 0: the text is no such sum. */
size_t sum_answer(const char *text, char answer[SUM_ANSWER_MAX]);

#endif
