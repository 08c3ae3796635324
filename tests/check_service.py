#!/usr/bin/python3
"""What a service that people leave running must bear: a bus that dies, a system bus."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403


def bus_lost():
    """The bus dies while somebody speaks, and comes back."""
    bus = Bus("mortal")
    d = Daemon(bus=bus)
    check("the first order is heard", d.completes(1))
    first = [(args[0], args[1]) for args in d.of("UtteranceCompleted") if args[1]]
    bus.stop()
    pause(4)
    check("without a bus the daemon goes on", d.process.poll() is None, d.said())
    bus.start()
    d.attach()
    check("and comes back with its name", d.get("State") in (IDLE, HEARING, THINKING), d.said())
    wait_until(lambda: len(d.call("GetTranscript", 0, 0, signature="tu")) >= 3, 20)
    rows = d.call("GetTranscript", 0, 0, signature="tu")
    offline = earshot("transcribe", "-m", MODEL, SPEECH)
    check("nothing that was said meanwhile is lost",
          letters(" ".join(row[3] for row in rows)) == letters(offline.stdout),
          f"{rows} {offline.stdout}")
    check("nor changed", [(row[0], row[3]) for row in rows][:len(first)] == first)
    d.stop()
    bus.stop()


def system_bus():
    """The policy file lets root in, and nobody else."""
    if os.geteuid() != 0:
        print("skipped: only root may own the name on a system bus")
        return
    WORK.chmod(0o755)
    conf = WORK / "system.conf"
    conf.write_text(
        f"<busconfig><type>system</type><listen>unix:path={WORK}/system</listen>"
        "<policy context='default'><allow user='*'/><allow send_type='method_call'/>"
        "<allow send_type='signal'/><allow send_requested_reply='true'/>"
        "<allow receive_type='method_call'/><allow receive_type='signal'/>"
        "<allow receive_type='method_return'/><allow receive_type='error'/></policy>"
        f"<include>{ROOT}/config/org.earshot.Earshot1.conf</include></busconfig>")
    bus = Bus("system", f"--config-file={conf}")
    (WORK / "system").chmod(0o777)
    d = Daemon("--config", config("[service]\nbus = system\n"), bus=bus,
               extra={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    check("the daemon is on the system bus", d.reaches(IDLE))
    ask = ["dbus-send", f"--bus={bus.address}", f"--dest={NAME}", "--print-reply", PATH,
           f"{ASSISTANT}.Cancel"]
    for user, allowed in ((0, True), (65534, False)):
        got = subprocess.run(ask, capture_output=True, text=True, user=user, extra_groups=[])
        check(f"user {user} is {'heard' if allowed else 'refused'}", (got.returncode == 0) == allowed
              and ("AccessDenied" in got.stderr) != allowed, got.stderr)
    d.stop()
    bus.stop()


run(bus_lost, system_bus)
