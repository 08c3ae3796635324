/* Draws a token. Sorting 65,536 probabilities for every token would cost more than a small model
 * does. A token under (1 - top_p) / count cannot be among the first top_p: all of those together do
 * not come to 1 - top_p. What is left, some hundreds as a rule, becomes a heap, and leaves it one
 * by one until the sum is reached.
 */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

struct candidate {
    float weight; /* its probability but for a factor */
    uint32_t id;
};

/* Which of two leaves the heap first. */
static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->weight > b->weight || (a->weight == b->weight && a->id < b->id);
}

static void sift_down(struct candidate *heap, size_t count, size_t at)
{
    struct candidate sinking = heap[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= count)
            break;
        if (child + 1 < count && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &sinking))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = sinking;
}

static void penalise(const struct draw *d, float *logits)
{
    const struct penalties *p = &d->penalties;

    memcpy(logits, d->logits, d->count * sizeof(*logits));
    for (size_t i = 0; p->said && i < d->count; i++)
        logits[i] -= p->said[i] * p->presence + p->times[i] * p->frequency;
}

/* logits, penalised -> candidates with weights exp(l - top), those that can be among the first
 * top_p. Overwrites logits. sum: of all weights. */
static size_t gather(const struct draw *d, float *logits, float top, struct candidate *candidates,
                     double *sum)
{
    double least;
    size_t count = 0;

    *sum = 0.0;
    for (size_t i = 0; i < d->count; i++) {
        float weight = expf(logits[i] - top);

        logits[i] = weight >= 0.0f ? weight : 0.0f; /* not of a NaN */
        *sum += (double)logits[i];
    }
    least = (1.0 - (double)d->top_p) * *sum / (double)d->count;
    for (size_t i = 0; i < d->count; i++)
        if (logits[i] > 0.0f && (double)logits[i] >= least)
            candidates[count++] = (struct candidate){logits[i], (uint32_t)i};
    return count;
}

/* Moves those that top_p and top_k keep to the end of the candidates, the likeliest last. Returns
 * how many. */
static size_t select_first(const struct draw *d, struct candidate *heap, size_t count, double sum)
{
    size_t most = d->top_k > 0 && d->top_k < count ? d->top_k : count, kept = 0;
    double wanted = d->top_p < 1.0f ? (double)d->top_p * sum : (double)INFINITY, reached = 0.0;
    float last = 0.0f;

    if (most == count && d->top_p >= 1.0f)
        return count;
    for (size_t i = count / 2; i-- > 0;)
        sift_down(heap, count, i);
    for (size_t left = count; kept < most && (reached < wanted || heap[0].weight == last);) {
        struct candidate first = heap[0];

        heap[0] = heap[--left];
        sift_down(heap, left, 0);
        heap[left] = first;
        reached += (double)first.weight;
        last = first.weight;
        kept++;
    }
    return kept;
}

/* Weights become those of the temperature; their sum. */
static double warm(const struct draw *d, struct candidate *kept, size_t count)
{
    double total = 0.0;

    for (size_t i = 0; i < count; i++) {
        if (d->temperature != 1.0f)
            kept[i].weight = powf(kept[i].weight, 1.0f / d->temperature);
        total += (double)kept[i].weight;
    }
    return total;
}

static void write_q(const struct draw *d, const struct candidate *kept, size_t count, double total,
                    uint32_t best)
{
    memset(d->q, 0, d->count * sizeof(*d->q));
    for (size_t i = 0; i < count; i++)
        d->q[kept[i].id] = (float)((double)kept[i].weight / total);
    if (count == 0)
        d->q[best] = 1.0f;
}

uint32_t cpu_draw(struct backend *be, const struct draw *d)
{
    float *logits = d->scratch;
    struct candidate *candidates = (struct candidate *)(void *)(d->scratch + d->count), *kept;
    size_t count = 0, found = 0;
    double sum, total, left;
    uint32_t best;

    penalise(d, logits);
    be->ops->argmax(be, &best, logits, 1, d->count);
    if (d->temperature > 0.0f) {
        found = gather(d, logits, logits[best], candidates, &sum);
        count = select_first(d, candidates, found, sum);
    }
    kept = candidates + (found - count);
    total = warm(d, kept, count);
    if (d->q)
        write_q(d, kept, count, total, best);
    left = d->unit * total;
    for (size_t i = count; i-- > 0;) {
        left -= (double)kept[i].weight;
        if (left < 0.0)
            return kept[i].id;
    }
    return count > 0 ? kept[0].id : best;
}

void cpu_note(struct backend *be, const struct penalties *p, size_t count, uint32_t id, float more)
{
    (void)be;
    for (size_t i = 0; i < count; i++)
        p->times[i] *= p->decay;
    p->said[id] = 1.0f;
    p->times[id] += more;
}
