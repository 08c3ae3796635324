/* What can be asked of an ear: a row for each kind of request, with what does it. What a result
 * changes for clients, and the answer to its call, is a table of assistant_calls.c.
 */
#ifndef EARSHOT_DAEMON_REQUESTS_H
#define EARSHOT_DAEMON_REQUESTS_H

#include "base/error.h"
#include "daemon/engine.h"

struct front;
struct inference;

enum {
    REQUEST_LATER = INT32_MIN, /* no result yet: it comes by itself */
};

/* One of the two: the thread that does it, the inference thread between two utterances. The
 * result's value: 0, an id, -errno with a message, or REQUEST_LATER. */
struct request_kind {
    int64_t (*front)(struct front *f, const struct engine_request *r, struct error *error);
    int64_t (*inference)(struct inference *i, const struct engine_request *r, struct error *error);
};

extern const struct request_kind request_kinds[]; /* by enum engine_request_type */

#endif
