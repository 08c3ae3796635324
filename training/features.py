"""Log-mel features of the `stream` encoder; the reference for dsp/logmel.

    frame t   = samples[160 t - 200 .. 160 t + 199], reflected at both ends, times a periodic Hann window
    power     = |rfft(frame, 400)|^2                                   [201]
    mel       = filters [80, 201] @ power                              Slaney scale and normalisation, 0..8000 Hz
    feature   = (log10(max(mel, 1e-10)) + 4) / 4

Usage: python -m training.features FILE.wav OUT.npy        (16 kHz mono in, float32 [frames, 80] out)
"""

import sys

import numpy as np

RATE_HZ = 16000
WINDOW = 400
HOP = 160
MEL_BINS = 80
FLOOR = 1e-10


def hz_to_mel(hz):
    """Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, dtype=np.float64)
    log_part = 15.0 + np.log(np.maximum(hz, 1e-9) / 1000.0) * (27.0 / np.log(6.4))
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, log_part)


def mel_to_hz(mel):
    """Inverse of hz_to_mel."""
    mel = np.asarray(mel, dtype=np.float64)
    log_part = 1000.0 * np.exp((mel - 15.0) * (np.log(6.4) / 27.0))
    return np.where(mel < 15.0, mel * 200.0 / 3.0, log_part)


def mel_filters():
    """Triangular filters, float64 [80, 201]; each has the area of a band 2 Hz wide (Slaney's norm)."""
    edges = mel_to_hz(np.linspace(hz_to_mel(0.0), hz_to_mel(RATE_HZ / 2), MEL_BINS + 2))
    bins = np.arange(WINDOW // 2 + 1) * (RATE_HZ / WINDOW)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (high - low))


_HANN = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
_FILTERS = mel_filters()


def mel_power(samples):
    """samples [n] in [-1, 1] at 16 kHz -> mel power, float64 [n // 160, 80], floored at 1e-10."""
    frames = len(samples) // HOP
    if frames == 0:
        return np.zeros((0, MEL_BINS))
    padded = np.pad(np.asarray(samples, dtype=np.float64), WINDOW // 2, mode="reflect")
    view = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:frames]
    power = np.abs(np.fft.rfft(view * _HANN, axis=1)) ** 2
    return np.maximum(power @ _FILTERS.T, FLOOR)


def log_mel(samples):
    """samples [n] in [-1, 1] at 16 kHz -> features, float32 [n // 160, 80]."""
    return ((np.log10(mel_power(samples)) + 4.0) / 4.0).astype(np.float32)


def main(argv):
    import soundfile

    if len(argv) != 3:
        print(__doc__.strip().splitlines()[-1], file=sys.stderr)
        return 2
    samples, rate = soundfile.read(argv[1], dtype="float32")
    if rate != RATE_HZ or samples.ndim != 1:
        print(f"{argv[1]}: want 16 kHz mono, have {rate} Hz, {samples.ndim} dimensions", file=sys.stderr)
        return 1
    np.save(argv[2], log_mel(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
