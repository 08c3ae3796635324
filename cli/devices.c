/* earshot devices: the capture devices that PortAudio sees, without the daemon. */
#include "cli/client_commands.h"
#include "cli/offline.h"
#include "cli/quiet.h"

#include <portaudio.h>
#include <stdio.h>

int client_devices(struct bus_client *c)
{
    int saved = quiet_begin();
    PaError rc = Pa_Initialize();
    quiet_end(saved);
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
