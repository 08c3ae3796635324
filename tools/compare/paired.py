"""What the comparisons share: programs that run by turns, and medians told with their spread."""

import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.argv[0]).name


def output_of(command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{PROGRAM}: {command[0]} failed ({done.returncode}): {done.stderr[-300:].strip()}")
    return done.stdout


def median_ms(command):
    """The median of the lines that a program prints."""
    return statistics.median(map(float, output_of(command).split()))


def told(values, unit=""):
    """-> median (least to most)"""
    return f"{statistics.median(values):.4g}{unit} ({min(values):.4g} to {max(values):.4g})"
