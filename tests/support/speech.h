/* Three synthetic orders with pauses between them (flite, voice slt), for tests that need speech:
 * "set a timer for five minutes", "turn on the kitchen lights", "what is seven times eight". */
#ifndef EARSHOT_TESTS_SPEECH_H
#define EARSHOT_TESTS_SPEECH_H

#include <stddef.h>

enum {
    SPEECH_UTTERANCES = 3,
};

/* 16 kHz mono samples of tests/data/orders.opus, owned by the caller; fails the test if there are
 * none. */
float *speech_load(size_t *count);

#endif
