"""A sender of Opus over RTP (RFC 3550, RFC 7587) whose network can be as bad as one likes, for tests and tools/compare/rtp.py."""
import ctypes
import ctypes.util
import random
import select
import socket
import struct
import time

TICKS = 960  # of 48 kHz, in a packet of 20 ms
PACKET_S = 0.02
VOIP, SET_BITRATE, SET_FEC, SET_LOSS, SET_DTX = 2048, 4002, 4012, 4014, 4016


def encoded(samples, bitrate=24000, fec=True, loss=10, dtx=False):
    """Packets of 20 ms of 16 kHz mono s16, by libopus."""
    opus = ctypes.CDLL(ctypes.util.find_library("opus") or "libopus.so.0")
    opus.opus_encoder_create.restype = ctypes.c_void_p
    rc = ctypes.c_int()
    encoder = ctypes.c_void_p(opus.opus_encoder_create(16000, 1, VOIP, ctypes.byref(rc)))
    for what, value in ((SET_BITRATE, bitrate), (SET_FEC, int(fec)), (SET_LOSS, loss), (SET_DTX, int(dtx))):
        opus.opus_encoder_ctl(encoder, what, ctypes.c_int(value))
    out, packets = ctypes.create_string_buffer(1500), []
    for at in range(0, len(samples) - 639, 640):
        size = opus.opus_encode(encoder, samples[at:at + 640], 320, out, len(out))
        packets.append(out.raw[:size])
    opus.opus_encoder_destroy(encoder)
    return packets


def bursts(share, length, count, chance):
    """Which packets are lost: a chain of two states (Gilbert), bursts of so many in the mean."""
    lost, bad = [], False
    for _ in range(count):
        bad = chance.random() >= 1 / length if bad else chance.random() < share / (1 - share) / length
        lost.append(bad)
    return lost


class Network:
    """What becomes of packet n, sent at n x 20 ms: the times at which it arrives, in s; none: it is lost."""

    def __init__(self, loss=0.0, burst=1, jitter_s=0.0, twice=0.0, swapped=0.0, ppm=0.0, seed=1):
        self.loss, self.burst, self.jitter_s, self.twice, self.swapped, self.ppm = loss, burst, jitter_s, twice, swapped, ppm
        self.chance = random.Random(seed)

    def arrivals(self, count):
        lost = (bursts(self.loss, self.burst, count, self.chance) if self.burst > 1
                else [self.chance.random() < self.loss for _ in range(count)])
        for n in range(count):
            at = n * PACKET_S * (1 + self.ppm * 1e-6) + self.chance.random() * self.jitter_s
            at += 1.5 * PACKET_S if self.chance.random() < self.swapped else 0
            again = [at + 0.01] if self.chance.random() < self.twice else []
            if not lost[n]:
                yield from ((when, n) for when in [at, *again])


class Sender:
    """A socket with an SSRC."""

    def __init__(self, port, host="127.0.0.1", ssrc=None, sequence=None, timestamp=None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, port))
        self.ssrc = random.getrandbits(32) if ssrc is None else ssrc
        self.sequence = random.getrandbits(16) if sequence is None else sequence
        self.timestamp = random.getrandbits(32) if timestamp is None else timestamp

    @property
    def name(self):
        """By which the daemon knows its stream."""
        host, port = self.socket.getsockname()[:2]
        return f"rtp {f'[{host}]' if ':' in host else host}:{port} {self.ssrc:08x}"

    def packet(self, payload, n=0, ticks=None, kind=96):
        return struct.pack(">BBHII", 0x80, kind, (self.sequence + n) % 65536,
                           (self.timestamp + (n * TICKS if ticks is None else ticks)) % 2**32, self.ssrc) + payload

    def send(self, datagram):
        try:
            self.socket.send(datagram)
        except ConnectionRefusedError:  # of one before: nobody is there
            pass

    def goes_on(self, count, ticks=None):
        self.sequence = (self.sequence + count) % 65536
        self.timestamp = (self.timestamp + (count * TICKS if ticks is None else ticks)) % 2**32

    def speak(self, packets, network=None, end=True, dtx=False):
        """In real time, through the network. dtx: what has at most two bytes is not sent, as senders do."""
        begin, numbers, number = time.monotonic(), [], 0
        for payload in packets:
            numbers.append(number)
            number += not (dtx and len(payload) <= 2)
        for at, n in sorted((network or Network()).arrivals(len(packets))):
            if dtx and len(packets[n]) <= 2:
                continue
            time.sleep(max(0.0, begin + at - time.monotonic()))
            self.send(self.packet(packets[n], numbers[n], n * TICKS))
        self.goes_on(number, len(packets) * TICKS)
        if end:
            self.bye()

    def report(self, ntp=0x0102030405060708):
        self.send(struct.pack(">BBHIQIII", 0x80, 200, 6, self.ssrc, ntp, self.timestamp, 0, 0) + self.description())

    def description(self):
        return struct.pack(">BBHIBB", 0x81, 202, 3, self.ssrc, 1, 5) + b"an ea" + b"\0"

    def bye(self):
        self.send(struct.pack(">BBHI", 0x80, 201, 1, self.ssrc) + self.description() + struct.pack(">BBHI", 0x81, 203, 1, self.ssrc))

    def answer(self, seconds):
        """The next datagram that comes back; None: none does."""
        return self.socket.recv(2000) if select.select([self.socket], [], [], seconds)[0] else None

    def close(self):
        self.socket.close()
