/* state <- 6364136223846793005 state + increment; what comes out is the state before, its high bits
 * folded into 32 and turned by as much as its highest five say. */
#include "base/pcg32.h"

void pcg32_seed(struct pcg32 *p, uint64_t seed, uint64_t stream)
{
    *p = (struct pcg32){.increment = (stream << 1) | 1};
    pcg32_next(p);
    p->state += seed;
    pcg32_next(p);
}

uint32_t pcg32_next(struct pcg32 *p)
{
    uint64_t old = p->state;
    p->state = old * 6364136223846793005u + p->increment;
    uint32_t folded = (uint32_t)(((old >> 18) ^ old) >> 27);
    uint32_t turn = (uint32_t)(old >> 59);
    return (folded >> turn) | (folded << (-turn & 31));
}

double pcg32_unit(struct pcg32 *p)
{
    uint64_t high = pcg32_next(p) >> 5;
    uint64_t low = pcg32_next(p) >> 6;
    return (double)((high << 26) | low) * 0x1p-53;
}
