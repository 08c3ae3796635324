/* Elementary functions over vectors. Polynomials are Cephes' (expf, tanhf) and Abramowitz & Stegun
 * 7.1.26 (erf). Errors: exp, sigmoid and tanh below 4e-7 relative, GELU below 5e-7 absolute. NaN
 * stays NaN.
 */
#ifndef EARSHOT_KERNELS_CPU_VMATH_H
#define EARSHOT_KERNELS_CPU_VMATH_H

#include "kernels/backend.h"
#include "kernels/cpu/simd.h"

/* e^x with x cut to [-87.3, 88.3]: never zero, never infinite. */
SIMD vf vf_exp(vf x)
{
    const float round = 0x1.8p23f; /* adding it leaves the nearest whole number */
    vf n, r, p;

    x = vf_min(vf_max(x, vf_set1(-87.33f)), vf_set1(88.37f));
    n = x * 1.44269504f + round;
    n = n - round;
    r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return p * (vf)((__builtin_convertvector(n, vi) + 127) << 23);
}

SIMD vf vf_sigmoid(vf x)
{
    return 1.0f / (1.0f + vf_exp(-x));
}

SIMD vf vf_tanh(vf x)
{
    vf size = vf_abs(x);
    vf z = x * x;
    vf far = 1.0f - 2.0f / (vf_exp(size + size) + 1.0f);
    vf near = z * -5.70498872745e-3f + 2.06390887954e-2f;

    near = near * z + -5.37397155531e-2f;
    near = near * z + 1.33314422036e-1f;
    near = near * z + -3.33332819422e-1f;
    near = near * z * x + x;
    far = (vf)((vi)far | ((vi)x & INT32_MIN));
    return vf_select((vi)(size < 0.625f), near, far);
}

/* x Phi(x); erfc(z) = P(1 / (1 + p z)) exp(-z^2), z = |x| / sqrt(2) */
SIMD vf vf_gelu(vf x)
{
    vf z = vf_abs(x) * 0.707106781f;
    vf t = 1.0f / (z * 0.3275911f + 1.0f);
    vf p = t * 1.061405429f + -1.453152027f;
    vf tail; /* Phi(-|x|) */

    p = p * t + 1.421413741f;
    p = p * t + -0.284496736f;
    p = p * t + 0.254829592f;
    tail = p * t * vf_exp(-vf_min(z * z, vf_set1(80.0f))) * 0.5f; /* no subnormals: they are slow */
    return x * vf_select((vi)(x < 0.0f), tail, 1.0f - tail);
}

SIMD vf vf_relu(vf x)
{
    return vf_max(x, vf_set1(0.0f));
}

SIMD vf vf_activate(vf x, enum activation act)
{
    switch (act) {
    case ACTIVATION_NONE:
        return x;
    case ACTIVATION_GELU:
        return vf_gelu(x);
    case ACTIVATION_RELU:
        return vf_relu(x);
    case ACTIVATION_RELU_SQUARED:
        return vf_relu(x) * vf_relu(x);
    case ACTIVATION_SILU:
        return x * vf_sigmoid(x);
    case ACTIVATION_TANH:
        return vf_tanh(x);
    case ACTIVATION_SIGMOID:
        return vf_sigmoid(x);
    }
    return x;
}

#endif
