#!/usr/bin/python3
"""What `earshot bench` measures: several ears at once, and how late the texts of a daemon are."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403


def side_by_side():
    """What several ears at once come to, beside one."""
    for args in (["--streams", "0"], ["--streams", "257"], ["--streams", "some"], ["--daemon", "--streams", "2"]):
        check(f"earshot bench {' '.join(args)} is a usage error", earshot("bench", *args).returncode == 2)
    got = earshot("bench", "--streams", "3", "/nonexistent.wav")
    check("a file that is not there is named", got.returncode == 1 and "/nonexistent.wav" in got.stderr, got.stderr)
    got = earshot("bench", "--streams", "3", SPEECH, "--json")
    figures = {f["name"]: f["value"] for f in json.loads(got.stdout or '{"figures": []}')["figures"]}
    one, three = figures.get("one token of one stream", 0), figures.get("a token of every stream at once", 0)
    check("the tokens of three states are measured beside those of one",
          one > 0 and abs(three / one - figures.get("as many tokens as one stream", 0)) < 1e-6, got.stdout + got.stderr)
    one, three = (figures.get(f"hearing speech, {who}", 0) for who in ("one stream", "all streams"))
    check("three ears cost more than one", 0 < one < three, got.stdout)
    check("and write what one writes", figures.get("streams with other texts than one") == 0, got.stdout)
    check("each has a state of its own", 1 < figures.get("memory of a stream", 0) < 64, got.stdout)


def benched():
    """How late the texts are, of a file that is sent as people speak, and of what the microphone hears."""
    for args in (["--texts", "5"], ["--daemon", "--backend", "cpu"], ["--daemon", "--texts", "some"], ["--daemon", "a", "b"]):
        check(f"earshot bench {' '.join(args)} is a usage error", earshot("bench", *args).returncode == 2)
    got = earshot("bench", "--daemon")
    check("without a daemon bench says so", got.returncode == 1 and "earshotd" in got.stderr, got.stderr)
    d = Daemon(source=f"file:{silence(1)}")
    d.reaches(IDLE)
    got = earshot("bench", "--daemon", "/nonexistent.wav")
    check("a file that is not there is named", got.returncode == 1 and "/nonexistent.wav" in got.stderr, got.stderr)
    got = earshot("bench", "--daemon", SPEECH, "--json")
    report = json.loads(got.stdout or "{}")
    figures = {f["name"]: f for f in report.get("figures", [])}
    text, wait, compute = (figures.get(name, {"value": 0, "p95": 0, "slowest": 0, "count": 0}) for name in
                           ("end of speech to text", "of that, waiting", "of that, computation"))
    check("three orders have their delays", report.get("texts") == text["count"] == wait["count"] == compute["count"] == 3
          and "newest audio to partial result" in figures, got.stdout + got.stderr)
    check("seen from outside they are no shorter than the daemon says",
          text["slowest"] >= wait["slowest"] > 0 and compute["slowest"] > 0, got.stdout)
    check("nothing was lost", report.get("lost_s") == 0 and report.get("real_time_factor", 0) > 0, got.stdout)
    if shutil.which("ffmpeg"):
        subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, "-t", "2.2", WORK / "one.wav"], check=True)
        got = earshot("bench", "--daemon", WORK / "one.wav", "--texts", "2", "--json")
        check("a file that ends with its speech is two texts when it is sent twice", json.loads(got.stdout or "{}").get("texts") == 2,
              got.stdout + got.stderr)
    got = earshot("bench", "--daemon", silence(1), "--texts", "5", "--json")
    check("a file without words comes to an end", got.returncode == 0 and json.loads(got.stdout)["texts"] == 0, got.stderr)
    if d.set("Mode", "assistant") == ():
        check("nor were replies", figures.get("text to reply's last words", {}).get("count", 0) >= 1, got.stdout)
    d.stop()
    d = Daemon(source=f"file:{SPEECH}")
    got = earshot("bench", "--daemon", "--texts", "2")
    check("the microphone is measured too", got.returncode == 0 and re.search(r"computation .* of 2\n", got.stdout),
          got.stdout + got.stderr)
    d.stop()


run(side_by_side, benched)
