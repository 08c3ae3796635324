"""A client of org.earshot.Earshot1.Streams, for the end-to-end tests."""
import re
import socket
import struct
import subprocess
import time
import wave

import support.daemon
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


class Streams:
    """Everything that the daemon's streams tell, by the names of who speaks in them."""

    def __init__(self, d):
        self.daemon, self.names, self.told, self.lost, self.times = d, {}, {}, {}, {}
        connection = support.daemon.BUS.connection
        self.matches = [connection.add_signal_receiver(self.take, dbus_interface=ASSISTANT, path_keyword="path", member_keyword="member"),
                        connection.add_signal_receiver(self.added, "InterfacesAdded", dbus_interface="org.freedesktop.DBus.ObjectManager"),
                        connection.add_signal_receiver(self.changed, "PropertiesChanged", path_keyword="path")]

    def name(self, path, properties):
        if properties.get("Device"):
            self.names[str(path)] = str(properties["Device"])

    def added(self, path, interfaces):
        self.name(path, interfaces.get(ASSISTANT, {}))

    def changed(self, interface, properties, invalidated, path):
        self.name(path, properties if interface == ASSISTANT else {})

    def take(self, *args, path, member):
        path = str(path)
        if member == "UtteranceCompleted" and args[1]:
            self.told.setdefault(path, []).append(str(args[1]))
            self.times.setdefault(path, []).append(time.monotonic())
        if member == "AudioLost":
            self.lost[path] = self.lost.get(path, 0) + int(args[0])

    def look(self):
        for path, interfaces in managed(self.daemon).items():
            self.name(path, interfaces[ASSISTANT])
        return self.names

    def paths_of(self, sender):
        return [path for path, name in list(self.names.items()) if name == sender.name]

    def text_of(self, sender):
        return " ".join(" ".join(self.told.get(path, [])) for path in self.paths_of(sender))

    def close(self):
        for match in self.matches:
            match.remove()


def words_apart(a, b):
    """Edits between two texts, in words."""
    a, b = [re.sub(r"[^a-z' ]", "", text.lower()).split() for text in (a, b)]
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]
