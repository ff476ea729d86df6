"""Clocks: several contenders in turn, medians, peak private memory, phases."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A project to run commands in."""

    folder: Path
    environment: dict[str, str]

    @property
    def database(self) -> Path:
        return self.folder / "quartermaster.db"

    def run(self, *command: str) -> str:
        """Run a command that must succeed; what it printed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def seconds(self, *command: str) -> float:
        """How long a command takes, its process included."""
        began = time.perf_counter()
        self.run(*command)
        return time.perf_counter() - began

    def phases(self, *command: str) -> dict[str, float]:
        """Seconds in each phase of an ``undrop`` command."""
        profile = str(Path(__file__).with_name("profile_phases.py"))
        began = time.time()
        out = self.run(sys.executable, profile, str(began), *command)
        found: dict[str, float] = json.loads(out.splitlines()[-1])
        return found


def in_turn(
    rounds: int, runs: dict[str, Callable[[], float]], clean: Callable[[], None]
) -> dict[str, float]:
    """Each run ``rounds`` times, one after the other and again; the median of each, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(run())
            clean()
    return {name: statistics.median(found) for name, found in times.items()}


def percentile(values: Sequence[float], part: float) -> float:
    """The value that ``part`` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def peak_private(place: Place, *command: str) -> int:
    """Most bytes of memory that a command had for itself, file mappings not counted (RssAnon)."""
    peak = 0
    with subprocess.Popen(
        command,
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            try:
                lines = status.read_text().splitlines()
            except OSError:
                break
            kilobytes = [int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]
            peak = max([peak, *kilobytes])
            time.sleep(0.002)
    return peak * 1024


def disk_bytes(folder: Path) -> int:
    """Bytes that a folder's files take on the disk, hard links counted once."""
    blocks = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            stat = Path(parent, name).lstat()
            blocks[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(blocks.values())
