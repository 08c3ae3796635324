#!/usr/bin/env python3
"""What WebRTC's echo cancelling does to words: somebody reads at the microphone while a loudspeaker plays somebody else.

Usage: tools/compare/echo.py [--speech FOLDER] [--earshot PROGRAM] [--scenes 40] [--levels -10 0 10] [--cancel NAME...] [--without SPEAKER...]

FOLDER has manifest.tsv (docs/training.md); readers of the dev split are the voice and, another speaker, the loudspeaker. Both are in a
room with an RT60 of 0.3 s, each 0.5 m from the microphone, which adds noise 50 dB below the voice. A level is that of the echo above the
voice. The loudspeaker has been playing for 10 s, which the canceller gets and Earshot does not. Files alone; no sound server, no clock.
    pulse16     WebRTC's older canceller (AEC) with PulseAudio 16's defaults: high-pass, noise suppression "high", echo suppression "moderate",
                neither extended filter nor delay-agnostic. Its analog gain control, which turns the microphone's volume, is left out.
    pipewire03  the same canceller with PipeWire 0.3's defaults: echo suppression "high", extended filter and delay-agnostic, no gain control.
    aec3        WebRTC's newer canceller (AEC3) with the defaults of PipeWire 1: high-pass, noise suppression "high", no gain control.
None is the mobile canceller (AECM). PulseAudio aligns the streams to 5 ms; to the others the echo comes 40 ms after what is played.
Needs Debian 12's g++, pkg-config and libwebrtc-audio-processing-dev (0.3, the library of its PulseAudio and PipeWire) for the first two,
and `pip install soundfile numpy scipy pyroomacoustics aec-audio-processing` (webrtc-audio-processing 2.1).
"""

import argparse
import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "compare")]

from accuracy import sound  # noqa: E402

from training.data import read_manifest  # noqa: E402
from training.scoring import distance, words  # noqa: E402

RATE_HZ = 16000
FRAME = RATE_HZ // 100
LEAD = 10 * RATE_HZ
EDGE = RATE_HZ // 2  # before and after the voice
ALIGNED_MS, LATE_MS = 5, 40
VOICE_DB, PLAYED_DB, NOISE_DB = -29, -20, -79
READ = "mini_librispeech_train5"


class Scene(NamedTuple):
    text: str
    voice: np.ndarray  # at the microphone
    played: np.ndarray  # what the loudspeaker gets; as long as the voice
    echo: np.ndarray  # at the microphone, LATE_MS later, as loud as the voice
    noise: np.ndarray


def at_level(samples, decibels):
    loud = samples[np.abs(samples) > 0.05 * np.abs(samples).max()]
    return samples * (10 ** (decibels / 20) / np.sqrt(np.mean(loud**2)))


def room(random):
    """-> impulse responses to the microphone: of the voice, of the loudspeaker"""
    import pyroomacoustics

    size = random.uniform([3.5, 3, 2.5], [6, 5, 3])
    absorption, order = pyroomacoustics.inverse_sabine(0.3, size)
    space = pyroomacoustics.ShoeBox(size, fs=RATE_HZ, materials=pyroomacoustics.Material(absorption), max_order=order)
    microphone = size * random.uniform(0.35, 0.65, 3)
    turn = random.uniform(0, 2 * np.pi)
    for angle in (turn, turn + random.uniform(np.pi / 2, 3 * np.pi / 2)):
        space.add_source(microphone + 0.5 * np.array([np.cos(angle), np.sin(angle), 0]))
    space.add_microphone(microphone)
    space.compute_rir()
    return space.rir[0]


def playing(rows, folder, length, random):
    """Clips of one who reads, one after the other."""
    order = random.permutation(len(rows))
    clips, has = [], 0
    while has < length:
        clips.append(sound(str(folder / rows[order[len(clips) % len(order)]]["path"])))
        has += len(clips[-1])
    return np.concatenate(clips)[:length]


def scene_of(row, others, folder, random):
    from scipy.signal import fftconvolve

    clip = np.pad(sound(str(folder / row["path"])), (LEAD + EDGE, EDGE))
    clip = np.pad(clip, (0, -len(clip) % FRAME))
    speaker = random.choice(sorted({other["speaker"] for other in others}))
    played = playing([other for other in others if other["speaker"] == speaker], folder, len(clip), random)
    to_voice, to_loudspeaker = room(random)
    voice = fftconvolve(clip, to_voice)[: len(clip)]
    late = LATE_MS * RATE_HZ // 1000
    echo = np.pad(fftconvolve(played, to_loudspeaker), (late, 0))[: len(clip)]
    noise = random.standard_normal(len(clip)) * 10 ** (NOISE_DB / 20)
    return Scene(row["text"], at_level(voice, VOICE_DB), at_level(played, PLAYED_DB), at_level(echo, VOICE_DB), noise)


def scenes(args):
    """-> scenes, the voices evenly drawn from those who read"""
    rows = [row for row in read_manifest(args.speech) if row["split"] == "dev" and row["set"] == READ]
    voices = [row for row in rows if row["speaker"] not in args.without]
    drawn = [voices[n * len(voices) // args.scenes] for n in range(args.scenes)]
    for n, row in enumerate(drawn):
        others = [other for other in rows if other["speaker"] != row["speaker"]]
        yield scene_of(row, others, Path(args.speech), np.random.default_rng(n))


def pcm(samples):
    return np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2")


@functools.cache
def built():
    """-> a folder with the program of cancel.cpp"""
    folder = tempfile.TemporaryDirectory()
    asked = ["pkg-config", "--cflags", "--libs", "webrtc-audio-processing"]
    flags = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    source = str(ROOT / "tools/compare/cancel.cpp")
    subprocess.run(["g++", "-O2", source, "-o", f"{folder.name}/cancel", *flags], check=True)
    return folder


def older(name, delay_ms):
    """-> a function that cancels with WebRTC's AEC; the echo comes delay_ms after what is played"""

    def cancel(microphone, played):
        shift = (LATE_MS - delay_ms) * RATE_HZ // 1000
        both = np.stack([np.pad(played, (shift, 0))[: len(played)], microphone], axis=1)
        done = subprocess.run([f"{built().name}/cancel", name], input=both.tobytes(), capture_output=True, check=True)
        return np.frombuffer(done.stdout, dtype="<i2")

    return cancel


def aec3(microphone, played):
    from aec_audio_processing import AudioProcessor

    canceller = AudioProcessor(enable_aec=True, enable_ns=True, ns_level=2, enable_agc=False)
    canceller.set_stream_format(RATE_HZ, 1)
    canceller.set_reverse_stream_format(RATE_HZ, 1)
    canceller.set_stream_delay(0)
    out = []
    for at in range(0, len(microphone), FRAME):
        canceller.process_reverse_stream(played[at : at + FRAME].tobytes())
        out.append(canceller.process_stream(microphone[at : at + FRAME].tobytes()))
    return np.frombuffer(b"".join(out), dtype="<i2")


CANCELLERS = {
    "no": lambda microphone, played: microphone,
    "pulse16": older("pulse16", ALIGNED_MS),
    "pipewire03": older("pipewire03", LATE_MS),
    "aec3": aec3,
}


def transcribed(program, sounds):
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{n}.wav" for n in range(len(sounds))]
        for path, samples in zip(paths, sounds):
            soundfile.write(path, samples[LEAD:], RATE_HZ, subtype="PCM_16")
        done = subprocess.run([program, "transcribe", "--json", *paths], capture_output=True, text=True, check=True)
    return [words(json.loads(line)["text"]) for line in done.stdout.splitlines()]


def mixed(scene, case, level):
    """-> (microphone, played) of a case"""
    voice = scene.voice if case != "far alone" else 0.0
    if case == "near alone":
        return pcm(voice + scene.noise), pcm(np.zeros_like(scene.played))
    return pcm(voice + scene.echo * 10 ** (level / 20) + scene.noise), pcm(scene.played)


def ratio(counted):
    """-> sum of the first / sum of the second, and where 95 % of 2000 draws of the scenes lie"""
    counted = np.array(counted, dtype=float)
    draws = counted[np.random.default_rng(0).integers(len(counted), size=(2000, len(counted)))].sum(axis=1)
    low, high = np.percentile(draws[:, 0] / draws[:, 1], [2.5, 97.5])
    return counted[:, 0].sum() / counted[:, 1].sum(), low, high


def counted(made, case, heard):
    """-> of each scene (words wrong, words), or (words heard, minutes) when nobody is at the microphone"""
    if case == "far alone":
        return [(len(found), (len(scene.voice) - LEAD) / RATE_HZ / 60) for scene, found in zip(made, heard, strict=True)]
    truths = [words(scene.text) for scene in made]
    return [(distance(truth, found), len(truth)) for truth, found in zip(truths, heard, strict=True)]


def report(made, case, level, name, program):
    cancel = CANCELLERS[name]
    inputs = [mixed(scene, case, level) for scene in made]
    found = ratio(counted(made, case, transcribed(program, [cancel(*pair) for pair in inputs])))
    unit, scale = ("words a minute", 1) if case == "far alone" else ("% of words wrong", 100)
    value, low, high = (scale * number for number in found)
    shown = f"{level:+d} dB" if level is not None else ""
    print(f"{case:11} {shown:>7} {name:11} {len(made):6} {value:7.1f} ({low:.1f} to {high:.1f}) {unit}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", default=str(ROOT.parent / "shared/speech"))
    parser.add_argument("--earshot", default=str(ROOT / "build/release/cli/earshot"))
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--levels", type=int, nargs="*", default=[0, 10, -10], help="dB of the echo above the voice")
    parser.add_argument("--cancel", nargs="*", default=["no", "pulse16", "aec3", "pipewire03"], choices=list(CANCELLERS))
    parser.add_argument("--without", nargs="*", default=["ls19"], metavar="SPEAKER", help="speakers that are not the voice")
    args = parser.parse_args()
    made = list(scenes(args))
    for name in args.cancel:
        pair = mixed(made[0], "both", 0)
        if CANCELLERS[name](*pair).tobytes() != CANCELLERS[name](*pair).tobytes():
            raise SystemExit(f"{name}: two runs differ")
    print(f"{'speaks':11} {'echo':>7} {'cancelling':11} {'scenes':>6} (95 % of draws of the scenes)")
    for name in args.cancel:
        report(made, "near alone", None, name, args.earshot)
    for level in args.levels:
        for case in ("both", "far alone"):
            for name in args.cancel:
                report(made, case, level, name, args.earshot)


if __name__ == "__main__":
    main()
