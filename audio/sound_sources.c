/* By name first: it is the only thing that no two sources share. */
#include "audio/sound_sources.h"

#include <string.h>

static bool is_called(const struct sound_source *source, const char *device)
{
    return strcmp(source->name, device) == 0 ||
           (source->is_default && strcmp(device, "@DEFAULT_SOURCE@") == 0) ||
           (source->monitors_desktop && strcmp(device, "@DEFAULT_MONITOR@") == 0);
}

static const struct sound_source *find_described(const struct sound_sources *s,
                                                 const char *description)
{
    for (size_t i = 0; i < s->count && *description; i++)
        if (strcmp(s->list[i].description, description) == 0)
            return &s->list[i];
    return NULL;
}

const struct sound_source *sound_sources_find(const struct sound_sources *s, const char *device,
                                              const char *known_as)
{
    for (size_t i = 0; i < s->count; i++)
        if (is_called(&s->list[i], device))
            return &s->list[i];
    const struct sound_source *described = find_described(s, device);
    return described ? described : find_described(s, known_as);
}
