/* A row of a table for each option: its type on the bus and where it goes. */
#include "daemon/ask_options.h"

#include "daemon/bus.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct option {
    const char *name;
    int type; /* of D-Bus */
    size_t offset;
} options[] = {
    {"temperature", DBUS_TYPE_DOUBLE, offsetof(struct sampler_config, temperature)},
    {"top_p", DBUS_TYPE_DOUBLE, offsetof(struct sampler_config, top_p)},
    {"top_k", DBUS_TYPE_UINT32, offsetof(struct sampler_config, top_k)},
    {"presence_penalty", DBUS_TYPE_DOUBLE, offsetof(struct sampler_config, presence_penalty)},
    {"frequency_penalty", DBUS_TYPE_DOUBLE, offsetof(struct sampler_config, frequency_penalty)},
    {"penalty_decay", DBUS_TYPE_DOUBLE, offsetof(struct sampler_config, penalty_decay)},
    {"seed", DBUS_TYPE_UINT64, offsetof(struct sampler_config, seed)},
    {"max_tokens", DBUS_TYPE_UINT32, offsetof(struct sampler_config, max_tokens)},
};

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static int read_option(void *user, const char *name, DBusMessageIter *variant, struct error *error)
{
    struct sampler_config *c = user;
    char cut[BUS_EXCERPT_BYTES];
    DBusBasicValue value;
    const struct option *o = find_option(name);
    if (!o)
        return error_set(error, -EINVAL, "no option is called %s", bus_excerpt(name, cut));
    if (dbus_message_iter_get_arg_type(variant) != o->type)
        return error_set(error, -EINVAL, "%s has the type %c", name, o->type);
    dbus_message_iter_get_basic(variant, &value);
    void *field = (char *)c + o->offset;
    if (o->type == DBUS_TYPE_DOUBLE)
        *(float *)field = (float)value.dbl;
    else if (o->type == DBUS_TYPE_UINT32)
        *(uint32_t *)field = value.u32;
    else
        *(uint64_t *)field = value.u64;
    return 0;
}

int ask_options_read(struct sampler_config *c, DBusMessageIter *array, struct error *error)
{
    int rc = bus_read_options(array, read_option, c, error);
    return rc ? rc : sampler_config_check(c, error);
}
