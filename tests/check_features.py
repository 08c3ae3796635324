#!/usr/bin/python3
"""dsp/logmel, through `earshot dump --stage mel`, computes what the model was trained on: training.features."""
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import wave

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.lacking import end_without  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
EARSHOT = pathlib.Path(sys.argv[1]) / "cli" / "earshot"
GREATEST, RMS = 2e-3, 2e-5  # of (log10 + 4) / 4; see tests/test_logmel.c


def write_wav(path, samples):
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(16000)
        f.writeframes(samples.tobytes())


def main():
    if importlib.util.find_spec("numpy") is None:
        end_without("numpy (Debian: python3-numpy)")
    import numpy as np

    sys.path.insert(0, str(ROOT))
    from training.features import log_mel

    rng = np.random.default_rng(3)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="earshot-check-") as folder:
        folder = pathlib.Path(folder)
        for count in (160, 200, 201, 320, 16000, 48077):
            t = np.arange(count) / 16000
            x = 0.4 * np.sin(2 * np.pi * (200 * t + 900 * t * t)) + 0.01 * rng.normal(size=count)
            x = np.round(x * 32768).astype(np.int16)
            write_wav(folder / "in.wav", x)
            command = [EARSHOT, "dump", "--stage", "mel", folder / "in.wav", "-o", folder / "out.npy"]
            subprocess.run(command, check=True)
            ours, theirs = np.load(folder / "out.npy"), log_mel(x / 32768.0)
            if ours.shape != theirs.shape:
                print(f"FAILED: {count} samples: {ours.shape} against {theirs.shape}")
                failures += 1
                continue
            difference = np.abs(ours - theirs)
            greatest, rms = difference.max(), np.sqrt(np.square(difference).mean())
            holds = greatest < GREATEST and rms < RMS
            failures += not holds
            print(f"{'ok' if holds else 'FAILED'}: {count} samples: greatest {greatest:.2e}, rms {rms:.2e}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
