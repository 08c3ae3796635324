/* earshot devices: what can be captured from, without the daemon: the devices that PortAudio sees,
 * and the sources of the sound server, all of which PortAudio has as one. */
#include "audio/portaudio.h"
#include "audio/quiet.h"
#include "audio/sound_server.h"
#include "cli/client_commands.h"
#include "cli/offline.h"
#include "cues/cues.h"

#include <portaudio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTION_JSON,
    ANSWER_MS = 3000, /* the time that the sound server has */
};

const struct bus_client_option client_devices_options[] = {
    {"json", NULL, "an object a line"},
    {NULL},
};

typedef void print_function(const char *name, const struct sound_source *source);

/* For programs: what Device and record take. */
static void print_plain(const char *name, const struct sound_source *source)
{
    (void)source;
    cue_print_text(name, stdout);
    putchar('\n');
}

/* For people: what they call it first. */
static void print_for_people(const char *name, const struct sound_source *source)
{
    cue_print_text(source ? source->description : name, stdout);
    if (!source) {
        putchar('\n');
        return;
    }
    fputs("\n    ", stdout);
    cue_print_text(name, stdout);
    if (source->is_default)
        fputs(", the default", stdout);
    if (source->monitors)
        fputs(", a monitor: what a loudspeaker plays", stdout);
    if (source->in_use)
        fputs(", in use", stdout);
    putchar('\n');
}

static void print_json(const char *name, const struct sound_source *source)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", name);
    if (source) {
        cJSON_AddStringToObject(object, "description", source->description);
        cJSON_AddBoolToObject(object, "default", source->is_default);
        cJSON_AddBoolToObject(object, "monitor", source->monitors);
        cJSON_AddBoolToObject(object, "in_use", source->in_use);
    }
    cue_print_object(object, stdout);
}

/* PortAudio's; how many. */
static size_t print_devices(print_function *print)
{
    size_t count = 0;
    for (PaDeviceIndex i = 0; i < Pa_GetDeviceCount(); i++) {
        const PaDeviceInfo *info = Pa_GetDeviceInfo(i);
        if (info->maxInputChannels <= 0)
            continue;
        print(info->name, NULL);
        count++;
    }
    return count;
}

static size_t print_sources(print_function *print, struct error *error)
{
    static struct sound_sources sources;
    if (sound_server_list(&sources, ANSWER_MS, error))
        return 0;
    for (size_t i = 0; i < sources.count; i++)
        print(sources.list[i].name, &sources.list[i]);
    return sources.count;
}

int client_devices(struct bus_client *c)
{
    struct error error;
    print_function *print = c->given[OPTION_JSON]   ? print_json
                            : isatty(STDOUT_FILENO) ? print_for_people
                                                    : print_plain;
    int saved = quiet_begin();
    int rc = portaudio_start(PORTAUDIO_START_MS, &error);
    quiet_end(saved);
    if (rc) {
        error_print("earshot %s: %s", c->command, error.message);
        return EXIT_FAILED;
    }
    error_set(&error, 0, "it has no source");
    size_t count = print_devices(print);
    Pa_Terminate();
    count += print_sources(print, &error);
    if (!count)
        fprintf(stderr,
                "earshot %s: no microphone: this user can open no sound card, and the sound server "
                "(PipeWire or PulseAudio): %s\n",
                c->command, error.message);
    return EXIT_DONE;
}
