/* A file for a reader that wants a path, in a folder of its own in memory, which goes at the end.
 */
#ifndef EARSHOT_TESTS_FUZZ_PLACE_H
#define EARSHOT_TESTS_FUZZ_PLACE_H

#include <stddef.h>
#include <stdint.h>

const char *place_write(const uint8_t *data, size_t size); /* its path, the same every time */
const char *place_folder(void);                            /* where it is */

#endif
