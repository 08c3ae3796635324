/* Widths come from the C library's table for UTF-8, whatever the user's locale is. One thread. */
#include "cli/terminal.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum {
    COLUMNS = 80,      /* of a terminal that does not say */
    CHARACTER_MAX = 4, /* bytes */
};

size_t terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : COLUMNS;
}

/* The character at text: its bytes, and the columns that it takes. What is none takes a column, and
 * so does a control character, in whose place something is shown. */
static size_t measure(const char *text, size_t *columns)
{
    wchar_t character;
    mbstate_t state = {0};
    size_t bytes = mbrtowc(&character, text, strnlen(text, CHARACTER_MAX), &state);
    int width = bytes < (size_t)-2 ? wcwidth(character) : -1;
    *columns = width < 0 ? 1 : (size_t)width;
    return bytes < (size_t)-2 ? bytes : 1;
}

static void use_utf8(void)
{
    static locale_t utf8;
    if (!utf8)
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8)
        uselocale(utf8);
}

size_t terminal_fit(const char *text, size_t columns)
{
    size_t at = 0, used = 0, width;
    use_utf8();
    while (text[at]) {
        size_t bytes = measure(text + at, &width);
        if (used + width > columns)
            break;
        used += width;
        at += bytes;
    }
    uselocale(LC_GLOBAL_LOCALE);
    return at;
}

const char *terminal_tail(const char *text, size_t columns)
{
    size_t total = 0, width;
    use_utf8();
    for (const char *p = text; *p; total += width)
        p += measure(p, &width);
    while (total > columns) {
        text += measure(text, &width);
        total -= width;
    }
    uselocale(LC_GLOBAL_LOCALE);
    return text;
}

/* https://no-color.org: words that are not faint are what such a user wants to read. */
static bool has_faint(void)
{
    const char *no_color = getenv("NO_COLOR"), *kind = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no_color && *no_color) &&
           !(kind && strcmp(kind, "dumb") == 0);
}

const char *terminal_faint(void)
{
    return has_faint() ? "\033[2m" : "";
}

const char *terminal_normal(void)
{
    return has_faint() ? "\033[0m" : "";
}
