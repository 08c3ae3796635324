/* What a terminal shows: how wide it is, how much of a text that takes, faint words. */
#ifndef EARSHOT_CLI_TERMINAL_H
#define EARSHOT_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Of the terminal on the standard output, now; 80 where nothing is known. */
size_t terminal_columns(void);

/* The bytes of the text, in whole characters, that fit into so many columns; and its end that does.
 */
size_t terminal_fit(const char *text, size_t columns);
const char *terminal_tail(const char *text, size_t columns);

/* What begins faint words, and what ends them, on a terminal that has such; "" elsewhere. */
const char *terminal_faint(void);
const char *terminal_normal(void);

#endif
