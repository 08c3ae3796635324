/* A name, and where its ear hears. */
#include "daemon/config_ears.h"

#include "daemon/config_keys.h"

#include <errno.h>
#include <string.h>

int config_ears_set(struct config *c, const char *name, const char *source, struct error *error)
{
    struct error wrong;
    if (ear_name_check(name, &wrong))
        return error_set(error, -EINVAL, "[" CONFIG_EARS "] %s: %s", name, wrong.message);
    for (size_t i = 0; i < c->ear_count; i++)
        if (strcmp(c->ears[i].name, name) == 0)
            return error_set(error, -EINVAL, "[" CONFIG_EARS "] %s is set twice", name);
    if (c->ear_count == CONFIG_EARS_MAX)
        return error_set(error, -EINVAL, "[" CONFIG_EARS "] has more than %d ears",
                         CONFIG_EARS_MAX);
    struct config_ear *ear = &c->ears[c->ear_count];
    const struct config_key key = {CONFIG_EARS, name, .check = source_check, .path = "file:"};
    int rc = config_set_text(&key, source, ear->source, error);
    if (rc)
        return rc;
    strcpy(ear->name, name);
    c->ear_count++;
    return 0;
}

void config_ears_print(const struct config *c, bool help, FILE *out)
{
    fputs("\n[" CONFIG_EARS "]\n", out);
    if (help)
        fprintf(out,
                "# Ears beside the microphone's, at most %d: a name (a to z, 0 to 9, _), and where "
                "it hears,\n"
                "# as [audio] source has it. Each gives captions of its own, see docs/desktop.md. "
                "As an\n"
                "# example, what the desktop plays; without this line there is no such ear.\n"
                "#desktop = portaudio:@DEFAULT_MONITOR@\n",
                CONFIG_EARS_MAX);
    for (size_t i = 0; i < c->ear_count; i++)
        fprintf(out, "%s = %s\n", c->ears[i].name, c->ears[i].source);
}
