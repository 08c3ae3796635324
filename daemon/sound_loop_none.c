/* Built without libpulse: nobody needs such a loop. */
#include "daemon/sound_loop.h"

#include <errno.h>
#include <stddef.h>

int sound_loop_create(struct sound_loop **out, struct loop *loop, struct error *error)
{
    (void)out, (void)loop;
    return error_set(error, -ENOTSUP, "this Earshot was built without libpulse");
}

void sound_loop_destroy(struct sound_loop *s)
{
    (void)s;
}

struct pa_mainloop_api *sound_loop_api(struct sound_loop *s)
{
    (void)s;
    return NULL;
}
