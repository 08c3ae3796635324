"""What a screen reader is told of a program: the accessibility bus, private like the session's."""
import os
import time

import support.daemon as support
from support.daemon import GLib, end_without, environment, pause, wait_until

try:
    import gi
    gi.require_version("Atspi", "2.0")
    from gi.repository import Atspi
except (ImportError, ValueError) as missing:
    end_without(f"{missing} (Debian: gir1.2-atspi-2.0 at-spi2-core)")


class Reader:
    """The texts of the caption window. Made once in a process, before which the test's session bus is there."""

    def __init__(self):
        os.environ.update(environment() | {"DBUS_SESSION_BUS_ADDRESS": support.BUS.address})
        Atspi.init()
        Atspi.set_timeout(2000, 4000)
        self.told = []  # (time, what) of the events of text
        self.listener = Atspi.EventListener.new(self.take)
        self.listener.register("object:text-changed")
        self.listener.register("object:property-change")

    def take(self, event):
        self.told.append((time.monotonic(), str(event.type), str(event.any_data)))

    def all(self, node=None):
        """Everything that is there, top down."""
        try:
            node = node or Atspi.get_desktop(0)
            node.clear_cache()
            yield node
            for i in range(node.get_child_count()):
                child = node.get_child_at_index(i)
                if child:
                    yield from self.all(child)
        except GLib.Error:  # it went meanwhile
            return

    def find(self, role):
        return [node for node in self.all() if node.get_role_name() == role]

    def captions(self):
        """The accessible of the text; None: no window."""
        found = self.find("log")
        return found[0] if found else None

    def opens(self, seconds=20):
        """Waits for the window; its text."""
        found = []
        wait_until(lambda: found.append(self.captions()) or found[-1], seconds)
        return Text(found[-1])

    def status(self):
        """Its name, or its text, as the version of GTK has it."""
        return " ".join(node.get_name() or Atspi.Text.get_text(node, 0, -1) for node in self.find("status bar"))

    def menu(self):
        """The names of the entries of an open menu."""
        return [node.get_name() for role in ("menu item", "push button", "check menu item") for node in self.find(role)]

    def press(self, name):
        """As a click on an entry of an open menu."""
        for node in self.all():
            if node.get_role_name() == "menu item" and node.get_name() == name and Atspi.Action.get_n_actions(node):
                return Atspi.Action.do_action(node, 0)

    def labels(self):
        """Of an open menu, with those of its submenus, and of the window."""
        return [node.get_name() for node in self.all() if node.get_role_name() in ("label", "push button") or "menu item" in node.get_role_name()]


class Text:
    def __init__(self, node):
        self.node = node

    def get(self):
        return Atspi.Text.get_text(self.node, 0, -1) if self.node else None

    def becomes(self, text, seconds=5):
        return wait_until(lambda: self.get() == text, seconds)

    def look(self, words):
        """The attributes of the first letter of the words."""
        pause(0.05)
        run = Atspi.Text.get_attribute_run(self.node, self.get().index(words), False)
        return dict(run[0]), run[1], run[2]

    def colour(self, words):
        return self.look(words)[0].get("fg-color")

    def is_underlined(self, words):
        return self.look(words)[0].get("underline", "none") != "none"

    def selected(self):
        if not Atspi.Text.get_n_selections(self.node):
            return ""
        found = Atspi.Text.get_selection(self.node, 0)
        return self.get()[found.start_offset:found.end_offset]
