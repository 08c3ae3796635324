/* Built without libpulse: there is no sound server that can be asked. */
#include "audio/sound_server.h"

#include <errno.h>

int sound_server_create(struct sound_server **out, struct pa_mainloop_api *api, pid_t daemon,
                        const struct sound_server_listener *listener, struct error *error)
{
    (void)out, (void)api, (void)daemon, (void)listener;
    return error_set(error, -ENOTSUP, "this Earshot was built without libpulse");
}

void sound_server_destroy(struct sound_server *s)
{
    (void)s;
}

int sound_server_list(struct sound_sources *out, int wait_ms, struct error *error)
{
    (void)wait_ms;
    out->count = 0;
    return error_set(error, -ENOTSUP, "this Earshot was built without libpulse");
}
