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
 * Where the package breaks ties at random, the lower id comes first. All but the generator and the
 * look at the token is the backend's: logits and n stay in its memory.
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

struct sampler {
    struct backend *backend;
    const struct decoding *decoding;
    const struct tokenizer *tokenizer; /* or NULL */
    size_t vocab;
    float *scratch;             /* backend memory [DRAW_SCRATCH vocab] */
    float *q;                   /* backend memory [vocab] */
    struct penalties penalties; /* its memory: ours, [vocab] each */

    struct sampler_config config;
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
    uint32_t id;
    ban(d, be, logits, vocab);
    be->ops->argmax(be, &id, logits, 1, vocab);
    return id;
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
    s->scratch = be->ops->alloc(be, DRAW_SCRATCH * vocab);
    s->q = be->ops->alloc(be, vocab);
    s->penalties.said = be->ops->alloc(be, vocab);
    s->penalties.times = be->ops->alloc(be, vocab);
    if (!s->scratch || !s->q || !s->penalties.said || !s->penalties.times) {
        sampler_destroy(s);
        return -ENOMEM;
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
    float *const all[] = {s->scratch, s->q, s->penalties.said, s->penalties.times};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        s->backend->ops->free(s->backend, all[i]);
    }
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

bool sampler_is_fond(const struct sampler *s)
{
    return s->config.presence_penalty < 0.0f || s->config.frequency_penalty < 0.0f;
}

void sampler_begin(struct sampler *s, const struct sampler_config *c)
{
    const struct backend_ops *op = s->backend->ops;
    s->config = *c;
    s->penalties.presence = c->presence_penalty;
    s->penalties.frequency = c->frequency_penalty;
    s->penalties.decay = c->penalty_decay;
    if (penalises(c)) {
        op->zero(s->backend, s->penalties.said, s->vocab);
        op->zero(s->backend, s->penalties.times, s->vocab);
    }
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

static struct draw draw_of(const struct sampler *s, const float *logits)
{
    const struct sampler_config *c = &s->config;
    struct draw d = {.count = s->vocab,
                     .logits = logits,
                     .temperature = draws(c) ? c->temperature : 0.0f,
                     .top_p = c->top_p,
                     .top_k = c->top_k,
                     .scratch = s->scratch};
    if (penalises(c)) {
        d.penalties = s->penalties;
    }
    return d;
}

uint32_t sampler_next(struct sampler *s, float *logits)
{
    const struct backend_ops *op = s->backend->ops;
    if (!draws(&s->config) && !penalises(&s->config)) {
        return decoding_greedy(s->decoding, s->backend, logits, s->vocab);
    }
    struct draw d = draw_of(s, logits);
    ban(s->decoding, s->backend, logits, s->vocab);
    if (draws(&s->config)) {
        d.unit = pcg32_unit(&s->random);
    }
    uint32_t id = op->draw(s->backend, &d);
    if (penalises(&s->config)) {
        op->note(s->backend, &s->penalties, s->vocab, id, count_of(s, id));
    }
    return id;
}

void sampler_probabilities(struct sampler *s, const float *logits, float *probabilities)
{
    struct draw d = draw_of(s, logits);
    d.q = s->q;
    s->backend->ops->draw(s->backend, &d);
    s->backend->ops->download(s->backend, probabilities, s->q, s->vocab);
}
