#!/usr/bin/python3
"""Nobody delays another's text: how long after the last sample of speech it comes through each bridge, alone and beside floods, those
who come and go, and the dead (tests/support/neighbours.py).

    tests/check_delays.py BUILD [ROUNDS [BRIDGE[.NEIGHBOUR]...]]

Speech comes in packets of 20 ms as a microphone would give them, but for a file, which is sent in the same way and is heard once it is
whole. Who speaks alone and who speaks beside neighbours take turns, so that a machine whose speed changes does so for both."""
import collections
import json
import os
import pathlib
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon  # noqa: E402
from support.bridge import *  # noqa: E402,F403
from support.daemon import *  # noqa: E402,F403
from support.neighbours import chunk, FILE, HEAD, START  # noqa: E402
from support.rtp import PACKET_S, Sender, encoded  # noqa: E402
from support.streams import Streams, managed, samples, words_apart  # noqa: E402
from support.websocket import BINARY, TEXT, WebSocket, frame  # noqa: E402

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 1
BRIDGES = sys.argv[3:] or ["rtp", "wyoming", "http"]
MOST_S = 0.05 + SLOW
PACKET = 640  # bytes of 20 ms
SPEAKERS, APART_S = 4, 0.12
STARTS_S = 0.2  # before anybody speaks, for the neighbours to be as busy as they will be
PATIENCE_S = 10
TRIES = 3
EMPTY_S = 30  # until nothing is left of neighbours
END_S = 2  # for neighbours to say that they go
NEVER = 1000.0  # seconds
MANY = 64  # connections and streams: nobody is refused for want of them
AS_UNIT = ("nice", "-n", "5")  # the units' Nice=

Heard = collections.namedtuple("Heard", ("way", "said", "seconds", "text"))


def orders():
    """Each spoken order: samples, the silence behind it with them, and how many of their bytes are speech."""
    whole, utterances = samples(), json.loads(earshot("transcribe", "-m", MODEL, "--json", SPEECH).stdout)["utterances"]
    for utterance in utterances:
        begin, end = utterance["words"][0]["start_ms"] - 100, utterance["words"][-1]["end_ms"]
        yield whole[32 * begin:32 * (end + 200)] + bytes(32000 * PATIENCE_S), 32 * (end - begin), utterance["text"]


def in_real_time(data, spoken, send, over):
    """Sends packets by the clock until over(). The time at which the last sample of speech was sent."""
    begin, last = time.monotonic(), 0.0
    for n in range(len(data) // PACKET):
        time.sleep(max(0.0, begin + (n + 1) * PACKET_S - time.monotonic()))
        if over():
            return last
        last = time.monotonic() if n * PACKET < spoken else last
        send(data[n * PACKET:(n + 1) * PACKET])
    return last


class Rtp:
    KINDS = ["largest", "smallest", "speech_without_end", "come_and_go", "dead"]

    def __init__(self, streams):
        self.program = Program(BUILD / "bridges" / "earshot-rtp", "--senders", str(MANY), prefix=AS_UNIT, unix=False, scheme="udp")
        self.streams, self.encoded = streams, {}

    def ways(self):
        return {"RTP": self.speak}

    def speak(self, data, spoken):
        s, n, said = Sender(self.program.port), 0, []
        packets = self.encoded.setdefault(data, None) or encoded(data)
        self.encoded[data] = packets

        def send(_):
            nonlocal n
            s.send(s.packet(packets[n], n))
            n += 1

        def over():
            said[:] = [told for path in self.streams.paths_of(s) for told in zip(self.streams.times.get(path, []), self.streams.told.get(path, []))]
            return said
        last = in_real_time(data, spoken, send, over)
        s.bye()
        s.close()
        return (said[0][0] - last, said[0][1]) if said else (NEVER, "")


class Wyoming:
    KINDS = ["largest", "smallest", "speech_without_end", "come_and_go", "reads_nothing", "dead"]

    def __init__(self, streams):
        self.program = Program(BUILD / "bridges" / "earshot-wyoming", "--connections", str(MANY), prefix=AS_UNIT)

    def ways(self):
        return {"Wyoming": self.speak}

    def speak(self, data, spoken):
        s = connect(self.program.port)
        file = s.makefile("rb")

        def read():
            while line := file.readline():
                event = json.loads(line)
                data = event.get("data") or json.loads(file.read(event.get("data_length", 0)) or b"{}")
                if event["type"] in ("transcript-chunk", "error"):
                    return data["text"]
            return ""
        s.sendall(START)
        return live(s, read, data, spoken, chunk)


class Http:
    KINDS = ["largest", "smallest", "speech_without_end", "come_and_go", "reads_nothing", "dead", "slow_headers"]

    def __init__(self, streams):
        self.program = Program(BUILD / "bridges" / "earshot-http", "--connections", str(MANY), prefix=AS_UNIT)

    def ways(self):
        return {"POST": self.file, "WebSocket": self.live}

    def live(self, data, spoken):
        w = WebSocket(self.program.port, "/v1/live")

        def read():
            while (got := w.read()) and got[0] == TEXT:
                event = json.loads(got[1])
                if event["type"] == "UtteranceCompleted" and event["text"]:
                    return event["text"]
            return ""
        return live(w.socket, read, data, spoken, lambda packet: frame(BINARY, packet))

    def file(self, data, spoken):
        s = connect(self.program.port)
        data = data[:spoken // PACKET * PACKET]
        header = b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", len(data))
        end = b"\r\n--ab--\r\n"
        s.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(FILE + header + data + end) + FILE + header)
        in_real_time(data, spoken, s.sendall, lambda: False)
        last, got = time.monotonic(), b""
        s.sendall(end)
        while b"}" not in got and (piece := s.recv(65536)):
            got += piece
        seconds = time.monotonic() - last
        s.close()
        return seconds, json.loads(got.partition(b"\r\n\r\n")[2]).get("text", str(got))


def connect(port):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(PATIENCE_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def live(s, read, data, spoken, packed):
    """Speaks over a connection from which another thread reads the text."""
    got = []

    def work():
        text = read()
        got.append((time.monotonic(), text))
    threading.Thread(target=work, daemon=True).start()
    last = in_real_time(data, spoken, lambda packet: s.sendall(packed(packet)), lambda: got)
    s.close()
    return (got[0][0] - last, got[0][1]) if got else (NEVER, "")


class Neighbours:
    def __init__(self, bridge, kind, speech):
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "support" / "neighbours.py", type(bridge).__name__.lower(), kind, str(bridge.program.port), speech],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(self.process)
        self.process.stdout.readline()

    def stop(self):
        there = self.process.poll() is None
        self.process.stdin.close()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return there


def main_loop_until(holds, seconds):
    """As wait_until, but signals are told of at once."""
    context, limit = GLib.MainContext.default(), time.monotonic() + seconds
    tick = GLib.timeout_add(5, lambda: True)
    while not holds() and time.monotonic() < limit:
        context.iteration(True)
    GLib.source_remove(tick)
    return holds()


def computed_s(process):
    """Seconds of a core that a process has taken."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def utterances(ways, said, turn):
    """Some speak, one a little later than the other."""
    results, ways = [], list(ways.items())

    def work(i):
        data, spoken, text = said[(i // len(ways) + turn) % len(said)]
        way, speak = ways[i % len(ways)]
        time.sleep(i * APART_S)
        try:
            seconds, got = speak(data, spoken)
        except (OSError, ValueError) as e:
            seconds, got = NEVER, repr(e)
        results.append(Heard(way, text, seconds if words_apart(got, text) < len(text.split()) else NEVER, got))
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(SPEAKERS)]
    for thread in threads:
        thread.start()
    check("all speak", main_loop_until(lambda: not any(thread.is_alive() for thread in threads), 3 * PATIENCE_S))
    return results


def beside(d, bridge, kind, said, turn, speech):
    """The same beside neighbours; and what part of a core the bridge and the daemon took."""
    neighbours = Neighbours(bridge, kind, speech)
    main_loop_until(lambda: False, STARTS_S)
    processes = (bridge.program.process, d.process)
    before, begin = [computed_s(process) for process in processes], time.monotonic()
    got = utterances(bridge.ways(), said, turn)
    seconds = time.monotonic() - begin
    shares = [(computed_s(process) - s) / seconds for process, s in zip(processes, before)]
    check(f"{kind}: they are there to the end", neighbours.stop())
    main_loop_until(lambda: not managed(d), EMPTY_S)
    return got, shares


def in_turns(d, bridge, said, speech):
    """For each neighbour: who speaks alone, then beside it."""
    alone, crowded, shares = [], {kind: [] for kind in bridge.KINDS}, {}
    for turn in range(ROUNDS):
        for i, kind in enumerate(bridge.KINDS):
            if ROUNDS > 1 or i % 3 == 0:
                alone += utterances(bridge.ways(), said, turn)
                main_loop_until(lambda: not managed(d), EMPTY_S)
            got, shares[kind] = beside(d, bridge, kind, said, turn, speech)
            crowded[kind] += got
    for way in bridge.ways():
        single = of_way(way, alone)
        print(f"{way}, {len(single)} texts alone: {in_ms(single)}")
        for kind in bridge.KINDS:
            judge(way, kind, single, of_way(way, crowded[kind]), shares[kind], lambda: (
                of_way(way, utterances(bridge.ways(), said, 0)), of_way(way, beside(d, bridge, kind, said, 0, speech)[0])))


def of_way(way, texts):
    return [got for got in texts if got.way == way]


def later(several, single):
    """By how many seconds each text came later than the same one does alone, in the median; sorted."""
    usual = {got.said: statistics.median(other.seconds for other in single if other.said == got.said) for got in several}
    return sorted(got.seconds - usual[got.said] for got in several)


def a_quarter(apart):
    """The least late quarter of them are no later than this."""
    return apart[len(apart) // 4]


def in_ms(texts):
    seconds = [got.seconds for got in texts]
    return f"{1e3 * statistics.median(seconds):.0f} ms in the median, {1e3 * max(seconds):.0f} at most"


def judge(way, kind, single, several, shares, again):
    """What a busy machine adds comes to some texts, and now and then to all for a while; what a program did wrong would come to all
    of them whenever it is tried."""
    apart = later(several, single)
    print(f"  {kind}: {in_ms(several)}, of {len(several)}; {1e3 * statistics.median(apart):+.0f} ms; "
          f"the bridge took {100 * shares[0]:.0f} % of a core, the daemon {100 * shares[1]:.0f} %", flush=True)
    wrong = [got for got in several if words_apart(got.text, got.said) > 0.34 * len(got.said.split())]
    check(f"{way}, {kind}: each is heard", not wrong, wrong)
    tries = [apart]
    while a_quarter(tries[-1]) >= MOST_S and len(tries) < TRIES:
        single, several = again()
        tries.append(later(several, single))
    check(f"{way}, {kind}: nobody is delayed", a_quarter(tries[-1]) < MOST_S, [[f"{1e3 * s:.0f}" for s in one] for one in tries])


def delays():
    d = Daemon("--config", config(f"[streams]\nmax = {MANY}\n"), source=f"file:{silence(600)}")
    d.reaches(IDLE)
    said, streams = list(orders()), Streams(d)
    speech = WORK / "speech.raw"
    speech.write_bytes(samples())
    for name in BRIDGES:
        name, _, kind = name.partition(".")
        bridge = {"rtp": Rtp, "wyoming": Wyoming, "http": Http}[name](streams)
        bridge.KINDS = [kind] if kind else bridge.KINDS
        begin = time.monotonic()
        in_turns(d, bridge, said, speech)
        print(f"{name}: {time.monotonic() - begin:.1f} s", flush=True)
        bridge.program.stop()
    streams.close()
    d.stop(texts=0)


if not DEFAULT.exists() or any(not (BUILD / "bridges" / f"earshot-{name.partition('.')[0]}").exists() for name in BRIDGES):
    print("skipped: without the default model, or built without a bridge")
    sys.exit(77)
run(delays)
