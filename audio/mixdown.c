/* Every 10 ms the powers of the channels and of their mean are compared, where there is more than
 * the noise between words. With p the mean's power as a part of the loudest channel's:
 *
 *     all channels alike               1
 *     two that have nothing in common  1/2
 *     one of two is empty              1/4
 *     one is the other's inverse       0
 *
 * Below `lost` the loudest channel is taken, above `found` the mean again. A choice counts from the
 * next block on, through which the old one fades into the new.
 */
#include "audio/mixdown.h"

#include <math.h>

enum { BLOCKS_HZ = 100 };

static const float loudest = 1e4f; /* 80 dB above full scale */
static const float lost = 0.3f, found = 0.45f;
static const float louder = 4.0f;        /* than the channel that was chosen, to be it instead */
static const float significant = 1e-3f;  /* of the peak */
static const float peak_decay = 0.999f;  /* a block: 10 s */
static const float power_decay = 0.667f; /* a block: 25 ms */

void mixdown_init(struct mixdown *m, int rate_hz, int channels)
{
    *m = (struct mixdown){
        .channels = channels, .block = (size_t)(rate_hz / BLOCKS_HZ), .before = -1, .now = -1};
}

static int find_loudest(const struct mixdown *m)
{
    int best = 0;
    for (int c = 1; c < m->channels; c++)
        if (m->power[c] > m->power[best])
            best = c;
    return best;
}

static int choose(const struct mixdown *m)
{
    int best = find_loudest(m);
    float part = m->power[m->channels] / m->power[best];
    if (m->now < 0)
        return part < lost ? best : -1;
    if (part > found)
        return -1;
    return m->power[best] > louder * m->power[m->now] ? best : m->now;
}

static void end_block(struct mixdown *m)
{
    float most = 0.0f;
    for (int c = 0; c < m->channels; c++)
        most = m->sum[c] > most ? m->sum[c] : most;
    m->peak = fmaxf(m->peak * peak_decay, most);
    for (int c = 0; c <= m->channels; c++) {
        m->power[c] = m->power[c] * power_decay + m->sum[c];
        m->sum[c] = 0.0f;
    }
    m->before = m->now;
    if (most > 0.0f && most >= significant * m->peak)
        m->now = choose(m);
    m->at = 0;
}

static void measure(struct mixdown *m, int c, float x)
{
    float difference = x - m->last[c];
    m->sum[c] += difference * difference;
    m->last[c] = x;
}

static float sound_or_silence(float x)
{
    return fabsf(x) <= loudest ? x : 0.0f;
}

static float mix(struct mixdown *m, const float *frame)
{
    float chosen[2] = {0.0f, 0.0f}, sum = 0.0f;
    for (int c = 0; c < m->channels; c++) {
        float x = sound_or_silence(frame[c]);
        sum += x;
        measure(m, c, x);
        if (c == m->before)
            chosen[0] = x;
        if (c == m->now)
            chosen[1] = x;
    }
    float mean = sum / (float)m->channels;
    measure(m, m->channels, mean);
    float from = m->before < 0 ? mean : chosen[0], to = m->now < 0 ? mean : chosen[1];
    if (m->before == m->now)
        return to;
    return from + (to - from) * (float)m->at / (float)m->block;
}

void mixdown_push(struct mixdown *m, const float *samples, size_t frames, float *mono)
{
    if (m->channels == 1) {
        for (size_t i = 0; i < frames; i++)
            mono[i] = sound_or_silence(samples[i]);
        return;
    }
    for (size_t i = 0; i < frames; i++) {
        mono[i] = mix(m, samples + i * (size_t)m->channels);
        if (++m->at == m->block)
            end_block(m);
    }
}
