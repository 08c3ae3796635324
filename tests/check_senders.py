#!/usr/bin/python3
"""A hundred senders of earshot-rtp at once, some of whom speak, the others send silence: texts and how long they take.

    tests/check_senders.py BUILD [SPEAKING [SENDERS]]

Without numbers four of twelve speak: what any machine can do. What a machine can do is `earshot bench --streams`; beyond it
AudioLost tells what was not heard, and what was heard in full is right all the same."""
import json
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.bridge import *  # noqa: E402,F403
from support.rtp import PACKET_S, TICKS, Sender, encoded  # noqa: E402
from support.streams import Streams, managed, samples, words_apart  # noqa: E402

PROGRAM = BUILD / "bridges" / "earshot-rtp"
SPEAKING, SENDERS = (int(sys.argv[i]) if len(sys.argv) > i else number for i, number in ((2, 4), (3, 12)))
ROUNDS = 3  # of the speech
PAUSE = bytes(64000)  # two seconds behind it
APART = 12  # packets between the beginnings of those who speak


def send_all(senders, speech, quiet, ended):
    """All senders from one thread, each its packets by the clock; when those of the speech were sent goes to ended, by round."""
    count = ROUNDS * len(speech)
    begin = time.monotonic()
    for n in range(count + SPEAKING * APART):
        for i, sender in enumerate(senders):
            k = n - i * APART if i < SPEAKING else n
            if not 0 <= k < count:
                continue
            packet = speech[k % len(speech)] if i < SPEAKING else quiet[n % len(quiet)]
            sender.send(sender.packet(packet, k, k * TICKS))
            if i < SPEAKING and k % len(speech) == len(speech) - 1:
                ended.setdefault(sender.name, []).append(time.monotonic())
        time.sleep(max(0.0, begin + (n + 1) * PACKET_S - time.monotonic()))
    print(f"the senders were {1e3 * max(0.0, time.monotonic() - begin - (n + 1) * PACKET_S):.0f} ms late at their end")
    for sender in senders:
        sender.bye()


def late(streams, sender, ended, spoken_s):
    """For each round: from the end of its last word to its last text, s."""
    times = sorted(time for path in streams.paths_of(sender) for time in streams.times.get(path, []))
    tail_s = len(samples() + PAUSE) / 32000 - spoken_s  # silence behind the last word
    for before, end in zip([0.0, *ended], ended):
        texts = [when for when in times if before + 1 < when <= end + 2]
        if texts:
            yield max(texts) - (end - tail_s)


def crowd():
    d = Daemon("--config", config(f"[streams]\nmax = {SENDERS}\n"), source=f"file:{silence(600)}")
    d.reaches(IDLE)
    b = Program(PROGRAM, "--senders", str(SENDERS), unix=False, scheme="udp")
    speech, quiet = encoded(samples() + PAUSE), encoded(PAUSE)
    spoken_s = json.loads(earshot("transcribe", "-m", MODEL, "--json", SPEECH).stdout)["utterances"][-1]["words"][-1]["end_ms"] / 1e3
    senders, ended, streams = [Sender(b.port) for _ in range(SENDERS)], {}, Streams(d)
    alone = Sender(b.port)
    for n in range(len(speech)):
        alone.send(alone.packet(speech[n], n))
        pause(PACKET_S)
        if n % 50 == 49:
            streams.look()
    alone.bye()
    wait_until(lambda: not managed(d), 60)
    pause(0.2)
    clean = streams.text_of(alone)
    check("one alone is heard", words_apart(clean, offline()) <= 0.2 * len(offline().split()), clean)
    thread = threading.Thread(target=send_all, args=(senders, speech, quiet, ended), daemon=True)
    thread.start()
    check("each sender is a stream", wait_until(lambda: len(managed(d)) == SENDERS, 30), len(managed(d)))
    streams.look()
    wait_until(lambda: not thread.is_alive(), 600)
    wait_until(lambda: not managed(d), 180)
    pause(0.2)
    streams.close()
    lost = {name: streams.lost.get(path, 0) for path, name in streams.names.items()}
    texts = [streams.text_of(sender) for sender in senders[:SPEAKING] if not lost.get(sender.name)]
    times = sorted(s for sender in senders[:SPEAKING] for s in late(streams, sender, ended.get(sender.name, []), spoken_s))
    print(f"{SPEAKING} of {SENDERS} speak: {len(texts)} heard in full, {sum(lost.values()) / 16000:.1f} s told of as lost; texts "
          f"{1e3 * times[len(times) // 2]:.0f} ms after the last word in the median, {1e3 * times[int(0.99 * (len(times) - 1))]:.0f} ms at the 99th percentile")
    whole = ROUNDS * len(clean.split())
    apart = [words_apart(text, " ".join([clean] * ROUNDS)) for text in texts]
    check("who was heard in full has the text of one alone", all(apart_ <= 0.1 * whole for apart_ in apart), (apart, whole))
    check("who was silent has none", not any(streams.text_of(sender) for sender in senders[SPEAKING:]))
    if SPEAKING <= 4 and not SLOW:
        check("all are heard in full", len(texts) == SPEAKING, lost)
    for sender in [alone, *senders]:
        sender.close()
    b.stop(offline().splitlines())
    d.stop()


if not PROGRAM.exists():
    print("skipped: built without earshot-rtp (EARSHOT_RTP)")
    sys.exit(77)
run(crowd)
