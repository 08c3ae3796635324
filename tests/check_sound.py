#!/usr/bin/python3
"""Sound files as the world has them: unfinished, cut, chained, damaged, from pipes, of every format."""
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

import numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEAR = pathlib.Path(sys.argv[1]) / "tests" / "hear"
SPEECH = ROOT / "tests" / "data" / "orders.opus"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="earshot-sound-"))
RATE = 16000
failures = 0


def check(what, holds, detail=""):
    global failures
    print(f"{'ok' if holds else 'FAILED'}: {what} {detail if not holds else ''}".rstrip())
    failures += not holds


class Heard:
    def __init__(self, path, pipe=False, **more):
        data = pathlib.Path(path).read_bytes() if pipe else None
        got = subprocess.run([HEAR, "-" if pipe else path], input=data, capture_output=True, timeout=120, **more)
        self.rc, self.why = got.returncode, got.stderr.decode()
        self.samples = numpy.frombuffer(got.stdout, "<f4")
        self.s = len(self.samples) / RATE

    def __repr__(self):
        return f"{self.s:.2f} s, exit {self.rc}: {self.why.strip()}"


def ffmpeg(*args):
    path = WORK / args[-1]
    got = subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, args[:-1]), path], capture_output=True)
    return path if got.returncode == 0 else None


def like(a, b):
    """Of one sound, through codecs: what is left when a is taken from b at their best delay, in dB."""
    n = min(len(a), len(b))
    if n < RATE:
        return False
    a, b = numpy.float64(a[:n]), numpy.float64(b[:n])
    c = numpy.fft.irfft(numpy.fft.rfft(a, 2 * n) * numpy.conj(numpy.fft.rfft(b, 2 * n)))
    return numpy.max(c) / numpy.sqrt(numpy.sum(a * a) * numpy.sum(b * b)) > 0.9


def unfinished(pcm):
    """A recorder was killed, or wrote into a pipe: the sizes say nothing, the sound is all there."""
    expected = numpy.frombuffer(pcm, "<i2").astype("f4") / 32768
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    files = {}
    for riff in (0, 36, 36 + len(pcm), 0x7FFFFFFF, 0xFFFFFFFF):
        for data in (0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF, 2000):
            files[f"RIFF {riff:x}, data {data:x}"] = struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + form + \
                struct.pack("<4sI", b"data", data) + pcm
    for size in (0, len(pcm), 2 ** 64 - 1):
        ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 0, size, 0, 0)
        files[f"RF64, data {size:x}"] = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE") + ds64 + form + \
            struct.pack("<4sI", b"data", 0xFFFFFFFF) + pcm
    swapped = numpy.frombuffer(pcm, "<i2").astype(">i2").tobytes()
    for frames, size in ((0, 0), (0, 8), (len(pcm) // 2, 0xFFFFFFFF), (0x7F000000, 0xFE000008), (0, 0x7F000008)):
        comm = struct.pack(">4sIHIH", b"COMM", 18, 1, frames, 16) + bytes.fromhex("400cfa00000000000000")
        files[f"AIFF, {frames:x} frames, {size:x}"] = struct.pack(">4sI4s", b"FORM", 0, b"AIFF") + comm + \
            struct.pack(">4sIII", b"SSND", size, 0, 0) + swapped
    for size in (0, 0xFFFFFFFF):
        files[f"AU, {size:x}"] = struct.pack(">4s5I", b".snd", 24, size, 3, RATE, 1) + swapped
    path = WORK / "unfinished"
    for name, data in files.items():
        path.write_bytes(data)
        for pipe in (False, True):
            got = Heard(path, pipe)
            check(f"{name}{' in a pipe' if pipe else ''}: heard to its end",
                  got.rc == 0 and numpy.array_equal(got.samples, expected), got)
    tail = struct.pack("<4sI", b"LIST", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf59.27.100\0"
    for what, size, sound in (("an empty file", 0, b""), ("a whole file", len(pcm), pcm)):
        path.write_bytes(struct.pack("<4sI4s", b"RIFF", 70 + size, b"WAVE") + form +
                         struct.pack("<4sI", b"data", size) + sound + tail)
        got = Heard(path)
        check(f"{what} with a chunk behind its sound: the chunk is none", got.rc == 0 and
              len(got.samples) == len(sound) // 2, got)


FORMATS = {
    "wav": ["-c:a", "pcm_s16le"], "aiff": ["-c:a", "pcm_s16be"], "au": ["-c:a", "pcm_s16be"], "flac": [], "mp3": [],
    "opus": ["-c:a", "libopus"], "ogg": ["-c:a", "libvorbis"], "oga": ["-c:a", "flac", "-f", "ogg"],
    "24.wav": ["-c:a", "pcm_s24le"], "f64.wav": ["-c:a", "pcm_f64le"], "alaw.wav": ["-c:a", "pcm_alaw"],
    "ulaw.wav": ["-c:a", "pcm_mulaw"], "u8.wav": ["-c:a", "pcm_u8"], "32.aiff": ["-c:a", "pcm_s32be"],
    "rf64.wav": ["-rf64", "always"], "cbr.mp3": ["-b:a", "64k", "-write_xing", "0"], "old.mp3": ["-ar", "8000"],
    "layer2.mp2": ["-c:a", "mp2"], "id3.flac": ["-metadata", "title=x"],
}
OTHERS = {"adpcm.wav": ["-c:a", "adpcm_ima_wav"], "w64": [], "caf": []}
WITH_FFMPEG = {"m4a": ["-c:a", "aac"], "mp4": ["-c:a", "aac"], "webm": ["-c:a", "libopus"], "aac": ["-c:a", "aac"],
               "wma": ["-c:a", "wmav2"], "mka": ["-c:a", "flac"], "amr": ["-c:a", "libopencore_amrnb", "-ar", "8000"],
               "fragments.mp4": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"]}


def whole(reference):
    files = {}
    for kinds in (FORMATS, OTHERS, WITH_FFMPEG):
        for name, options in kinds.items():
            path = ffmpeg("-i", SPEECH, *options, f"whole.{name}")
            if not path:
                print(f"     no encoder for {name} here")
                continue
            files[name] = path
            got, piped = Heard(path), Heard(path, pipe=True)
            check(f"{name}: heard whole", got.rc == 0 and not got.why and abs(got.s - reference.s) < 0.2
                  and like(got.samples, reference.samples), got)
            check(f"{name}: the same from a pipe", piped.rc == 0 and numpy.array_equal(piped.samples, got.samples), piped)
    tag = b"ID3\x04\0\0" + bytes((0, 0, 1, 0)) + bytes(128)
    for name, data in (("flac", tag), ("mp3", tag)):
        path = WORK / f"tagged.{name}"
        path.write_bytes(data + files[name].read_bytes() + (b"TAG" + bytes(125) if name == "mp3" else b""))
        got = Heard(path)
        check(f"{name} with tags around it: heard whole", got.rc == 0 and abs(got.s - reference.s) < 0.2, got)
    return files


def cut(files):
    """Half a file is half a text, and an error."""
    draw = random.Random(7)
    for name, path in files.items():
        data = path.read_bytes()
        there = Heard(path).s
        parts = [0.6] + [draw.uniform(0.3, 0.95) for _ in range(3)]
        if name in OTHERS or (name in WITH_FFMPEG and name not in ("mp4", "m4a")):
            continue
        for part in parts:
            short = WORK / f"cut.{name}"
            short.write_bytes(data[:int(len(data) * part) + 5])  # and not by chance where a frame ends
            for pipe in (False, True):
                got = Heard(short, pipe)
                begun = name in WITH_FFMPEG or abs(got.s - part * there) < 0.25 * there + 1
                check(f"{name}, {part:.0%} of it{' in a pipe' if pipe else ''}: what is there, and an error",
                      got.rc == 1 and got.why and begun, got)
    for name in ("opus", "ogg", "oga"):  # where a page ends
        data = files[name].read_bytes()
        at = data.rindex(b"OggS")
        short = WORK / f"cut.{name}"
        short.write_bytes(data[:at])
        got = Heard(short)
        check(f"{name} without its last page: an error", got.rc == 1 and "cut short" in got.why, got)
    for name in ("flac", "mp3", "opus", "ogg", "oga"):
        data = files[name].read_bytes()
        middle = len(data) // 2
        hurt = WORK / f"hurt.{name}"
        hurt.write_bytes(data[:middle] + bytes(1500) + data[middle + 1500:])
        got = Heard(hurt)
        check(f"{name}, damaged: what is before and behind, and an error",
              got.rc == 1 and got.why and got.s > 0.7 * Heard(files[name]).s, got)
    for name, size in (("wav", 30), ("aiff", 40), ("flac", 20), ("opus", 40), ("ogg", 60), ("au", 20)):
        short = WORK / f"cut.{name}"
        short.write_bytes(files[name].read_bytes()[:size])
        got = Heard(short)
        check(f"{name}, cut in its header: an error", got.rc == 1 and str(short) in got.why, got)


def chained(files, reference):
    """An Ogg file of several links, as cat makes it: every one is heard."""
    other = ffmpeg("-i", SPEECH, "-ac", 2, "-ar", 44100, "-c:a", "libvorbis", "stereo.ogg")
    for names in (("opus", "opus"), ("ogg", "ogg"), ("oga", "oga"), ("opus", "ogg", "oga"), ("ogg", "stereo", "opus")):
        path = WORK / "chain.ogg"
        parts = [other if name == "stereo" else files[name] for name in names]
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        for pipe in (False, True):
            got = Heard(path, pipe)
            last = got.samples[-int(reference.s * RATE):]
            check(f"{' + '.join(names)}{' in a pipe' if pipe else ''}: each is heard", got.rc == 0
                  and abs(got.s - len(names) * reference.s) < 0.3 and like(last, reference.samples), got)
    short = files["opus"].read_bytes()
    path.write_bytes(short[:len(short) // 2] + files["ogg"].read_bytes())
    got = Heard(path)
    check("half a link and another: both are heard, with an error",
          got.rc == 1 and "cut short" in got.why and got.s > 1.3 * reference.s, got)


def channels(reference):
    """The channel that has the voice, where the mean of both has it not."""
    level = numpy.sqrt(numpy.mean(reference.samples ** 2))
    for what, layout, least in (("one is the other's inverse", "stereo|c0=c0|c1=-1*c0", 0.9),
                                ("the right is empty", "stereo|c0=c0|c1=0*c0", 0.9),
                                ("the left is empty", "stereo|c0=0*c0|c1=c0", 0.9),
                                ("both alike", "stereo|c0=c0|c1=c0", 0.99),
                                ("the middle of six", "5.1|c0=0*c0|c1=0*c0|c2=c0|c3=0*c0|c4=0*c0|c5=0*c0", 0.9)):
        for rate in (16000, 44100, 48000):
            path = ffmpeg("-i", SPEECH, "-af", f"pan={layout}", "-ar", rate, "channels.wav")
            got = Heard(path)
            loud = numpy.sqrt(numpy.mean(got.samples ** 2)) / level
            check(f"channels at {rate} Hz, {what}: the voice", least < loud < 1.01 and like(got.samples, reference.samples),
                  f"{loud:.3f} of its level")


def write(pipe, data):
    try:
        pipe.write(data)
        pipe.flush()
    except BrokenPipeError:
        pass


def as_it_comes(files):
    """What is in the pipe is heard before the pipe ends."""
    for name in ("wav", "aiff", "au", "flac", "mp3", "opus", "ogg", "oga"):
        with subprocess.Popen([HEAR, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
            data = files[name].read_bytes()
            writer = threading.Thread(target=write, args=(p.stdin, data[:len(data) * 2 // 3]))
            writer.start()
            os.set_blocking(p.stdout.fileno(), False)
            got, until = b"", time.monotonic() + 60
            while len(got) < 4 * RATE * 4 and time.monotonic() < until:
                got += p.stdout.read() or b""
                time.sleep(0.02)
            check(f"{name}: heard while the pipe is open", len(got) >= 4 * RATE * 4, f"{len(got)} bytes")
            p.kill()
            writer.join()
            p.stdin = None  # it may hold what nobody reads


def nothing():
    empty, garbage, text = WORK / "empty.wav", WORK / "garbage.wav", WORK / "notes.txt"
    empty.write_bytes(b"")
    garbage.write_bytes(bytes(range(256)) * 40)
    text.write_text("hello " * 1000)
    for path in (empty, garbage, text, WORK, WORK / "missing.wav"):
        got = Heard(path)
        check(f"{path.name}: an error that names it", got.rc == 1 and str(path) in got.why and got.s == 0, got)
    memo = ffmpeg("-i", SPEECH, "-c:a", "aac", "me mo.m4a")
    got = Heard(memo, env={"PATH": "/nonexistent"})
    check("without ffmpeg: the error names the way out", got.rc == 1 and "ffmpeg -i" in got.why and str(memo) in got.why, got)
    playlist = WORK / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:99\n#EXTINF:9,\n{memo}\n#EXT-X-ENDLIST\n")
    check("a playlist opens no other file", Heard(playlist).rc == 1)
    named = WORK / "\x1b[2J\x9b.wav"
    named.write_bytes(b"RIFF")
    check("a name does not move the cursor", "\x1b" not in Heard(named).why and "?[2J?" in Heard(named).why, Heard(named))


def main():
    reference = Heard(SPEECH)
    check("the reference is heard", reference.rc == 0 and abs(reference.s - 10.18) < 0.02, reference)
    pcm = (reference.samples[:2 * RATE] * 32767).astype("<i2").tobytes()
    unfinished(pcm)
    files = whole(reference)
    cut(files)
    chained(files, reference)
    channels(reference)
    as_it_comes(files)
    nothing()
    print(f"{failures} checks failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
