/* For LD_PRELOAD: a microphone that takes $SLOW_DEVICE_MS to open. */
#include <dlfcn.h>
#include <portaudio.h>
#include <stdlib.h>
#include <time.h>

PaError Pa_StartStream(PaStream *stream)
{
    PaError (*start)(PaStream *);
    *(void **)&start = dlsym(RTLD_NEXT, "Pa_StartStream");
    const char *value = getenv("SLOW_DEVICE_MS");
    int ms = value ? atoi(value) : 0;
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
    return start(stream);
}
