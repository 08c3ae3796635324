/* A frame of 400 samples, times the window, goes through a real DFT of 400 = 16 * 25 points. The
 * factors have no common divisor, so with (Good, 1958)
 *
 *     n = (25 a + 16 b) mod 400,   exp(-2 pi i n k / 400) = exp(-2 pi i a k / 16) exp(-2 pi i b k /
 * 25)
 *
 * the transform is a 25-point DFT of each of 16 rows and a 16-point DFT of each column, with no
 * twiddle factors between:
 *
 *     Y[a][r] = sum_b x[25 a + 16 b] exp(-2 pi i b r / 25)         r = k mod 25, 0..12 suffice: x
 * is real X[q][r] = sum_a Y[a][r] exp(-2 pi i a q / 16)                q = k mod 16
 *
 * Both are plain sums over folded inputs (x[b] + x[N-b] meets the cosines, x[b] - x[N-b] the sines)
 * with r, padded to 16, innermost, so that the compiler makes vectors of them.
 */
#include "dsp/logmel.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS = 16,
    COLUMNS = 25,
    HALF_COLUMNS = 13, /* r = 0..12 */
    LANES = 16,        /* HALF_COLUMNS padded */
    SPECTRUM = LOGMEL_WINDOW / 2 + 1,
    PADDING = LOGMEL_WINDOW / 2,
    FIRST_NEED = LOGMEL_WINDOW + 1, /* frame 0 is centred on sample 0 and mirrors samples 1..200 */
    BINS_MAX = 128,
    WEIGHTS_MAX = 2 * SPECTRUM, /* at most two triangles reach a frequency */
};

struct filter {
    int begin;   /* first frequency index */
    int count;   /* frequencies */
    int weights; /* index of its first weight */
};

struct logmel {
    int bins;
    int64_t samples; /* since reset */
    int64_t frames;  /* since reset */
    size_t filled;   /* of buffer */
    /* Samples 160 frames - 200 onward: the next frame's; one more for the mirror of the first. */
    float buffer[FIRST_NEED];

    float window[LOGMEL_WINDOW];
    float cos_columns[HALF_COLUMNS][LANES]; /* [b][r], cos(2 pi b r / 25) */
    float sin_columns[HALF_COLUMNS][LANES];
    float cos_rows[ROWS / 2 + 1][ROWS / 2 + 1]; /* [q][a], cos(2 pi a q / 16) */
    float sin_rows[ROWS / 2 + 1][ROWS / 2 + 1];
    int source[ROWS][COLUMNS]; /* [a][b] -> n */
    int place[SPECTRUM];       /* k -> index into power [ROWS][LANES] */
    struct filter filters[BINS_MAX];
    float weights[WEIGHTS_MAX];
};

static void init_transform(struct logmel *m)
{
    const double tau = 6.283185307179586476925;
    for (int n = 0; n < LOGMEL_WINDOW; n++)
        m->window[n] = (float)(0.5 - 0.5 * cos(tau * n / LOGMEL_WINDOW));
    for (int b = 0; b < HALF_COLUMNS; b++) {
        for (int r = 0; r < HALF_COLUMNS; r++) {
            m->cos_columns[b][r] = (float)cos(tau * (b * r % COLUMNS) / COLUMNS);
            m->sin_columns[b][r] = (float)sin(tau * (b * r % COLUMNS) / COLUMNS);
        }
    }
    for (int q = 0; q <= ROWS / 2; q++) {
        for (int a = 0; a <= ROWS / 2; a++) {
            m->cos_rows[q][a] = (float)cos(tau * (a * q % ROWS) / ROWS);
            m->sin_rows[q][a] = (float)sin(tau * (a * q % ROWS) / ROWS);
        }
    }
    for (int a = 0; a < ROWS; a++) {
        for (int b = 0; b < COLUMNS; b++)
            m->source[a][b] = (COLUMNS * a + ROWS * b) % LOGMEL_WINDOW;
    }
    for (int k = 0; k < SPECTRUM; k++) {
        /* |X[k]| = |X[400 - k]|, and one of the two has r <= 12. */
        int at = k % COLUMNS < HALF_COLUMNS ? k : LOGMEL_WINDOW - k;
        m->place[k] = at % ROWS * LANES + at % COLUMNS;
    }
}

/* Slaney's scale: linear below 1 kHz (15 mel), logarithmic above. */
static double mel_to_hz(double mel)
{
    return mel < 15.0 ? mel * 200.0 / 3.0 : 1000.0 * exp((mel - 15.0) * (log(6.4) / 27.0));
}

/* librosa.filters.mel(sr=16000, n_fft=400, n_mels=bins, htk=False, norm="slaney"). */
static void init_filters(struct logmel *m)
{
    const double top_mel = 15.0 + log(8.0) * (27.0 / log(6.4)); /* 8 kHz */
    const double step_hz = 16000.0 / LOGMEL_WINDOW;
    int weights = 0;
    for (int i = 0; i < m->bins; i++) {
        double low = mel_to_hz(top_mel * i / (m->bins + 1));
        double centre = mel_to_hz(top_mel * (i + 1) / (m->bins + 1));
        double high = mel_to_hz(top_mel * (i + 2) / (m->bins + 1));
        struct filter *f = &m->filters[i];
        f->weights = weights;
        for (int k = 0; k < SPECTRUM; k++) {
            double hz = k * step_hz;
            double weight = fmin((hz - low) / (centre - low), (high - hz) / (high - centre));
            if (weight <= 0.0 || weights == WEIGHTS_MAX)
                continue;
            if (f->count == 0)
                f->begin = k;
            f->count++;
            m->weights[weights++] = (float)(weight * 2.0 / (high - low));
        }
    }
}

int logmel_create(struct logmel **out, int bins)
{
    *out = NULL;
    if (bins < 1 || bins > BINS_MAX)
        return -EINVAL;
    struct logmel *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return -ENOMEM;
    m->bins = bins;
    init_transform(m);
    init_filters(m);
    logmel_reset(m);
    *out = m;
    return 0;
}

void logmel_destroy(struct logmel *m)
{
    free(m);
}

void logmel_reset(struct logmel *m)
{
    m->samples = 0;
    m->frames = 0;
    m->filled = PADDING;
}

void logmel_copy(struct logmel *to, const struct logmel *from)
{
    assert(to->bins == from->bins);
    to->samples = from->samples;
    to->frames = from->frames;
    to->filled = from->filled;
    memcpy(to->buffer, from->buffer, sizeof(to->buffer));
}

/* Row a of the first stage: Y[a][0..12]. */
static void transform_row(const struct logmel *m, const int *source, float *re, float *im)
{
    float even[HALF_COLUMNS];
    float odd[HALF_COLUMNS];
    even[0] = m->buffer[source[0]] * m->window[source[0]];
    odd[0] = 0.0f;
    for (int b = 1; b < HALF_COLUMNS; b++) {
        float x = m->buffer[source[b]] * m->window[source[b]];
        float mirrored = m->buffer[source[COLUMNS - b]] * m->window[source[COLUMNS - b]];
        even[b] = x + mirrored;
        odd[b] = x - mirrored;
    }
    for (int r = 0; r < LANES; r++) {
        re[r] = even[0] * m->cos_columns[0][r];
        im[r] = 0.0f;
    }
    for (int b = 1; b < HALF_COLUMNS; b++) {
        for (int r = 0; r < LANES; r++) {
            re[r] += even[b] * m->cos_columns[b][r];
            im[r] -= odd[b] * m->sin_columns[b][r];
        }
    }
}

/* In place: row a becomes the sum of rows a and 16 - a, row 16 - a their difference. */
static void fold_rows(float y[ROWS][LANES])
{
    for (int a = 1; a < ROWS / 2; a++) {
        for (int r = 0; r < LANES; r++) {
            float sum = y[a][r] + y[ROWS - a][r];
            y[ROWS - a][r] = y[a][r] - y[ROWS - a][r];
            y[a][r] = sum;
        }
    }
}

/* Rows q and 16 - q of |X|^2, from the folded rows. With C = sum cos * sums, S = sum sin *
 * differences: X[q] = C - i S and X[16 - q] = C + i S. */
static void transform_columns(const struct logmel *m, float re[ROWS][LANES], float im[ROWS][LANES],
                              int q, float power[ROWS][LANES])
{
    float cos_re[LANES] = {0};
    float cos_im[LANES] = {0};
    float sin_re[LANES] = {0};
    float sin_im[LANES] = {0};
    for (int a = 0; a <= ROWS / 2; a++) {
        float c = m->cos_rows[q][a];
        for (int r = 0; r < LANES; r++) {
            cos_re[r] += c * re[a][r];
            cos_im[r] += c * im[a][r];
        }
    }
    for (int a = 1; a < ROWS / 2; a++) {
        float s = m->sin_rows[q][a];
        for (int r = 0; r < LANES; r++) {
            sin_re[r] += s * re[ROWS - a][r];
            sin_im[r] += s * im[ROWS - a][r];
        }
    }
    int mirrored = (ROWS - q) % ROWS;
    for (int r = 0; r < LANES; r++) {
        float x = cos_re[r] + sin_im[r];
        float y = cos_im[r] - sin_re[r];
        float x_mirrored = cos_re[r] - sin_im[r];
        float y_mirrored = cos_im[r] + sin_re[r];
        power[mirrored][r] = x_mirrored * x_mirrored + y_mirrored * y_mirrored;
        power[q][r] = x * x + y * y;
    }
}

/* One frame from buffer[0..399]; frame [bins]. */
static void make_frame(const struct logmel *m, float *frame)
{
    float re[ROWS][LANES];
    float im[ROWS][LANES];
    float power[ROWS][LANES];
    for (int a = 0; a < ROWS; a++)
        transform_row(m, m->source[a], re[a], im[a]);
    fold_rows(re);
    fold_rows(im);
    for (int q = 0; q <= ROWS / 2; q++)
        transform_columns(m, re, im, q, power);

    float spectrum[SPECTRUM];
    for (int k = 0; k < SPECTRUM; k++)
        spectrum[k] = (&power[0][0])[m->place[k]];
    for (int i = 0; i < m->bins; i++) {
        const struct filter *f = &m->filters[i];
        float mel = 0.0f;
        for (int j = 0; j < f->count; j++)
            mel += m->weights[f->weights + j] * spectrum[f->begin + j];
        /* A NaN from the device becomes silence here: the comparison is false. */
        frame[i] = (log10f(mel > 1e-10f ? mel : 1e-10f) + 4.0f) / 4.0f;
    }
}

size_t logmel_bound(size_t samples)
{
    return samples / LOGMEL_HOP + 2;
}

size_t logmel_push(struct logmel *m, const float *samples, size_t count, float *frames)
{
    size_t made = 0;
    while (count > 0) {
        size_t need = m->frames == 0 ? FIRST_NEED : LOGMEL_WINDOW;
        size_t part = count < need - m->filled ? count : need - m->filled;
        memcpy(m->buffer + m->filled, samples, part * sizeof(float));
        m->filled += part;
        m->samples += (int64_t)part;
        samples += part;
        count -= part;
        if (m->filled < need)
            break;
        if (m->frames == 0) {
            for (int i = 1; i <= PADDING; i++)
                m->buffer[PADDING - i] = m->buffer[PADDING + i];
        }
        make_frame(m, frames + made * (size_t)m->bins);
        made++;
        m->frames++;
        m->filled -= LOGMEL_HOP;
        memmove(m->buffer, m->buffer + LOGMEL_HOP, m->filled * sizeof(float));
    }
    return made;
}

/* The sample that stands at position when an utterance of count samples is mirrored at both ends,
 * again and again where it is shorter than the padding, as numpy.pad does. */
static int64_t reflect(int64_t position, int64_t count)
{
    int64_t period = 2 * (count - 1);
    int64_t folded = (position % period + period) % period;
    return folded < count ? folded : period - folded;
}

size_t logmel_flush(struct logmel *m, float *frames)
{
    size_t made = 0;
    if (m->frames < m->samples / LOGMEL_HOP) {
        int64_t start = m->frames * LOGMEL_HOP - PADDING;
        size_t mirrored = m->frames == 0 ? PADDING : 0;
        for (size_t i = 0; i < LOGMEL_WINDOW; i++) {
            if (i < mirrored || i >= m->filled)
                m->buffer[i] = m->buffer[reflect(start + (int64_t)i, m->samples) - start];
        }
        make_frame(m, frames);
        made = 1;
    }
    logmel_reset(m);
    return made;
}
