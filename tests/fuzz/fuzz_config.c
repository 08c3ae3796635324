/* The configuration over any bytes: what is taken can be printed and is taken once more, to the
 * same settings; what is refused is named. */
#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/place.h"

#include <stdlib.h>
#include <string.h>

static char *printed(const struct config *c, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (!out)
        abort();
    config_print(c, out);
    fclose(out);
    return text;
}

static void read_again(const struct config *c)
{
    struct config again;
    struct error error = {""};
    const char *names[CONFIG_NAMES_MAX];
    size_t size, again_size;
    char *text = printed(c, &size);
    config_init(&again);
    if (config_read(&again, place_write((const uint8_t *)text, size), &error))
        abort();
    char *again_text = printed(&again, &again_size);
    if (strcmp(text, again_text) != 0 || config_restarts(c, &again, names) != 0)
        abort();
    free(text);
    free(again_text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c;
    struct error error = {""};
    const char *path = place_write(data, size);
    config_init(&c);
    if (config_read(&c, path, &error) == 0)
        read_again(&c);
    else if (strncmp(error.message, path, strlen(path)) != 0)
        abort();
    return 0;
}
