/* The first file that is there of those that may be, then what the command line says. */
#include "daemon/settings.h"

#include "base/paths.h"
#include "daemon/places.h"

int settings_read(const struct settings *s, struct config *c, struct error *error)
{
    const struct {
        const char *section, *key, *value;
    } said[] = {
        {"audio", "source", s->source},
        {"model", "backend", s->backend},
        {"service", "bus", s->bus},
    };
    char path[4096];
    int rc = 0;
    config_init(c);
    if (s->config)
        rc = config_read(c, s->config, error);
    else if (paths_config("earshot.conf", path, sizeof path) == 0)
        rc = config_read(c, path, error);
    for (size_t i = 0; !rc && i < sizeof said / sizeof *said; i++)
        if (said[i].value)
            rc = config_set(c, said[i].section, said[i].key, said[i].value, error);
    return rc;
}
