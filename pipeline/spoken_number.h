/* English numbers as they are said. */
#ifndef EARSHOT_PIPELINE_SPOKEN_NUMBER_H
#define EARSHOT_PIPELINE_SPOKEN_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* "five", "twenty one", "a hundred and five", "twelve hundred", "two thousand", "two and a half",
 * "half a", "zero point five", "12", "2.5": the value of all the words, which are in lower case,
 * from 0 to 999999. False: they are not one number. */
bool spoken_number(char *const *words, size_t count, double *value);

/* As many of the first words as make a whole number below a hundred; 0: none. */
size_t spoken_number_below_100(char *const *words, size_t count, long *value);

#endif
