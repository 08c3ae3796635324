/* Ctrl-C, or SIGTERM, as the end of what is being heard: what there is is written. The second ends
 * the process, whatever hangs. Main thread.
 */
#ifndef EARSHOT_CLI_STOP_H
#define EARSHOT_CLI_STOP_H

#include <stdbool.h>

/* From now on. A descriptor that becomes readable then; -1: there is none. */
int stop_begin(void);
bool stop_asked(void);

#endif
