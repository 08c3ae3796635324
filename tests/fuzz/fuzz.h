/* A fuzz target is libFuzzer's one function; regression.c calls it without libFuzzer. */
#ifndef EARSHOT_TESTS_FUZZ_H
#define EARSHOT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
