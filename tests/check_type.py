#!/usr/bin/python3
"""earshot type: a real program in a window gets what was said, edited as it was spoken, by each way that can be had here; and
nothing gets what was said while another window had the focus, or what somebody else than the daemon says. Under Xvfb with
xterm, under a headless Sway with foot, each with a time that 15 words may take, and by programs that stand in for wtype and ydotool and write down how they are called."""
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon as support  # noqa: E402
from support.daemon import *  # noqa: E402,F403
from support.desktops import SwayServer, XServer  # noqa: E402
from support.portal import BACKEND, PORTAL, Session, start_portal  # noqa: E402
from support.stand import Stand  # noqa: E402

REMOTE = "org.freedesktop.impl.portal.RemoteDesktop"
FIFTEEN = "Turn on the light in the kitchen and set a timer for five minutes please."
# A program in a terminal, which writes every byte that it is typed.
READER = "stty -icanon -echo min 1; exec dd of={} bs=1 2> /dev/null"


class Typer:
    """A running earshot type."""

    def __init__(self, *options, extra=None):
        others = set(support.BUS.connection.list_names())
        self.process = subprocess.Popen(
            [EARSHOT, "type", *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment() | {"DBUS_SESSION_BUS_ADDRESS": support.BUS.address} | (extra or {}))
        started.append(self.process)
        wait_until(lambda: set(support.BUS.connection.list_names()) - others, 10)
        pause(0.5)
        new = [name for name in support.BUS.connection.list_names() if name.startswith(":") and name not in others]
        self.name = new[0] if new else ""

    def end(self):
        """What it printed."""
        self.process.terminate()
        return "".join(self.process.communicate(timeout=10))


def screen(path):
    """What stands in a file of keys once Backspace has taken back what it takes back."""
    text = ""
    for c in path.read_bytes().decode(errors="replace") if path.exists() else "":
        text = text[:-1] if c in "\x7f\b" else text + c
    return text


def shows(what, path, text, seconds=5):
    wait_until(lambda: screen(path) == text, seconds)
    check(what, screen(path) == text, f"{screen(path)!r}, not {text!r}")


def says_nothing(what, out, *words):
    check(what, not any(word in out for word in words), out)


def options():
    """What cannot work says so, and what to do; bad files and words are named."""
    got = earshot("type", "--how")
    check("without a desktop no way works", got.returncode == 1 and "taken" not in got.stdout, got.stdout)
    check("each says why", "x11      not: no X11 session: DISPLAY is not set\n" in got.stdout
          and "wayland  not: no Wayland session: WAYLAND_DISPLAY is not set\n" in got.stdout
          and "wtype    not: no Wayland session: WAYLAND_DISPLAY is not set\n" in got.stdout
          and "portal   not: this desktop has no portal org.freedesktop.portal.RemoteDesktop; use ydotool\n" in got.stdout
          and "ydotool  not: " in got.stdout, got.stdout)
    got = earshot("type")
    check("and typing ends", (got.returncode, got.stderr) ==
          (1, "earshot type: no way to type works here; see earshot type --how\n"), got.stderr)
    got = earshot("type", "--way", "x11")
    check("a way that is named says why it does not", (got.returncode, got.stderr) ==
          (1, "earshot type: no X11 session: DISPLAY is not set\n"), got.stderr)
    got = earshot("type", "--way", "telepathy")
    check("another is none", got.returncode == 2 and "--way telepathy: no such way" in got.stderr, got.stderr)
    got = earshot("type", "--how", extra={"DISPLAY": ":987", "PATH": "/nowhere"})
    check("an X server that is not there is named", "DISPLAY" in got.stdout or "libxtst6" in got.stdout, got.stdout)
    got = earshot("type", "--how", extra={"DISPLAY": ":987", "WAYLAND_DISPLAY": "nowhere-0", "PATH": "/nowhere"})
    check("X11 is not taken in a Wayland session", "x11      not: a Wayland session" in got.stdout, got.stdout)
    check("a compositor that is not there is named", "wayland  not: the compositor does not answer; see WAYLAND_DISPLAY" in got.stdout
          or "libwayland-client0" in got.stdout, got.stdout)
    check("a missing program is named", "the program wtype is missing; install it" in got.stdout, got.stdout)
    phrases = WORK / "phrases"
    phrases.write_text("# mine\nmy cat -> Tom\nnew line {newline}\n")
    got = earshot("type", "--phrases", phrases)
    check("a bad line is named", (got.returncode, got.stderr) ==
          (1, f"earshot type: {phrases}:3: no -> between what is said and what is typed\n"), got.stderr)
    own = WORK / "home" / ".config" / "earshot" / "typing"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("my cat -> Tom\ncomma -> {off}\n")
    got = earshot("type", "--print-phrases")
    check("the user's file is read", "my cat -> Tom\n" in got.stdout and "comma -> {off}\n" in got.stdout
          and "scratch that -> {scratch}\n" in got.stdout, got.stdout + got.stderr)
    own.unlink()


def stand_in(name, more=""):
    """A program of this name, and where it writes its command lines and what it was given to type."""
    folder = WORK / f"{name}-stands-in"
    folder.mkdir()
    (folder / name).write_text(f'#!/bin/sh\n{more}\necho "$*" >> {folder}/calls\ncat >> {folder}/typed\n')
    (folder / name).chmod(0o755)
    return folder, {"PATH": f"{folder}:{environment()['PATH']}"}


def programs():
    """wtype and ydotool get a sentence by one call, and the words on no command line."""
    folder, extra = stand_in("wtype")
    extra |= {"WAYLAND_DISPLAY": "wayland-9"}
    got = earshot("type", "--how", extra=extra)
    check("wtype is taken", got.returncode == 0 and "wtype    taken: " in got.stdout
          and "cannot know which window has the focus" in got.stdout, got.stdout)
    stand = Stand()
    typer = Typer(extra=extra)
    (folder / "calls").unlink(missing_ok=True)
    stand.says("One, two.")
    stand.says("Scratch that, three.")
    wait_until(lambda: (folder / "typed").exists() and "three" in (folder / "typed").read_text(), 5)
    calls = (folder / "calls").read_text()
    check("a sentence is a call", calls == "-s 50 -\n" "-s 50 " + "-k BackSpace " * len("One, two.") + "-\n", calls)
    check("and its words come by the input", (folder / "typed").read_text() == "One, two.three.")
    says_nothing("it prints no words", typer.end(), "One", "three")

    folder, extra = stand_in("ydotool", '[ "$1" = --help ] && { echo "click mousemove type key"; exit; }')
    extra |= {"YDOTOOL_SOCKET": str(folder / "socket")}
    check("ydotool wants its daemon", "ydotoold does not run" in earshot("type", "--how", extra=extra).stdout)
    (folder / "socket").touch()
    check("ydotool is taken", "ydotool  taken: " in earshot("type", "--how", extra=extra).stdout)
    typer = Typer(extra=extra)
    stand.says("One.")
    stand.says("comma scratch that scratch that two")
    wait_until(lambda: (folder / "typed").exists() and "two" in (folder / "typed").read_text(), 5)
    check("ydotool types", (folder / "typed").read_text() == "One.two", (folder / "typed").read_text())
    calls = (folder / "calls").read_text()
    check("and its words are on no command line", "14:1 14:0" in calls and "two" not in calls, calls)
    stand.says("Caf\u00e9.")
    wait_until(lambda: typer.process.poll() is not None, 5)
    out = typer.end()
    check("what it has no keys for ends the command, unsaid", typer.process.returncode == 1
          and out == "earshot type: ydotool types ASCII alone\n", out)
    stand.leaves()
    folder, extra = stand_in("old", "")
    (folder / "ydotool").write_text("#!/bin/sh\necho '  recorder'\n")
    (folder / "ydotool").chmod(0o755)
    (folder / "socket").touch()
    check("an old ydotool is not", "older than version 1" in earshot(
        "type", "--how", extra=extra | {"YDOTOOL_SOCKET": str(folder / "socket")}).stdout)


class X11(XServer):
    """A display without a window manager, with two terminals that read."""
    options = ()

    def __init__(self, extra=None):
        super().__init__()
        self.extra |= extra or {}
        self.begin()
        self.ids = {name: self.open(name) for name in ("first", "second")}
        self.focus("first")

    def begin(self):
        """Before its windows."""

    def open(self, name):
        started.append(subprocess.Popen(
            ["xterm", "-u8", "-T", name, "-e", "sh", "-c", READER.format(self.file(name))], stderr=subprocess.DEVNULL,
            env=environment() | self.extra | {"LC_ALL": "C.UTF-8"}))
        return self.xdotool("search", "--sync", "--onlyvisible", "--name", f"^{name}$").split()[0]

    def file(self, name):
        return WORK / f"x11-{name}"

    def focus(self, name):
        self.xdotool("windowfocus", "--sync", self.ids[name])

    def says_active(self, name):
        """As a window manager does."""
        for args in (("_NET_SUPPORTED", "32a", "_NET_ACTIVE_WINDOW"), ("_NET_ACTIVE_WINDOW", "32x", hex(int(self.ids[name])))):
            subprocess.run(["xprop", "-root", "-f", args[0], args[1], "-set", args[0], args[2]], env=environment() | self.extra)


def types(desktop, way):
    """All that is the same on any desktop with two windows."""
    got = earshot("type", "--how", *desktop.options, extra=desktop.extra)
    check(f"{way} is taken, and knows the focus", got.returncode == 0 and f"{way:8} taken: " in got.stdout
          and "cannot know" not in got.stdout, got.stdout)
    first, second = desktop.file("first"), desktop.file("second")
    stand = Stand()
    typer = Typer(*desktop.options, extra=desktop.extra)
    stand.says("It's (half past) ten, \"Anna\": yes!")
    shows("capitals and marks are as they are said", first, "It's (half past) ten, \"Anna\": yes!")
    stand.says("Caf\u00e9 \u2014 na\u00efve.")
    shows("a blank is between sentences, and no letter is lost", first, "It's (half past) ten, \"Anna\": yes! Caf\u00e9 \u2014 na\u00efve.")
    stand.says("Scratch that.")
    shows("scratch that takes the sentence back", first, "It's (half past) ten, \"Anna\": yes!")
    stand.says("new paragraph")
    stand.says("two comma three")
    whole = "It's (half past) ten, \"Anna\": yes!\n\ntwo, three"
    shows("spoken editing edits", first, whole)
    stand.begins()
    stand.ends("computer stop", phrase_bytes=9)
    stand.begins()
    desktop.focus("second")
    stand.ends("for the first alone")
    pause(0.5)
    stand.says("For the second.")
    shows("the next sentence goes where the focus is", second, "For the second.")
    shows("what calls the assistant is not typed, nor what began elsewhere", first, whole)
    stand.says("scratch that scratch that gone")
    shows("what is in another window stays", second, "gone")
    check("and is not taken back there", screen(first) == whole, screen(first))
    liar = support.BUS.connect()
    for member, args in (("UtteranceStarted", (dbus.UInt64(1 << 40), OPTIONS)),
                         ("UtteranceCompleted", (dbus.UInt64(1 << 40), "forged", OPTIONS))):
        forge(liar, typer.name, PATH, ASSISTANT, member, *args)
    pause(0.5)
    check("nobody else is believed", screen(second) == "gone", screen(second))
    took = []
    for i in range(3):
        before = screen(second)
        stand.begins()
        begin = time.monotonic()
        stand.ends(FIFTEEN)
        wait_until(lambda: screen(second) == f"{before} {FIFTEEN}", 5)
        took.append((time.monotonic() - begin) * 1000)
    print(f"15 words, {len(FIFTEEN)} letters: {min(took):.0f} ms at best, {max(took):.0f} at most")
    check("15 words take less than 300 ms", min(took) < 300 + 1000 * SLOW, took)
    out = typer.end()
    check("it says that a sentence was not typed, and no word of it", "another window has the focus" in out
          and "alone" not in out and "second." not in out, out)
    stand.leaves()


def types_live(desktop):
    """Words as they become certain."""
    path = desktop.file("second")
    before = screen(path)
    stand = Stand()
    typer = Typer("--live", *desktop.options, extra=desktop.extra)
    stand.begins()
    stand.goes_on("Buy two", " apple")
    shows("certain words are typed, others are not", path, before + "Buy two")
    stand.goes_on("Buy two apples and a new")
    shows("what a phrase may begin with waits", path, before + "Buy two apples and a")
    stand.goes_on("Buy two apples and a new line please")
    shows("the phrase is typed when it is whole", path, before + "Buy two apples and a\nPlease")
    size = path.stat().st_size
    stand.ends("Buy two apples, and a new line please.")
    shows("the end corrects", path, before + "Buy two apples, and a\nPlease.")
    keys = path.read_bytes()[size:].decode()
    check("only what changes is typed again", keys == "\x7f" * len(" and a\nPlease") + ", and a\nPlease.", keys)
    stand.begins()
    stand.goes_on("No no")
    shows("the next one follows", path, before + "Buy two apples, and a\nPlease. No no")
    stand.ends("")
    shows("what is cancelled is taken back", path, before + "Buy two apples, and a\nPlease.")
    stand.begins()
    stand.goes_on("Here")
    wait_until(lambda: screen(path).endswith("Here"), 5)
    desktop.focus("first")
    stand.goes_on("Here not")
    stand.ends("Here not there")
    pause(0.5)
    check("no word follows the focus", screen(path).endswith("Here") and "there" not in screen(desktop.file("first")))
    says_nothing("nothing is printed of it", typer.end(), "Buy", "Here", "Please")
    typer = Typer("--anywhere", *desktop.options, extra=desktop.extra)
    before = screen(path)
    stand.begins()
    desktop.focus("second")
    stand.ends("all the same")
    shows("with --anywhere it does", path, before + "all the same")
    typer.end()
    stand.leaves()


def types_what_is_heard(desktop):
    """The whole way: sound, daemon, window."""
    path = desktop.file("second")
    before = screen(path)
    d = Daemon()
    typer = Typer(extra=desktop.extra)
    d.completes(3)
    wait_until(lambda: not wait_until(lambda: d.get("State") != IDLE, 2), 30)
    texts = [str(args[1]) for args in d.told if args[1]]
    wanted = [before + " ".join(texts[i:]) for i in (0, 1)]  # the first may have begun before anybody listened
    wait_until(lambda: screen(path) in wanted, 5)
    check("a window gets what the daemon heard", len(texts) > 2 and screen(path) in wanted, f"{screen(path)!r} {texts}")
    says_nothing("and the command prints none of it", typer.end(), *texts)
    d.stop()


def x11():
    for tool, package in (("Xvfb", "xvfb"), ("xterm", "xterm"), ("xdotool", "xdotool")):
        if not shutil.which(tool):
            without(f"{tool} (Debian: {package})")
            return
    desktop = X11()
    types(desktop, "x11")
    types_live(desktop)
    types_what_is_heard(desktop)
    if shutil.which("setxkbmap"):
        keyboards(desktop)
    else:
        without("setxkbmap (Debian: x11-xkb-utils)")
    if shutil.which("xprop"):
        active_windows(desktop)
    else:
        without("xprop (Debian: x11-utils)")
    desktop.stop()


def keyboards(desktop):
    """Other layouts, and locks that somebody has set: the text is the same."""
    path = desktop.file("second")
    stand = Stand()
    typer = Typer("--anywhere", extra=desktop.extra)
    for what, layout, key, text in (
            ("a German keyboard", "de", "", "Zy @ {x} \u00df \u20ac -_"), ("a Russian one", "ru", "", "Hello, \u043f\u0440\u0438\u0432\u0435\u0442."),
            ("two layouts, the second in use", "us,ru", "ISO_Next_Group", "A \u043c and #1"),
            ("Caps Lock", "us", "Caps_Lock", "Not Loud"), ("a Russian one, Caps Lock", "ru", "", "\u041d\u0435 so"),
            ("an American one", "us", "Caps_Lock", "~`|\\ \"'<>")):
        subprocess.run(["setxkbmap", "-layout", layout, "-option", "grp:menu_toggle"], env=environment() | desktop.extra)
        if key:
            desktop.xdotool("key", key)
        pause(0.3)
        before = screen(path)
        stand.says(text)
        wait_until(lambda: screen(path).endswith(text), 5)
        check(f"{what} types it", screen(path).removeprefix(before).removeprefix(" ") == text, f"{screen(path)[len(before):]!r}")
    typer.end()
    stand.leaves()


def active_windows(desktop):
    """Where a window manager says which window is active, that counts."""
    path = desktop.file("second")
    desktop.says_active("second")
    stand = Stand()
    typer = Typer(extra=desktop.extra)
    stand.begins()
    desktop.says_active("first")
    stand.ends("for no window")
    pause(0.5)
    stand.says("Typed.")
    wait_until(lambda: screen(path).endswith("Typed."), 5)
    check("the active window counts", screen(path).endswith("Typed.") and "for no" not in screen(path), screen(path))
    typer.end()
    stand.leaves()


class IBus(X11):
    """The same, whose terminals have IBus as their input method."""
    options = ("--way", "ibus")

    def __init__(self):
        super().__init__({"XMODIFIERS": "@im=ibus"})

    def begin(self):
        """The address is where IBus leaves it."""
        self.daemon = subprocess.Popen(
            ["ibus-daemon", "--xim", "--panel", "disable", "--emoji-extension", "disable", "--config", "disable"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment() | self.extra | {"DBUS_SESSION_BUS_ADDRESS": support.BUS.address})
        started.append(self.daemon)
        bus = pathlib.Path(environment()["HOME"]) / ".config" / "ibus" / "bus"
        self.is_there = wait_until(lambda: bus.exists() and any("IBUS_ADDRESS=" in path.read_text() for path in bus.iterdir()), 20)
        pause(2)  # until its server for X11 is there

    def focus(self, name):
        """Terminals tell IBus a little later."""
        super().focus(name)
        pause(0.5)

    def engine(self):
        return self.run("ibus", "engine").strip()

    def stop(self):
        self.daemon.terminate()
        super().stop()


def ibus():
    if not shutil.which("ibus-daemon") or not shutil.which("xterm") or not shutil.which("Xvfb"):
        without("ibus-daemon (Debian: ibus)")
        return
    alone = earshot("type", "--how", "--way", "ibus", extra={"DISPLAY": ":77"})
    check("without IBus that is said", alone.returncode == 1 and "IBus does not run on this display" in alone.stdout, alone)
    desktop = IBus()
    check("IBus runs", desktop.is_there)
    before = desktop.engine()
    types(desktop, "ibus")
    types_live(desktop)
    check("the engine before is back", desktop.engine() == before, (before, desktop.engine()))
    desktop.stop()


class Sway(SwayServer):
    """With two terminals that read."""
    options = ()

    def __init__(self):
        super().__init__()
        if not self.is_there:
            return
        for name in ("first", "second"):
            (self.folder / f"{name}.sh").write_text(READER.format(self.file(name)) + "\n")
            self.swaymsg(f"exec foot -T {name} sh {self.folder}/{name}.sh")
            wait_until(lambda: f'"{name}"' in self.swaymsg("-t", "get_tree") and self.file(name).exists(), 20)
        self.focus("first")

    def file(self, name):
        return self.folder / f"typed-{name}"

    def focus(self, name):
        self.swaymsg(f'[title="^{name}$"] focus')


def types_by_wtype(desktop):
    path = desktop.file("second")
    before = screen(path)
    stand = Stand()
    typer = Typer("--way", "wtype", extra=desktop.extra)
    stand.says("One \u2014 two.")
    shows("wtype types", path, before + "One \u2014 two.")
    stand.says("scratch that Three!")
    shows("and takes back", path, before + "Three!")
    typer.end()
    stand.leaves()


def sway():
    for tool in ("sway", "wtype", "foot"):
        if not shutil.which(tool):
            without(f"{tool} (Debian: {tool})")
            return
    desktop = Sway()
    check("Sway runs", desktop.is_there)
    if desktop.is_there:
        types(desktop, "wayland")
        types_live(desktop)
        types_by_wtype(desktop)
    desktop.stop()


class Keyboard(dbus.service.Object):
    """What presses keys for the portal: a desktop's side of it, that writes down what was typed."""

    def __init__(self):
        self.bus = support.BUS.connect()
        self.bus.request_name(BACKEND)
        self.agrees, self.asked, self.text, self.devices = True, 0, "", 1
        super().__init__(self.bus, "/org/freedesktop/portal/desktop")

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        return dbus.UInt32(self.devices if name == "AvailableDeviceTypes" else 1)

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return {"AvailableDeviceTypes": dbus.UInt32(self.devices), "version": dbus.UInt32(1)}

    @dbus.service.method(REMOTE, in_signature="oosa{sv}", out_signature="ua{sv}")
    def CreateSession(self, handle, session, app, options):
        self.session = Session(self.bus, session)
        return 0, {}

    @dbus.service.method(REMOTE, in_signature="oosa{sv}", out_signature="ua{sv}")
    def SelectDevices(self, handle, session, app, options):
        return (0 if options["types"] == 1 else 2), {}

    @dbus.service.method(REMOTE, in_signature="oossa{sv}", out_signature="ua{sv}")
    def Start(self, handle, session, app, parent, options):
        self.asked += 1
        return (0, {"devices": dbus.UInt32(1)}) if self.agrees else (1, {})

    @dbus.service.method(REMOTE, in_signature="oa{sv}iu")
    def NotifyKeyboardKeysym(self, session, options, keysym, pressed):
        self.text = typed(self.text, keysym, pressed)


def typed(text, keysym, pressed):
    """The text after a keysym is pressed, or let go."""
    if not pressed:
        return text
    named = {0xff08: "\b", 0xff09: "\t", 0xff0d: "\n"}
    c = named.get(keysym) or chr(keysym - 0x1000000 if keysym >= 0x1000000 else keysym)
    return text[:-1] if c == "\b" else text + c


def gets(what, desk, text, seconds=10):
    wait_until(lambda: desk.text == text, seconds)
    check(what, desk.text == text, f"{desk.text!r}, not {text!r}")


def ends(process):
    """The portal dies, once the key that was pressed last is let go of."""
    pause(0.5)
    process.kill()
    process.wait()


def portal():
    """By the real portal, in front of a desktop that is the test's."""
    if not PORTAL:
        without("xdg-desktop-portal (Debian: xdg-desktop-portal)")
        return
    desk = Keyboard()
    process = start_portal(REMOTE)
    wayland = {"WAYLAND_DISPLAY": "none"}
    how = earshot("type", "--how", extra=wayland).stdout
    check("the portal is taken where nothing else works", "portal   taken: keyboard of the desktop's portal" in how, how)
    check("and nobody is asked for that", desk.asked == 0)
    stand = Stand()
    desk.agrees = False
    refused = Typer("--way", "portal", extra=wayland)
    wait_until(lambda: refused.process.poll() is not None, 10)
    out = refused.end()
    check("who refuses at the start is not typed for", refused.process.returncode == 1 and "typing was refused in the desktop's dialog" in out, out)
    desk.agrees, desk.asked = True, 0
    typer = Typer("--way", "portal", extra=wayland)
    check("the desktop's user is asked before anything is said", wait_until(lambda: desk.asked == 1, 10))
    stand.says("Turn on the light.")
    gets("a sentence is typed", desk, "Turn on the light.")
    check("the desktop's user is asked once", desk.asked == 1, desk.asked)
    began = time.monotonic()
    stand.says(FIFTEEN)
    gets("and the next behind it", desk, "Turn on the light. " + FIFTEEN)
    seconds = time.monotonic() - began - 0.3
    check("fifteen words take less than 300 ms", seconds < 0.3 + SLOW, seconds)
    stand.says("Zoë pays 5 €, new line scratch that")
    gets("what was said is edited, whatever its letters", desk, "Turn on the light. " + FIFTEEN)
    desk.text = ""
    stand.says("Zoë pays 5 € new line thanks.")
    gets("letters of the world, and keys", desk, " Zoë pays 5 €\nThanks.")
    check("all of it in one session", desk.asked == 1, desk.asked)
    ends(process)
    process = start_portal(REMOTE)
    desk.text = ""
    stand.says("It is back.")
    gets("a portal that comes again is asked again", desk, " It is back.")
    desk.agrees = False
    ends(process)
    process = start_portal(REMOTE)
    desk.text = ""
    stand.says("Nobody types this.")
    pause(1)
    out = typer.end()
    check("who refuses is typed nothing", desk.text == "" and "typing was refused in the desktop's dialog" in out, out)
    says_nothing("and no word is printed", out, "light", "Nobody", "back")
    stand.leaves()
    process.kill()
    process.wait()
    desk.remove_from_connection()
    desk.bus.release_name(BACKEND)


class Portal(dbus.service.Object):
    """A newer portal than the real one here may be: what it gives for the user's word is good for one session."""

    def __init__(self):
        self.bus = support.BUS.connect()
        self.tokens, self.text, self.count, self.wrong = [], "", 0, ""
        super().__init__(self.bus, "/org/freedesktop/portal/desktop")
        self.bus.request_name("org.freedesktop.portal.Desktop", dbus.bus.NAME_FLAG_REPLACE_EXISTING)

    def answers(self, sender, options, results):
        path = f"/org/freedesktop/portal/desktop/request/{sender[1:].replace('.', '_')}/{options['handle_token']}"
        GLib.timeout_add(20, lambda: forge(self.bus, sender, path, "org.freedesktop.portal.Request", "Response", dbus.UInt32(0),
                                           dbus.Dictionary(results, signature="sv")))
        return path

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        return dbus.UInt32(7)

    @dbus.service.method("org.freedesktop.portal.RemoteDesktop", in_signature="a{sv}", out_signature="o", sender_keyword="sender")
    def CreateSession(self, options, sender):
        self.count += 1
        path = f"/org/freedesktop/portal/desktop/session/{self.count}"
        return self.answers(sender, options, {"session_handle": "/a//b/" if self.wrong == "path" else path})

    @dbus.service.method("org.freedesktop.portal.RemoteDesktop", in_signature="oa{sv}", out_signature="o", sender_keyword="sender")
    def SelectDevices(self, session, options, sender):
        self.tokens.append((int(options["persist_mode"]), str(options.get("restore_token", ""))))
        return self.answers(sender, options, {})

    @dbus.service.method("org.freedesktop.portal.RemoteDesktop", in_signature="osa{sv}", out_signature="o", sender_keyword="sender")
    def Start(self, session, parent, options, sender):
        self.client = sender
        if self.wrong == "closes":
            GLib.timeout_add(20, self.closes)
            return f"/org/freedesktop/portal/desktop/request/{sender[1:].replace('.', '_')}/{options['handle_token']}"
        return self.answers(sender, options, {"devices": dbus.UInt32(1), "restore_token": f"token {self.count}"})

    @dbus.service.method("org.freedesktop.portal.RemoteDesktop", in_signature="oa{sv}iu")
    def NotifyKeyboardKeysym(self, session, options, keysym, pressed):
        if self.wrong == "keys" and len(self.text) > 20:
            raise dbus.DBusException("Invalid session", name="org.freedesktop.DBus.Error.AccessDenied")
        self.text = typed(self.text, keysym, pressed)

    def closes(self):
        forge(self.bus, self.client, f"/org/freedesktop/portal/desktop/session/{self.count}", "org.freedesktop.portal.Session", "Closed")


def portal_remembers():
    """The user is asked once, whatever ends: the session, or the program."""
    desk, stand, file = Portal(), Stand(), WORK / "state" / "earshot" / "type-portal"
    file.unlink(missing_ok=True)
    typer = Typer("--way", "portal")
    stand.says("One.")
    gets("a sentence is typed by a newer portal", desk, "One.")
    check("without a token at first", desk.tokens == [(2, "")], desk.tokens)
    check("which is kept for its owner alone", file.exists() and file.read_text() == "token 1" and file.stat().st_mode & 0o777 == 0o600, file)
    desk.closes()
    pause(0.2)
    stand.says("Two.")
    gets("after a session that the desktop has closed there is another", desk, "One. Two.")
    check("for the token", desk.tokens[1:] == [(2, "token 1")], desk.tokens)
    typer.end()
    typer = Typer("--way", "portal")
    stand.says("Three.")
    wait_until(lambda: len(desk.tokens) == 3 and desk.text.endswith("Three."), 10)
    check("after a start too", desk.tokens[2:] == [(2, "token 2")] and desk.text.endswith("Three."), f"{desk.tokens} {desk.text}")
    typer.end()
    for desk.wrong, why in (("path", "a session without a name"), ("closes", "the desktop refuses")):
        typer = Typer("--way", "portal")
        ended = wait_until(lambda: typer.process.poll() is not None, 10)
        out = typer.end()
        check(f"a portal that goes wrong ends it: {desk.wrong}", ended and typer.process.returncode == 1 and why in out, out)
    desk.wrong = "keys"
    typer = Typer("--way", "portal")
    stand.says("A longer sentence that breaks off.")
    wait_until(lambda: typer.process.poll() is not None, 10)
    out = typer.end()
    check("a keyboard that is taken back in mid-sentence is told of", "taken the keyboard back in mid-sentence: Invalid session" in out, out)
    says_nothing("without a word", out, "longer", "breaks")
    stand.leaves()
    desk.bus.release_name("org.freedesktop.portal.Desktop")
    desk.remove_from_connection()


run(options, programs, portal, portal_remembers, x11, ibus, sway)
