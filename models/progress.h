/* How far a long work is, on stderr: a bar on a terminal, elsewhere a line for each tenth. One
 * thread.
 */
#ifndef EARSHOT_MODELS_PROGRESS_H
#define EARSHOT_MODELS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *name;           /* of what is worked on */
    uint64_t begun;             /* bytes that were there before */
    int64_t start_us, shown_us; /* on the monotonic clock */
    int tenths;                 /* that were told */
    bool terminal;
};

void progress_begin(struct progress *p, const char *name, uint64_t begun);
/* done, whole: bytes; whole 0: unknown. */
void progress_show(struct progress *p, uint64_t done, uint64_t whole);
/* Clears the bar. */
void progress_end(struct progress *p);

#endif
