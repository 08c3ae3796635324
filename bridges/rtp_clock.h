/* A sender's clock is not ours: 200 ppm are 0.7 s in an hour. This finds how much longer its audio
 * is to be made for the stream's time to keep up with ours. One thread.
 */
#ifndef EARSHOT_BRIDGES_RTP_CLOCK_H
#define EARSHOT_BRIDGES_RTP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct rtp_clock {
    bool begun, anchored;
    uint64_t window_us; /* when the window began */
    int64_t least_us;   /* in it, of our time above the stream's */
    int64_t anchor_us;  /* what it is to stay at */
    double drift;       /* of the sender's clock, as known so far; 1e-6 is 1 ppm */
    double ratio;       /* by which audio is made longer */
};

void rtp_clock_init(struct rtp_clock *c);

/* Time was left out or is counted anew; what is known of the drift stays. */
void rtp_clock_jumped(struct rtp_clock *c);

/* A packet came at now_us, whose audio begins at stream_us of the stream. The ratio. */
double rtp_clock_heard(struct rtp_clock *c, uint64_t now_us, int64_t stream_us);

#endif
