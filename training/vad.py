"""Trains the voice activity detector of dsp/vad and writes its weights as dsp/vad_model.{c,h}.

    features x [80] (training.features)
    z  = x - m,   m <- m + (mean(x) - m) / LEVEL_FRAMES     the level, so that gain cancels
    a  = relu(W [z(t-2) z(t-1) z(t)] + b)                   a causal convolution
    h1 = GRU(a),  h2 = GRU(h1)                              torch's gate order r, z, n
    p  = sigmoid(v h2 + c)                                  was there speech DELAY frames ago

Speech, noise and made-up sounds are mixed as mel powers, afresh for every batch: any signal-to-noise
ratio, level, equaliser and reverberation, noise alone, digital silence, steps of level. The truth is
the energy of the clean speech, with hysteresis. Every fourth noise recording (by source, within its
class) is held out; so are the dev speakers.

Usage: python -m training.vad prepare SPEECH_DIR CACHE_DIR
       python -m training.vad train CACHE_DIR MODEL.pt [--minutes M]         M of processor time
       python -m training.vad export MODEL.pt dsp/vad_model.c dsp/vad_model.h
       python -m training.vad golden MODEL.pt tests/golden
"""

import argparse
import csv
import pathlib
import subprocess
import sys
import time

import numpy as np

from training.features import HOP, MEL_BINS, RATE_HZ, log_mel

LEVEL_FRAMES = 200
CONTEXT = 3
DELAY = 15  # frames: p(t) says whether frame t - DELAY is speech; VAD_DELAY of dsp/vad.h
CONV, GRU1, GRU2 = 48, 80, 48
PRIMING = 10  # frames of digital silence that dsp/vad begins a stream with
FRAMES = 400  # of a training sequence
SHORT = 60  # frames; shorter speech counts as if it were as long, for a missed word is a missed word
CHUNK = 100  # frames between two steps of the optimiser
HELD_OUT = 4  # every fourth source
CHORDS = ((0, 7), (0, 4, 7), (0, 3, 7), (0, 4, 7, 11))


# --- preparation --------------------------------------------------------------------------------


def read_audio(path):
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="float32")
    except soundfile.LibsndfileError:  # libsndfile trips over the last page of some Opus files
        command = ["ffmpeg", "-v", "error", "-i", path, "-ar", str(RATE_HZ), "-ac", "1", "-f", "f32le", "-"]
        raw = subprocess.run(command, check=True, capture_output=True).stdout
        samples, rate = np.frombuffer(raw, dtype=np.float32), RATE_HZ
    if rate != RATE_HZ or samples.ndim != 1:
        raise SystemExit(f"{path}: want 16 kHz mono, have {rate} Hz, {samples.ndim} dimensions")
    return samples


def to_power(mel):
    """Features back to mel power; the floor is digital silence."""
    power = np.exp((4.0 * mel.astype(np.float32) - 4.0) * np.float32(np.log(10.0)))
    return np.where(power > 2e-10, power, 0.0).astype(np.float32)


def speech_labels(mel):
    """1 where the clean clip speaks: energy above a threshold between floor and peak, with
    hysteresis; gaps under 150 ms filled, bursts under 50 ms dropped."""
    power = to_power(mel)
    energy = 10.0 * np.log10(power[:, 2:70].sum(1) + 1e-7)
    energy = np.convolve(np.pad(energy, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    peak = np.percentile(energy, 97)
    floor = min(np.percentile(energy, 6), peak - 18.0)
    high = max(peak - 28.0, floor + 0.45 * (peak - floor))
    low = max(peak - 34.0, floor + 0.30 * (peak - floor))
    labels = np.zeros(len(energy), dtype=np.uint8)
    start = None
    for i, above in enumerate(np.append(energy > low, False)):
        if above and start is None:
            start = i
        if not above and start is not None:
            if energy[start:i].max() > high:
                labels[start:i] = 1
            start = None
    return drop_runs(drop_runs(labels, 0, 15), 1, 5)


def drop_runs(labels, value, length):
    """Flips the runs of value that are shorter than length and not at an end of the clip."""
    edges = np.flatnonzero(np.diff(np.concatenate(([1 - value], labels, [1 - value])) == value))
    for start, end in zip(edges[::2], edges[1::2]):
        inner = value == 1 or (start > 0 and end < len(labels))
        if end - start < length and inner:
            labels[start:end] = 1 - value
    return labels


def held_out_sources(names):
    """The noise recordings kept for evaluation: every fourth source id of each class, in order."""
    classes = {}
    for name in names:
        kind, _, source, _ = name.rsplit(".", 1)[0].rsplit("_", 3)
        classes.setdefault(kind, set()).add(int(source))
    return {(kind, s) for kind, ids in classes.items() for s in sorted(ids)[HELD_OUT - 1 :: HELD_OUT]}


def is_held_out(name, held):
    kind, _, source, _ = name.rsplit(".", 1)[0].rsplit("_", 3)
    return (kind, int(source)) in held


def made_up_sound(rng, seconds=5.0):
    """Tones, chords, melodies, sweeps, hum and clicks: what rooms and music do and ESC-10 lacks."""
    n = int(seconds * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    kind = rng.integers(6)
    out = np.zeros(n)
    if kind == 0:  # mains hum or a motor
        f = rng.choice([50.0, 60.0, rng.uniform(30, 400)])
        for k in range(1, rng.integers(3, 20)):
            out += rng.uniform(0, 1) / k * np.sin(2 * np.pi * (f * k * t + rng.uniform()))
    elif kind == 1:  # clicks, keys, taps
        for at in rng.integers(0, n - 800, rng.integers(3, 60)):
            length = rng.integers(20, 800)
            out[at : at + length] += rng.normal() * rng.normal(size=length) * np.exp(
                -np.arange(length) / (length / 5)
            )
    elif kind == 2:  # beeps
        f = rng.uniform(200, 4000, rng.integers(1, 3))
        period, duty = rng.uniform(0.1, 1.5), rng.uniform(0.1, 0.9)
        gate = (t / period) % 1.0 < duty
        out = gate * sum(np.sin(2 * np.pi * g * t) for g in f)
    elif kind == 3:  # a sweep or siren
        f = rng.uniform(200, 1500) * (1 + rng.uniform(0.1, 0.9) * np.sin(2 * np.pi * rng.uniform(0.1, 4) * t))
        phase = 2 * np.pi * np.cumsum(f) / RATE_HZ
        out = sum(np.sin(k * phase) / k for k in range(1, rng.integers(2, 8)))
    else:  # music: notes with harmonics, some of them in chords
        at = 0.0
        while at < seconds:
            length = rng.choice([0.12, 0.25, 0.5, 1.0]) * rng.uniform(0.8, 1.2)
            notes = CHORDS[rng.integers(len(CHORDS))] if kind == 5 else (0,)
            root = 110.0 * 2 ** (rng.integers(0, 36) / 12)
            i, j = int(at * RATE_HZ), min(n, int((at + 2 * length) * RATE_HZ))
            s = np.arange(j - i) / RATE_HZ
            decay = np.exp(-s / rng.uniform(0.05, 1.0)) * np.minimum(1, s / 0.01)
            for note in notes:
                f = root * 2 ** (note / 12)
                for k in range(1, rng.integers(2, 10)):
                    out[i:j] += decay * rng.uniform() / k * np.sin(2 * np.pi * f * k * s)
            at += length
    out /= max(1e-9, np.abs(out).max())
    return (0.3 * out + 1e-4 * rng.normal(size=n)).astype(np.float32)


def prepare(speech_dir, cache_dir):
    speech_dir, cache_dir = pathlib.Path(speech_dir), pathlib.Path(cache_dir)
    cache_dir.mkdir(parents=True, exist_ok=True)
    with open(speech_dir / "manifest.tsv", newline="") as f:
        rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    for split in ("train", "dev"):
        if (cache_dir / f"speech-{split}.npz").exists():
            continue
        mels = [log_mel(read_audio(speech_dir / r["path"])) for r in rows if r["split"] == split]
        mels = [m for m in mels if len(m) > 20]
        save_part(cache_dir / f"speech-{split}.npz", mels, [speech_labels(m) for m in mels])
    names = sorted(p.name for p in (speech_dir / "noise").iterdir())
    held = held_out_sources(names)
    for split in ("train", "dev"):
        chosen = [n for n in names if is_held_out(n, held) == (split == "dev")]
        mels = [log_mel(read_audio(speech_dir / "noise" / n)) for n in chosen]
        save_part(cache_dir / f"noise-{split}.npz", mels, [np.zeros(len(m), np.uint8) for m in mels])
        print(f"noise {split}: {len(chosen)} clips")
    rng = np.random.default_rng(7)
    mels = [log_mel(made_up_sound(rng)) for _ in range(300)]
    save_part(cache_dir / "synth-train.npz", mels, [np.zeros(len(m), np.uint8) for m in mels])


def save_part(path, mels, labels):
    ends = np.cumsum([len(m) for m in mels])
    np.savez(path, mel=np.concatenate(mels).astype(np.float16), label=np.concatenate(labels), ends=ends)
    print(f"{path}: {len(mels)} clips, {ends[-1] / 360000:.2f} h, {np.concatenate(labels).mean():.3f} speech")


# --- mixing -------------------------------------------------------------------------------------


class Part:
    """The clips of one cache file."""

    def __init__(self, path):
        data = np.load(path)
        self.mel, self.label, self.ends = data["mel"], data["label"], data["ends"]

    def __len__(self):
        return len(self.ends)

    def clip(self, i):
        start = self.ends[i - 1] if i > 0 else 0
        return self.mel[start : self.ends[i]], self.label[start : self.ends[i]]


def equaliser(rng, strength_db):
    """A smooth random gain a band, as power [80]; now and then a telephone's band."""
    knots = rng.normal(0, strength_db, 6)
    gain_db = np.interp(np.linspace(0, 5, MEL_BINS), np.arange(6), knots)
    if rng.random() < 0.08:
        gain_db[: rng.integers(2, 10)] -= 30
        gain_db[rng.integers(50, 76) :] -= 30
    return np.power(10.0, gain_db / 10, dtype=np.float32)


def level_of(power, mask):
    """Mean power of the frames that count, summed over the bands."""
    total = power.sum(1)
    chosen = total[mask] if mask.any() else total
    return float(chosen.mean()) + 1e-9


def warp(rng, mel):
    """Another speed and another pitch of a noise clip."""
    if rng.random() < 0.5:
        length = int(len(mel) * rng.uniform(0.75, 1.3))
        mel = mel[np.minimum(len(mel) - 1, np.arange(length) * len(mel) // length)]
    if rng.random() < 0.5:
        mel = mel[:, np.clip(np.arange(MEL_BINS) - rng.integers(-3, 4), 0, MEL_BINS - 1)]
    return mel


class Mixer:
    def __init__(self, cache_dir, rng):
        cache_dir = pathlib.Path(cache_dir)
        self.rng = rng
        self.speech = Part(cache_dir / "speech-train.npz")
        self.noise = Part(cache_dir / "noise-train.npz")
        self.synth = Part(cache_dir / "synth-train.npz")
        width = np.maximum(1.0, np.linspace(-1, 7, MEL_BINS))
        self.white = (rng.standard_gamma(width, (20000, MEL_BINS)) / width).astype(np.float32)
        lengths = np.diff(np.concatenate(([0], self.speech.ends)))
        self.long = np.flatnonzero(lengths >= 150)

    def hiss(self):
        """Stationary coloured noise: a band's power is chi-square in its number of frequencies."""
        slope = self.rng.uniform(-0.4, 0.1) * np.linspace(0, 5, MEL_BINS)
        start = self.rng.integers(len(self.white) - FRAMES)
        return self.white[start : start + FRAMES] * np.power(10.0, slope).astype(np.float32)

    def noise_track(self):
        """[FRAMES, 80] of noise clips end to end, each at its own level, mean power 1 or so."""
        rng = self.rng
        if rng.random() < 0.15:
            power = self.hiss()
            return power / level_of(power, np.ones(FRAMES, bool))
        pieces, filled = [], 0
        while filled < FRAMES:
            part = self.synth if rng.random() < 0.12 else self.noise
            mel = warp(rng, part.clip(rng.integers(len(part)))[0])
            if rng.random() < 0.3:
                mel = mel[rng.integers(len(mel) // 2) :]
            power = to_power(mel) * equaliser(rng, 3)
            loud = power.sum(1) > 0.01 * power.sum(1).max()
            pieces.append(power / level_of(power, loud) * 10 ** rng.uniform(-0.3, 0.3))
            filled += len(mel)
        return np.concatenate(pieces)[:FRAMES]

    def speech_track(self):
        """[FRAMES, 80] of utterances between pauses, active level 1 or so, and their labels."""
        rng = self.rng
        power = np.zeros((FRAMES, MEL_BINS), np.float32)
        label = np.zeros(FRAMES, np.uint8)
        eq = equaliser(rng, 3)
        at = int(rng.integers(0, 150))
        while at < FRAMES - 30:
            i = rng.choice(self.long) if rng.random() < 0.3 else rng.integers(len(self.speech))
            mel, truth = self.speech.clip(i)
            if rng.random() < 0.3:
                cut = rng.integers(len(mel) // 2)
                mel, truth = mel[cut:], truth[cut:]
            n = min(len(mel), FRAMES - at)
            clip = to_power(mel[:n]) * eq
            clip *= 10 ** rng.uniform(-0.4, 0.4) / level_of(clip, truth[:n] > 0)
            power[at : at + n] += clip
            label[at : at + n] |= truth[:n]
            at += n + int(rng.integers(5, 60) if rng.random() < 0.3 else rng.integers(30, 300))
        if rng.random() < 0.4:
            smear(power, rng.uniform(0.5, 0.93), rng.uniform(0.02, 0.3))
        return power, label

    def sequence(self):
        """features float32 [FRAMES, 80], label [FRAMES]"""
        rng = self.rng
        noise = self.noise_track()
        if rng.random() < 0.25:
            noise = noise + self.noise_track() * 10 ** rng.uniform(-1.5, 0)
        label = np.zeros(FRAMES, np.uint8)
        if rng.random() < 0.5:
            power = noise
        else:
            speech, label = self.speech_track()
            power = speech + noise * 10 ** (-rng.uniform(-2, 30) / 10 if rng.random() < 0.85 else -4.5)
        # Full scale of a voice is about 30 in these units (the sum of the bands' powers).
        power = power * 10 ** rng.uniform(-5.5, 1.3)
        if rng.random() < 0.2:
            power[rng.integers(FRAMES) :] *= 10 ** rng.uniform(-2, 2)
        if rng.random() < 0.8:
            power = power + self.hiss() * 10 ** rng.uniform(-9.5, -5)
        if rng.random() < 0.15:
            start = rng.integers(FRAMES)
            end = start + rng.integers(5, 300)
            power[start:end] = 0
            label[start:end] = 0
        features = np.log(np.maximum(power.astype(np.float32), 1e-10)) / np.float32(np.log(10.0))
        return (features + 4) / 4, label

    def batch(self, size):
        pairs = [self.sequence() for _ in range(size)]
        return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])


def smear(power, decay, amount):
    """Late reverberation: each band's energy decays instead of stopping."""
    from scipy.signal import lfilter

    power += amount * lfilter([0, 1], [1, -decay], power, axis=0).astype(np.float32)


# --- training -----------------------------------------------------------------------------------


def remove_level(features, level):
    """features [n, frames, 80], level [n] from before (NaN: none) -> z, level [n] after."""
    from scipy.signal import lfilter

    keep = 1 - 1 / LEVEL_FRAMES
    mean = features.mean(2)
    level = np.where(np.isnan(level), mean[:, 0], level)
    levels, _ = lfilter([1 - keep], [1, -keep], mean, axis=1, zi=keep * level[:, None])
    return (features - levels[:, :, None]).astype(np.float32), levels[:, -1]


def build_net():
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv1d(MEL_BINS, CONV, CONTEXT)
            self.gru1 = torch.nn.GRU(CONV, GRU1, batch_first=True)
            self.gru2 = torch.nn.GRU(GRU1, GRU2, batch_first=True)
            self.out = torch.nn.Linear(GRU2, 1)

        def forward(self, z, h1, h2):
            """z [n, CONTEXT - 1 + frames, 80] -> logits [n, frames]"""
            windows = z.unfold(1, CONTEXT, 1).flatten(2)  # [n, frames, 80 * CONTEXT], as conv.weight
            a = torch.relu(torch.nn.functional.linear(windows, self.conv.weight.flatten(1), self.conv.bias))
            a, h1 = self.gru1(a, h1)
            a, h2 = self.gru2(a, h2)
            return self.out(a)[:, :, 0], h1, h2

    return Net()


def frame_weights(label):
    """0 next to a change, where the truth itself is a guess; more in short speech, up to four times."""
    change = np.zeros(label.shape, bool)
    change[:, 1:] = label[:, 1:] != label[:, :-1]
    near = change.copy()
    for shift in (1, 2):
        near[:, shift:] |= change[:, :-shift]
        near[:, :-shift] |= change[:, shift:]
    weight = 1.0 - near.astype(np.float32)
    for row, truth in zip(weight, label):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], truth, [0]))))
        for start, end in zip(edges[::2], edges[1::2]):
            row[start:end] *= np.clip(SHORT / (end - start), 1, 4)
    return weight


def train(cache_dir, model_path, minutes, begin_with=None, batch_size=192):
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    mixer = Mixer(cache_dir, rng)
    net = build_net()
    if begin_with:
        net.load_state_dict(torch.load(begin_with, weights_only=True))
    print(f"{sum(p.numel() for p in net.parameters())} parameters")
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    # The average of the last few hundred steps is better than any of them, and can be stopped at will.
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    step, running = 0, None
    h1 = h2 = level = None
    while (done := time.process_time() / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (0.5 + 0.5 * np.cos(np.pi * done)) * min(1, (step + 1) / 100) + 1e-5
        features, label = mixer.batch(batch_size)
        # Half of the sequences go on from where some sequence before ended: the daemon runs for days.
        fresh = rng.random(batch_size) < 0.5
        if h1 is None:
            h1, h2 = torch.zeros(1, batch_size, GRU1), torch.zeros(1, batch_size, GRU2)
            level = np.full(batch_size, np.nan)
        level[fresh] = np.nan
        h1[:, fresh], h2[:, fresh] = 0, 0
        z, level = remove_level(features, level)
        z = torch.from_numpy(np.pad(z, ((0, 0), (CONTEXT - 1, 0), (0, 0))))
        label = np.pad(label, ((0, 0), (DELAY, 0)))[:, :FRAMES]
        weight = frame_weights(label)
        weight[:, :DELAY] = 0  # about frames before the sequence
        truth, weight = torch.from_numpy(label.astype(np.float32)), torch.from_numpy(weight)
        for at in range(0, FRAMES, CHUNK):
            logits, h1, h2 = net(z[:, at : at + CHUNK + CONTEXT - 1], h1.detach(), h2.detach())
            part = slice(at, at + CHUNK)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, truth[:, part], weight=weight[:, part]
            )
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            average.update_parameters(net)
            running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
            step += 1
        h1, h2 = h1.detach(), h2.detach()
        if step % 40 == 0:
            print(f"{step} {time.process_time() / 60:.1f} min, loss {running:.4f}", flush=True)
            torch.save(average.module.state_dict(), model_path)
    torch.save(average.module.state_dict(), model_path)


# --- export -------------------------------------------------------------------------------------

MATRICES = {  # name in C: torch's matrix, torch's bias
    "conv": ("conv.weight", "conv.bias"),
    "gru1_input": ("gru1.weight_ih_l0", "gru1.bias_ih_l0"),
    "gru1_state": ("gru1.weight_hh_l0", "gru1.bias_hh_l0"),
    "gru2_input": ("gru2.weight_ih_l0", "gru2.bias_ih_l0"),
    "gru2_state": ("gru2.weight_hh_l0", "gru2.bias_hh_l0"),
    "out": ("out.weight", "out.bias"),
}


def load_matrices(model_path):
    """{name: (int8 [out, in], scale [out], bias [out])}; the convolution's inputs are [context, bin]."""
    import torch

    weights = {k: v.numpy() for k, v in torch.load(model_path, weights_only=True).items()}
    matrices = {}
    for name, (matrix, bias) in MATRICES.items():
        w = weights[matrix]
        if w.ndim == 3:  # [out, bin, context]
            w = w.transpose(0, 2, 1).reshape(len(w), -1)
        scale = np.maximum(np.abs(w).max(1), 1e-9).astype(np.float32) / 127
        matrices[name] = (np.rint(w / scale[:, None]).astype(np.int8), scale, weights[bias])
    return matrices


def c_array(kind, name, values, form):
    lines = [f"const {kind} vad_model_{name}[{len(values)}] = {{"]
    row = "   "
    for value in values:
        text = f" {form(value)},"
        if len(row) + len(text) > 100:
            lines.append(row)
            row = "   "
        row += text
    return "\n".join([*lines, row, "};", ""])


def export(model_path, source_path, header_path):
    matrices = load_matrices(model_path)
    arrays, names = [], []
    for name, (weights, scale, bias) in matrices.items():
        arrays.append(c_array("signed char", name, weights.ravel(), str))
        arrays.append(c_array("float", f"{name}_scale", scale, lambda x: f"{x:.8e}f"))
        arrays.append(c_array("float", f"{name}_bias", bias, lambda x: f"{x:.8e}f"))
        names.append(f"extern const signed char vad_model_{name}[{weights.size}]; /* {list(weights.shape)} */")
        names.append(f"extern const float vad_model_{name}_scale[{len(scale)}];")
        names.append(f"extern const float vad_model_{name}_bias[{len(bias)}];")
    with open(source_path, "w") as f:
        f.write("/* Made by training/vad.py. */\n/* clang-format off */\n")
        f.write('#include "dsp/vad_model.h"\n\n' + "\n".join(arrays))
    with open(header_path, "w") as f:
        f.write("/* Weights of dsp/vad, made by training/vad.py: [out, in] int8, a scale a row. */\n")
        f.write("#ifndef EARSHOT_DSP_VAD_MODEL_H\n#define EARSHOT_DSP_VAD_MODEL_H\n\nenum {\n")
        f.write(f"    VAD_CONTEXT = {CONTEXT}, /* frames */\n    VAD_LEVEL_FRAMES = {LEVEL_FRAMES},\n")
        f.write(f"    VAD_CONV = {CONV},\n    VAD_GRU1 = {GRU1},\n    VAD_GRU2 = {GRU2},\n}};\n\n")
        f.write("\n".join(names) + "\n\n#endif\n")


def run_numpy(matrices, features):
    """The detector as dsp/vad.c states it, slowly, in float64: features [frames, 80] -> p [frames]."""

    def affine(name, x):
        weights, scale, bias = matrices[name]
        return (weights * scale[:, None].astype(np.float64)) @ x + bias

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def gru(name, x, h):
        (ir, iz, i_n), (hr, hz, hn) = (np.split(affine(f"{name}_{k}", y), 3) for k, y in (("input", x), ("state", h)))
        r, z = sigmoid(ir + hr), sigmoid(iz + hz)
        return (1 - z) * np.tanh(i_n + r * hn) + z * h

    priming = np.full((PRIMING, MEL_BINS), -1.5)
    features = np.concatenate((priming, features.astype(np.float64)))
    level = features[0].mean()
    context, h1, h2 = np.zeros(CONTEXT * MEL_BINS), np.zeros(GRU1), np.zeros(GRU2)
    probabilities = []
    for frame in features:
        level += (frame.mean() - level) / LEVEL_FRAMES
        context = np.concatenate((context[MEL_BINS:], frame - level))
        h1 = gru("gru1", np.maximum(0, affine("conv", context)), h1)
        h2 = gru("gru2", h1, h2)
        probabilities.append(sigmoid(affine("out", h2))[0])
    return np.array(probabilities[PRIMING:])


def golden(model_path, folder):
    """A made-up signal's features and what the detector says to them, for tests/test_vad."""
    rng = np.random.default_rng(5)
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * k * 120 * t + k * np.sin(7 * t)) / k for k in range(1, 30))
    signal = 0.05 * voice * (np.sin(2 * np.pi * 2 * t) > 0) + 0.002 * rng.normal(size=len(t))
    features = log_mel(signal)
    np.save(f"{folder}/vad_features.npy", features)
    np.save(f"{folder}/vad_probability.npy", run_numpy(load_matrices(model_path), features).astype(np.float32))


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    p = commands.add_parser("prepare")
    p.add_argument("speech_dir")
    p.add_argument("cache_dir")
    p = commands.add_parser("train")
    p.add_argument("cache_dir")
    p.add_argument("model")
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--begin-with", help="weights of an earlier run")
    p = commands.add_parser("export")
    p.add_argument("model")
    p.add_argument("source")
    p.add_argument("header")
    p = commands.add_parser("golden")
    p.add_argument("model")
    p.add_argument("folder")
    args = parser.parse_args(argv[1:])
    if args.command == "prepare":
        prepare(args.speech_dir, args.cache_dir)
    if args.command == "train":
        train(args.cache_dir, args.model, args.minutes, args.begin_with)
    if args.command == "export":
        export(args.model, args.source, args.header)
    if args.command == "golden":
        golden(args.model, args.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
