/* Messages name what others chose, so each is made fit to be shown, here. */
#include "base/error.h"

#include "base/utf8.h"

#include <stdio.h>

int error_set_list(struct error *e, int code, const char *format, va_list args)
{
    if (e == NULL)
        return code;
    vsnprintf(e->message, sizeof(e->message), format, args);
    utf8_make_plain(e->message);
    return code;
}

int error_set(struct error *e, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_set_list(e, code, format, args);
    va_end(args);
    return code;
}

void error_print(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    utf8_make_plain(line);
    fprintf(stderr, "%s\n", line);
}
