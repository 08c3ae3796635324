"""Desktops of a test's own, without a screen: an X server, and a Sway."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from support.daemon import environment, started, wait_until


class XServer:
    """A display without a window manager."""

    def __init__(self, size="640x480"):
        self.server = subprocess.Popen(["Xvfb", "-displayfd", "1", "-noreset", "-nolisten", "tcp", "-screen", "0", f"{size}x24"],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(self.server)
        self.extra = {"DISPLAY": ":" + self.server.stdout.readline().strip()}

    def run(self, *args):
        """What a program prints that is a client of it."""
        return subprocess.run([*map(str, args)], env=environment() | self.extra, capture_output=True, text=True, timeout=30).stdout

    def xdotool(self, *args):
        return self.run("xdotool", *args)

    def stop(self):
        self.server.terminate()
        self.server.wait()


class SwayServer:
    """A headless Sway, which refuses to be root's."""

    def __init__(self, config="xwayland disable\nfocus_on_window_activation none\n"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="earshot-sway-"))
        (self.folder / "config").write_text(config)
        lower = []
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            lower = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
                     "--inh-caps=-all", "--bounding-set=-all"]
            for path in (self.folder, self.folder / "config"):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self.server = subprocess.Popen(
            [*lower, "sway", "-c", self.folder / "config"], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder), "WLR_BACKENDS": "headless",
                 "WLR_LIBINPUT_NO_DEVICES": "1", "WLR_RENDERER": "pixman", "LC_ALL": "C.UTF-8"})
        started.append(self.server)
        self.is_there = wait_until(lambda: list(self.folder.glob("sway-ipc.*")) and list(self.folder.glob("wayland-?")), 20)
        if self.is_there:
            self.extra = {"XDG_RUNTIME_DIR": str(self.folder), "WAYLAND_DISPLAY": next(self.folder.glob("wayland-?")).name,
                          "SWAYSOCK": str(next(self.folder.glob("sway-ipc.*")))}

    def swaymsg(self, *args):
        return subprocess.run(["swaymsg", *args], env=environment() | self.extra, capture_output=True, text=True, timeout=30).stdout

    def stop(self):
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
