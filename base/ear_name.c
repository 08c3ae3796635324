/* What is allowed in an object's path on D-Bus, in small letters. */
#include "base/ear_name.h"

#include <errno.h>
#include <string.h>

int ear_name_check(const char *name, struct error *error)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    if (length && !name[length] && length < EAR_NAME_MAX)
        return 0;
    return error_set(error, -EINVAL, "an ear's name is a to z, 0 to 9 and _, at most %d of them",
                     EAR_NAME_MAX - 1);
}
