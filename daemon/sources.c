/* What all kinds have in common: the check of a name, and marks at places in the sound. */
#include "daemon/sources.h"

#include "daemon/capture.h"
#include "daemon/file_source.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

static const char *after(const char *spec, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(spec, prefix, length) == 0 ? spec + length : NULL;
}

/* What is behind "portaudio"; NULL: it is something else. */
static const char *device_of(const char *spec)
{
    const char *rest = after(spec, "portaudio");
    return rest && (*rest == '\0' || *rest == ':') ? rest : NULL;
}

int source_check(const char *spec, struct error *error)
{
    if (after(spec, "file:") || device_of(spec))
        return 0;
    return error_set(error, -EINVAL, "\"%s\" is neither portaudio[:NAME] nor file:PATH[:fast]",
                     spec);
}

const char *source_device(const char *spec)
{
    const char *device = device_of(spec);
    return device && *device ? device + 1 : "";
}

int source_create(struct source **out, const char *spec, const struct source_options *options,
                  struct error *error)
{
    const char *path = after(spec, "file:"), *device = device_of(spec);
    if (path)
        return file_source_create(out, path, error);
    if (device)
        return capture_create(out, source_device(spec), options, error);
    return source_check(spec, error);
}

void source_destroy(struct source *s)
{
    if (s)
        s->ops->destroy(s);
}

size_t source_waiting(const struct source *s)
{
    int bytes = 0;
    return ioctl(s->fd, SIOCINQ, &bytes) == 0 ? (size_t)bytes : 0;
}

void source_mark(struct source *s)
{
    s->marked = true;
    s->before_mark = source_waiting(s);
}

void source_took(struct source *s, size_t bytes)
{
    s->before_mark -= bytes < s->before_mark ? bytes : s->before_mark;
}

bool source_is_at_mark(struct source *s)
{
    if (!s->marked || s->before_mark)
        return false;
    s->marked = false;
    return true;
}
