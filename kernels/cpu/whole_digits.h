/* Whole numbers for processors that multiply bytes and sum four products at once: a word is the low
 * or the high digit, a signed byte, of each of a quad's numbers. The weights' bytes are multiplied
 * as they are, and each digit has a sum of its own.
 */
#ifndef EARSHOT_KERNELS_CPU_WHOLE_DIGITS_H
#define EARSHOT_KERNELS_CPU_WHOLE_DIGITS_H

#define WHOLE_SUMS 2
#define DIGIT_BITS 8

typedef int8_t digits_vector __attribute__((vector_size(VL)));

SIMD void vi_keep_digit(uint32_t (*words)[2], size_t word, vi digit)
{
    digits_vector bytes = __builtin_convertvector(digit, digits_vector);
    uint32_t quads[VL / 4];

    memcpy(quads, &bytes, sizeof(quads));
    for (size_t g = 0; g < VL / 4; g++)
        words[g][word] = quads[g];
}

/* VL numbers. */
SIMD void vi_keep(uint32_t (*words)[2], vi n)
{
    vi low = ((n + (1 << DIGIT_BITS) / 2) & ((1 << DIGIT_BITS) - 1)) - (1 << DIGIT_BITS) / 2;

    vi_keep_digit(words, 0, low);
    vi_keep_digit(words, 1, (n - low) >> DIGIT_BITS);
}

/* The weights of a quad that belong to a word, as vi_add_products takes them. */
SIMD vi vi_weights(vi quad, size_t word)
{
    (void)word;
    return quad;
}

SIMD vi vi_whole(const vi *low, const vi *high)
{
    return (*high << DIGIT_BITS) + *low;
}

#endif
