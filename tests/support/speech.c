/* tests/data/orders.opus, at 16 kHz. */
#include "tests/support/speech.h"

#include "audio/mono.h"

#include <stdio.h>
#include <stdlib.h>

static void need(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "tests/data/orders.opus: %s\n", what);
    abort();
}

float *speech_load(size_t *count)
{
    enum { MOST = 16000 * 60 };
    struct sound *s = NULL;
    struct mono *m = NULL;
    struct error error = {"cannot be opened"};
    float *samples = malloc(MOST * sizeof *samples);
    need(!sound_open(&s, "tests/data/orders.opus", &error), error.message);
    need(!mono_create(&m, s, &error), error.message);
    int64_t n = 1;
    for (*count = 0; samples && n > 0 && *count<MOST; *count += n> 0 ? (size_t)n : 0)
        n = mono_read(m, samples + *count, MOST - *count);
    need(n == 0, "cannot be read");
    mono_destroy(m);
    return samples;
}
