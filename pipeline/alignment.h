/* Where in the sound a word was said: the last log probabilities of the encoder's letters, and the
 * best path of a word's letters through them (Viterbi over CTC's states). Rows are numbered from
 * the beginning of the utterance. Host arithmetic; one thread at a time; allocates at create only.
 */
#ifndef EARSHOT_PIPELINE_ALIGNMENT_H
#define EARSHOT_PIPELINE_ALIGNMENT_H

#include "model/letters.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ALIGNMENT_ROWS = 512,   /* that are kept: 10 s */
    ALIGNMENT_LETTERS = 40, /* of a word, at most */
};

struct alignment;

/* classes: of a row; letters must outlive the result. 0 or -ENOMEM. */
int alignment_create(struct alignment **out, const struct letters *letters, size_t classes);
void alignment_destroy(struct alignment *a);

void alignment_begin(struct alignment *a);
/* The next row: host [classes], log probabilities, class 0 the blank. */
void alignment_row(struct alignment *a, const float *logs);

/* Of a word that was said in rows first..end - 1: the first row of its first letter and the row
 * after the last of its last. False: it has no letters or too many, or does not fit in the rows
 * that are kept. */
bool alignment_find(struct alignment *a, const char *word, size_t size, uint64_t first,
                    uint64_t end, uint64_t *from, uint64_t *to);

#endif
