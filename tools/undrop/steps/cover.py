"""A backup before somebody else's command, where the cheap answer "there is one" will do.

The cheap answer goes by the files' times and counters, for those who destroy nothing themselves.
Whoever does destroy asks ``backup.covered``, which compares content.
"""

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable
from undrop.steps import backup
from undrop.store import log, vault
from undrop.store.lock import locked

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.settings import Settings
    from undrop.store.lock import Lock


class Covered(NamedTuple):
    """What holds the present state."""

    name: str
    """The backup's name; empty when there is no database."""
    taken: bool
    """Whether it was taken just now."""
    damaged: bool
    """Whether the database was found damaged and its files were set aside."""


def cover(settings: "Settings", kind: str, reason: str) -> Covered:
    """See to it that a verified backup holds the present state, and that ``undo`` knows of it.

    ``kind`` is that of the step that comes, ``run`` or ``agent``. Free when nothing changed since
    the last time. Raises UndropError, OSError.
    """
    if not settings.engine.exists():
        return Covered("", taken=False, damaged=False)
    if name := known(settings):
        return Covered(name, taken=False, damaged=False)
    with locked(settings, lambda _: None) as lock:
        fingerprint = settings.engine.fingerprint()
        had = set(os.listdir(settings.backups))
        for fresh in (False, True):
            with backup.covered(lock, backup.Purpose(reason, kind, fresh)) as state:
                covered = Covered(state.name, state.name not in had, state.kind == "damaged")
            if (settings.backups / covered.name).exists():
                break  # else only the vault has it
        last = log.chain(settings)[-1:]
        if not last or last[0][1:5] != (kind, settings.source, covered.name, "open"):
            log.append(settings, kind, covered.name)
        if not covered.damaged:
            remember(lock, covered.name, fingerprint)
    return covered


def known(settings: "Settings") -> str:
    """The name of the backup that holds the present state, if that is known cheaply; else empty."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(_file(settings).read_bytes())
        name = str(note["backup"])
        there = (settings.backups / name).exists() and not vault.missing(settings)
        if there and note["files"] == settings.engine.fingerprint():
            return name
    return ""


def remember(lock: "Lock", name: str, fingerprint: list[object] | None) -> None:
    """Keep that ``name`` holds the state of ``fingerprint``, if the files still have that.

    Call it with the database closed.
    """
    settings = lock.settings
    with suppress(OSError):
        if fingerprint is None or settings.engine.fingerprint() != fingerprint:
            return
        work = _file(settings).with_name(f".{os.getpid()}.partial")
        durable.write_new(work, json.dumps({"backup": name, "files": fingerprint}).encode(), 0o600)
        work.replace(_file(settings))


def _file(settings: "Settings") -> "Path":
    return settings.backups / "covered.json"
