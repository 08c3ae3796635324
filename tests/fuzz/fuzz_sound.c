/* Sound files of any bytes: what opens has a rate and channels, never gives more than is asked for,
 * and comes to an end. */
#include "audio/sound.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAMES = 1000,
    READS_MAX = 2000, /* more than a file of a megabyte has unless it is compressed */
};

static volatile float sink;

static void read_all(struct sound *s)
{
    size_t channels = (size_t)sound_channels(s);
    float *samples = malloc(FRAMES * channels * sizeof *samples);
    int64_t n = 1;
    for (int i = 0; samples && i < READS_MAX && n > 0; i++) {
        n = sound_read(s, samples, FRAMES);
        if (n > FRAMES)
            abort();
        if (n == -EAGAIN) { /* another rate or number of channels */
            channels = (size_t)sound_channels(s);
            free(samples);
            samples = malloc(FRAMES * channels * sizeof *samples);
            n = 1;
            continue;
        }
        if (n > 0)
            sink = samples[(size_t)n * channels - 1];
    }
    free(samples);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sound *s;
    struct error error = {""};
    const char *path = place_write(data, size);
    setenv("PATH", "/nonexistent", 1); /* no ffmpeg */
    if (sound_open(&s, path, &error)) {
        if (!strstr(error.message, path))
            abort();
        return 0;
    }
    if (sound_rate_hz(s) <= 0 || sound_channels(s) <= 0)
        abort();
    read_all(s);
    sound_close(s);
    return 0;
}
