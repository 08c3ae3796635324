/* Other programs, started and waited for. One thread.
 */
#ifndef EARSHOT_MODELS_PROCESS_H
#define EARSHOT_MODELS_PROCESS_H

#include <stddef.h>

/* Runs a program, found in PATH where its name has no slash; argv ends with NULL. said: gets the
 * beginning of what it writes, on both outputs; NULL: all of it goes to stderr. Its exit code, 128
 * and more for a signal, or -errno where it could not be started. Where an end is asked for
 * (stop.h), the program is asked, too. */
int process_run(char *const argv[], char *said, size_t capacity);

/* The program of the converter; the last place looked at where there is none. 0 or -errno. */
int process_converter(char *path, size_t capacity);

#endif
