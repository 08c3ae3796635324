/* Built without the header of Speech Dispatcher: earshot speak says so and ends. */
#include "cli/speech.h"

#include <errno.h>

int speech_open(struct error *error)
{
    return error_set(error, -ENOTSUP, "this Earshot was built without Speech Dispatcher");
}

void speech_close(void)
{
}

int speech_say(const char *text, struct error *error)
{
    (void)text;
    return speech_open(error);
}

void speech_cancel(void)
{
}

bool speech_sounds(void)
{
    return false;
}

bool speech_has_ended(void)
{
    return true;
}
