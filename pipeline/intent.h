/* What an utterance asks for, as the model writes it down after the caption:
 *
 *     coffee.order size=large drink=latte milk=soy milk
 *
 * A name, and slots with words of the caption; nothing, where nothing is asked for. What is not
 * written like this, or has words that the caption has not, is refused as a whole: a program that
 * acts on it gets nothing that was not said.
 */
#ifndef EARSHOT_PIPELINE_INTENT_H
#define EARSHOT_PIPELINE_INTENT_H

#include "model/hearing.h"
#include "pipeline/event.h"

#include <stdbool.h>

/* Slots become places in the caption. False: refused, or nothing; *out is empty then. Any thread.
 */
bool intent_parse(const char *written, const char *caption, struct event_intent *out);

/* Makes intents. Thread of the backend; allocates at create only. */
struct intents;

/* The model has the prompt. cancelled is looked at between tokens. 0 or -ENOMEM. */
int intents_create(struct intents **out, struct hearing *hearing, bool (*cancelled)(void *user),
                   void *user);
void intents_destroy(struct intents *i);

/* Of a caption that is whole, from a fork of the state after it; then a token a call. False: it is
 * made, and is caption->intent, with the geometric mean of its tokens' probabilities times the
 * caption's as confidence. */
void intents_begin(struct intents *i, const struct state *after);
bool intents_go_on(struct intents *i, struct event *caption);

/* Of all intents. */
struct intents_stats {
    uint64_t tokens, us;
};

struct intents_stats intents_stats(const struct intents *i);

#endif
