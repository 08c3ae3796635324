/* A reader for each kind of value; what it does not know it names. */
#include "daemon/open_options.h"

#include "daemon/bus.h"
#include "daemon/mode.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int read_codec(struct stream_format *f, const char *codec, struct error *error)
{
    char cut[BUS_EXCERPT_BYTES];
    static const char *const names[] = {"s16", "f32", "opus"};
    static const enum stream_codec codecs[] = {STREAM_S16, STREAM_F32, STREAM_OPUS};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(codec, names[i]) != 0)
            continue;
        f->codec = codecs[i];
        return 0;
    }
    return error_set(error, -EINVAL, "codec \"%s\" is not s16, f32 or opus",
                     bus_excerpt(codec, cut));
}

static int read_mode(struct open_options *o, const char *mode, struct error *error)
{
    o->mode = mode;
    return mode_check(mode, error);
}

static int read_name(struct open_options *o, const char *name, struct error *error)
{
    if (!*name || strlen(name) >= STREAM_NAME_BYTES)
        return error_set(error, -EINVAL, "name is empty, or longer than %d bytes",
                         STREAM_NAME_BYTES - 1);
    o->name = name;
    return 0;
}

static int read_option(void *user, const char *name, DBusMessageIter *value, struct error *error)
{
    struct open_options *o = user;
    int type = dbus_message_iter_get_arg_type(value);
    bool text =
        strcmp(name, "codec") == 0 || strcmp(name, "mode") == 0 || strcmp(name, "name") == 0;
    bool number = strcmp(name, "rate") == 0 || strcmp(name, "channels") == 0;
    char cut[BUS_EXCERPT_BYTES];
    DBusBasicValue v;
    if (!text && !number)
        return error_set(error, -EINVAL, "no option is called %s", bus_excerpt(name, cut));
    if (type != (text ? DBUS_TYPE_STRING : DBUS_TYPE_UINT32))
        return error_set(error, -EINVAL, "%s has the type %c", name, text ? 's' : 'u');
    dbus_message_iter_get_basic(value, &v);
    if (number && v.u32 == 0)
        return error_set(error, -EINVAL, "%s is 0", name);
    if (strcmp(name, "codec") == 0)
        return read_codec(&o->format, v.str, error);
    if (strcmp(name, "mode") == 0)
        return read_mode(o, v.str, error);
    if (strcmp(name, "name") == 0)
        return read_name(o, v.str, error);
    *(strcmp(name, "rate") == 0 ? &o->format.rate_hz : &o->format.channels) = v.u32;
    return 0;
}

int open_options_read(struct open_options *o, DBusMessageIter *array, struct error *error)
{
    *o = (struct open_options){.format = stream_format_default()};
    int rc = bus_read_options(array, read_option, o, error);
    return rc ? rc : stream_format_check(&o->format, error);
}
