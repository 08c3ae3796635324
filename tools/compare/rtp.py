#!/usr/bin/env python3
"""Words wrong over networks that lose packets: Opus over RTP, through the order, the concealment and the clock of earshot-rtp.

Usage: tools/compare/rtp.py --speech FOLDER [--build build/release] [--model FILE.gguf] [--most 60] [--sets NAME...]
                            [--only WORDS]

FOLDER has manifest.tsv (docs/training.md), whose dev split is heard: the first clips of each set, in turn. Each is encoded at 24 kbit/s in
packets of 20 ms, sent through networks that are drawn with the same seed every time, and transcribed. Bursts have three packets in
the mean. Prints a table of docs/network.md.
"""

import argparse
import struct
import subprocess
import sys
import tempfile
import wave
from collections import defaultdict
from pathlib import Path

import soundfile

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.rtp import TICKS, Network, encoded  # noqa: E402
from training.data import read_manifest  # noqa: E402
from training.scoring import distance, words  # noqa: E402

JITTER = {"jitter_s": 0.06}
NETWORKS = [("no packet lost", {}, {}), ("60 ms of jitter, 200 ppm", JITTER | {"ppm": 200}, {}),
            ("5 % lost", {"loss": 0.05}, {}), ("10 % lost", {"loss": 0.1}, {}), ("10 % lost, no FEC", {"loss": 0.1}, {"fec": False}),
            ("20 % lost", {"loss": 0.2}, {}), ("5 % lost in bursts", {"loss": 0.05, "burst": 3}, {}),
            ("10 % lost in bursts", {"loss": 0.1, "burst": 3}, {}), ("20 % lost in bursts", {"loss": 0.2, "burst": 3}, {}),
            ("10 % lost, and 60 ms of jitter", JITTER | {"loss": 0.1}, {})]


def clips(folder, most, sets):
    """(samples, text) of as many, from each set in turn."""
    of = defaultdict(list)
    for row in read_manifest(folder):
        if row["split"] == "dev" and (not sets or row["set"] in sets):
            of[row["set"]].append(row)
    turns = [rows[i] for i in range(max(map(len, of.values()))) for rows in of.values() if i < len(rows)]
    for row in turns[:most]:
        samples, rate = soundfile.read(Path(folder) / row["path"], dtype="int16")
        if rate == 16000 and samples.ndim == 1:
            yield samples.tobytes(), row["text"]


def received(hear, packets, network):
    """What comes out at the other end."""
    came = sorted(network.arrivals(len(packets)))
    datagrams = b"".join(
        struct.pack("<QH", 1000000 + int(at * 1e6), 12 + len(packets[n])) + struct.pack(">BBHII", 0x80, 96, n, n * TICKS, 1) + packets[n]
        for at, n in came)
    return subprocess.run([hear], input=datagrams, capture_output=True, check=True).stdout


def write(path, samples):
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(samples + bytes(32000))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", required=True)
    parser.add_argument("--build", default=str(ROOT / "build" / "release"))
    parser.add_argument("--model", default=str(ROOT / "assets" / "earshot-en.gguf"))
    parser.add_argument("--most", type=int, default=60)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--only", default="", help="networks whose name has this")
    o = parser.parse_args()
    heard = list(clips(o.speech, o.most, o.sets))
    hear = Path(o.build) / "tools" / "compare" / "rtp_hear"
    said = [words(text) for _, text in heard]
    print(f"{len(heard)} clips, {sum(map(len, said))} words\n\n| network | words wrong |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.wav" for i in range(len(heard))]
        for name, network, codec in [("not encoded", None, {})] + NETWORKS:
            if o.only not in name:
                continue
            for i, (samples, _) in enumerate(heard):
                if network is not None:
                    samples = received(hear, encoded(samples, **({"loss": 10} | codec)), Network(**network, seed=i))
                write(paths[i], samples)
            got = subprocess.run([Path(o.build) / "cli" / "earshot", "transcribe", "-m", o.model, *paths], capture_output=True, text=True, check=True)
            wrong = sum(distance(a, words(b)) for a, b in zip(said, got.stdout.splitlines(), strict=True))
            print(f"| {name} | {100 * wrong / sum(map(len, said)):.1f} % |", flush=True)


main()
