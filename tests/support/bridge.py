"""What the end-to-end tests of the bridges share: a running one, threads beside the main loop, networks of a test's own."""
import os
import socket
import subprocess
import sys
import threading
import time

import support.daemon
from support.daemon import *  # noqa: F403


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Program:
    """A running bridge, at a port and a path."""

    def __init__(self, program, *options, prefix=(), listen=True, inherit=None, scheme="tcp", unix=True):
        self.name = program.name
        self.port, self.path = free_port(), WORK / f"{self.name}.sock"
        where = ("--listen", f"{scheme}://127.0.0.1:{self.port}" + (f" unix://{self.path}" if unix else "")) if listen else ()
        self.log = open_log(f"{self.name}.log")
        self.process = subprocess.Popen([*prefix, program, "--bus", support.daemon.BUS.address, *where, *options],
                                        stderr=self.log, env=environment(), pass_fds=[inherit] if inherit else ())
        started.append(self.process)
        self.there = wait_until(lambda: self.process.poll() is not None or "listens at" in self.said(), 20)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self, texts=()):
        self.process.terminate()
        wait_until(lambda: self.process.poll() is not None, 10)
        check(f"{self.name} ends without an error", self.process.poll() == 0, f"{self.process.poll()} {self.said()}")
        check("no transcript in its log", not any(text in self.said() for text in texts if len(text) > 8), self.said())
        check("its unix socket is gone with it", not self.path.exists())
        self.log.close()


def beside_floods(port, flood, ask):
    """While four processes run `flood KIND PORT`: how long 100 calls of ask() take, ms, sorted; it is false where there is no answer."""
    floods = [subprocess.Popen([sys.executable, "-c", flood, str(kind), str(port)], stdout=subprocess.PIPE, text=True) for kind in range(4)]
    started.extend(floods)
    check("four flood", all(flood.stdout.readline() == "floods\n" for flood in floods))
    times = []
    for n in range(100):
        begin = time.monotonic()
        if not ask(n):
            break
        times.append((time.monotonic() - begin) * 1e3)
        time.sleep(0.01)
    check("who asks beside them is answered", len(times) == 100, times)
    check("and they flood still", all(flood.poll() is None for flood in floods))
    for flood in floods:
        flood.kill()
        flood.wait()
    times = sorted(times) or [1e9]
    print(f"beside four that flood: {times[len(times) // 2]:.1f} ms in the median, {times[-1]:.1f} ms at most")
    return times


def in_threads(count, function):
    """What the function returns for 0, 1, ..; the main loop goes on meanwhile."""
    results = [None] * count

    def work(i):
        try:
            results[i] = function(i)
        except Exception as e:  # noqa: BLE001
            results[i] = e
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    wait_until(lambda: not any(thread.is_alive() for thread in threads), 240)
    return results


def away(function):
    return in_threads(1, lambda _: function())[0]


NAMESPACE = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c",
             'ip link set lo up && ip addr add 10.1.2.3 dev lo && ip addr add 10.1.2.4 dev lo && exec "$@"', "sh")


def has_namespaces():
    """Networks of a test's own."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, env=environment()).returncode == 0:
        return True
    print("skipped: no network namespaces, or no ip (Debian: iproute2)")
    return False


def in_namespace(b, *command):
    process = subprocess.Popen(["nsenter", "--preserve-credentials", "--user", "--net", "--target", str(b.process.pid), *command],
                               stdout=subprocess.PIPE, text=True)
    started.append(process)
    return process
