#!/usr/bin/env python3
"""Writes logmel_signal.npy and logmel_{80,128}.npy: Whisper's log-mel recipe in float64, by the book.

Nothing here is shared with training/features.py or dsp/logmel.c: the DFT is a matrix of complex
exponentials, the filters follow librosa.filters.mel (htk=False, norm="slaney") step by step.
"""
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
RATE, N_FFT, HOP = 16000, 400, 160


def librosa_filters(n_mels):
    f_sp = 200.0 / 3
    min_log_hz, logstep = 1000.0, np.log(6.4) / 27.0
    min_log_mel = min_log_hz / f_sp
    max_mel = min_log_mel + np.log(RATE / 2 / min_log_hz) / logstep
    mels = np.linspace(0.0, max_mel, n_mels + 2)
    hz = np.array([f_sp * m if m < min_log_mel else min_log_hz * np.exp(logstep * (m - min_log_mel)) for m in mels])
    fft_hz = np.linspace(0, RATE / 2, N_FFT // 2 + 1)
    filters = np.zeros((n_mels, len(fft_hz)))
    for i in range(n_mels):
        lower = -(hz[i] - fft_hz) / (hz[i + 1] - hz[i])
        upper = (hz[i + 2] - fft_hz) / (hz[i + 2] - hz[i + 1])
        filters[i] = np.maximum(0, np.minimum(lower, upper)) * 2.0 / (hz[i + 2] - hz[i])
    return filters


def log_mel(x, n_mels):
    n = np.arange(N_FFT)
    window = np.sin(np.pi * n / N_FFT) ** 2  # periodic Hann
    dft = np.exp(-2j * np.pi * np.outer(np.arange(N_FFT // 2 + 1), n) / N_FFT)
    padded = np.concatenate((x[200:0:-1], x, x[-2:-202:-1]))
    frames = np.stack([padded[HOP * t : HOP * t + N_FFT] * window for t in range(len(x) // HOP)])
    power = np.abs(frames @ dft.T) ** 2
    mel = power @ librosa_filters(n_mels).T
    return (np.log10(np.maximum(mel, 1e-10)) + 4) / 4


def main():
    rng = np.random.default_rng(11)
    t = np.arange(16000 + 123) / RATE
    sweep = 0.5 * np.sin(2 * np.pi * (100 * t + 3500 * t * t))
    x = sweep + 0.05 * rng.normal(size=len(t)) * (t > 0.5) + 0.001 * rng.normal(size=len(t))
    x[9000:10000] = 0
    x = x.astype(np.float32)
    np.save(HERE / "logmel_signal.npy", x)
    for n_mels in (80, 128):
        np.save(HERE / f"logmel_{n_mels}.npy", log_mel(x.astype(np.float64), n_mels).astype(np.float32))


if __name__ == "__main__":
    main()
