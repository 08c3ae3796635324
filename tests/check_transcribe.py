#!/usr/bin/env python3
"""earshot transcribe, dump, model info on good and bad input, with the real program."""
import json
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import wave

ROOT = pathlib.Path(__file__).resolve().parent.parent
EARSHOT = pathlib.Path(sys.argv[1]) / "cli" / "earshot"
DEFAULT = ROOT / "assets" / "earshot-en.gguf"
MODEL = DEFAULT if DEFAULT.exists() else ROOT / "tests" / "golden" / "tiny.gguf"
SPEECH = ROOT / "tests" / "data" / "orders.opus"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="earshot-check-"))
failures = 0


def check(what, holds, detail=""):
    global failures
    print(f"{'ok' if holds else 'FAILED'}: {what} {detail if not holds else ''}".rstrip())
    failures += not holds


def run(*args, timeout=300):
    return subprocess.run([EARSHOT, *map(str, args)], capture_output=True, text=True, timeout=timeout)


def ffmpeg(*args):
    path = WORK / args[-1]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, args[:-1]), path], check=True)
    return path


def formats():
    """One sound in many clothes gives one text, or nearly: the same number of lines at least."""
    reference = run("transcribe", "-m", MODEL, SPEECH)
    check("transcribe says something", reference.returncode == 0 and len(reference.stdout) > 2,
          reference.stderr)
    print("    ", reference.stdout.strip()[:100])
    kinds = {"u8": "pcm_u8", "s16": "pcm_s16le", "s24": "pcm_s24le", "f32": "pcm_f32le"}
    paths = [ffmpeg("-i", SPEECH, "-c:a", codec, f"{name}.wav") for name, codec in kinds.items()]
    paths += [ffmpeg("-i", SPEECH, "-ar", rate, f"{rate}.wav")
              for rate in (8000, 11025, 44100, 48000, 192000)]
    paths += [ffmpeg("-i", SPEECH, "-ac", count, f"{count}ch.wav") for count in (2, 6)]
    paths += [ffmpeg("-i", SPEECH, "speech.flac")]
    got = run("transcribe", "-m", MODEL, *paths)
    lines = got.stdout.splitlines()
    check("every sample format, rate and channel count is read",
          got.returncode == 0 and len(lines) == len(paths) and all(lines), got.stderr)
    if MODEL == DEFAULT:
        same = [path.name for path, line in zip(paths, lines) if line == reference.stdout.strip()]
        print(f"     same text as the Opus file: {', '.join(same)}")


def bad_files():
    empty = WORK / "empty.wav"
    empty.write_bytes(b"")
    garbage = WORK / "garbage.wav"
    garbage.write_bytes(bytes(range(256)) * 40)
    nothing = WORK / "nothing.wav"
    with wave.open(str(nothing), "wb") as w:
        w.setparams((1, 2, 16000, 0, "NONE", ""))
    missing = WORK / "missing.wav"
    got = run("transcribe", "-m", MODEL, empty, SPEECH, garbage, missing, nothing, WORK)
    lines = got.stdout.split("\n")[:-1]
    check("bad files fail, the rest is done", got.returncode == 1 and len(lines) == 6 and lines[1],
          f"{got.returncode} {lines} {got.stderr}")
    check("each bad file is named", all(str(p) in got.stderr for p in (empty, garbage, missing)),
          got.stderr)
    check("a file without samples is an empty line", lines[4] == "", str(lines))
    damaged = ffmpeg("-i", SPEECH, "damaged.mp3")
    sound = damaged.read_bytes()
    damaged.write_bytes(sound[:len(sound) // 2] + bytes(4000) + sound[len(sound) // 2 + 4000:])
    for name in ("damaged.flac", "damaged.ogg"):  # of which libsndfile does not tell
        path = ffmpeg("-i", SPEECH, name)
        sound = path.read_bytes()
        path.write_bytes(sound[:len(sound) // 2] + bytes(300) + sound[len(sound) // 2 + 300:])
        got = run("transcribe", "-m", MODEL, path)
        check(f"{name}: damage is told", got.returncode == 1 and str(path) in got.stderr and got.stdout.strip(), got.stderr)
    got = run("transcribe", "-m", MODEL, "--json", damaged, nothing, missing)
    objects = [json.loads(line) for line in got.stdout.splitlines()]
    errors = [o.get("error", "") for o in objects]
    check("--json tells which file is bad, and why", got.returncode == 1 and str(damaged) in errors[0]
          and "error" not in objects[1] and str(missing) in errors[2]
          and all(f"earshot transcribe: {e}\n" in got.stderr for e in errors if e), got)
    check("and what was said before the damage", objects[0]["utterances"] and not objects[2]["utterances"], got.stdout)
    check("no file is a usage error", run("transcribe").returncode == 2)
    check("an unknown option is a usage error", run("transcribe", "--nonsense", SPEECH).returncode == 2)
    for count in ("none", "", "-1", "257", "4294967297"):
        got = run("transcribe", "--threads", count, SPEECH)
        check(f"--threads \"{count}\" is a usage error", got.returncode == 2 and "from 0 to 256" in got.stderr, got)
    check("--threads 0 is one a core", run("transcribe", "-m", MODEL, "--threads", "0", nothing).stdout == "\n")


def lost_outputs():
    for args in (["transcribe", "-m", MODEL, SPEECH, SPEECH], ["model", "info", MODEL], ["model", "--help"]):
        with open("/dev/full", "w") as full:
            got = subprocess.run([EARSHOT, *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
        check(f"{args[0]} says that its output is lost, once", got.returncode == 1
              and got.stderr == f"earshot {args[0]}: the output cannot be written\n", f"{got.returncode} {got.stderr}")


def outputs():
    got = run("transcribe", "-m", MODEL, "--json", SPEECH)
    entry = json.loads(got.stdout)
    times = [(u["start_ms"], u["end_ms"]) for u in entry["utterances"]]
    check("--json holds together",
          entry["file"] == str(SPEECH) and entry["text"] == " ".join(u["text"] for u in entry["utterances"])
          and times == sorted(times) and all(a < b for a, b in times)
          and all(isinstance(u["reply"], str) for u in entry["utterances"]), got.stdout)
    srt = run("transcribe", "-m", MODEL, "--srt", SPEECH).stdout
    check("--srt has numbered cues", srt.startswith("1\n00:00:0") and " --> 00:00:0" in srt, srt)
    for args, why in ((["--srt", SPEECH, SPEECH], "one file"), (["--vtt", SPEECH, SPEECH], "one file"),
                      (["--srt", "--json", SPEECH], "exclude"), (["--vtt", "--srt", SPEECH], "exclude")):
        got = run("transcribe", *args)
        check(f"transcribe {' '.join(map(str, args))} is a usage error that says why",
              got.returncode == 2 and why in got.stderr and not got.stdout, got)
    vtt = run("transcribe", "-m", MODEL, "--vtt", SPEECH).stdout
    check("--vtt has its header", vtt.startswith("WEBVTT\n\n1\n00:00:0"), vtt)


def unfinished(path):
    """A WAV file as a program writes it into a pipe."""
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[4:8] = data[at + 4:at + 8] = b"\xff\xff\xff\xff"
    return bytes(data)


def written(path, p, until):
    """What is in the file, when it has `until`, or after a while."""
    for _ in range(600):
        if until in path.read_text() or p.poll() is not None:
            break
        time.sleep(0.1)
    return path.read_text()


def live():
    """A pipe that stays open: each utterance is printed when it ends; Ctrl-C prints what there is."""
    sound = unfinished(ffmpeg("-i", SPEECH, "-af", "apad=pad_dur=3", "-ar", "16000", "-c:a", "pcm_s16le", "live.wav"))
    expected = {option: run("transcribe", "-m", MODEL, *option, WORK / "live.wav").stdout for option in ((), ("--srt",), ("--json",))}
    for option, whole in expected.items():
        out = WORK / "out"
        with open(out, "w") as f, subprocess.Popen([EARSHOT, "transcribe", "-m", MODEL, *option, "-"],
                                                   stdin=subprocess.PIPE, stdout=f, stderr=subprocess.PIPE) as p:
            p.stdin.write(sound)
            p.stdin.flush()
            words = json.loads(expected[("--json",)])["utterances"][0]["text"]
            before = written(out, p, words)
            check(f"{' '.join(option)} -: the first utterance is there while the pipe is open",
                  p.poll() is None and words in before and not (option == () and "\n" in before), before)
            p.send_signal(signal.SIGINT)
            code, error = p.wait(60), p.stderr.read()
        after = out.read_text()
        if option == ("--json",):
            same = {**json.loads(after), "file": ""} == {**json.loads(whole), "file": ""}
        else:
            same = after == whole
        check(f"{' '.join(option)} -: after Ctrl-C all of it is", code == 0 and not error and same, f"{code} {error} {after} {whole}")
    got = subprocess.run([EARSHOT, "transcribe", "-m", MODEL, "-", SPEECH], input=SPEECH.read_bytes(), capture_output=True, timeout=300)
    lines = got.stdout.decode().splitlines()
    check("- is one of several files", got.returncode == 0 and len(lines) == 2 and lines[0] == lines[1], got)


def names():
    """A name that is not UTF-8, and one that would clear the screen."""
    for name in (b"caf\xe9.opus", b"\x1b[2J\xc2\x9b\xff.opus"):
        path = bytes(WORK) + b"/" + name
        with open(path, "wb") as f:
            f.write(SPEECH.read_bytes()[:3000])
        got = subprocess.run([EARSHOT, "transcribe", "-m", MODEL, "--json", path], capture_output=True, timeout=300)
        try:
            entry = json.loads(got.stdout.decode())
            plain = all(" " <= c and not 0x7f <= ord(c) < 0xa0 for c in entry["error"] + got.stderr.decode().strip())
            check(f"{name}: --json is JSON, and messages are plain", got.returncode == 1 and plain
                  and entry["file"] == path.decode(errors="replace"), got)
        except ValueError as e:
            check(f"{name}: --json is JSON, and messages are plain", False, f"{e} {got}")


def long_silence():
    """More microseconds than 32 bits count."""
    long = ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "4500", "-c:a", "pcm_u8", "long.wav")
    got = run("transcribe", "-m", MODEL, long)
    check("75 minutes of silence say nothing", got.returncode == 0 and got.stdout == "\n", got.stderr)
    long.unlink()


def npy(path):
    data = path.read_bytes()
    size = struct.unpack("<H", data[8:10])[0]
    return eval(data[10:10 + size], {"False": False})["shape"], data[10 + size:]


def dumps():
    tiny = ROOT / "tests" / "golden" / "tiny.gguf"
    out = WORK / "out.npy"
    seconds = 10.18
    for stage, rows in (("mel", 100), ("encoder", 50), ("adapter", 25), ("logits", 25)):
        got = run("dump", "--stage", stage, "-m", tiny, SPEECH, "-o", out)
        shape, body = npy(out) if got.returncode == 0 else ((0, 0), b"")
        check(f"dump --stage {stage}: {shape}", abs(shape[0] - rows * seconds) < 3
              and len(body) == 4 * shape[0] * shape[1], got.stderr)
    got = run("dump", "--stage", "logits", "--tokens", "23,65,24", "-m", tiny, "-o", out)
    check("dump --tokens gives a row a token", got.returncode == 0 and npy(out)[0] == (3, 300), got.stderr)
    got = run("dump", "--stage", "logits", "--tokens", "23,99999", "-m", tiny, "-o", out)
    check("an id outside the vocabulary is named", got.returncode == 1 and "99999" in got.stderr, got.stderr)
    check("an unknown stage is a usage error",
          run("dump", "--stage", "soup", SPEECH, "-o", out).returncode == 2)


def models():
    got = run("model", "info", MODEL)
    check("model info lists tensors", got.returncode == 0 and "backbone.emb.weight" in got.stdout, got.stderr)
    named = WORK / "named.gguf"
    key = b"general.architecture" + struct.pack("<IQ", 8, len("earshot"))
    named.write_bytes(MODEL.read_bytes().replace(key + b"earshot", key + b"ear\x1b[2J"))
    got = run("model", "info", named)
    check("what a file says of itself does not clear the terminal", got.returncode == 0 and "ear [2J\n" in got.stdout,
          got.stdout[:200] + got.stderr)
    for args in (["--help"], ["-h"], ["info", "--help"]):
        got = run("model", *args)
        check(f"model {' '.join(args)} tells the usage", got.returncode == 0
              and got.stdout.startswith("earshot model info FILE\n") and not got.stderr, got)
    for args in ([], ["info"], ["inform", MODEL], ["info", MODEL, MODEL], ["info", "-m", MODEL]):
        check(f"model {' '.join(map(str, args))} is a usage error", run("model", *args).returncode == 2)
    cut = WORK / "cut.gguf"
    cut.write_bytes(MODEL.read_bytes()[:100000])
    for name, args in (("model info", ("model", "info", cut)), ("transcribe", ("transcribe", "-m", cut, SPEECH))):
        got = run(*args)
        check(f"{name} names a truncated model", got.returncode == 1 and str(cut) in got.stderr, got.stderr)
    got = run("transcribe", "-m", SPEECH, SPEECH)
    check("a file that is no model is named", got.returncode == 1 and str(SPEECH) in got.stderr, got.stderr)


def main():
    for part in (formats, bad_files, lost_outputs, outputs, live, names, long_silence, dumps, models):
        part()
    print(f"{failures} checks failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
