/* The recipe is that of the public `rwkv` package (rwkv/utils.py: generate, sample_logits), in its
 * order; l are the logits, the banned ones -inf:
 *
 *     l_i <- l_i - (presence + n_i frequency)   for every token i that the text has, n_i as below
 *     p   <- softmax(l)
 *     p_i <- 0 where p_i < c                    c: in falling order, the p at which their sum
 *                                               reaches top_p
 *     p_i <- 0 but for the top_k largest
 *     p_i <- p_i^(1 / temperature), normalised; a token is drawn
 *     n   <- decay n;  n_i <- n_i + 1 for the one drawn, but + 0 for blanks and digits, which a
 *                                               text may repeat
 *
 * Where the package breaks ties at random, the lower id comes first.
 *
 * Sorting 65,536 probabilities for every token would cost more than a small model does. A token
 * under (1 - top_p) / vocab cannot be among the first top_p: all of those together do not come to
 * 1 - top_p. What is left, some hundreds as a rule, becomes a heap, and leaves it one by one until
 * the sum is reached.
 */
#include "model/sampler.h"

#include "base/pcg32.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    SAMPLER_STREAM = 54, /* of the generator */
};

static const char uncounted[] = " \t0123456789"; /* a token that is a piece of it */
static const float unseen = -1.0f;

struct candidate {
    float weight; /* its probability but for a factor */
    uint32_t id;
};

struct sampler {
    struct backend *backend;
    const struct decoding *decoding;
    const struct tokenizer *tokenizer; /* or NULL */
    size_t vocab;
    float *logits;                /* host [vocab], owned */
    struct candidate *candidates; /* [vocab], owned: a heap, then, behind it, those kept */
    float *counts;                /* [vocab], owned: n, or unseen */
    uint32_t *seen;               /* [vocab], owned: the ids with a count */

    struct sampler_config config;
    size_t seen_count;
    struct pcg32 random;
};

static void ban(const struct decoding *d, struct backend *be, float *logits, size_t vocab)
{
    static const float never = -INFINITY;
    for (size_t i = 0; i < d->ban_count; i++) {
        if (d->ban[i] < vocab) {
            be->ops->upload(be, logits + d->ban[i], &never, 1);
        }
    }
}

uint32_t decoding_greedy(const struct decoding *d, struct backend *be, float *logits, size_t vocab)
{
    ban(d, be, logits, vocab);
    return be->ops->argmax(be, logits, vocab);
}

bool decoding_stops(const struct decoding *d, uint32_t id)
{
    for (size_t i = 0; i < d->stop_count; i++) {
        if (d->stop[i] == id) {
            return true;
        }
    }
    return false;
}

struct sampler_config sampler_config_default(void)
{
    return (struct sampler_config){.top_p = 0.85f, .penalty_decay = 0.996f};
}

int sampler_config_check(const struct sampler_config *c, struct error *error)
{
    const struct {
        const char *name;
        double value, min, max;
    } ranges[] = {
        {"temperature", (double)c->temperature, 0, 5},
        {"top_p", (double)c->top_p, 0, 1},
        {"top_k", c->top_k, 0, DECODING_TOKENS_MAX},
        {"presence_penalty", (double)c->presence_penalty, -5, 5},
        {"frequency_penalty", (double)c->frequency_penalty, -5, 5},
        {"penalty_decay", (double)c->penalty_decay, 0, 1},
        {"max_tokens", c->max_tokens, 0, DECODING_TOKENS_MAX},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (!(ranges[i].value >= ranges[i].min && ranges[i].value <= ranges[i].max)) {
            return error_set(error, -EINVAL, "%s is %g, not from %g to %g", ranges[i].name,
                             ranges[i].value, ranges[i].min, ranges[i].max);
        }
    }
    return 0;
}

int sampler_create(struct sampler **out, struct backend *be, const struct decoding *d,
                   const struct tokenizer *t, size_t vocab)
{
    *out = NULL;
    struct sampler *s = calloc(1, sizeof(*s));
    if (!s) {
        return -ENOMEM;
    }
    *s = (struct sampler){.backend = be, .decoding = d, .tokenizer = t, .vocab = vocab};
    s->logits = calloc(vocab, sizeof(s->logits[0]));
    s->candidates = calloc(vocab, sizeof(s->candidates[0]));
    s->counts = calloc(vocab, sizeof(s->counts[0]));
    s->seen = calloc(vocab, sizeof(s->seen[0]));
    if (!s->logits || !s->candidates || !s->counts || !s->seen) {
        sampler_destroy(s);
        return -ENOMEM;
    }
    for (size_t i = 0; i < vocab; i++) {
        s->counts[i] = unseen;
    }
    const struct sampler_config config = sampler_config_default();
    sampler_begin(s, &config);
    *out = s;
    return 0;
}

void sampler_destroy(struct sampler *s)
{
    if (!s) {
        return;
    }
    free(s->logits);
    free(s->candidates);
    free(s->counts);
    free(s->seen);
    free(s);
}

static uint64_t any_seed(void)
{
    uint64_t seed;
    struct timespec now;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed)) {
        return seed;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool draws(const struct sampler_config *c)
{
    return c->temperature > 0.0f && c->top_p > 0.0f && c->top_k != 1;
}

static bool penalises(const struct sampler_config *c)
{
    return c->presence_penalty != 0.0f || c->frequency_penalty != 0.0f;
}

void sampler_begin(struct sampler *s, const struct sampler_config *c)
{
    s->config = *c;
    for (size_t i = 0; i < s->seen_count; i++) {
        s->counts[s->seen[i]] = unseen;
    }
    s->seen_count = 0;
    if (draws(c)) {
        pcg32_seed(&s->random, c->seed ? c->seed : any_seed(), SAMPLER_STREAM);
    }
}

size_t sampler_max_tokens(const struct sampler *s)
{
    return s->config.max_tokens ? s->config.max_tokens : s->decoding->max_tokens;
}

static float count_of(const struct sampler *s, uint32_t id)
{
    if (!s->tokenizer) {
        return 1.0f;
    }
    size_t size;
    const char *bytes = tokenizer_bytes(s->tokenizer, id, &size);
    return memmem(uncounted, sizeof(uncounted) - 1, bytes, size) ? 0.0f : 1.0f;
}

static void take_note(struct sampler *s, uint32_t id)
{
    for (size_t i = 0; i < s->seen_count; i++) {
        s->counts[s->seen[i]] *= s->config.penalty_decay;
    }
    if (s->counts[id] == unseen) {
        s->counts[id] = 0.0f;
        s->seen[s->seen_count++] = id;
    }
    s->counts[id] += count_of(s, id);
}

static void penalise(const struct sampler *s, float *logits)
{
    const struct sampler_config *c = &s->config;
    for (size_t i = 0; i < s->seen_count; i++) {
        uint32_t id = s->seen[i];
        logits[id] -= c->presence_penalty + s->counts[id] * c->frequency_penalty;
    }
}

static uint32_t largest(const float *x, size_t count)
{
    uint32_t best = 0;
    for (size_t i = 1; i < count; i++) {
        if (x[i] > x[best] || isnan(x[best])) {
            best = (uint32_t)i;
        }
    }
    return best;
}

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
        if (child >= count) {
            break;
        }
        if (child + 1 < count && before(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!before(&heap[child], &sinking)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = sinking;
}

/* logits -> candidates with weights exp(l - max), those that can be among the first top_p. sum: of
 * all weights. */
static size_t gather(struct sampler *s, float *logits, double *sum)
{
    float top = logits[largest(logits, s->vocab)];
    *sum = 0.0;
    for (size_t i = 0; i < s->vocab; i++) {
        float weight = expf(logits[i] - top);
        logits[i] = weight >= 0.0f ? weight : 0.0f; /* not of a NaN */
        *sum += (double)logits[i];
    }
    double least = (1.0 - (double)s->config.top_p) * *sum / (double)s->vocab;
    size_t count = 0;
    for (size_t i = 0; i < s->vocab; i++) {
        if (logits[i] > 0.0f && (double)logits[i] >= least) {
            s->candidates[count++] = (struct candidate){logits[i], (uint32_t)i};
        }
    }
    return count;
}

/* Moves those that top_p and top_k keep to the end of the candidates, the likeliest last. Returns
 * how many. */
static size_t select_first(struct sampler *s, size_t count, double sum)
{
    struct candidate *heap = s->candidates;
    size_t most = s->config.top_k > 0 && s->config.top_k < count ? s->config.top_k : count;
    double wanted = s->config.top_p < 1.0f ? (double)s->config.top_p * sum : INFINITY;
    if (most == count && wanted == (double)INFINITY) {
        return count;
    }
    for (size_t i = count / 2; i-- > 0;) {
        sift_down(heap, count, i);
    }
    size_t kept = 0;
    double reached = 0.0;
    float last = 0.0f;
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

/* Weights of those that may be drawn, at the end of the candidates. Overwrites logits. Returns how
 * many, 0 where there is no largest logit. total: their sum. */
static size_t weigh(struct sampler *s, float *logits, const struct candidate **kept, double *total)
{
    double sum;
    size_t count = gather(s, logits, &sum);
    size_t n = select_first(s, count, sum);
    struct candidate *first = s->candidates + (count - n);
    *total = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (s->config.temperature != 1.0f) {
            first[i].weight = powf(first[i].weight, 1.0f / s->config.temperature);
        }
        *total += (double)first[i].weight;
    }
    *kept = first;
    return n;
}

/* Overwrites logits. */
static uint32_t draw(struct sampler *s, float *logits)
{
    const struct candidate *kept;
    double total;
    uint32_t best = largest(logits, s->vocab);
    size_t n = weigh(s, logits, &kept, &total);
    double left = pcg32_unit(&s->random) * total;
    for (size_t i = n; i-- > 0;) {
        left -= (double)kept[i].weight;
        if (left < 0.0) {
            return kept[i].id;
        }
    }
    return n > 0 ? kept[0].id : best;
}

static uint32_t choose_on_host(struct sampler *s, const float *logits)
{
    s->backend->ops->download(s->backend, s->logits, logits, s->vocab);
    penalise(s, s->logits);
    return draws(&s->config) ? draw(s, s->logits) : largest(s->logits, s->vocab);
}

uint32_t sampler_next(struct sampler *s, float *logits)
{
    struct backend *be = s->backend;
    ban(s->decoding, be, logits, s->vocab);
    bool plain = !draws(&s->config) && s->seen_count == 0;
    uint32_t id = plain ? be->ops->argmax(be, logits, s->vocab) : choose_on_host(s, logits);
    if (penalises(&s->config)) {
        take_note(s, id);
    }
    return id;
}

void sampler_probabilities(struct sampler *s, const float *logits, float *probabilities)
{
    const struct candidate *kept;
    double total;
    memmove(s->logits, logits, s->vocab * sizeof(s->logits[0]));
    penalise(s, s->logits);
    uint32_t best = largest(s->logits, s->vocab);
    size_t n = draws(&s->config) ? weigh(s, s->logits, &kept, &total) : 0;
    memset(probabilities, 0, s->vocab * sizeof(probabilities[0]));
    for (size_t i = 0; i < n; i++) {
        probabilities[kept[i].id] = (float)((double)kept[i].weight / total);
    }
    if (n == 0) {
        probabilities[best] = 1.0f;
    }
}
