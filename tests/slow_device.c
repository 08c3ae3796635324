/* For LD_PRELOAD: PortAudio that takes $SLOW_START_MS to start, with $SLOW_START_FILE open as
 * JACK's database would be; a microphone that takes $SLOW_DEVICE_MS to open. */
#include <dlfcn.h>
#include <fcntl.h>
#include <portaudio.h>
#include <stdlib.h>
#include <time.h>

static void wait_for(const char *name)
{
    const char *value = getenv(name);
    int ms = value ? atoi(value) : 0;
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

PaError Pa_Initialize(void)
{
    PaError (*initialize)(void);
    *(void **)&initialize = dlsym(RTLD_NEXT, "Pa_Initialize");
    const char *file = getenv("SLOW_START_FILE");
    if (file)
        (void)!open(file, O_RDONLY | O_CLOEXEC);
    wait_for("SLOW_START_MS");
    return initialize();
}

PaError Pa_StartStream(PaStream *stream)
{
    PaError (*start)(PaStream *);
    *(void **)&start = dlsym(RTLD_NEXT, "Pa_StartStream");
    wait_for("SLOW_DEVICE_MS");
    return start(stream);
}
