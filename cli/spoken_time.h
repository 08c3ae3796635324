/* English times of the day as they are said. */
#ifndef EARSHOT_CLI_SPOKEN_TIME_H
#define EARSHOT_CLI_SPOKEN_TIME_H

#include <stdbool.h>
#include <stddef.h>

/* "half past six", "quarter to seven", "six thirty", "seven o'clock", "five pm", "ten past nine in
 * the evening", "noon", "18:05", "5:30 p m": the minutes since midnight that all the words, which
 * are in lower case, say. Without a word for the half of the day the hour is as it was said. False:
 * they are not one time. */
bool spoken_time(char *const *words, size_t count, int *minutes);

#endif
