"""What tells a state of the live files from others without reading them."""

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SETTLED = 50_000_000  # nanoseconds after which another write must get another time stamp
HEADER = {"": 100, "-wal": 32, "-shm": 48, "-journal": 28}
"""Bytes at the start of each file that every commit changes (sqlite.org/fileformat2.html, 1.3.7;
walformat.html, 2.1): the wal-index counts what a file's time may be too coarse to show."""


def of(live: "Path") -> list[object] | None:
    """Times, sizes and counters of the live files; None while they are too fresh for that.

    Opens and closes the files: not for a process that has the database open (howtocorrupt.html,
    2.2).
    """
    facts: list[object] = []
    now = time.time_ns()
    for suffix, length in HEADER.items():
        try:
            fd = os.open(f"{live}{suffix}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            stat = os.fstat(fd)
            start = os.pread(fd, length, 0).hex()
        finally:
            os.close(fd)
        # SQLite gives a -wal its owner anew whenever root opens it, which changes its ctime.
        times = {"": [stat.st_mtime_ns, stat.st_ctime_ns], "-shm": []}.get(
            suffix, [stat.st_mtime_ns]
        )
        if times and now - max(times) < SETTLED:
            return None
        facts.append([suffix, stat.st_dev, stat.st_ino, stat.st_size, *times, start])
    return facts
