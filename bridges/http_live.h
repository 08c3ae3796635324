/* GET /v1/live: audio that comes over a WebSocket while somebody speaks, and what the daemon hears
 * in it goes back as it tells it on the bus. One thread, in an sd-event loop.
 */
#ifndef EARSHOT_BRIDGES_HTTP_LIVE_H
#define EARSHOT_BRIDGES_HTTP_LIVE_H

#include "bridges/http_world.h"

void http_live(struct http_request *r);

/* All of them end, at once. */
void http_lives_end(struct http_world *w);

#endif
