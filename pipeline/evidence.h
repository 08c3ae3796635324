/* The evidence that an utterance is speech: the phones that the encoder's CTC head hears in 300 ms,
 * and a share of the detector's log-odds where it was surest; at the end, words add what the
 * model's confidence in them is worth. Neither the detector nor the model tells short words in
 * noise from barking alone. Pure arithmetic. Any thread.
 */
#ifndef EARSHOT_PIPELINE_EVIDENCE_H
#define EARSHOT_PIPELINE_EVIDENCE_H

#include <stddef.h>

enum {
    EVIDENCE_ROWS = 15, /* encoder rows whose phones are counted together: 300 ms */
};

struct evidence {
    float phones[EVIDENCE_ROWS]; /* of the last encoder rows, a ring */
    size_t at;
    float most;   /* that it has held */
    float speech; /* the detector's highest probability */
};

void evidence_begin(struct evidence *e);
void evidence_detect(struct evidence *e, float probability);
/* One encoder row: how much of a phone it hears, 0..1. */
void evidence_row(struct evidence *e, float phone);

float evidence_sum(const struct evidence *e);
/* With words of some confidence, 0..1. */
float evidence_with_words(const struct evidence *e, float confidence);

#endif
