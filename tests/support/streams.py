"""A client of org.earshot.Earshot1.Streams, for the end-to-end tests."""
import socket
import struct
import subprocess
import time
import wave

from support.daemon import *  # noqa: F403

MANAGER = "org.freedesktop.DBus.ObjectManager"


class Stream:
    """An open stream, and everything that its object said."""

    def __init__(self, daemon, **options):
        self.daemon, self.signals, self.told, self.times, self.position = daemon, [], [], [], 0
        self.path, fd = daemon.call("Open", dbus.Dictionary(options, signature="sv"),
                                    interface=STREAMS, signature="a{sv}")
        self.socket = socket.socket(fileno=fd.take())
        self.match = daemon.bus.connection.add_signal_receiver(
            self.take, path=self.path, member_keyword="member")
        self.object = daemon.bus.connection.get_object(NAME, self.path, introspect=False)

    def take(self, *args, member):
        self.signals.append((member, args))
        if member == "UtteranceCompleted":
            self.told.append(args)
        self.times.append(time.monotonic())

    def send(self, payload, frames):
        """One packet; the main loop goes on while the daemon is busy."""
        packet = struct.pack("=Q", self.position % 2**64) + payload
        self.position += frames
        self.socket.setblocking(False)

        def sent():
            try:
                return self.socket.send(packet) == len(packet)
            except BlockingIOError:
                return False
        if not wait_until(sent, 60):
            raise RuntimeError("the stream takes nothing")

    def send_descriptor(self):
        """What nobody asked for."""
        def sent():
            try:
                return self.socket.sendmsg(
                    [b"abc"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 0))]) == 3
            except BlockingIOError:
                return False
        if not wait_until(sent, 60):
            raise RuntimeError("the stream takes nothing")

    def call(self, member, *args, interface=ASSISTANT, signature=None):
        answers = []
        self.object.get_dbus_method(member, interface)(
            *args, signature=signature, reply_handler=lambda *a: answers.append(a[0] if len(a) == 1 else a),
            error_handler=lambda e: answers.append(e.get_dbus_name()))
        wait_until(lambda: answers, 60)
        return answers[0] if answers else "no answer"

    def of(self, member):
        return [args for name, args in self.signals if name == member]

    def said(self):
        return [str(args[1]) for args in self.of("UtteranceCompleted") if args[1]]

    def finish(self, seconds=60):
        """Ends the stream, as a client does that has no more to say."""
        check("no completed text of a stream is lost or changed", keeps_its_texts(self, 100), self.told)
        self.socket.shutdown(socket.SHUT_WR)
        gone = wait_until(lambda: self.path not in managed(self.daemon), seconds)
        self.socket.close()
        pause(0.02)
        self.match.remove()
        return gone


def managed(d):
    return d.call("GetManagedObjects", interface=MANAGER)


def samples(rate=16000, form="s16le"):
    """The speech as raw bytes."""
    return subprocess.run(["ffmpeg", "-loglevel", "error", "-i", SPEECH, "-ar", str(rate), "-ac", "1",
                           "-f", form, "-"], capture_output=True, check=True).stdout


def offline_samples(model):
    """What earshot transcribe hears in samples(), to the bit: whatever the model, a stream hears the same."""
    path = WORK / "samples.wav"
    if not path.exists():
        with wave.open(str(path), "wb") as w:
            w.setparams((1, 2, 16000, 0, "NONE", ""))
            w.writeframes(samples())
    return letters(offline(path, model))


def send_pcm(stream, data, frame=2, frames=1600):
    for at in range(0, len(data), frames * frame):
        piece = data[at:at + frames * frame]
        stream.send(piece, len(piece) // frame)
