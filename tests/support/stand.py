"""What owns the daemon's name in its place, and says what a test wants it to say."""
import support.daemon as support
from support.daemon import ASSISTANT, IDLE, NAME, OPTIONS, PATH, dbus, pause


class Heard(dbus.service.Object):
    """What an ear beside the microphone's tells."""

    @dbus.service.signal(ASSISTANT, signature="tuus")
    def UtteranceUpdated(self, number, seq, stable_bytes, text):
        pass

    @dbus.service.signal(ASSISTANT, signature="tsa{sv}")
    def UtteranceCompleted(self, number, text, details):
        pass


class Stand(Heard):
    def __init__(self, since=0, **properties):
        self.bus = support.BUS.connect()
        self.number = since
        self.seq = 0
        self.set = []  # what clients have set
        self.refuses = None  # why what clients set is refused
        self.ears = {}  # beside the microphone's, by their names
        self.missed = []  # for GetUtterances
        self.properties = {"State": dbus.UInt32(IDLE), "Muted": False, "Mode": "captions", "Device": "pulse", "DeviceError": "",
                           "Progress": dbus.UInt32(100)} | properties
        super().__init__(self.bus, PATH)
        self.bus.request_name(NAME)

    @dbus.service.signal(ASSISTANT, signature="ta{sv}")
    def UtteranceStarted(self, number, details):
        pass

    @dbus.service.signal(ASSISTANT, signature="tus")
    def ReplyUpdated(self, number, seq, text):
        pass

    @dbus.service.signal(ASSISTANT, signature="tsa{sv}")
    def ReplyCompleted(self, number, text, details):
        pass

    @dbus.service.signal(dbus.PROPERTIES_IFACE, signature="sa{sv}as")
    def PropertiesChanged(self, interface, changed, invalidated):
        pass

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return self.properties

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        return self.properties[name]

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ssv")
    def Set(self, interface, name, value):
        if self.refuses:
            raise dbus.DBusException(self.refuses, name="org.earshot.Earshot1.Error.InvalidArgument")
        self.set.append((str(name), value))
        self.changes(**{str(name): value})

    @dbus.service.method(ASSISTANT, in_signature="tu", out_signature="aa{sv}")
    def GetUtterances(self, since_id, limit):
        return dbus.Array([{"id": dbus.UInt64(number), "text": text} for number, text in self.missed if number > since_id],
                          signature="a{sv}")

    @dbus.service.method(NAME + ".Ears", in_signature="sa{sv}", out_signature="o")
    def AddEar(self, name, options):
        if name in self.ears:
            raise dbus.DBusException("an ear has this name already", name="org.earshot.Earshot1.Error.Busy")
        assert options == {"stays": False}, options
        self.ears[str(name)] = Heard(self.bus, f"{PATH}/ears/{name}")
        return f"{PATH}/ears/{name}"

    @dbus.service.method(NAME + ".Ears", in_signature="s")
    def RemoveEar(self, name):
        self.ears.pop(str(name)).remove_from_connection()

    def changes(self, **properties):
        self.properties |= properties
        self.PropertiesChanged(ASSISTANT, dbus.Dictionary(properties, signature="sv"), dbus.Array([], signature="s"))

    def begins(self, seconds=0.3):
        """seconds: until a client has seen the focus."""
        self.number += 1
        self.UtteranceStarted(dbus.UInt64(self.number), OPTIONS)
        pause(seconds)

    def goes_on(self, stable, more=""):
        self.seq += 1
        self.UtteranceUpdated(dbus.UInt64(self.number), dbus.UInt32(self.seq), dbus.UInt32(len(stable.encode())), stable + more)

    def ends(self, text, phrase_bytes=0, **details):
        self.UtteranceCompleted(dbus.UInt64(self.number), text, dbus.Dictionary(
            {"addressed": True, "phrase_bytes": dbus.UInt32(phrase_bytes)} | details, signature="sv"))

    def says(self, text, **details):
        self.begins()
        self.ends(text, **details)

    def leaves(self):
        self.bus.release_name(NAME)
        self.remove_from_connection()
