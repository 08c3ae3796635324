#!/usr/bin/python3
"""What lies on the disk while the daemon runs, and what happens to it there: a model that is written over, a history
that is deleted, replaced or shared, writers that are killed, a clock that is set. docs/robustness.md lists these."""
import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.streams import *  # noqa: E402,F403

GOLDEN = ROOT / "tests" / "golden"


def cut_model():
    """The model's file is cut to nothing where it lies, as by `cp` of another over it; then streams open, which read
    the metadata and share the weights. WavLM's encoder reads some tensors once more for each."""
    for model in (MODEL, GOLDEN / "wavlm_base.gguf", GOLDEN / "whisper.gguf"):
        copy = WORK / "model.gguf"
        shutil.copy(model, copy)
        d = Daemon(source=f"file:{silence(1)}", model=copy)
        d.reaches(IDLE)
        os.truncate(copy, 0)
        s = Stream(d)
        send_pcm(s, samples())
        s.finish()
        check(f"{model.name}: a file that is cut ends nothing", d.process.poll() is None and s.of("UtteranceCompleted"),
              f"{d.process.poll()} {d.said()}")
        if model == MODEL:
            offline = letters(earshot("transcribe", "-m", MODEL, SPEECH).stdout)
            check("the texts are those of the whole file", letters(" ".join(s.said())) == offline, s.said())
        d.stop()


STATE = WORK / "state" / "earshot"


def entries(path=STATE / "history"):
    """The history on disk: {id: text}."""
    lines = path.read_text().splitlines() if path.exists() else []
    check("the history on disk is whole", all(line.count("\t") == 4 for line in lines), lines)
    return {int(line.split("\t")[0]): line.split("\t")[3] for line in lines}


def speak(d, count=3):
    """The file is played once more: a Reload with another source."""
    before = len(d.of("UtteranceCompleted"))
    for source in (silence(1), SPEECH):
        d.settings.write_text(d.text + f"[audio]\nsource = file:{source}:fast\n")
        check("another source is taken", d.call("Reload") == [], d.said())
    check("it is heard", d.completes(before + count), d.said())


def start(text, name="earshot.conf", source=None, **more):
    path = WORK / name
    path.write_text(text + (f"[audio]\nsource = file:{source or silence(1)}:fast\n"))
    d = Daemon("--config", path, source=None, **more)
    d.text, d.settings = text, path
    check("the daemon hears", wait_until(lambda: d.get("State") in (IDLE, HEARING, THINKING)), d.said())
    return d


def told(*daemons):
    return {int(a[0]): str(a[1]) for d in daemons for a in d.of("UtteranceCompleted") if a[1]}


def two_daemons():
    """Two of one user, each on a bus of its own, of which neither knows what the other has told."""
    text = "[text]\nkeep_history = yes\nresume = yes\nhistory = 2\n[recordings]\nkeep = yes\nmax_mb = 1\n"
    a = start(text)
    other = Bus("other")
    b = start(text, "b.conf", SPEECH, bus=other)
    check("the second says that it is not the first", f"{STATE}: another earshotd has it too" in b.said(), b.said())
    b.completes(3)
    speak(a)
    speak(a)
    check("what either has told is on disk", entries() == told(a, b), f"{entries()} {told(a, b)}")
    recordings = STATE / "recordings"
    check("and recorded", wait_until(lambda: len(list(recordings.glob("*.json"))) == len(told(a, b)), 10),
          list(recordings.iterdir()))
    a.stop(texts=2)
    last = (STATE / "last.state").read_bytes()
    modified = (STATE / "last.state").stat().st_mtime_ns
    b.stop(texts=2)
    check("the second leaves the conversation of the first alone", (STATE / "last.state").read_bytes() == last
          and (STATE / "last.state").stat().st_mtime_ns == modified)
    everything = told(a, b)
    d = start("[text]\nkeep_history = yes\nhistory = 100\n")
    check("the next one knows all, in their order", transcript(d) == sorted(everything.items()), transcript(d))
    d.stop()
    other.stop()
    shutil.rmtree(STATE)


def history_under_way():
    """Deleted, replaced and emptied under the daemon, with its folder too."""
    d = start("[text]\nkeep_history = yes\n")
    history = STATE / "history"
    speak(d)
    check("it is on disk", entries() == told(d))
    history.unlink()
    speak(d)
    check("deleted, it is written anew", entries() == told(d), entries())
    check("the log has it once", d.said().count("was deleted or replaced") == 1, d.said())
    restored = WORK / "restored"
    restored.write_text("7\t0\t1\tfrom a backup\t\n")
    os.replace(restored, history)
    speak(d)
    check("replaced, it has what either had", entries() == told(d) | {7: "from a backup"}, entries())
    os.truncate(history, 10)
    speak(d)
    check("cut, it is made whole", entries() == told(d), entries())
    shutil.rmtree(STATE)
    speak(d)
    check("so is its folder", entries() == told(d), entries())
    check("each was told of", (d.said().count("was deleted or replaced"), d.said().count("history was changed")) == (3, 1),
          d.said())
    d.stop()
    shutil.rmtree(STATE)


def killed_writers():
    """What they left is gone at the next start, and nothing else; not while another daemon writes."""
    left = ["history.tmp-aBc123", "x.state.tmp-ABCdef", "history.x1Yz9Q", "last.state.q0W9eR"]
    kept = ["history.backup", "history.old", "history.202611", "x.state.Backup", "x.state", "notes.tmp-aBc123"]
    recordings = STATE / "recordings"
    recordings.mkdir(parents=True)
    for name in left + kept:
        (STATE / name).write_text("")
    sound = "20261121-035012-1795233012345678.opus"
    for name in (sound, sound + ".tmp-aBc123", "song.opus.tmp-aBc123"):
        (recordings / name).write_text("")
    (STATE / "history.tmp-folder").mkdir()
    text = "[text]\nkeep_history = yes\n[recordings]\nkeep = yes\nmax_days = 0\n"
    d = start(text)
    wait_until(lambda: not (recordings / (sound + ".tmp-aBc123")).exists(), 10)
    check("what was being written is gone", sorted(p.name for p in STATE.iterdir())
          == sorted(["history", "history.tmp-folder", "recordings", *kept]), list(STATE.iterdir()))
    check("of recordings too", sorted(p.name for p in recordings.iterdir()) == [sound, "song.opus.tmp-aBc123"],
          list(recordings.iterdir()))
    check("the log has it", "deleted 4 files" in d.said(), d.said())
    (STATE / "x.state.tmp-aBc123").write_text("")
    other = Bus("other")
    b = start(text, "b.conf", bus=other)
    check("beside another nothing is", (STATE / "x.state.tmp-aBc123").exists())
    b.stop()
    d.stop()
    other.stop()
    shutil.rmtree(STATE)


def saved_states():
    """Conversations have names, sizes and a limit."""
    d = start("[text]\nsaved_mb = 3\n")
    check("at first there is none", d.call("ListStates") == [] and earshot("states").stdout == "")
    check("one is saved", d.call("SaveState", "b", signature="s") == () and earshot("save", "a").returncode == 0)
    size = (STATE / "a.state").stat().st_size
    rows = d.call("ListStates")
    check("they are listed", [(str(n), int(s)) for n, s, _ in rows] == [("a", size), ("b", size)]
          and all(abs(t / 1e6 - time.time()) < 60 for _, _, t in rows), rows)
    said = earshot("states").stdout.splitlines()
    check("earshot states shows them", [line.split()[-1] for line in said] == ["a", "b"], said)
    fit = 3000000 // size
    got = [d.call("SaveState", f"n{i}", signature="s") for i in range(fit - 1)]
    check("up to the limit", got == [()] * (fit - 2) + [ERROR + "Failed"], got)
    refused = earshot("save", "more")
    check("one more is refused, and what to do is said", refused.returncode == 1 and "[text] saved_mb" in refused.stderr
          and "earshot states --delete" in refused.stderr and not (STATE / "more.state").exists(), refused.stderr)
    check("in the place of another it is saved", d.call("SaveState", "a", signature="s") == ())
    check("one is deleted", earshot("states", "--delete", "n0").returncode == 0 and not (STATE / "n0.state").exists())
    check("and leaves room", earshot("save", "more").returncode == 0)
    check("it can be gone on with", earshot("restore", "more").returncode == 0 and earshot("restore", "n0").returncode == 1)
    check("what is not there is not deleted", d.call("DeleteState", "n0", signature="s") == ERROR + "NotFound")
    for name in ("", "../history", "a.state", "a/b"):
        check(f"nor is {name!r}", d.call("DeleteState", name, signature="s") == ERROR + "InvalidArgument")
    d.stop()
    shutil.rmtree(STATE)


def killed():
    """SIGKILL at any moment: what was told before is in the history, whole, and no recording is half one."""
    text = "[text]\nkeep_history = yes\n[recordings]\nkeep = yes\n"
    everything = {}
    for delay in (0.1, 0.4, 0.7, 1.0, 1.3):
        d = start(text, source=SPEECH)
        pause(delay)
        d.process.kill()
        d.process.wait()
        pause(0.1)
        d.match.remove()
        everything |= told(d)
    d = start(text)
    check("nothing was damaged", "damaged" not in d.said(), d.said())
    check("what was told is known", set(everything.items()) <= set(transcript(d)), f"{everything} {transcript(d)}")
    for path in (STATE / "recordings").glob("*.opus"):
        check("a recording is whole", path.with_suffix(".json").exists()
              and earshot("transcribe", "-m", MODEL, path).returncode == 0, path)
    d.stop()
    shutil.rmtree(STATE)


def closed_descriptors():
    """Without stdin, stdout and stderr their numbers go to what is opened then: no line of the log is in it."""
    script = WORK / "closed"
    script.write_text('#!/bin/sh\nexec "$@" 0<&- 1>&- 2>&-\n')
    script.chmod(0o755)
    path = config(f"[text]\nkeep_history = yes\n[log]\nlevel = debug\n[audio]\nsource = file:{SPEECH}:fast\n")
    process = subprocess.Popen([script, EARSHOTD, "--model", MODEL, "--config", path], env=environment())
    started.append(process)
    check("what is heard is on disk", wait_until(lambda: (STATE / "history").exists()
                                                 and (STATE / "history").read_text().count("\n") >= 3, 30))
    entries()
    process.send_signal(signal.SIGTERM)
    check("it ends well", wait_until(lambda: process.poll() is not None, 10) and process.returncode == 0, process.returncode)
    shutil.rmtree(STATE)


def cues(path):
    """[(start ms, end ms)] of SubRip."""
    ms = [((int(h) * 60 + int(m)) * 60 + int(s)) * 1000 + int(f)
          for h, m, s, f in re.findall(r"(\d+):(\d\d):(\d\d),(\d{3})", path.read_text())]
    return list(zip(ms[::2], ms[1::2]))


def clock_set():
    """The date goes an hour forth and back between the utterances, for the daemon and for who writes them down: their
    cues are as far apart as in the file. Recordings outlive the year 2100."""
    moved, captions, heard = WORK / "clock", WORK / "captions.srt", WORK / "history.srt"
    moved.write_text("0")
    extra = {"LD_PRELOAD": str(BUILD / "tests" / "libfast_clock.so"), "SET_CLOCK": str(moved)}
    text = "[text]\nkeep_history = yes\n[audio]\nmuted = yes\n[recordings]\nkeep = yes\nmax_days = 2\n"
    path = config(text)
    old = STATE / "recordings" / f"20260101-000000-{int(time.time() - 3 * 86400 / 2)}000000.opus"
    old.parent.mkdir(parents=True)
    old.write_text("")
    d = Daemon("--config", path, extra=extra)
    d.reaches(MUTED)
    moved.write_text("-3600")
    writer = subprocess.Popen([EARSHOT, "captions", "--srt", "--output", captions], env=environment() | extra,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    check("captions are written", wait_until(captions.exists, 10))
    pause(0.5)
    d.set("Muted", False)
    for i, seconds in enumerate((3600, -3600, 0)):
        d.completes(i)
        moved.write_text(str(seconds))
        d.completes(i + 1)
    moved.write_text(str(80 * 366 * 86400))
    for keep in ("no", "yes"):  # looks at what is there
        path.write_text(text.replace("keep = yes\nmax", f"keep = {keep}\nmax"))
        check("the recordings are looked at", d.call("Reload") == [])
    pause(0.5)
    check("no date deletes recordings", old.exists() and len(list(old.parent.glob("*.json"))) == 3,
          list(old.parent.iterdir()))
    offline = WORK / "offline.srt"
    offline.write_text(earshot("transcribe", "-m", MODEL, "--srt", SPEECH).stdout)
    earshot("history", "--srt", "--output", heard)
    d.stop()
    writer.terminate()
    writer.wait()

    def as_far_apart(path):
        """To the millisecond, to which they are rounded."""
        ours, theirs = cues(path), cues(offline)
        return len(ours) == len(theirs) and all(
            abs((a - ours[0][0]) - (b - theirs[0][0])) <= 1 for x, y in zip(ours, theirs) for a, b in zip(x, y))

    check("captions are as far apart as in the file", as_far_apart(captions), f"{cues(captions)} {cues(offline)}")
    check("and begin when they were said", 0 < cues(captions)[0][0] < 10000, cues(captions))
    check("so is the history", as_far_apart(heard), f"{cues(heard)} {cues(offline)}")
    ids = [a[0] for a in d.of("UtteranceCompleted")]
    check("ids rise", ids == sorted(set(ids)), ids)
    shutil.rmtree(STATE)


run(cut_model, two_daemons, history_under_way, killed_writers, killed,
    closed_descriptors, saved_states, clock_set)
