/* English numbers as they are said. */
#ifndef EARSHOT_CLI_SPOKEN_NUMBER_H
#define EARSHOT_CLI_SPOKEN_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* "five", "twenty one", "one hundred and five", "two thousand", "12": the value of all the words,
 * which are in lower case, from 0 to 999999. False: they are not one number. */
bool spoken_number(char *const *words, size_t count, long *value);

#endif
