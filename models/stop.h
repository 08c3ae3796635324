/* Ctrl-C and SIGTERM as a wish to end, which what takes long looks at. Main thread.
 */
#ifndef EARSHOT_MODELS_STOP_H
#define EARSHOT_MODELS_STOP_H

#include <stdbool.h>

/* From now on. Calls that wait come back with EINTR. */
void stop_begin(void);
bool stop_asked(void);

#endif
