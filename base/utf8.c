/* UTF-8 by the table of the Unicode standard (3-7): the range of the second byte keeps out overlong
 * forms, surrogates and what is past U+10FFFF. */
#include "base/utf8.h"

#include <string.h>

size_t utf8_size(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80)
        return u[0] != 0;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    size_t size = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    unsigned char low = u[0] == 0xe0 ? 0xa0 : u[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = u[0] == 0xed ? 0x9f : u[0] == 0xf4 ? 0x8f : 0xbf;
    if (u[1] < low || u[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool utf8_is_control(const char *p, size_t size)
{
    const unsigned char *u = (const unsigned char *)p;
    if (size == 1)
        return u[0] < 0x20 || u[0] == 0x7f;
    if (size == 2)
        return u[0] == 0xc2 && u[1] < 0xa0; /* U+0080..U+009F */
    if (size != 3 || u[0] != 0xe2)
        return false;
    return (u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae) || /* U+202A..U+202E */
           (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9);   /* U+2066..U+2069 */
}

void utf8_make_plain(char *text)
{
    char *to = text;
    for (const char *p = text; *p;) {
        size_t size = utf8_size(p);
        if (*p == '\n' || *p == '\r' || *p == '\t')
            *to++ = ' ';
        else if (size == 0 || utf8_is_control(p, size))
            *to++ = '?';
        else {
            memmove(to, p, size);
            to += size;
        }
        p += size ? size : 1;
    }
    *to = '\0';
}
