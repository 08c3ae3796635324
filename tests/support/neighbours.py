"""Who makes trouble beside a client of a bridge: floods, those who come and go without end, those who read nothing, the dead. A
program: neighbours.py BRIDGE KIND PORT SPEECH, of s16le at 16 kHz; it makes trouble until its standard input ends.

They compute on the machine that they attack, as a stranger would not: at nice 19, so that they take the time that nobody else wants."""
import os
import pathlib
import select
import socket
import struct
import sys
import threading
import time
import wave

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.rtp import Sender, encoded  # noqa: E402
from support.websocket import BINARY, PING, WebSocket, frame  # noqa: E402

COUNT = 8  # connections or senders at once: if all of them spoke, most machines would still hear everybody in time
DATAGRAMS_S = 10000  # of all together: of what is more the system drops the packets of whom it likes
APART_S = 0.3  # the dead: a text of each is due, and who ends in the same moment counts as who speaks
REST_S = 0.2  # after a connection that was refused, or that sent anything: a bridge that is full is another matter than delays
START = b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}\n'
LARGE = b'{"a": [' + b"1," * 32760 + b"1]}"
HEAD = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=ab\r\n"
FILE = b'--ab\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n'
BYE = b"\xc9"  # in the place of its kind: a report, with the end behind it
MINUTES = 2  # of speech in a file


def chunk(samples):
    return b'{"type": "audio-chunk", "data": {"rate": 16000, "width": 2, "channels": 1}, "payload_length": %d}\n' % len(samples) + samples


def sound_file(samples):
    path = f"/proc/self/fd/{os.memfd_create('speech')}"
    with wave.open(path, "wb") as w:
        w.setparams((1, 2, 16000, 0, "NONE", ""))
        w.writeframes(samples * (MINUTES * 60 * 32000 // len(samples)))
    return pathlib.Path(path).read_bytes()


def post(body):
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def pour(s, noise, reads=True):
    """The same bytes again and again, as fast as they are taken. Answers are read, so that nothing else stops it."""
    s.setblocking(False)
    left = memoryview(noise)
    while True:
        readable, writable, _ = select.select([s] if reads else [], [s], [])
        if readable and not s.recv(1 << 20):
            raise ConnectionError
        if writable:
            left = left[s.send(left):] or memoryview(noise)


def say(s, noise):
    """Once, and all that is answered."""
    s.sendall(noise)
    while s.recv(1 << 20):
        pass


def rest(s):
    """Nothing more, until the other end has had enough."""
    while s.recv(1 << 16):
        pass


def live(port):
    w = WebSocket(port, "/v1/live")
    if w.status != 101:
        raise OSError(w.status)
    return w.socket


def connect(port):
    return socket.create_connection(("127.0.0.1", port))


class Wyoming:
    def __init__(self, port, speech):
        self.port, self.speech = port, speech

    def largest(self, i):
        pour(connect(self.port), b'{"type": "noise", "data_length": %d, "payload_length": 1048576}\n' % len(LARGE) + LARGE + bytes(1 << 20))

    def smallest(self, i):
        s = connect(self.port)
        s.sendall(START)
        pour(s, (b'{"type": "noise"}\n' * 1000, b'{"type": "describe"}\n' * 100, chunk(b"") * 1000, os.urandom(4096),
                 b'{"type": "ping", "data": {"text": "' + b"x" * 16000 + b'"}}\n')[i % 5])

    def speech_without_end(self, i):
        s = connect(self.port)
        s.sendall(START)
        pour(s, chunk(self.speech * ((1 << 20) // len(self.speech))))

    def come_and_go(self, i):
        s = connect(self.port)
        data = (b"", START, START + chunk(self.speech[:3200]))[i % 3]
        s.sendall(data)
        s.close()
        time.sleep(REST_S if data else 0)

    def reads_nothing(self, i):
        pour(connect(self.port), b'{"type": "describe"}\n' * 100 if i % 2 else b'{"type": "ping", "data": {"text": "' + b"x" * 8000 + b'"}}\n', reads=False)

    def dead(self, i):
        time.sleep(i * APART_S)
        s = connect(self.port)
        s.sendall(START + chunk(self.speech[:96000]) + chunk(bytes(2000))[:-1000])
        rest(s)


class Http:
    def __init__(self, port, speech):
        self.port, self.speech = port, speech
        self.bodies = (FILE + bytes(24 << 20) + b"\r\n--ab--\r\n", FILE + b"\r\n--ac" * (4 << 20),
                       b'--ab\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n' * 100000)
        self.file = FILE + sound_file(speech) + b"\r\n--ab--\r\n"

    def largest(self, i):
        if i % 2:
            pour(live(self.port), frame(BINARY, bytes(65536)))
        else:
            say(connect(self.port), post(self.bodies[i // 2 % 3]))

    def smallest(self, i):
        if i % 2:
            pour(live(self.port), frame(BINARY, b"") * 100 + frame(PING, b"") * 100)
        else:
            pour(connect(self.port), b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100 if i % 4 else os.urandom(4096))

    def speech_without_end(self, i):
        if i % 2:
            pour(live(self.port), frame(BINARY, self.speech[:64000]))
        else:
            say(connect(self.port), post(self.file))

    def come_and_go(self, i):
        s = live(self.port) if i % 2 else connect(self.port)
        data = (b"", frame(BINARY, self.speech[:3200]), post(self.file)[:100000])[i % 2 or (i // 2 % 2) * 2]
        s.sendall(data)
        s.close()
        time.sleep(REST_S if data else 0)

    def reads_nothing(self, i):
        pour(*((live(self.port), frame(PING, bytes(125)) * 100) if i % 2 else
               (connect(self.port), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)), reads=False)

    def dead(self, i):
        time.sleep(i * APART_S)
        if i % 2:
            s = live(self.port)
            s.sendall(frame(BINARY, self.speech[:64000]))
        else:
            s = connect(self.port)
            s.sendall(post(self.file)[:200000])
        rest(s)

    def slow_headers(self, i):
        s = connect(self.port)
        s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        while True:
            s.sendall(b"X-A: b\r\n")
            time.sleep(0.02)


class Rtp:
    def __init__(self, port, speech):
        self.port, self.packets, self.senders = port, encoded(speech), []

    def sender(self):
        s = Sender(self.port)
        self.senders.append(s)
        return s

    def pour(self, datagram):
        s, begin, n = self.sender(), time.monotonic(), 0
        while True:
            for _ in range(10):
                s.send(datagram(s, n))
                n += 1
            time.sleep(max(0.0, begin + n * COUNT / DATAGRAMS_S - time.monotonic()))

    def largest(self, i):
        self.pour(lambda s, n: (bytes(1500), s.packet(self.packets[40] + bytes(1400), n), struct.pack(">BBH", 0x81, 203, 374) + bytes(1496))[n % 3])

    def smallest(self, i):
        self.pour(lambda s, n: (b"", bytes(12), s.packet(b"", n), s.packet(self.packets[40], n * 4000))[n % 4])

    def speech_without_end(self, i):
        self.pour(lambda s, n: s.packet(self.packets[n % len(self.packets)], n))

    def come_and_go(self, i):
        s = self.sender()
        for n in range(10):
            s.send(s.packet(self.packets[n], n))
            time.sleep(0.002)
        s.bye()
        s.close()
        self.senders.remove(s)
        time.sleep(REST_S)

    def dead(self, i):
        time.sleep(i * APART_S)
        s = self.sender()
        for n in range(100):
            s.send(s.packet(self.packets[n], n))
            time.sleep(0.005)
        time.sleep(1000)

    def end(self):
        """Nobody sends a packet behind the end of its sender."""
        send = Sender.send
        Sender.send = lambda s, datagram: datagram[1:2] == BYE and send(s, datagram)
        time.sleep(0.01)
        for s in list(self.senders):
            s.bye()


def again(trouble, i):
    """For ever; a connection that is refused is tried again."""
    while True:
        try:
            trouble(i)
        except OSError:
            time.sleep(REST_S)


def main():
    bridge, kind, port, speech = sys.argv[1:]
    neighbours = {"wyoming": Wyoming, "http": Http, "rtp": Rtp}[bridge](int(port), pathlib.Path(speech).read_bytes())
    print("there", flush=True)
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    for i in range(COUNT):
        threading.Thread(target=again, args=(getattr(neighbours, kind), i), daemon=True).start()
    sys.stdin.read()
    if bridge == "rtp":
        neighbours.end()
    os._exit(0)


if __name__ == "__main__":
    main()
