/* x [80] a frame of log-mel, m the running level:
 *
 *     m  <- m + (mean(x) - m) / VAD_LEVEL_FRAMES       m starts as the first frame's mean
 *     a  = relu(W [z(t-2) z(t-1) z(t)] + b)             z = x - m, so that a gain cancels
 *     h1 = GRU1(a, h1)    h2 = GRU2(h1, h2)
 *     p  = 1 / (1 + exp(-(v h2 + c)))
 *
 *     GRU(x, h):  [ir iz in] = Wi x + bi     [hr hz hn] = Wh h + bh
 *                 r = sigmoid(ir + hr)   z = sigmoid(iz + hz)   n = tanh(in + r hn)
 *                 h <- (1 - z) n + z h
 *
 * training/vad.py trains it and writes vad_model.c: int8 weights [out, in] with a scale a row. They
 * become float [out / BLOCK, in, BLOCK] at create, so that a product runs along a block of outputs
 * whose sums stay in registers. Some 60 k multiplications a frame.
 */
#include "dsp/vad.h"

#include "dsp/vad_model.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONV_INPUTS = VAD_CONTEXT * VAD_BINS,
    GATES = 3,
    BLOCK = 16,
    FOURS = BLOCK / 4,
    GRU_MAX = VAD_GRU1 > VAD_GRU2 ? VAD_GRU1 : VAD_GRU2,
    /* Frames of digital silence that every stream begins with: a recording whose first frame is
     * speech would otherwise pass for its own background. Without them nearly twice as many of the
     * one-word recordings are missed. */
    PRIMING = 10,
};

static const float digital_silence = -1.5f; /* (log10(1e-10) + 4) / 4 */
static const float loudest = 4.0f;

/* What every processor has in one register. */
typedef float four __attribute__((vector_size(4 * sizeof(float)), aligned(4), may_alias));

_Static_assert(VAD_CONV % BLOCK == 0 && VAD_GRU1 % BLOCK == 0 && VAD_GRU2 % BLOCK == 0,
               "outputs come in blocks");

struct vad {
    float conv[VAD_CONV * CONV_INPUTS];
    float gru1_input[GATES * VAD_GRU1 * VAD_CONV];
    float gru1_state[GATES * VAD_GRU1 * VAD_GRU1];
    float gru2_input[GATES * VAD_GRU2 * VAD_GRU1];
    float gru2_state[GATES * VAD_GRU2 * VAD_GRU2];
    float out[VAD_GRU2];

    /* What moves. */
    bool heard;                 /* a frame since reset */
    float level;                /* m */
    float context[CONV_INPUTS]; /* [VAD_CONTEXT, VAD_BINS], the newest frame last */
    float h1[VAD_GRU1];
    float h2[VAD_GRU2];
};

/* weights [outputs, inputs] -> matrix [outputs / BLOCK, inputs, BLOCK] */
static void expand(float *matrix, const signed char *weights, const float *scales, size_t outputs,
                   size_t inputs)
{
    for (size_t o = 0; o < outputs; o++) {
        for (size_t i = 0; i < inputs; i++)
            matrix[(o / BLOCK * inputs + i) * BLOCK + o % BLOCK] =
                (float)weights[o * inputs + i] * scales[o];
    }
}

int vad_create(struct vad **out)
{
    struct vad *v = calloc(1, sizeof(*v));
    *out = v;
    if (v == NULL)
        return -ENOMEM;
    expand(v->conv, vad_model_conv, vad_model_conv_scale, VAD_CONV, CONV_INPUTS);
    expand(v->gru1_input, vad_model_gru1_input, vad_model_gru1_input_scale, GATES * VAD_GRU1,
           VAD_CONV);
    expand(v->gru1_state, vad_model_gru1_state, vad_model_gru1_state_scale, GATES * VAD_GRU1,
           VAD_GRU1);
    expand(v->gru2_input, vad_model_gru2_input, vad_model_gru2_input_scale, GATES * VAD_GRU2,
           VAD_GRU1);
    expand(v->gru2_state, vad_model_gru2_state, vad_model_gru2_state_scale, GATES * VAD_GRU2,
           VAD_GRU2);
    for (int i = 0; i < VAD_GRU2; i++)
        v->out[i] = (float)vad_model_out[i] * vad_model_out_scale[0];
    vad_reset(v);
    return 0;
}

void vad_destroy(struct vad *v)
{
    free(v);
}

/* y [outputs] = bias + W x, matrix [outputs / BLOCK, inputs, BLOCK] */
static void affine(float *restrict y, const float *restrict matrix, const float *bias,
                   const float *x, size_t outputs, size_t inputs)
{
    for (size_t o = 0; o < outputs; o += BLOCK) {
        four sums[FOURS];
        memcpy(sums, bias + o, sizeof(sums));
        for (size_t i = 0; i < inputs; i++, matrix += BLOCK)
            for (int j = 0; j < FOURS; j++)
                sums[j] += x[i] * ((const four *)matrix)[j];
        memcpy(y + o, sums, sizeof(sums));
    }
}

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* Three times as fast as libm's, whose last bits are of no use here. */
static float hyperbolic_tangent(float x)
{
    return 2.0f * sigmoid(2.0f * x) - 1.0f;
}

/* h [size] <- GRU(x, h), from the two products [GATES, size] */
static void gate(float *h, const float *from_input, const float *from_state, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        float r = sigmoid(from_input[i] + from_state[i]);
        float z = sigmoid(from_input[size + i] + from_state[size + i]);
        float n = hyperbolic_tangent(from_input[2 * size + i] + r * from_state[2 * size + i]);
        h[i] = (1.0f - z) * n + z * h[i];
    }
}

/* Appends z to the context. */
static void take_frame(struct vad *v, const float *frame)
{
    float *z = v->context + CONV_INPUTS - VAD_BINS;
    memmove(v->context, v->context + VAD_BINS, (CONV_INPUTS - VAD_BINS) * sizeof(float));
    float mean = 0.0f;
    for (int i = 0; i < VAD_BINS; i++) {
        /* A frame that no sound can have must not stay in the state. */
        z[i] = frame[i] > digital_silence ? frame[i] : digital_silence;
        z[i] = z[i] < loudest ? z[i] : loudest;
        mean += z[i];
    }
    mean /= (float)VAD_BINS;
    if (!v->heard)
        v->level = mean;
    v->heard = true;
    v->level += (mean - v->level) / (float)VAD_LEVEL_FRAMES;
    for (int i = 0; i < VAD_BINS; i++)
        z[i] -= v->level;
}

static float detect(struct vad *v, const float *frame)
{
    float a[VAD_CONV];
    float from_input[GATES * GRU_MAX];
    float from_state[GATES * GRU_MAX];

    take_frame(v, frame);
    affine(a, v->conv, vad_model_conv_bias, v->context, VAD_CONV, CONV_INPUTS);
    for (int i = 0; i < VAD_CONV; i++)
        a[i] = a[i] > 0.0f ? a[i] : 0.0f;

    affine(from_input, v->gru1_input, vad_model_gru1_input_bias, a, GATES * VAD_GRU1, VAD_CONV);
    affine(from_state, v->gru1_state, vad_model_gru1_state_bias, v->h1, GATES * VAD_GRU1, VAD_GRU1);
    gate(v->h1, from_input, from_state, VAD_GRU1);

    affine(from_input, v->gru2_input, vad_model_gru2_input_bias, v->h1, GATES * VAD_GRU2, VAD_GRU1);
    affine(from_state, v->gru2_state, vad_model_gru2_state_bias, v->h2, GATES * VAD_GRU2, VAD_GRU2);
    gate(v->h2, from_input, from_state, VAD_GRU2);

    float logit = vad_model_out_bias[0];
    for (int i = 0; i < VAD_GRU2; i++)
        logit += v->out[i] * v->h2[i];
    return sigmoid(logit);
}

void vad_reset(struct vad *v)
{
    float silence[VAD_BINS];
    v->heard = false;
    v->level = 0.0f;
    memset(v->context, 0, sizeof(v->context));
    memset(v->h1, 0, sizeof(v->h1));
    memset(v->h2, 0, sizeof(v->h2));
    for (int i = 0; i < VAD_BINS; i++)
        silence[i] = digital_silence;
    for (int t = 0; t < PRIMING; t++)
        detect(v, silence);
}

void vad_push(struct vad *v, const float *frames, size_t count, float *probability)
{
    for (size_t t = 0; t < count; t++)
        probability[t] = detect(v, frames + t * VAD_BINS);
}
