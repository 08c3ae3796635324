#include "daemon/sources.h"

#include "daemon/capture.h"
#include "daemon/file_source.h"

#include <errno.h>
#include <string.h>

static const char *after(const char *spec, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(spec, prefix, length) == 0 ? spec + length : NULL;
}

int source_create(struct source **out, const char *spec, int buffer_ms, struct error *error)
{
    const char *rest = after(spec, "file:");
    if (rest)
        return file_source_create(out, rest, error);
    rest = after(spec, "portaudio");
    if (rest && (*rest == '\0' || *rest == ':'))
        return capture_create(out, *rest ? rest + 1 : "", buffer_ms, error);
    return error_set(error, -EINVAL,
                     "source \"%s\" is neither portaudio[:NAME] nor file:PATH[:fast]", spec);
}

void source_destroy(struct source *s)
{
    if (s)
        s->ops->destroy(s);
}
