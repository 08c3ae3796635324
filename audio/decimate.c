/*     y[n] = sum_j h[j] x[n factor + j]          -half <= j <= half
 *     h[j] = sinc(c j) kaiser(j / half) / sum      c = (pass + stop) / factor
 *
 * Kaiser's window with 100 dB, and as many taps as the way from pass to stop takes: from 7.1 to
 * 8.5 kHz at 16 kHz, 221 taps at a factor of 3.
 * Source: Oppenheim and Schafer, Discrete-Time Signal Processing, "The Kaiser window".
 */
#include "audio/decimate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FACTOR_MAX = 64,
    LANES = 4,
    BLOCK = 512, /* inputs taken at a time */
};

static const double stop_db = 100.0;
static const double pass = 7100.0 / 16000.0; /* of the new rate */
static const double stop = 8500.0 / 16000.0;

/* What every processor has in one register. */
typedef float four __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

struct decimate {
    size_t factor;
    size_t half;
    size_t taps;   /* 2 half + 1, rounded up to whole vectors by zeros at the end */
    float *filter; /* [taps] */
    float *past;   /* [taps + BLOCK], from the first input that the next output needs on */
    size_t count;  /* inputs in past */
};

/* The modified Bessel function of the first kind, of order zero. */
static double bessel(double x)
{
    double sum = 1.0;
    double term = 1.0;
    for (int k = 1; term > 1e-12 * sum; k++) {
        term *= x / (2.0 * k) * x / (2.0 * k);
        sum += term;
    }
    return sum;
}

static void design(struct decimate *d)
{
    double beta = 0.1102 * (stop_db - 8.7);
    double cutoff = (pass + stop) / (double)d->factor; /* of half the rate before */
    double sum = 0.0;
    for (size_t i = 0; i <= 2 * d->half; i++) {
        double j = (double)i - (double)d->half;
        double place = j / (double)d->half;
        double window = bessel(beta * sqrt(1.0 - place * place)) / bessel(beta);
        double sinc = j == 0.0 ? 1.0 : sin(M_PI * cutoff * j) / (M_PI * cutoff * j);
        d->filter[i] = (float)(sinc * window);
        sum += sinc * window;
    }
    for (size_t i = 0; i < d->taps; i++)
        d->filter[i] /= (float)sum;
}

int decimate_create(struct decimate **out, int factor)
{
    *out = NULL;
    if (factor < 2 || factor > FACTOR_MAX)
        return -EINVAL;
    struct decimate *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return -ENOMEM;
    double width = 2.0 * M_PI * (stop - pass) / factor; /* radians a sample */
    d->factor = (size_t)factor;
    d->half = (size_t)ceil((stop_db - 7.95) / (2.285 * width) / 2.0);
    d->taps = (2 * d->half + LANES) / LANES * LANES;
    d->filter = calloc(d->taps, sizeof(float));
    d->past = calloc(d->taps + BLOCK, sizeof(float));
    if (d->filter == NULL || d->past == NULL) {
        decimate_destroy(d);
        return -ENOMEM;
    }
    design(d);
    decimate_reset(d);
    *out = d;
    return 0;
}

void decimate_destroy(struct decimate *d)
{
    if (d == NULL)
        return;
    free(d->filter);
    free(d->past);
    free(d);
}

void decimate_reset(struct decimate *d)
{
    memset(d->past, 0, d->half * sizeof(float));
    d->count = d->half;
}

static float filter_one(const struct decimate *d, const float *x)
{
    four sums[2] = {{0.0f}};
    const four *h = (const four *)d->filter;
    const four *v = (const four *)x;
    size_t n = d->taps / LANES;
    for (size_t i = 0; i + 1 < n; i += 2) {
        sums[0] += h[i] * v[i];
        sums[1] += h[i + 1] * v[i + 1];
    }
    if (n % 2)
        sums[0] += h[n - 1] * v[n - 1];
    four sum = sums[0] + sums[1];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Makes what past has enough inputs for, and drops what no later output needs. */
static size_t make(struct decimate *d, float *out)
{
    size_t made = 0;
    size_t at = 0;
    for (; at + d->taps <= d->count; at += d->factor)
        out[made++] = filter_one(d, d->past + at);
    d->count -= at; /* a filter is longer than a step */
    memmove(d->past, d->past + at, d->count * sizeof(float));
    return made;
}

size_t decimate_push(struct decimate *d, const float *samples, size_t count, float *out)
{
    size_t made = 0;
    while (count > 0) {
        size_t room = d->taps + BLOCK - d->count;
        size_t part = count < room ? count : room;
        memcpy(d->past + d->count, samples, part * sizeof(float));
        d->count += part;
        samples += part;
        count -= part;
        made += make(d, out + made);
    }
    return made;
}

size_t decimate_flush(struct decimate *d, float *out)
{
    static const float silence[BLOCK];
    size_t missing = d->taps - 1 - d->half;
    size_t made = 0;
    while (missing > 0) {
        size_t part = missing < BLOCK ? missing : BLOCK;
        made += decimate_push(d, silence, part, out + made);
        missing -= part;
    }
    decimate_reset(d);
    return made;
}

size_t decimate_bound(const struct decimate *d, size_t count)
{
    return (count + d->taps) / d->factor + 1;
}
