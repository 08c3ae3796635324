/* The file of figures; see measure.h. */
#include "tools/gpu/measure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static FILE *figures;
static char what[64];

int measure_figures_open(const char *path, const char *size, const char *type)
{
    const char *base = strrchr(size, '/');

    snprintf(what, sizeof(what), "%s%s%s", base ? base + 1 : size, *type ? " " : "", type);
    figures = fopen(path, "a");
    if (figures)
        return 0;
    int rc = -errno;

    fprintf(stderr, "gpubench: %s: %s\n", path, strerror(errno));
    return rc;
}

void measure_figures_close(void)
{
    if (figures)
        fclose(figures);
    figures = NULL;
}

void measure_figure(double value, const char *unit, const char *name, ...)
{
    va_list arguments;

    if (!figures)
        return;
    va_start(arguments, name);
    fprintf(figures, "%s\t", what);
    vfprintf(figures, name, arguments);
    fprintf(figures, "\t%.6g\t%s\n", value, unit);
    fflush(figures); /* who is killed has told how far it came */
    va_end(arguments);
}
