/* PULSE_PROP and PULSE_SOURCE are libpulse's, whose ALSA plug-in has a name of its own that only an
 * override changes; PIPEWIRE_ALSA and PIPEWIRE_NODE are those of PipeWire's plug-in, to which a
 * monitor is its sink. */
#include "audio/sound_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MONITOR ".monitor"

enum {
    VALUE_MAX = 1024, /* bytes of what a user may have set himself */
};

/* What the user has set goes behind ours, and wins over it. */
static void add_properties(const char *variable, const char *format, ...)
{
    char value[VALUE_MAX];
    const char *before = getenv(variable);
    va_list args;
    va_start(args, format);
    int length = vsnprintf(value, sizeof value, format, args);
    va_end(args);
    length += snprintf(value + length, sizeof value - (size_t)length, " %s", before ? before : "");
    if (length < (int)sizeof value)
        setenv(variable, value, 1);
}

void sound_client_introduce(pid_t daemon)
{
    add_properties("PULSE_PROP_OVERRIDE", "application.name='%s'", SOUND_CLIENT_NAME);
    add_properties("PULSE_PROP",
                   "application.id='%s' application.icon_name='%s' media.role='a11y' %s='%d'",
                   SOUND_CLIENT_ID, SOUND_CLIENT_ICON, SOUND_CLIENT_DAEMON, (int)daemon);
    add_properties("PIPEWIRE_ALSA",
                   "application.name=\"%s\" application.id=\"%s\" application.icon-name=\"%s\" "
                   "application.icon_name=\"%s\" node.description=\"%s\" "
                   "media.role=\"Accessibility\" %s=%d",
                   SOUND_CLIENT_NAME, SOUND_CLIENT_ID, SOUND_CLIENT_ICON, SOUND_CLIENT_ICON,
                   SOUND_CLIENT_NAME, SOUND_CLIENT_DAEMON, (int)daemon);
}

void sound_client_choose(const struct sound_source *source)
{
    if (!source) {
        unsetenv("PULSE_SOURCE");
        unsetenv("PIPEWIRE_NODE");
        return;
    }
    char node[SOUND_NAME_MAX];
    snprintf(node, sizeof node, "%s", source->name);
    size_t length = strlen(node), end = strlen(MONITOR);
    if (source->monitors && length > end && strcmp(node + length - end, MONITOR) == 0) {
        node[length - end] = '\0';
        add_properties("PIPEWIRE_ALSA", "stream.capture.sink=true");
    }
    setenv("PULSE_SOURCE", source->name, 1);
    setenv("PIPEWIRE_NODE", node, 1);
}
