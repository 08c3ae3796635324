/* The two words of the modes. */
#include "daemon/mode.h"

#include <errno.h>
#include <string.h>

#define CAPTIONS "captions"
#define ASSISTANT "assistant"

int mode_check(const char *mode, struct error *error)
{
    if (strcmp(mode, CAPTIONS) == 0 || mode_replies(mode))
        return 0;
    return error_set(error, -EINVAL, "mode \"%.60s\" is not " CAPTIONS " or " ASSISTANT, mode);
}

bool mode_replies(const char *mode)
{
    return strcmp(mode, ASSISTANT) == 0;
}

const char *mode_name(bool replies)
{
    return replies ? ASSISTANT : CAPTIONS;
}
