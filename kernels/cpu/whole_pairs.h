/* Whole numbers for processors that multiply sixteen bits and sum two products at once: word 0 has
 * numbers 0 and 2 of a quad, word 1 has 1 and 3. The weights' bytes are widened, for all rows at
 * once, and there is one sum. Little endian, as the files are.
 */
#ifndef EARSHOT_KERNELS_CPU_WHOLE_PAIRS_H
#define EARSHOT_KERNELS_CPU_WHOLE_PAIRS_H

#define WHOLE_SUMS 1

/* VL numbers. */
SIMD void vi_keep(uint32_t (*words)[2], vi n)
{
    uint32_t number[VL];

    memcpy(number, &n, sizeof(number));
    for (size_t g = 0; g < VL / 4; g++)
        for (size_t k = 0; k < 2; k++)
            words[g][k] = (number[4 * g + k] & 0xffff) | number[4 * g + k + 2] << 16;
}

/* The weights of a quad that belong to a word, as vi_add_products takes them. */
SIMD vi vi_weights(vi quad, size_t word)
{
    return (word ? quad >> 8 : quad) & 0x00ff00ff;
}

SIMD vi vi_whole(const vi *sum, const vi *same)
{
    (void)same;
    return *sum;
}

#endif
