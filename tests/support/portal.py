"""The desktop's portal for the end-to-end tests: the real xdg-desktop-portal, whose backend is the test's."""
import pathlib

import support.daemon as support
from support.daemon import *  # noqa: F403

PORTAL = next((path for path in map(pathlib.Path, ("/usr/libexec/xdg-desktop-portal", "/usr/lib/xdg-desktop-portal")) if path.exists()), None)
BACKEND = "org.freedesktop.impl.portal.desktop.test"


class Session(dbus.service.Object):
    """What the portal closes where its client is gone."""

    @dbus.service.method("org.freedesktop.impl.portal.Session")
    def Close(self):
        self.remove_from_connection()


def owner():
    """The process that is the portal; a bus starts one by itself where somebody calls it."""
    try:
        return int(support.BUS.connection.get_object(dbus.BUS_DAEMON_NAME, dbus.BUS_DAEMON_PATH, introspect=False).GetConnectionUnixProcessID(
            "org.freedesktop.portal.Desktop", dbus_interface=dbus.BUS_DAEMON_IFACE))
    except dbus.DBusException:
        return 0


def start_portal(implements):
    """The real portal; what it asks the desktop for, the test's objects of that interface answer."""
    folder = WORK / "portals"
    folder.mkdir(exist_ok=True)
    (folder / "test.portal").write_text(f"[portal]\nDBusName={BACKEND}\nInterfaces={implements}\nUseIn=test\n")
    (folder / "portals.conf").write_text("[preferred]\ndefault=test\n")
    extra = {"XDG_DESKTOP_PORTAL_DIR": str(folder), "XDG_CURRENT_DESKTOP": "test", "GIO_USE_VFS": "local", "GSETTINGS_BACKEND": "memory"}
    portal = subprocess.Popen([PORTAL, "-r"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment() | extra)
    started.append(portal)
    check("the portal is on the bus", wait_until(lambda: owner() == portal.pid, 20))
    return portal
