/* How the words of a cue become captions that can be read: the lengths that broadcasters use. Pure
 * arithmetic over words and their times.
 */
#ifndef EARSHOT_CUES_CUE_CUT_H
#define EARSHOT_CUES_CUE_CUT_H

#include "cues/cues.h"

enum {
    CUE_LINE = 42, /* characters, of at most two lines */
    CUE_TEXT_MAX = 4096,
};

/* Characters from word number first to word number end - 1. */
size_t cue_letters(const struct cue *cue, size_t first, size_t end);

/* The number after that of the last word of the caption that begins with word first. */
size_t cue_caption_end(const struct cue *cue, size_t first);

/* Until when the caption of words first to end - 1 is shown, since the cue's start: for a second at
 * least, where neither the next nor the end of the cue comes before. */
int64_t cue_shown_until(const struct cue *cue, size_t first, size_t end);

#endif
