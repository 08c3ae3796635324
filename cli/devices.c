/* earshot devices: what can be captured from, without the daemon: the devices that PortAudio sees,
 * and the sources of the sound server, all of which PortAudio has as one. */
#include "cli/client_commands.h"
#include "cli/offline.h"
#include "cli/quiet.h"
#include "cli/sound_server.h"
#include "cues/cues.h"

#include <portaudio.h>
#include <stdio.h>
#include <unistd.h>

static void print_name(const char *name, const char *description)
{
    cue_print_text(name, stdout);
    if (description && isatty(STDOUT_FILENO)) {
        fputs("  (", stdout);
        cue_print_text(description, stdout);
        putchar(')');
    }
    putchar('\n');
}

/* PortAudio's; how many. */
static size_t print_devices(void)
{
    size_t count = 0;
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++) {
        const PaDeviceInfo *info = Pa_GetDeviceInfo(i);
        if (info->maxInputChannels <= 0)
            continue;
        print_name(info->name, NULL);
        count++;
    }
    return count;
}

static void print_source(void *count, const char *name, const char *description)
{
    (*(size_t *)count)++;
    print_name(name, description);
}

int client_devices(struct bus_client *c)
{
    struct error error = {"it has no source"};
    int saved = quiet_begin();
    PaError rc = Pa_Initialize();
    quiet_end(saved);
    if (rc != paNoError) {
        error_print("earshot %s: %s", c->command, Pa_GetErrorText(rc));
        return EXIT_FAILED;
    }
    size_t count = print_devices();
    Pa_Terminate();
    sound_server_list(print_source, &count, &error);
    if (!count)
        fprintf(stderr,
                "earshot %s: no microphone: this user can open no sound card, and the sound server "
                "(PipeWire or PulseAudio): %s\n",
                c->command, error.message);
    return EXIT_DONE;
}
