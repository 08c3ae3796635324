/* What an utterance asks for, as JSON: {"name", "slots": {name: words}, "confidence"}. */
#ifndef EARSHOT_CLI_INTENT_H
#define EARSHOT_CLI_INTENT_H

#include "pipeline/event.h"

#include <cjson/cJSON.h>
#include <dbus/dbus.h>

/* Owned by the caller; NULL: it asks for nothing, or no memory. */
cJSON *intent_of_event(const struct event *caption);

/* From the value of "intent" in the details of UtteranceCompleted (docs/dbus.md); NULL too where it
 * is none. */
cJSON *intent_of_variant(DBusMessageIter *variant);

#endif
