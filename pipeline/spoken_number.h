/* English numbers as they are said. */
#ifndef EARSHOT_PIPELINE_SPOKEN_NUMBER_H
#define EARSHOT_PIPELINE_SPOKEN_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "five", "twenty one", "a hundred and five", "twelve hundred", "two thousand", "two and a half",
 * "half a", "zero point five", "12", "2.5": the value of all the words, which are in lower case,
 * from 0 to 999999. False: they are not one number. */
bool spoken_number(char *const *words, size_t count, double *value);

/* As many of the first words as make a whole number below a hundred; 0: none. */
size_t spoken_number_below_100(char *const *words, size_t count, long *value);

enum {
    SPOKEN_NUMBER_MAX = 240, /* bytes of a number of 18 digits in words, the end included */
};

/* A number of millionths, up to 10^18 of them, in words: "minus one hundred and five point two
 * five". Its bytes, without the end. */
size_t spoken_number_write(int64_t millionths, char text[SPOKEN_NUMBER_MAX]);

#endif
