/* The two clocks. Any thread. */
#ifndef EARSHOT_DAEMON_CLOCK_H
#define EARSHOT_DAEMON_CLOCK_H

#include <stdint.h>

int64_t clock_monotonic_us(void);
int64_t clock_real_us(void); /* since 1970 */

#endif
