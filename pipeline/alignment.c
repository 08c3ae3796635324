/* States 0 .. 2n of a word of n letters are blank, letter 1, blank, ..., letter n, blank. A path
 * begins in state 0 or 1, ends in 2n or 2n - 1, and stays, goes on by one, or by two from a letter
 * to another one that differs:
 *
 *     score[t, s] = log p(t, class of s) + max(score[t - 1, s], score[t - 1, s - 1],
 *                                              score[t - 1, s - 2])
 *
 * step[t, s] is how far the best of the three came from.
 */
#include "pipeline/alignment.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATES = 2 * ALIGNMENT_LETTERS + 1,
};

struct alignment {
    const struct letters *letters;
    size_t classes;
    uint64_t rows; /* since the utterance began */
    float *logs;   /* [ALIGNMENT_ROWS, classes], a ring, owned */
    unsigned char step[ALIGNMENT_ROWS][STATES];
    double score[2][STATES];
    uint16_t state[STATES]; /* class of each */
};

int alignment_create(struct alignment **out, const struct letters *letters, size_t classes)
{
    struct alignment *a = calloc(1, sizeof(*a));
    *out = a;
    if (!a)
        return -ENOMEM;
    a->letters = letters;
    a->classes = classes;
    a->logs = calloc(ALIGNMENT_ROWS * classes, sizeof(*a->logs));
    if (a->logs)
        return 0;
    alignment_destroy(a);
    *out = NULL;
    return -ENOMEM;
}

void alignment_destroy(struct alignment *a)
{
    if (!a)
        return;
    free(a->logs);
    free(a);
}

void alignment_begin(struct alignment *a)
{
    a->rows = 0;
}

static const float *row_logs(const struct alignment *a, uint64_t row)
{
    return a->logs + row % ALIGNMENT_ROWS * a->classes;
}

void alignment_row(struct alignment *a, const float *logs)
{
    memcpy(a->logs + a->rows % ALIGNMENT_ROWS * a->classes, logs, a->classes * sizeof(*logs));
    a->rows++;
}

/* The states of a word; their number, 0: it has no letters. */
static size_t spell(struct alignment *a, const char *word, size_t size)
{
    uint16_t classes[ALIGNMENT_LETTERS];
    size_t count = letters_spell(a->letters, word, size, classes, ALIGNMENT_LETTERS);
    for (size_t i = 0; i < count; i++) {
        a->state[2 * i] = 0;
        a->state[2 * i + 1] = classes[i];
    }
    a->state[2 * count] = 0;
    return count ? 2 * count + 1 : 0;
}

/* The best way into state s: by so many states. */
static unsigned char best_step(const struct alignment *a, const double *before, size_t s)
{
    unsigned char best = 0;
    if (s >= 1 && before[s - 1] > before[s])
        best = 1;
    if (s >= 2 && a->state[s] != 0 && a->state[s] != a->state[s - 2] &&
        before[s - 2] > before[s - best])
        best = 2;
    return best;
}

/* Scores of the last of the rows. */
static const double *walk(struct alignment *a, size_t states, uint64_t first, size_t rows)
{
    for (size_t s = 0; s < states; s++)
        a->score[0][s] = s < 2 ? (double)row_logs(a, first)[a->state[s]] : -INFINITY;
    for (size_t t = 1; t < rows; t++) {
        const double *before = a->score[(t - 1) % 2];
        const float *logs = row_logs(a, first + t);
        double *now = a->score[t % 2];
        for (size_t s = 0; s < states; s++) {
            a->step[t][s] = best_step(a, before, s);
            now[s] = before[s - a->step[t][s]] + (double)logs[a->state[s]];
        }
    }
    return a->score[(rows - 1) % 2];
}

bool alignment_find(struct alignment *a, const char *word, size_t size, uint64_t first,
                    uint64_t end, uint64_t *from, uint64_t *to)
{
    uint64_t oldest = a->rows > ALIGNMENT_ROWS ? a->rows - ALIGNMENT_ROWS : 0;
    size_t states = spell(a, word, size);
    first = first > oldest ? first : oldest;
    end = end < a->rows ? end : a->rows;
    if (states == 0 || first >= end)
        return false;
    const double *last = walk(a, states, first, (size_t)(end - first));
    size_t s = last[states - 2] > last[states - 1] ? states - 2 : states - 1;
    if (last[s] == -INFINITY)
        return false;
    *from = *to = first;
    for (size_t t = (size_t)(end - first); t-- > 0;) {
        if (s == states - 2 && *to == first)
            *to = first + t + 1;
        if (s == 1)
            *from = first + t;
        if (t > 0)
            s -= a->step[t][s];
    }
    return true;
}
