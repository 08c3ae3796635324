/* Text of others on the bus: what is not UTF-8 is never sent, and what they sent comes back to them
 * cut short. */
#include "daemon/bus.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of the character at p; 0: it is none. */
static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    char character[5] = {0};
    for (size_t i = 0; i < n && p[i]; i++)
        character[i] = (char)p[i];
    return strlen(character) == n && dbus_validate_utf8(character, NULL) ? n : 0;
}

static void make_valid(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p;) {
        size_t n = utf8_length(p);
        if (n == 0)
            *p = '?';
        p += n ? n : 1;
    }
}

void bus_append_text(DBusMessageIter *out, const char *text)
{
    if (dbus_validate_utf8(text, NULL)) {
        dbus_message_iter_append_basic(out, DBUS_TYPE_STRING, &text);
        return;
    }
    char *clean = strdup(text);
    if (clean)
        make_valid(clean);
    const char *value = clean ? clean : "";
    dbus_message_iter_append_basic(out, DBUS_TYPE_STRING, &value);
    free(clean);
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

const char *bus_excerpt(const char *text, char out[BUS_EXCERPT_BYTES])
{
    const unsigned char *p = (const unsigned char *)text;
    char *to = out;
    for (int characters = 0; *p; characters++) {
        if (characters == BUS_EXCERPT_MAX) {
            strcpy(to, "...");
            return out;
        }
        size_t n = utf8_length(p);
        memcpy(to, p, n ? n : 1);
        if (n == 0 || is_control(*p))
            *to = '?';
        to += n ? n : 1;
        p += n ? n : 1;
    }
    *to = '\0';
    return out;
}

int bus_read_options(DBusMessageIter *array, bus_option *take, void *user, struct error *error)
{
    DBusMessageIter entries, entry, value;
    int rc = 0;
    for (dbus_message_iter_recurse(array, &entries);
         !rc && dbus_message_iter_get_arg_type(&entries) == DBUS_TYPE_DICT_ENTRY;
         dbus_message_iter_next(&entries)) {
        const char *name;
        dbus_message_iter_recurse(&entries, &entry);
        dbus_message_iter_get_basic(&entry, &name);
        dbus_message_iter_next(&entry);
        dbus_message_iter_recurse(&entry, &value);
        rc = take(user, name, &value, error);
    }
    return rc;
}

DBusMessage *bus_error(DBusMessage *call, const char *name, const char *text)
{
    char clean[512];
    strncpy(clean, text, sizeof clean - 1);
    clean[sizeof clean - 1] = '\0';
    make_valid(clean);
    for (char *p = clean; *p; p++)
        if (is_control((unsigned char)*p))
            *p = '?';
    return dbus_message_new_error(call, name, clean);
}
