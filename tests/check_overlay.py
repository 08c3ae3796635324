#!/usr/bin/python3
"""earshot-overlay: the caption window shows what the daemon says, and nobody else; it grows without jumps, stays on top, takes no
focus, draws nothing while nothing changes, outlives the daemon and keeps its settings. Under Xvfb with a window manager, and under
a headless Sway. What is shown is read as a screen reader does."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon as support  # noqa: E402
from support.daemon import *  # noqa: E402,F403
from support.desktops import SwayServer, XServer  # noqa: E402
from support.stand import Stand  # noqa: E402

OVERLAY = BUILD / "overlay" / "earshot-overlay"
if not OVERLAY.exists():
    end_without("no caption window was built (Debian: libgtk-4-dev)")
from support.reader import Reader  # noqa: E402

APPLICATION = "org.earshot.Overlay"
SETTINGS = WORK / "state" / "earshot" / "overlay.ini"
TOLERATED_MS = 50


class Overlay:
    """A running caption window."""

    def __init__(self, *options, extra):
        self.extra = extra
        self.process = subprocess.Popen(
            [OVERLAY, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment() | {"DBUS_SESSION_BUS_ADDRESS": support.BUS.address} | extra)
        started.append(self.process)

    def state(self):
        """What it prints when it is asked: numbers of frames and pixels."""
        self.process.send_signal(signal.SIGUSR1)
        return [int(word) for word in self.process.stdout.readline().split() if word.isdigit()]

    def frames(self):
        """How often the window was drawn."""
        return self.state()[0]

    def scrolled(self):
        """So many pixels of the text are above the window."""
        return self.state()[1]

    def ticks(self):
        """Hundredths of a second that it computed."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def action(self, name, *target):
        """As its menu does: on the session bus."""
        actions = support.BUS.connection.get_object(APPLICATION, "/org/earshot/Overlay", introspect=False)
        actions.Activate(name, dbus.Array(target, signature="v"), OPTIONS, dbus_interface="org.gtk.Actions")

    def end(self):
        """What it printed."""
        self.process.terminate()
        wait_until(lambda: self.process.poll() is not None, 10)
        out = "".join(self.process.communicate(timeout=10))
        check("the window ends, without an error", self.process.returncode == 0, f"{self.process.returncode} {out}")
        return out


def overlay(*options, extra=None):
    return subprocess.run([OVERLAY, *options], env=environment() | (extra or {}), capture_output=True, text=True, timeout=30)


def options():
    """What cannot work says so, and what to do."""
    got = overlay("--how")
    check("without a desktop no way works", got.returncode == 1 and "taken" not in got.stdout, got.stdout)
    check("each says why", got.stdout ==
          "layer   not: no Wayland session: WAYLAND_DISPLAY is not set\n"
          "x11     not: no X11 session: DISPLAY is not set\n"
          "window  not: no desktop: neither WAYLAND_DISPLAY nor DISPLAY is set\n", got.stdout)
    got = overlay()
    check("and there is no window", (got.returncode, got.stderr) ==
          (1, "earshot-overlay: no desktop: neither WAYLAND_DISPLAY nor DISPLAY is set\n"), got.stderr)
    got = overlay("--way", "telepathy")
    check("another way is none", got.returncode == 2 and "--way telepathy: no such way" in got.stderr, got.stderr)
    got = overlay("--way", "x11", extra={"DISPLAY": ":987"})
    check("an X server that is not there is named", got.returncode == 1 and "the X server :987 does not answer" in got.stderr, got.stderr)
    got = overlay("--way", "layer", extra={"WAYLAND_DISPLAY": "nowhere-0"})
    check("nor a compositor", got.returncode == 1 and "the compositor does not answer; see WAYLAND_DISPLAY" in got.stderr, got.stderr)
    got = overlay("words")
    check("a word is no option", got.returncode == 2 and 'unexpected argument "words"' in got.stderr, got.stderr)
    got = earshot("overlay", "--how", extra={"PATH": f"{OVERLAY.parent}:{os.environ['PATH']}"})
    check("earshot overlay starts it", got.returncode == 1 and got.stdout.startswith("layer "), got.stdout + got.stderr)
    got = earshot("overlay", extra={"PATH": "/nowhere"})
    check("and names the package where it is missing", got.returncode == 1 and "earshot-desktop" in got.stderr, got.stderr)


def grows(reader, text, stand):
    """The text grows where it ends, and looks as sure as it is."""
    text.becomes("")
    reader.told.clear()
    stand.begins(0)
    stand.goes_on("", "turn on")
    check("a text that may change is shown", text.becomes("turn on"), text.get())
    guess = text.colour("turn")
    stand.goes_on("turn on", " the lap")
    check("it goes on", text.becomes("turn on the lap"), text.get())
    settled = text.colour("turn")
    check("what stands has another colour", settled != guess and text.colour("the") == guess, f"{settled} {guess}")
    stand.goes_on("turn on the", " lamp")
    check("its end changes", text.becomes("turn on the lamp"), text.get())
    pause(0.2)
    taken = [data for _, what, data in reader.told if "delete" in what]
    check("and no more than that", taken == ["p"], reader.told)
    stand.ends("Turn on the lamp.", confidence=0.9)
    check("the end is shown", text.becomes("Turn on the lamp."), text.get())
    check("as settled as any", text.colour("lamp") == settled, text.colour("lamp"))
    stand.begins(0)
    stand.ends("Hm, lamb.", words=dbus.Array([
        dbus.Struct((dbus.UInt32(at), dbus.UInt32(size), dbus.Int64(0), dbus.Int64(0), sure), signature="uuxxd")
        for at, size, sure in ((0, 3, 0.9), (4, 5, 0.4))], signature="(uuxxd)"))
    check("lines follow each other", text.becomes("Turn on the lamp.\nHm, lamb."), text.get())
    check("a word that may be wrong is dimmed", text.colour("lamb") != text.colour("Hm"), text.colour("lamb"))
    check("and underlined, without which colour would be all", text.is_underlined("lamb") and not text.is_underlined("Hm"))
    stand.begins(0)
    stand.goes_on("", "never mind")
    text.becomes("Turn on the lamp.\nHm, lamb.\nnever mind")
    stand.ends("", cancelled=True)
    check("what is cancelled goes", text.becomes("Turn on the lamp.\nHm, lamb."), text.get())
    stand.begins(0)
    stand.ends("Seven times eight?")
    stand.ReplyUpdated(dbus.UInt64(stand.number), dbus.UInt32(1), "Fifty")
    stand.ReplyCompleted(dbus.UInt64(stand.number), "Fifty-six.", OPTIONS)
    check("a reply follows what it answers", text.becomes("Turn on the lamp.\nHm, lamb.\nSeven times eight?\n> Fifty-six."), text.get())
    pause(0.2)
    told = [data for _, what, data in reader.told if "accessible-description" in what]
    check("complete lines are announced", any("Seven times" in data for data in told), told)


def believes_the_daemon_alone(text, stand, others):
    """Signals of others than the owner of the daemon's name change nothing."""
    before = text.get()
    liar = support.BUS.connect()
    for name in support.BUS.connection.list_names():
        if name.startswith(":") and name not in others:
            forge(liar, name, PATH, ASSISTANT, "UtteranceCompleted", dbus.UInt64(1 << 40), "forged", OPTIONS)
            forge(liar, name, PATH, ASSISTANT, "UtteranceUpdated", dbus.UInt64(1 << 40), dbus.UInt32(1), dbus.UInt32(0), "forged")
    pause(0.5)
    check("nobody else is believed", text.get() == before, text.get())


def is_quick(reader, stand):
    """From the signal to the text, as a screen reader is told of it."""
    took = []
    context = GLib.MainContext.default()
    stand.begins(0)
    for i in range(20):
        reader.told.clear()
        begin = time.monotonic()
        stand.goes_on("word " * i, f"next{i}")
        stand.bus.flush()
        while not [what for _, what, _ in reader.told if "insert" in what] and time.monotonic() < begin + 2:
            context.iteration(False)
        took.append((time.monotonic() - begin) * 1000)
        pause(0.1)
    stand.ends("")
    took.sort()
    print(f"from the signal to the label: {took[0]:.1f} ms at best, {took[10]:.1f} median, {took[-1]:.1f} at most")
    check(f"a caption is there within {TOLERATED_MS} ms", took[0] < TOLERATED_MS + 1000 * SLOW, took)


def is_idle(window, stand, text):
    """Nothing is drawn without a change, and hardly more often than there are changes."""
    pause(1)
    before, ticks = window.frames(), window.ticks()
    pause(4)
    drawn, computed = window.frames() - before, window.ticks() - ticks
    check("an idle window draws nothing", drawn == 0, f"{drawn} frames")
    check("and computes nothing", computed <= 1, f"{computed} ticks")
    shown = text.get()
    stand.changes(Level=dbus.Double(-30), State=dbus.UInt32(HEARING))
    stand.begins(0)
    for word in ("one", "one two", "one two three"):
        before = window.frames()
        stand.goes_on("", word)
        text.becomes(f"{shown}\n{word}")
        pause(0.3)
        drawn = window.frames() - before
        check("a change is drawn", 1 <= drawn <= 20, f"{drawn} frames")
    before = window.frames()
    stand.goes_on("", "one two three")
    pause(0.3)
    check("what is said twice is not", window.frames() - before == 0, window.frames() - before)
    stand.ends("")
    text.becomes(shown)


def outlives(reader, text, stand):
    """The daemon goes and comes back: what is waited for is said, and what was missed is shown."""
    stand.says("Before.")
    stand.begins(0)
    stand.goes_on("half", " of it")
    wait_until(lambda: (text.get() or "").endswith("Before.\nhalf of it"), 5)
    stand.leaves()
    wait_until(lambda: reader.status(), 5)
    check("a daemon that went is missed", reader.status().startswith("no daemon: waiting for it"), reader.status())
    check("what it has not completed is as it was", text.get().endswith("Before.\nhalf of it \u2026"), text.get())
    again = Stand(since=stand.number + 2, State=dbus.UInt32(LOADING), Progress=dbus.UInt32(5))
    wait_until(lambda: reader.status() == "loading the model", 5)
    check("another is found, and what it does is said", reader.status() == "loading the model", reader.status())
    again.leaves()
    last = Stand(since=stand.number + 2)
    last.missed = [(1, "long ago"), (stand.number, "Half of it, and more."), (stand.number + 1, "Missed.")]
    last.leaves()
    third = Stand(since=stand.number + 2)
    third.missed = last.missed
    wait_until(lambda: (text.get() or "").endswith("Missed."), 5)
    check("what was missed is shown in its place", text.get().endswith("Before.\nHalf of it, and more.\nMissed."), text.get())
    check("and nothing older", "long ago" not in text.get())
    check("nothing is waited for", not reader.status(), reader.status())
    for properties, status in (({"State": dbus.UInt32(FAILED), "DeviceError": "it is away"}, "no microphone: it is away"),
                               ({"State": dbus.UInt32(MUTED), "Muted": True}, "paused: the microphone is closed")):
        third.changes(**properties)
        wait_until(lambda: reader.status().startswith(status), 5)
        check(f"it says: {status}", reader.status().startswith(status), reader.status())
    third.changes(State=dbus.UInt32(IDLE), Muted=False)
    third.says("After.")
    check("the captions go on", wait_until(lambda: text.get().endswith("Missed.\nAfter."), 5), text.get())
    return third


def scrolls(desktop, window, stand):
    """The newest line is in sight until somebody scrolls back, and what stands does not jump down."""
    for i in range(6):
        stand.says(f"Line {i}.")
    pause(0.5)
    bottom = window.scrolled()
    check("the newest line is in sight", bottom > 0)
    stand.begins(0)
    stand.goes_on("", "and this is so long a text that it takes more than a row or two " * 3)
    pause(0.5)
    grown = window.scrolled()
    stand.goes_on("", "and this is")
    pause(0.5)
    check("a text that becomes shorter pulls nothing down", window.scrolled() == grown > bottom, f"{bottom} {grown} {window.scrolled()}")
    stand.ends("And this is short.")
    pause(0.5)
    check("nor does its end", window.scrolled() == grown, f"{grown} {window.scrolled()}")
    x, y, width, height = geometry(desktop)
    desktop.xdotool("mousemove", x + width // 2, y + height // 2, "click", "--repeat", 3, 4)
    pause(0.5)
    back = window.scrolled()
    check("the wheel leads to older lines", back < grown, f"{back} {grown}")
    stand.says("One that is new.")
    pause(0.5)
    check("where they stay in sight", window.scrolled() == back, f"{back} {window.scrolled()}")
    desktop.xdotool("click", "--repeat", 20, 5)
    pause(0.5)
    below = window.scrolled()
    for i in range(5):
        stand.says("One more.")
    pause(0.5)
    check("down again, the newest is", window.scrolled() > below, f"{below} {window.scrolled()}")
    desktop.xdotool("mousemove", 0, 0)


def follows_the_desktop(desktop, reader):
    """Without motion, and with high contrast, if the desktop's settings say so."""
    settings = WORK / "home" / ".config" / "gtk-4.0" / "settings.ini"
    settings.parent.mkdir(parents=True, exist_ok=True)
    frames = {}
    for motion in (True, False):
        settings.write_text(f"[Settings]\ngtk-enable-animations={'true' if motion else 'false'}\ngtk-theme-name=HighContrast\n")
        window = Overlay(extra=desktop.extra)
        text = reader.opens()
        stand = Stand(since=int(time.time() * 1e6))
        wait_until(lambda: not reader.status(), 5)
        for i in range(5):
            stand.says(f"Line {i}.")
        text.becomes("\n".join(f"Line {i}." for i in range(5)))
        pause(1)
        before = window.frames()
        stand.says("One more.")
        pause(0.5)
        frames[motion] = window.frames() - before
        stand.leaves()
        window.end()
    check("without motion a line is there at once", frames[False] <= 3 < frames[True], frames)
    settings.unlink()


def lists_microphones(window, reader, stand):
    """The menu has the daemon's microphones, by what people call them: monitors last. It stays open."""
    shown = ["Desk_Microphone (the default)", "Headset", "Monitor of Speaker"]
    stand.changes(Microphones=dbus.Array([dbus.Dictionary(
        {"name": name, "description": description, "default": name == "mic_1", "monitor": name == "s.monitor", "in_use": False},
        signature="sv") for name, description in (("mic_1", "Desk_Microphone"), ("s.monitor", "Monitor of Speaker"), ("mic_2", "Headset"))],
        signature="a{sv}"))
    window.action("menu")
    wait_until(lambda: "Microphone" in reader.menu(), 5)
    reader.press("Microphone")  # newer versions of GTK tell of a submenu once it is open
    labels = []
    wait_until(lambda: labels.append([label for label in dict.fromkeys(reader.labels()) if label in shown]) or labels[-1] == shown, 5)
    check("the menu has microphones by their names", labels[-1] == shown, labels[-1])


def obeys_the_menu(window, reader, text, stand):
    """The menu's actions: those of the daemon reach it, the others change the window, and are kept."""
    for name, target, key, value in (("pause", (), "Muted", True), ("mode", ("assistant",), "Mode", "assistant"),
                                     ("device", ("alsa_input.one",), "Device", "alsa_input.one"), ("pause", (), "Muted", False)):
        stand.set.clear()
        window.action(name, *target)
        wait_until(lambda: stand.set, 5)
        check(f"{name} sets {key}", stand.set == [(key, value)], stand.set)
    stand.refuses = "no such thing"
    window.action("mode", "captions")
    wait_until(lambda: reader.status() == "no such thing", 5)
    check("what the daemon refuses is said", reader.status() == "no such thing", reader.status())
    stand.refuses = None
    window.action("select-all")
    wait_until(lambda: text.selected(), 5)
    check("all can be selected", text.selected() == text.get() != "", text.selected())
    before = SETTINGS.read_text() if SETTINGS.exists() else ""
    window.action("larger")
    window.action("opacity", dbus.Int32(50))
    window.action("lines", dbus.Int32(2))
    window.action("edge", "top")
    wait_until(lambda: SETTINGS.exists() and "edge=top" in SETTINGS.read_text(), 5)
    kept = SETTINGS.read_text()
    check("the settings are kept", kept != before and all(line in kept.split() for line in ("size=22", "opacity=50", "lines=2", "edge=top")), kept)
    check("and have no text in them", not any(word in kept for word in letters_of(text.get())), kept)
    window.action("older")


def shows_the_desktop(window, text, stand):
    """What the desktop plays, beside what the microphone hears and without it."""
    word = dbus.Array([dbus.Struct((dbus.UInt32(0), dbus.UInt32(5), dbus.Int64(0), dbus.Int64(1), 0.2), signature="uuxxd")], signature="(uuxxd)")
    check("nobody else's ear is shown", "desktop" not in stand.ears)
    window.action("sound", "both")
    wait_until(lambda: "desktop" in stand.ears, 5)
    check("both: an ear for the desktop is added", "desktop" in stand.ears, stand.ears)
    played = stand.ears["desktop"]
    played.UtteranceUpdated(dbus.UInt64(stand.number + 10), dbus.UInt32(1), dbus.UInt32(0), "radio plays")
    wait_until(lambda: "Desktop: radio plays" in text.get(), 5)
    check("what it hears is marked as it is said", "Desktop: radio plays" in text.get(), text.get())
    played.UtteranceCompleted(dbus.UInt64(stand.number + 10), "Radio plays.", dbus.Dictionary({"confidence": 0.9, "words": word}, signature="sv"))
    stand.says("Quiet please.")
    wait_until(lambda: "Quiet please." in text.get() and "Radio plays." in text.get(), 5)
    check("beside what is said", text.get().splitlines()[-2:] == ["Quiet please.", "Desktop: Radio plays."], text.get())
    window.action("sound", "desktop")
    stand.says("Nobody sees this.")
    played.UtteranceCompleted(dbus.UInt64(stand.number + 20), "News at ten.", OPTIONS)
    wait_until(lambda: "News at ten." in text.get(), 5)
    check("desktop: that alone, without a mark", text.get().endswith("News at ten.") and "Nobody" not in text.get()
          and "Desktop: News" not in text.get(), text.get())
    check("the choice is kept", "sound=desktop" in SETTINGS.read_text(), SETTINGS.read_text())
    window.action("sound", "microphone")
    wait_until(lambda: not stand.ears, 5)
    check("microphone: the ear is removed", not stand.ears, stand.ears)
    stand.ears["desktop"] = None
    window.action("sound", "both")
    pause(0.5)
    window.action("sound", "microphone")
    pause(0.5)
    check("an ear of somebody else stays", "desktop" in stand.ears, stand.ears)
    stand.ears.clear()


def letters_of(text):
    return [word.strip(".,?>") for word in text.split() if len(word) > 3]


def copies(desktop, window, text):
    """The pointer selects, the clipboard gets it."""
    if not shutil.which("xclip"):
        without("xclip (Debian: xclip)")
        return
    window.action("copy")
    copied = []
    wait_until(lambda: copied.append(desktop.run("timeout", "1", "xclip", "-o", "-selection", "clipboard")) or copied[-1], 10)
    check("what is selected is copied", copied[-1] == text.get() != "", copied[-1])


def is_moved(desktop, reader):
    """The bar at the left moves the window, and the next one is there."""
    window = Overlay(extra=desktop.extra)
    reader.opens()
    wait_until(lambda: find_window(desktop), 5)
    pause(0.5)
    x, y, width, height = geometry(desktop)
    check("the kept settings count", y < 100 and height < 120, f"{x} {y} {width} {height}")
    desktop.xdotool("mousemove", x + 8, y + height // 2, "mousedown", 1)
    for step in range(1, 11):
        desktop.xdotool("mousemove", x + 8 - 10 * step, y + height // 2 + 20 * step)
        pause(0.03)
    desktop.xdotool("mouseup", 1)
    pause(0.5)
    moved = geometry(desktop)
    check("it is moved", abs(moved[0] - x + 100) < 20 and abs(moved[1] - y - 200) < 30, f"{x} {y} {moved}")
    desktop.xdotool("mousemove", moved[0] + 100, moved[1] + 20, "click", 3)
    wait_until(lambda: reader.menu(), 5)
    menu = reader.menu()
    check("the right button opens the menu", all(name in menu for name in ("Pause", "Microphone", "Copy", "Quit")), menu)
    desktop.xdotool("key", "Escape")
    got = overlay(extra=desktop.extra | {"DBUS_SESSION_BUS_ADDRESS": support.BUS.address})
    check("there is one at a time", got.returncode == 0 and "shown already" in got.stderr, got.stderr)
    got = overlay("--toggle", extra=desktop.extra | {"DBUS_SESSION_BUS_ADDRESS": support.BUS.address})
    wait_until(lambda: window.process.poll() is not None, 5)
    check("--toggle ends it", got.returncode == 0 and window.process.poll() == 0, f"{got.stderr} {window.process.poll()}")
    again = Overlay(extra=desktop.extra)
    reader.opens()
    wait_until(lambda: find_window(desktop), 5)
    pause(1)
    place = geometry(desktop)
    check("the next one is where it was", max(abs(place[i] - moved[i]) for i in range(4)) <= 2, f"{place} {moved}")
    again.end()
    SETTINGS.write_text("[window]\nsize=1000\nlines=many\n")
    again = Overlay(extra=desktop.extra)
    reader.opens()
    out = again.end()
    check("bad settings are named", "overlay.ini: size is not a number from 8 to 96; 20 is used" in out and "lines is not" in out, out)
    SETTINGS.unlink()


def shows_what_is_heard(desktop, reader):
    """The whole way: sound, daemon, window."""
    window = Overlay(extra=desktop.extra)
    text = reader.opens()
    d = Daemon()
    d.completes(3)
    wait_until(lambda: not wait_until(lambda: d.get("State") != IDLE, 2), 30)
    wanted = "\n".join(str(args[1]) for args in d.told if args[1])
    check("a window shows what the daemon heard", wanted and text.becomes(wanted), f"{text.get()!r} {wanted!r}")
    d.process.kill()
    check("a daemon that is killed is missed", wait_until(lambda: reader.status().startswith("no daemon"), 5), reader.status())
    again = Daemon()
    again.completes(2)
    check("the next one goes on", wait_until(lambda: text.get().count("\n") > wanted.count("\n"), 10) and text.get().startswith(wanted), text.get())
    again.stop()
    out = window.end()
    check("the window prints no words", out == "", out)


def find_window(desktop):
    """Its id, once it is there; its menu and its hints are windows of the same name."""
    found = desktop.xdotool("search", "--onlyvisible", "--name", "^Earshot captions$").split()
    return next((number for number in found if measure(desktop, number)[2] > 500), None)


def measure(desktop, number):
    told = desktop.xdotool("getwindowgeometry", "--shell", number)
    place = dict(line.split("=") for line in told.split())
    return tuple(int(place.get(key, 0)) for key in ("X", "Y", "WIDTH", "HEIGHT"))


def geometry(desktop):
    """x, y, width, height of the window."""
    return measure(desktop, find_window(desktop))


def x11_stays_on_top(desktop, text):
    """Above, on all desktops, and without the focus; at the lower edge, in the middle."""
    found = find_window(desktop)
    check("there is a window", found)
    told = desktop.run("xprop", "-id", found, "_NET_WM_STATE", "_NET_WM_DESKTOP")
    check("it is above the others, on every desktop", "_NET_WM_STATE_ABOVE" in told and "4294967295" in told, told)
    pause(0.5)
    check("the focus stays where it is", desktop.xdotool("getwindowfocus") == desktop.focus, desktop.xdotool("getwindowfocus"))
    x, y, width, height = geometry(desktop)
    check("it is in the middle of the lower edge", abs(x + width / 2 - 640) < 4 and 600 < y + height < 720, f"{x} {y} {width} {height}")


def x11():
    for tool, package in (("Xvfb", "xvfb"), ("openbox", "openbox"), ("xterm", "xterm"), ("xdotool", "xdotool"), ("xprop", "x11-utils")):
        if not shutil.which(tool):
            without(f"{tool} (Debian: {package})")
            return
    desktop = XServer("1280x720")
    got = overlay("--way", "x11", extra=desktop.extra)
    check("without a window manager nothing stays on top", got.returncode == 1 and "no window manager that keeps windows on top" in got.stderr,
          got.stderr)
    started.append(subprocess.Popen(["openbox"], env=environment() | desktop.extra, stderr=subprocess.DEVNULL))
    wait_until(lambda: "x11     taken: " in overlay("--how", extra=desktop.extra).stdout, 10)
    check("x11 is taken", "x11     taken: " in overlay("--how", extra=desktop.extra).stdout)
    started.append(subprocess.Popen(["xterm", "-T", "other", "-e", "sleep", "600"], env=environment() | desktop.extra, stderr=subprocess.DEVNULL))
    wait_until(lambda: desktop.xdotool("search", "--onlyvisible", "--name", "^other$"), 10)
    desktop.xdotool("windowfocus", "--sync", desktop.xdotool("search", "--onlyvisible", "--name", "^other$").strip())
    desktop.focus = desktop.xdotool("getwindowfocus")
    others = set(support.BUS.connection.list_names())
    reader = Reader()
    window = Overlay(extra=desktop.extra)
    text = reader.opens()
    check("a window opens", text.node, window.process.poll())
    check("it waits for the daemon", wait_until(lambda: reader.status().startswith("no daemon: waiting for it"), 5), reader.status())
    stand = Stand(since=int(time.time() * 1e6))
    wait_until(lambda: not reader.status(), 5)
    x11_stays_on_top(desktop, text)
    grows(reader, text, stand)
    believes_the_daemon_alone(text, stand, others)
    scrolls(desktop, window, stand)
    is_quick(reader, stand)
    is_idle(window, stand, text)
    stand = outlives(reader, text, stand)
    check("captions take no focus", desktop.xdotool("getwindowfocus") == desktop.focus)
    obeys_the_menu(window, reader, text, stand)
    shows_the_desktop(window, text, stand)
    copies(desktop, window, text)
    lists_microphones(window, reader, stand)
    stand.leaves()
    out = window.end()
    check("it prints no words", out == "", out)
    is_moved(desktop, reader)
    follows_the_desktop(desktop, reader)
    shows_what_is_heard(desktop, reader)
    desktop.stop()


def shows_on_wayland(desktop, way, reader):
    """The same captions; as a layer it is no window of the compositor's, and else one that says so."""
    window = Overlay("--way", way, extra=desktop.extra)
    text = reader.opens()
    check(f"a window opens by {way}", text.node, window.process.poll())
    stand = Stand(since=int(time.time() * 1e6))
    wait_until(lambda: not reader.status(), 5)
    grows(reader, text, stand)
    is_idle(window, stand, text)
    tree = desktop.swaymsg("-t", "get_tree")
    check("a layer is above the windows, and none of them" if way == "layer" else "it is a window as any", (APPLICATION in tree) == (way == "window"))
    check("captions take no focus", way == "window" or focus_of(tree) != APPLICATION)
    window.action("lines", dbus.Int32(2))
    window.action("older")
    stand.says("Last.")
    check("it goes on", wait_until(lambda: text.get().endswith("Last."), 5), text.get())
    stand.leaves()
    out = window.end()
    check("it says how it stays on top where it does not", ("ordinary" in out) == (way == "window") and "Last" not in out, out)


def focus_of(tree):
    """The application that has the focus."""
    def find(node):
        if node.get("focused"):
            return node.get("app_id")
        return next((found for child in node.get("nodes", []) + node.get("floating_nodes", []) if (found := find(child))), None)
    return find(json.loads(tree))


def sway():
    if not shutil.which("sway"):
        without("sway (Debian: sway)")
        return
    desktop = SwayServer()
    check("Sway runs", desktop.is_there)
    if not desktop.is_there:
        return
    how = overlay("--how", extra=desktop.extra).stdout
    reader = Reader()
    if "layer   taken: " in how:
        shows_on_wayland(desktop, "layer", reader)
    else:
        check("a library that is missing is named", "the library libgtk4-layer-shell.so.0 is missing; install it" in how
              and "window  taken: " in how, how)
        print("skipped: the layer, without libgtk4-layer-shell (Debian 13: libgtk4-layer-shell0)")
    shows_on_wayland(desktop, "window", reader)
    desktop.stop()


run(options, x11, sway)
