/* PCG32 (XSH-RR 64/32), M. E. O'Neill's generator: 64 bits of state, one of 2^63 streams. Good
 * enough to draw words with, not for secrets. One thread at a time.
 */
#ifndef EARSHOT_BASE_PCG32_H
#define EARSHOT_BASE_PCG32_H

#include <stdint.h>

struct pcg32 {
    uint64_t state;
    uint64_t increment; /* odd */
};

/* The same seed and stream give the same numbers, on every machine. */
void pcg32_seed(struct pcg32 *p, uint64_t seed, uint64_t stream);
uint32_t pcg32_next(struct pcg32 *p);
/* In [0, 1), with 53 random bits: two draws. */
double pcg32_unit(struct pcg32 *p);

#endif
