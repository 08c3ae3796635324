/* Who speaks to the assistant. */
#include "pipeline/wake.h"

#include "base/phrases.h"

#include <string.h>

void wake_init(struct wake *w, const char *phrases, int follow_up_ms)
{
    *w = (struct wake){.phrases = phrases, .follow_up_ms = follow_up_ms};
    wake_close(w);
}

enum wake_turn wake_turn(const struct wake *w, const char *text, int64_t start_us)
{
    if (phrases_bytes(w->phrases, text, strlen(text)) > 0)
        return WAKE_CALLED;
    return start_us <= w->open_until_us ? WAKE_FOLLOW_UP : WAKE_NONE;
}

void wake_taken(struct wake *w, enum wake_turn turn, bool replied, int64_t now_us)
{
    bool opens = turn == WAKE_CALLED || (turn == WAKE_FOLLOW_UP && replied);
    if (opens && w->follow_up_ms > 0)
        w->open_until_us = now_us + (int64_t)w->follow_up_ms * 1000;
}

void wake_close(struct wake *w)
{
    w->open_until_us = INT64_MIN;
}
