"""What a test does that lacks a tool of tools/packages.txt: it is skipped, and says why. In CI ($CI is set, as .ci/run
does) it fails: there everything is installed, and nothing may go untested in silence. The same for shell: lacking.sh."""
import os
import sys

IN_CI = bool(os.environ.get("CI"))


def end_without(what):
    print(f"FAILED: {what}, which CI is to have" if IN_CI else f"skipped: {what}", flush=True)
    sys.exit(1 if IN_CI else 77)
