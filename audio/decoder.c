/* What all decoders share. */
#include "audio/decoder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void decoder_blame(struct decoder *d, const char *format, ...)
{
    char what[256];
    va_list args;
    if (*d->why.message)
        return;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    error_set(&d->why, 0, "%s", what);
}

float *pending_room(struct pending *p, size_t count)
{
    size_t waiting = p->end - p->begin;
    if (waiting)
        memmove(p->samples, p->samples + p->begin, waiting * sizeof *p->samples);
    p->begin = 0;
    p->end = waiting;
    if (waiting + count >= p->capacity) {
        float *grown = realloc(p->samples, (waiting + count + 1) * sizeof *grown);
        if (!grown)
            return NULL;
        p->samples = grown;
        p->capacity = waiting + count + 1;
    }
    return p->samples + waiting;
}

int64_t pending_take(struct pending *p, float *samples, size_t frames, int channels)
{
    size_t there = (p->end - p->begin) / (size_t)channels;
    size_t n = there < frames ? there : frames, count = n * (size_t)channels;
    if (count)
        memcpy(samples, p->samples + p->begin, count * sizeof *samples);
    p->begin += count;
    return (int64_t)n;
}
