/* What an ear does with what it hears: "captions", or "assistant", which replies, too. Any thread.
 */
#ifndef EARSHOT_DAEMON_MODE_H
#define EARSHOT_DAEMON_MODE_H

#include "base/error.h"

#include <stdbool.h>

/* 0, or -EINVAL with the two words. */
int mode_check(const char *mode, struct error *error);
/* Whether there are replies in a mode. */
bool mode_replies(const char *mode);
const char *mode_name(bool replies);

#endif
