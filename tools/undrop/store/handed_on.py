"""What ``after-backup``, the user's own command, has taken of the backups, and what is left.

What it did not take, because it failed or was killed, is tried again after the next backup. A
backup is known by its name without a suffix, whatever form it has by now.
"""

import fcntl
import json
import os
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable
from undrop.store import catalog
from undrop.store.after_backup import FAILED, OUTPUT, TAKEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.settings import Settings
    from undrop.store.catalog import Backup

PATIENCE = 0.2  # seconds
PRIVATE = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Failure(NamedTuple):
    """How the command failed, when it did the last time."""

    backup: str
    """Its name, without a suffix."""
    at: str
    """UTC, ISO 8601."""
    error: str
    """The last line that it printed, or what became of it."""


def left(settings: "Settings") -> "list[Backup]":
    """Verified backups, of any of the project's databases, that it has not taken, oldest first.

    Those from before it was in the settings, too. Raises OSError as ``catalog.backups`` does.
    """
    whole = [each for each in catalog.backups(settings) if each.verified and not each.is_set]
    taken: set[str] = set()
    with suppress(OSError):
        taken.update((settings.backups / TAKEN).read_text("utf-8", "replace").splitlines())
    return [backup for backup in whole if backup.path.stem not in taken]


class Standing(NamedTuple):
    """How far it is with a database's backups."""

    left: int
    """How many it has not taken."""
    since: datetime | None
    """When the oldest of them was taken; None where none is left."""
    running: bool
    """Whether it is at work."""
    error: str
    """How it failed the last time, where it has not taken that one since; else empty."""


def look(settings: "Settings") -> Standing | None:
    """How far it is with this database's backups; None where there is no such command.

    Writes nothing. Raises OSError as ``left``.
    """
    if not settings.after_backup:
        return None
    waiting = [backup for backup in left(settings) if catalog.is_of(settings, backup)]
    if not waiting:
        return Standing(0, None, running=False, error="")
    last = _last_failure(settings)
    is_left = last and any(backup.path.stem == last.backup for backup in waiting)
    error = last.error if last and is_left else ""
    return Standing(len(waiting), waiting[0].created, _is_running(settings), error)


def _last_failure(settings: "Settings") -> Failure | None:
    with suppress(OSError, ValueError, TypeError):
        told = Failure(**json.loads((settings.backups / FAILED).read_bytes()))
        return told if all(isinstance(text, str) for text in told) else None
    return None


class Runner(NamedTuple):
    """Who alone runs the command."""

    settings: "Settings"
    fd: int

    def note(self, backup: "Backup") -> None:
        """Write down that it was taken. Raises OSError."""
        durable.append(self.fd, os.fsencode(backup.path.stem) + b"\n")

    def note_failure(self, failure: Failure) -> None:
        """Write down how it failed. Raises OSError."""
        fd = _open(self.settings, FAILED, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(json.dumps(failure._asdict()) + "\n")

    def output(self) -> int:
        """A descriptor for what it prints now. Raises OSError."""
        return _open(self.settings, OUTPUT, os.O_WRONLY | os.O_TRUNC)


@contextmanager
def alone(settings: "Settings") -> "Iterator[Runner | None]":
    """The one who may run it, for the block; None where somebody else does. Raises OSError."""
    fd = _open(settings, TAKEN, os.O_RDWR | os.O_APPEND)
    try:
        yield Runner(settings, fd) if _is_mine(fd) else None
    finally:
        os.close(fd)


def _is_mine(fd: int) -> bool:
    """Whether we have the lock; who only asked whether somebody runs it had it for a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def _is_running(settings: "Settings") -> bool:
    """Whether somebody runs it."""
    with suppress(OSError):
        fd = os.open(settings.backups / TAKEN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
    return False


def _open(settings: "Settings", name: str, how: int) -> int:
    path: Path = settings.backups / name
    fd = os.open(path, how | PRIVATE, 0o600)
    durable.give(fd, path.parent)
    return fd
