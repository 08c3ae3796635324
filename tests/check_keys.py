#!/usr/bin/python3
"""earshot keys: keys that a real xdg-desktop-portal gives it, whose backend is the test's. A key to talk, one that mutes, one for the
caption window; players that pause; a portal that goes and comes."""
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon as support  # noqa: E402
from support.daemon import *  # noqa: E402,F403
from support.portal import BACKEND, PORTAL, Session, start_portal  # noqa: E402

IMPLEMENTS = "org.freedesktop.impl.portal.GlobalShortcuts"
PLAYER = "org.mpris.MediaPlayer2.Player"


class Keyboard(dbus.service.Object):
    """The desktop's side of the portal: it gives every key that is proposed, or agrees to none."""

    def __init__(self):
        self.bus = support.BUS.connect()
        self.bus.request_name(BACKEND)
        self.agrees, self.session, self.bound, self.given = True, None, {}, None
        super().__init__(self.bus, "/org/freedesktop/portal/desktop")

    @dbus.service.method(IMPLEMENTS, in_signature="oosa{sv}", out_signature="ua{sv}")
    def CreateSession(self, handle, session, app, options):
        self.session = str(session)
        Session(self.bus, session)
        return 0, {}

    @dbus.service.method(IMPLEMENTS, in_signature="ooa(sa{sv})sa{sv}", out_signature="ua{sv}")
    def BindShortcuts(self, handle, session, shortcuts, parent, options):
        self.bound = {str(name): {str(k): str(v) for k, v in more.items()} for name, more in shortcuts}
        given = dbus.Array([(name, {"description": more["description"], "trigger_description": more.get("preferred_trigger", "").replace("+", " + ")})
                            for name, more in self.bound.items() if not self.given or name in self.given], signature="(sa{sv})")
        return (0, {"shortcuts": given}) if self.agrees else (1, {})

    @dbus.service.signal(IMPLEMENTS, signature="osta{sv}")
    def Activated(self, session, name, timestamp, options):
        pass

    @dbus.service.signal(IMPLEMENTS, signature="osta{sv}")
    def Deactivated(self, session, name, timestamp, options):
        pass

    def press(self, name):
        self.Activated(self.session, name, dbus.UInt64(1), OPTIONS)

    def release(self, name):
        self.Deactivated(self.session, name, dbus.UInt64(2), OPTIONS)


class Player(dbus.service.Object):
    """What plays music, or not; it may not answer, as one that hangs."""

    def __init__(self, name, status="Playing", hangs=False):
        self.bus = support.BUS.connect()
        self.bus.request_name(f"org.mpris.MediaPlayer2.{name}")
        self.status, self.hangs, self.calls = status, hangs, []
        super().__init__(self.bus, "/org/mpris/MediaPlayer2")

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss", out_signature="v", async_callbacks=("answer", "fail"))
    def Get(self, interface, name, answer, fail):
        if not self.hangs:
            answer(self.status)

    @dbus.service.method(PLAYER)
    def Pause(self):
        self.status = "Paused"
        self.calls.append("Pause")

    @dbus.service.method(PLAYER)
    def Play(self):
        self.status = "Playing"
        self.calls.append("Play")


class Keys:
    """A running earshot keys."""

    def __init__(self, *options, extra=None):
        self.log = open_log("keys.log")
        self.process = subprocess.Popen([EARSHOT, "keys", *options], stdout=self.log, stderr=self.log, env=environment() | (extra or {}))
        started.append(self.process)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def ends(self, seconds=10):
        wait_until(lambda: self.process.poll() is not None, seconds)
        return self.process.poll()


def talks(d, desk, keys):
    """Press and release are a turn; a held key ends with the program."""
    check("the keys are shown as the desktop writes them", wait_until(lambda: "overlay" in keys.said(), 20)
          and keys.said().splitlines() == ["talk     CTRL + ALT + space", "mute     the desktop does not say which keys", "overlay  LOGO + o"], keys.said())
    check("each has a description for people", all(more["description"] for more in desk.bound.values()) and len(desk.bound) == 3, desk.bound)
    check("none is proposed where it is empty", "preferred_trigger" not in desk.bound["mute"], desk.bound)
    desk.press("talk")
    check("a press begins a turn", d.reaches(HEARING, 10), d.get("State"))
    pause(0.5)
    desk.release("talk")
    check("the release ends it", d.completes(1, 20) and d.reaches(IDLE, 10), d.get("State"))
    desk.release("talk")
    desk.press("no such key")
    desk.press("mute")
    check("a press mutes", wait_until(lambda: d.get("Muted"), 10))
    desk.press("talk")
    check("while it is muted a press says why nothing begins", wait_until(lambda: "earshot keys: " in keys.said(), 10), keys.said())
    desk.release("talk")
    desk.press("mute")
    check("another opens the microphone", wait_until(lambda: not d.get("Muted"), 10) and d.reaches(IDLE, 10))


def shows(desk, folder):
    """The key for captions starts earshot-overlay, or ends it: it is asked to."""
    desk.press("overlay")
    check("a press starts the caption window's program", wait_until(lambda: (folder / "started").exists()
          and (folder / "started").read_text() == f"--bus session --toggle\n", 10))


def pauses(d, desk):
    """Players pause while the key is held, those that were playing alone."""
    plays, rests, hangs = Player("plays"), Player("rests", "Paused"), Player("hangs", hangs=True)
    keys = Keys("--pause-media")
    wait_until(lambda: "overlay" in keys.said(), 20)
    desk.press("talk")
    check("what plays is paused", wait_until(lambda: plays.calls == ["Pause"], 10), plays.calls)
    check("while a turn is open", d.reaches(HEARING, 10))
    pause(0.8)
    desk.release("talk")
    check("and plays again", wait_until(lambda: plays.calls == ["Pause", "Play"], 10), plays.calls)
    desk.press("talk")
    wait_until(lambda: plays.calls == ["Pause", "Play", "Pause"], 10)
    plays.status = "Stopped"
    desk.release("talk")
    d.reaches(IDLE, 10)
    pause(0.8)
    check("unless somebody has stopped it", plays.calls == ["Pause", "Play", "Pause"], plays.calls)
    plays.status = "Playing"
    desk.press("talk")
    wait_until(lambda: len(plays.calls) == 4, 10)
    keys.process.send_signal(signal.SIGTERM)
    check("a program that is ended leaves nothing paused", keys.ends() == 0 and plays.calls[-1] == "Play", (keys.said(), plays.calls))
    check("and no turn open", d.reaches(IDLE, 10), d.get("State"))
    check("others are left alone", not rests.calls and not hangs.calls)
    for player in (plays, rests, hangs):
        player.remove_from_connection()
        player.bus.close()


def goes_and_comes(d, desk, portal):
    """The portal is started again, and the keys go on. A program that is killed with the key held leaves no turn open."""
    keys = Keys()
    wait_until(lambda: "overlay" in keys.said(), 20)
    desk.press("talk")
    d.reaches(HEARING, 10)
    portal.kill()
    portal.wait()
    check("without the portal the turn ends", d.reaches(IDLE, 10), d.get("State"))
    portal = start_portal(IMPLEMENTS)
    check("the keys come again with it", wait_until(lambda: keys.said().count("overlay") == 2, 20), keys.said())
    desk.press("talk")
    check("and are heard", d.reaches(HEARING, 10))
    keys.process.kill()
    keys.process.wait()
    check("a killed program's turn ends", d.reaches(IDLE, 10), d.get("State"))
    return portal


def gives_less(desk):
    """A desktop that gives one key of three."""
    desk.given = {"talk"}
    keys = Keys()
    check("keys that are not given are told of", wait_until(lambda: "overlay" in keys.said(), 20) and [line.split()[1] for line in keys.said().splitlines()]
          == ["CTRL", "none;", "none;"], keys.said())
    keys.process.terminate()
    check("and it ends", keys.ends() == 0)
    desk.given = None


def refuses(desk, portal):
    desk.agrees = False
    keys = Keys()
    check("a desktop that does not agree is told of", keys.ends() == 1 and "refused" in keys.said(), keys.said())
    portal.kill()
    portal.wait()
    keys = Keys()
    check("without a portal an error says what to do", keys.ends(40) == 1 and "earshot listen --toggle" in keys.said(), keys.said())


def keyed():
    folder = WORK / "programs"
    folder.mkdir(exist_ok=True)
    (folder / "earshot-overlay").write_text(f'#!/bin/sh\necho "$@" > {folder}/started\n')
    (folder / "earshot-overlay").chmod(0o755)
    d, desk = Daemon(source=f"file:{silence(600)}"), Keyboard()
    d.reaches(IDLE)
    portal = start_portal(IMPLEMENTS)
    keys = Keys("--mute", "", "--overlay", "LOGO+o", extra={"PATH": f"{folder}:{os.environ['PATH']}"})
    talks(d, desk, keys)
    shows(desk, folder)
    keys.process.send_signal(signal.SIGTERM)
    check("it ends well when it is told to", keys.ends() == 0, keys.said())
    pauses(d, desk)
    portal = goes_and_comes(d, desk, portal)
    gives_less(desk)
    refuses(desk, portal)
    d.stop()


if not PORTAL:
    without("xdg-desktop-portal")
    sys.exit(1 if IN_CI else 77)
run(keyed)
