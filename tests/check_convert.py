#!/usr/bin/env python3
"""tools/convert, over tiny checkpoints of every public layout: convert/tests, in the Python that has what they need."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NEEDED = ("torch", "transformers", "gguf", "safetensors", "pytest")


def main():
    python = os.environ.get("EARSHOT_PYTHON", sys.executable)
    find = f"import importlib.util as u; print(*[n for n in {NEEDED} if u.find_spec(n) is None])"
    missing = subprocess.run([python, "-c", find], capture_output=True, text=True, check=True).stdout.split()
    if missing:
        print(f"skipped: {python} has no {', '.join(missing)} (EARSHOT_PYTHON names another)")
        return 77
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "convert/tests"]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
