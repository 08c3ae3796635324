#!/usr/bin/python3
"""The tests can fail: what they leave out is told, with the reason (tools/skips), a tool that is missing is a failure in CI, and
what they share sees a text that is lost."""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

TESTS = """
add_test(whole "/bin/sh" "-c" "echo 'skipped: no moon here'; exit 77")
set_tests_properties(whole PROPERTIES SKIP_RETURN_CODE 77)
add_test(part "/bin/sh" "-c" "echo 'ok: one'; echo 'skipped: no zsh'; echo 'skipped: no zsh'; echo '[  SKIPPED ] on_a_gpu'")
add_test(runs "/bin/sh" "-c" "echo 'ok: nothing was skipped'")
add_test(fails "/bin/sh" "-c" "echo 'skipped: no sun'; exit 1")
"""
EXPECTED = """Skipped in {0}: 4
  whole: no moon here
  part: no zsh
  part: the case on_a_gpu
  fails: no sun
{0}/none: no test has run
"""
def summary(folder):
    (folder / "CTestTestfile.cmake").write_text(TESTS)
    subprocess.run(["ctest"], cwd=folder, capture_output=True)
    got = subprocess.run([ROOT / "tools" / "skips", folder, folder / "none"], capture_output=True, text=True).stdout
    check("every skip is listed, with its test and its reason", got == EXPECTED.format(folder), got)


def missing_tool(folder):
    """A Python without dbus, as a machine has it where python3-dbus is not installed."""
    (folder / "dbus.py").write_text("raise ImportError('no dbus here')\n")
    without_ci = {k: v for k, v in os.environ.items() if k != "CI"} | {"PYTHONPATH": str(folder)}
    for environment, code, word in ((without_ci, 77, "skipped: "), (without_ci | {"CI": "true"}, 1, "FAILED: ")):
        got = subprocess.run(["/usr/bin/python3", ROOT / "tests" / "check_daemon.py", sys.argv[1]], env=environment,
                             capture_output=True, text=True)
        check(f"without python3-dbus a test ends with {code}, and names it", got.returncode == code
              and got.stdout.startswith(word) and "python3-dbus" in got.stdout, got)


class Ear:
    """One that has told two texts, and answers GetTranscript with what a test wants."""

    told = [(1, "one", {"addressed": True}), (2, "two", {"addressed": True}), (3, "", {"addressed": True})]

    def __init__(self, answer):
        self.answer, self.signals = answer, []

    def call(self, *_, signature):
        return self.answer


def lost_texts():
    whole = [(1, 0, 1, "one", ""), (2, 1, 2, "two", "")]
    check("texts that are all there are kept", keeps_its_texts(Ear(whole)))
    for what, answer in (("an error", ERROR + "Busy"), ("no answer", "no answer"), ("nothing", []), ("a text less", whole[:1]),
                         ("another text", [whole[0], (2, 1, 2, "too", "")]), ("another order", whole[::-1])):
        check(f"{what} instead of the transcript is seen", not keeps_its_texts(Ear(answer)))
    check("no event at all is no contract that is kept", not keeps_the_contract(Ear([])))


def left_out():
    with tempfile.TemporaryDirectory(prefix="earshot-skips-") as name:
        summary(pathlib.Path(name))
        missing_tool(pathlib.Path(name))


run(left_out, lost_texts)
