"""A backup before somebody else's command, where the cheap answer "there is one" will do.

The cheap answer goes by the files' times and counters, for those who destroy nothing themselves.
Whoever does destroy asks ``backup.covered``, which compares content.
"""

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop import backup, durable, steps, turn, vault

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.settings import Settings
    from undrop.sqlite import Progress

SETTLED = 50_000_000  # nanoseconds after which another write must get another time stamp
HEADER = {"": 100, "-wal": 32, "-shm": 48, "-journal": 28}
"""Bytes at the start of each file that every commit changes (sqlite.org/fileformat2.html, 1.3.7;
walformat.html, 2.1): the wal-index counts what a file's time may be too coarse to show."""


class Covered(NamedTuple):
    """What holds the present state."""

    name: str
    """The backup's name; empty when there is no database."""
    taken: bool
    """Whether it was taken just now."""
    damaged: bool
    """Whether the database was found damaged and its files were set aside."""


def cover(settings: "Settings", kind: str, reason: str, progress: "Progress") -> Covered:
    """See to it that a verified backup holds the present state, and that ``undo`` knows of it.

    ``kind`` is that of the step that comes, ``run`` or ``agent``. Free when nothing changed since
    the last time. Raises UndropError, OSError.
    """
    if not backup.exists(settings):
        return Covered("", taken=False, damaged=False)
    if name := known(settings):
        return Covered(name, taken=False, damaged=False)
    with turn.take(settings, lambda _: None):
        before = fingerprint(settings.live)
        had = set(os.listdir(settings.backups))
        for fresh in (False, True):
            with backup.covered(settings, backup.Purpose(reason, kind, fresh), progress) as state:
                found = Covered(state.name, state.name not in had, state.kind == "damaged")
            if (settings.backups / found.name).exists():
                break  # else only the vault has it
        last = steps.chain(settings)[-1:]
        if not last or last[0][1:5] != (kind, settings.source, found.name, "open"):
            steps.append(settings, kind, found.name)
        if not found.damaged:
            remember(settings, found.name, before)
    return found


def fingerprint(live: "Path") -> list[list[object]] | None:
    """What tells this state of the live files from others; None while it is too fresh for that.

    Opens and closes the files: not for a process that has the database open (howtocorrupt.html,
    2.2).
    """
    found: list[list[object]] = []
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
        found.append([suffix, stat.st_dev, stat.st_ino, stat.st_size, *times, start])
    return found


def known(settings: "Settings") -> str:
    """The name of the backup that holds the present state, if that is known cheaply; else empty."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(_file(settings).read_bytes())
        name = str(note["backup"])
        there = (settings.backups / name).is_file() and not vault.missing(settings)
        if there and note["files"] == fingerprint(settings.live):
            return name
    return ""


def remember(settings: "Settings", name: str, before: list[list[object]] | None) -> None:
    """Keep that ``name`` holds what the files were ``before`` it was taken, if they still are that.

    Call it inside ``turn.take``, with the database closed.
    """
    with suppress(OSError):
        if before is None or fingerprint(settings.live) != before:
            return
        work = _file(settings).with_name(f".{os.getpid()}.partial")
        durable.write_new(work, json.dumps({"backup": name, "files": before}).encode(), 0o600)
        work.replace(_file(settings))


def _file(settings: "Settings") -> "Path":
    return settings.backups / "covered.json"
