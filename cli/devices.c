/* earshot devices: the capture devices that PortAudio sees, without the daemon. */
#include "cli/client_commands.h"
#include "cli/offline.h"

#include <fcntl.h>
#include <portaudio.h>
#include <stdio.h>
#include <unistd.h>

/* ALSA and JACK complain on stderr about each device that is not there. */
static PaError initialise_quietly(void)
{
    int saved = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (saved >= 0 && nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
    PaError rc = Pa_Initialize();
    if (saved >= 0 && nowhere >= 0)
        dup2(saved, STDERR_FILENO);
    close(saved);
    close(nowhere);
    return rc;
}

int client_devices(struct bus_client *c)
{
    PaError rc = initialise_quietly();
    if (rc != paNoError) {
        fprintf(stderr, "earshot %s: %s\n", c->command, Pa_GetErrorText(rc));
        return EXIT_FAILED;
    }
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++) {
        const PaDeviceInfo *info = Pa_GetDeviceInfo(i);
        if (info->maxInputChannels > 0)
            printf("%s\n", info->name);
    }
    Pa_Terminate();
    return EXIT_DONE;
}
