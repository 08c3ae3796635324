/* What a model hears of an utterance, with every stage of its encoder. Fails the test where
 * something does.
 */
#ifndef EARSHOT_TESTS_HEARD_H
#define EARSHOT_TESTS_HEARD_H

#include "pipeline/features.h"

#include <stddef.h>

enum { STAGES_MAX = 16 };

struct stage {
    char name[16];
    float *rows; /* [count], owned, in host memory */
    size_t count;
};

struct heard {
    struct backend *be;
    struct model *model;
    struct hearing *hearing;
    struct features *features;
    struct encoder_tap tap;
    struct stage stages[STAGES_MAX];
    size_t stage_count;
};

/* The samples, pushed in pieces of chunk; streaming: as encoder_options_parse reads it. */
void hear(struct heard *h, const char *path, const char *streaming, const float *samples,
          size_t count, size_t chunk);
void heard_finish(struct heard *h);

/* "stem", "layer0", ... as the encoder shows them, "encoder" and "adapter". */
const struct stage *find_stage(const struct heard *h, const char *name);

#endif
