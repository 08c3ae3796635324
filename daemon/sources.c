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
