/* A sender's clock against ours. The packet that was the least delayed in ten seconds says how far
 * the two are apart, so jitter plays no part; a loop of second order, damped critically, follows
 * it:
 *
 *     error = least - anchor        drift += error x window / (2 x FOLLOWS)^2
 *     ratio = 1 + drift + error / FOLLOWS
 */
#include "bridges/rtp_clock.h"

#include <math.h>

#define WINDOW_US 10000000
#define JUMP_US 250000 /* what moves further is another way through the network, no drift */
#define FOLLOWS_S 100.0
#define MOST 0.002 /* 2000 ppm: no oscillator is so far off */

void rtp_clock_init(struct rtp_clock *c)
{
    *c = (struct rtp_clock){.ratio = 1.0};
}

void rtp_clock_jumped(struct rtp_clock *c)
{
    c->begun = c->anchored = false;
    c->ratio = 1.0 + c->drift;
}

static double within(double value)
{
    return fmin(fmax(value, -MOST), MOST);
}

static void follow(struct rtp_clock *c)
{
    int64_t apart_us = c->least_us - c->anchor_us;
    if (!c->anchored || apart_us > JUMP_US || apart_us < -JUMP_US) {
        c->anchored = true;
        c->anchor_us = c->least_us;
        return;
    }
    double error_s = (double)apart_us / 1e6;
    c->drift = within(c->drift + error_s * (WINDOW_US / 1e6) / (4 * FOLLOWS_S * FOLLOWS_S));
    c->ratio = 1.0 + within(c->drift + error_s / FOLLOWS_S);
}

double rtp_clock_heard(struct rtp_clock *c, uint64_t now_us, int64_t stream_us)
{
    int64_t above_us = (int64_t)now_us - stream_us;
    if (c->begun &&
        now_us >= c->window_us + WINDOW_US) { /* they come in the order of their audio */
        follow(c);
        c->begun = false;
    }
    if (!c->begun) {
        c->begun = true;
        c->window_us = now_us;
        c->least_us = above_us;
    }
    if (above_us < c->least_us)
        c->least_us = above_us;
    return c->ratio;
}
