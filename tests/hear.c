/* hear FILE: writes what audio/mono makes of a sound file to stdout, 16 kHz mono floats,
 * as it comes, and what is wrong to stderr; exits 1 then. For check_sound.py. */
#include "audio/mono.h"

#include <stdio.h>

enum { SAMPLES = 1600 };

int main(int argc, char **argv)
{
    struct sound *s = NULL;
    struct mono *m = NULL;
    struct error error = {""};
    float samples[SAMPLES];
    int64_t n = 0;
    if (argc != 2)
        return 2;
    int rc = sound_open(&s, argv[1], &error);
    if (!rc)
        rc = mono_create(&m, s, &error);
    while (!rc && (n = mono_read(m, samples, SAMPLES)) > 0) {
        fwrite(samples, sizeof *samples, (size_t)n, stdout);
        fflush(stdout);
    }
    if (!rc && n < 0)
        rc = error_set(&error, (int)n, "%s", mono_why(m));
    if (rc)
        fprintf(stderr, "%s\n", error.message);
    mono_destroy(m);
    return rc ? 1 : 0;
}
