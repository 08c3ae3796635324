/* The clocks, and how far the date may be believed. Any thread. */
#ifndef EARSHOT_BASE_CLOCK_H
#define EARSHOT_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_monotonic_us(void);
int64_t clock_monotonic_ms(void);
int64_t clock_boot_us(void);   /* as the monotonic one, and goes on while the machine sleeps */
int64_t clock_real_us(void);   /* since 1970 */
int64_t clock_thread_us(void); /* for which the calling thread has had a core */

/* The monotonic clock when something is paid for that costs so much time, by who still pays for
 * what was before until due_us; of time that went by unused a second counts. */
int64_t clock_paid_us(int64_t due_us, int64_t cost_us);

/* Zeroed: nothing is known yet. One thread. */
struct clock_date {
    int64_t base_us; /* of 1970's clock over that of the machine's start */
    int64_t set_us;  /* clock_boot_us when it was seen that somebody has set it; 0: nobody has */
};

/* The least of what the time since 1970 may be: who sets the clock forward by more than an hour is
 * not believed for a day. */
int64_t clock_believed_us(struct clock_date *d);

#endif
