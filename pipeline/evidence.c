/* Tuned on the dev recordings, docs/performance.md. */
#include "pipeline/evidence.h"

#include <math.h>
#include <string.h>

static const float detector_share = 0.45f;
static const float words_share = 6.0f;
static const float words_doubt = 0.5f;  /* words of this confidence say nothing */
static const float least_doubt = 1e-4f; /* of the detector, in its favour or not */

void evidence_begin(struct evidence *e)
{
    memset(e, 0, sizeof(*e));
    e->speech = 0.5f;
}

void evidence_detect(struct evidence *e, float probability)
{
    e->speech = probability;
}

void evidence_row(struct evidence *e, float phone)
{
    e->phones[e->at] = phone;
    e->at = (e->at + 1) % EVIDENCE_ROWS;
    float sum = 0.0f;
    for (size_t i = 0; i < EVIDENCE_ROWS; i++)
        sum += e->phones[i];
    if (sum > e->most)
        e->most = sum;
}

static float log_odds(float probability)
{
    float p = fminf(fmaxf(probability, least_doubt), 1.0f - least_doubt);
    return logf(p / (1.0f - p));
}

float evidence_sum(const struct evidence *e)
{
    return e->most + detector_share * log_odds(e->speech);
}

float evidence_with_words(const struct evidence *e, float confidence)
{
    return evidence_sum(e) + words_share * (confidence - words_doubt);
}
