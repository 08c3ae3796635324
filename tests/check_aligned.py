#!/usr/bin/python3
"""Aligned captions through the real programs, with a tiny random model (tests/golden/make_aligned.py): words on the bus,
utterances without end, files of captions. What it says means nothing, but it is said once, in order, and with its times."""
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.streams import *  # noqa: E402,F403

ALIGNED = ROOT / "tests" / "golden" / "aligned.gguf"
MAX_S = 3
WORD_US = 1e6  # at most, from an utterance's end to the row of the word that ends it
SETTINGS = f"[speech]\nmax_ms = {1000 * MAX_S}\n[text]\nmin_evidence = 0\nmin_confidence = 0\n"


def monologue():
    """Somebody who does not pause for 30 s, f32: the sound of which the model says sentences."""
    return (ROOT / "tests" / "golden" / "pcm.npy").read_bytes()[-4 * 40123:] * 12


def heard(ear):
    """The words of WordsHeard of each utterance, by its id; None: a number is missing or was told twice."""
    words = {}
    for utterance, first, more in ear.of("WordsHeard"):
        if first != len(words.setdefault(utterance, [])) or not more:
            return None
        words[utterance] += more
    return words


def are_ordered(words, start, end):
    """They do not overlap, and none is outside."""
    times = [time for word in words for time in (word[2], word[3])]
    return times == sorted(times) and times[0] >= start and times[-1] <= end


def slices(text, words):
    return [text.encode()[at:at + size].decode() for at, size, *_ in words]


def check_words(ear, name):
    told = heard(ear)
    check(f"{name}: words are told once each, in order", told is not None)
    for utterance, text, details in ear.told:
        words = details.get("words", [])
        check(f"{name}: a text is its words", slices(text, words) == text.split(), f"{text!r} {words}")
        if not text:
            continue
        check(f"{name}: words have times, in order", are_ordered(words, details["start_us"], details["end_us"]),
              f"{details['start_us']} {words} {details['end_us']}")
        check(f"{name}: and a confidence", all(0 < word[4] <= 1 for word in words))
        check(f"{name}: the completed text has the words that were told",
              [word[0] for word in told.get(utterance, [])] == [word[0] for word in words],
              f"{told.get(utterance)} {words}")
    before = {}
    for utterance, _, stable, text in ear.of("UtteranceUpdated"):
        check(f"{name}: what is stable stays", text.encode().startswith(before.get(utterance, b"")), text)
        check(f"{name}: what is stable ends with a word", not stable or re.match(r"\s|$", text.encode()[stable:].decode()), text)
        before[utterance] = text.encode()[:stable]


def hold(d):
    """Push-to-talk over all of it."""
    s = Stream(d, codec="f32")
    s.call("Listen", OPTIONS, signature="a{sv}")
    send_pcm(s, monologue(), 4)
    s.call("Finish")
    check("the stream ends", s.finish())
    return s


def stream(d):
    s = hold(d)
    check("its events keep their contract", keeps_the_contract(s), str(s.signals))
    check("speech without a pause becomes several utterances", len(s.told) >= 3, s.told)
    check_words(s, "a stream")
    for (one, text, first), (other, _, second) in zip(s.told, s.told[1:]):
        check("an utterance begins where the one before ended", first["end_us"] == second["start_us"])
        check("its id is later by as much", other - one == second["start_us"] - first["start_us"])
        check("and that one was the end of a sentence, or long", text.endswith(".") or
              first["end_us"] - first["start_us"] >= 2e6 * MAX_S - WORD_US, f"{first['start_us']} {text} {first['end_us']}")
    check("a sentence's end came first somewhere", any(text.endswith(".") for _, text, _ in s.told[:-1]), s.told)
    said = " ".join(s.said())
    again = hold(d)
    check("ids are not used twice", {a[0] for a in s.told}.isdisjoint(a[0] for a in again.told))
    check("the same sound is the same text", " ".join(again.said()) == said)


def captions(form):
    """A running `earshot captions` that writes a file."""
    path = WORK / f"said.{form}"
    return path, subprocess.Popen([EARSHOT, "captions", f"--{form}", "--output", path], env=environment(),
                                  stdout=subprocess.DEVNULL)


def check_times(name, cues):
    """[(start, end, text)] of a file of captions: in order, and with the lengths of captions."""
    check(f"{name}: captions are in order", all(start <= end for start, end, _ in cues)
          and all(one[1] <= other[0] for one, other in zip(cues, cues[1:])), cues)
    check(f"{name}: captions have two lines at most", all(
        len(text.split("\n")) <= 2 and len(text) <= 85 or " " not in text for *_, text in cues), cues)
    within = [sentence for *_, text in cues for sentence in text.replace("\n", " ").split(". ")[:-1]]
    check(f"{name}: a sentence ends a caption, but for a short one", all(len(sentence) <= 20 for sentence in within), cues)


def read_cues(text):
    """(start, end, text) of SubRip or WebVTT, without the times of words; texts are as they are, line breaks too."""
    def seconds(time):
        hours, minutes, rest = time.replace(",", ".").split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(rest)
    found = re.findall(r"^\d+\n(\S+) --> (\S+)\n(.*?)\n\n", text, re.M | re.S)
    return [(seconds(start), seconds(end), re.sub(r"<[\d:.]+>", "", said)) for start, end, said in found]


def files():
    """Captions of a sound file."""
    for threads in ("1", "2"):
        got = json.loads(earshot("transcribe", "--json", "-t", threads, "-m", ALIGNED, SPEECH).stdout)
        for utterance in got["utterances"]:
            words = utterance["words"]
            check("transcribe has the words of a text", " ".join(w["text"] for w in words) == utterance["text"], words)
            check("and their times", are_ordered([(0, 0, w["start_ms"], w["end_ms"]) for w in words],
                                                 utterance["start_ms"], utterance["end_ms"]), words)
    for form in ("--srt", "--vtt"):
        cues = read_cues(earshot("transcribe", form, "-m", ALIGNED, SPEECH).stdout)
        check_times(f"transcribe {form}", cues)
        check(f"transcribe {form}: nothing is missing",
              " ".join(text.replace("\n", " ") for *_, text in cues) == got["text"], cues)
        check(f"transcribe {form}: an utterance may be several captions", len(cues) > len(got["utterances"]), cues)


def remembers(d, said):
    """The history has the words, too."""
    kept = [json.loads(line) for line in earshot("history", "--json").stdout.splitlines()]
    check("history --json has the words", [[w["text"] for w in row["words"]] for row in kept] ==
          [[w["text"] for w in row["words"]] for row in said], kept)
    lengths = [[(w["end_ms"] - w["start_ms"]) for w in row["words"]] for row in said]
    check("and their times", all(abs(a - b) <= 1 for one, other in zip(
        [[(w["end_ms"] - w["start_ms"]) for w in row["words"]] for row in kept], lengths) for a, b in zip(one, other)), kept)
    check_times("history --srt", read_cues(earshot("history", "--srt").stdout))
    check("GetUtterances has what was told", [[word[:4] for word in row["words"]] for row in words_of(d)] ==
          [[word[:4] for word in details["words"]] for _, _, details in d.told], words_of(d))


def words_of(d):
    return d.call("GetUtterances", 0, 0, signature="tu")


def microphone():
    """The file as the daemon's own ear: orders with pauses."""
    d = Daemon("--config", str(config(SETTINGS)), model=ALIGNED)
    vtt, one = captions("vtt")
    lines, other = captions("json")
    check("it hears utterances", d.completes(3))
    check("its events keep their contract", wait_until(lambda: keeps_the_contract(d)), str(d.signals))
    wait_until(lambda: len(lines.read_text().splitlines()) >= 3)
    for follower in (one, other):
        follower.terminate()
        follower.wait()
    said = [json.loads(line) for line in lines.read_text().splitlines()]
    check("captions --json has the words", [[w["text"] for w in row["words"]] for row in said] ==
          [slices(text, details["words"]) for _, text, details in d.told], said)
    check("at the place of their utterance", all(
        are_ordered([(0, 0, w["start_ms"], w["end_ms"]) for w in row["words"]], row["start_ms"], row["end_ms"])
        for row in said), said)
    remembers(d, said)
    cues = read_cues(vtt.read_text())
    check_times("captions --vtt", cues)
    check("captions --vtt: nothing is missing", " ".join(text.replace("\n", " ") for *_, text in cues).split() ==
          " ".join(row["text"] for row in said).split(), cues)
    check_words(d, "the file")
    stream(d)
    d.stop()


run(files, microphone)
