/* Who speaks to the assistant: an utterance whose text begins with a wake phrase, or one that
 * follows a turn soon enough. Places are those of the source's audio, in µs. Pure logic over
 * texts, no model. One thread at a time.
 */
#ifndef EARSHOT_PIPELINE_WAKE_H
#define EARSHOT_PIPELINE_WAKE_H

#include <stdbool.h>
#include <stdint.h>

enum wake_turn {
    WAKE_NONE,      /* not for the assistant */
    WAKE_CALLED,    /* by a phrase */
    WAKE_FOLLOW_UP, /* without one, soon after another turn */
};

struct wake {
    const char *phrases; /* as base/phrases.h has them; not owned; empty: nobody can call */
    int follow_up_ms;    /* 0: every turn needs the phrase */
    int64_t open_until_us;
};

void wake_init(struct wake *w, const char *phrases, int follow_up_ms);

/* Of an utterance with this text that began at start_us. */
enum wake_turn wake_turn(const struct wake *w, const char *text, int64_t start_us);

/* A turn is over at now_us, reply and all. A call is followed up whatever came of it (a phrase
 * alone, and then the request); a follow-up only if there was a reply, or a television would keep
 * up a conversation. */
void wake_taken(struct wake *w, enum wake_turn turn, bool replied, int64_t now_us);

void wake_close(struct wake *w); /* what comes next is no follow-up */

#endif
