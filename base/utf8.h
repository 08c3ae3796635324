/* Bytes that somebody else chose - names of files, devices and streams, lines of a configuration -
 * and that are to be shown. Pure functions, any thread.
 */
#ifndef EARSHOT_BASE_UTF8_H
#define EARSHOT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of the UTF-8 character at p, 1 to 4; 0 where none begins, or at the NUL. */
size_t utf8_size(const char *p);

/* Whether a terminal may obey the character at p, of size bytes, instead of showing it: C0, DEL,
 * C1, and what turns the direction of the text around it. */
bool utf8_is_control(const char *p, size_t size);

/* Replaces in place, for a terminal, a log or D-Bus: line breaks and tabs become spaces, other
 * control characters and what is not UTF-8 become '?'. The text never grows. */
void utf8_make_plain(char *text);

#endif
