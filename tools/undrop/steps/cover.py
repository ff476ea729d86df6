"""A backup before somebody else's command, where the cheap answer "there is one" will do.

The cheap answer goes by the files' times and counters, for those who destroy nothing themselves.
Whoever does destroy asks ``backup.covered``, which compares content.
"""

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable, record
from undrop.steps import backup
from undrop.store import catalog, log, vault
from undrop.store.catalog import Backup
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


def begin(settings: "Settings", kind: str, reason: str, command: str = "") -> Covered:
    """See to it that a verified backup holds the present state, and that ``undo`` knows of it.

    ``kind`` is that of the step that comes, ``run`` or ``agent``; ``command`` its line. Free where
    nothing changed since the last time. Raises UndropError, OSError.
    """
    if not _may_begin(settings):
        return Covered("", taken=False, damaged=False)
    if kind == "agent":  # asked before every call of a tool
        name = known(settings)
        if name and _is_begun(settings, name):
            return Covered(name, taken=False, damaged=False)
    with locked(settings, lambda _: None) as lock:
        covered = _cover(lock, kind, reason)
        last = log.steps(settings)[-1:]
        if (
            kind != "agent"
            or not last
            or last[0][1:5] != (kind, settings.source, covered.name, "open")
        ):
            log.begin(settings, kind, covered.name, command)
    return covered


def _is_begun(settings: "Settings", name: str) -> bool:
    """Whether the log ends with an agent's call on that state, of which no end was seen."""
    last = log.steps(settings)[-1:]
    return bool(last) and last[0][1:5] == ("agent", settings.source, name, "open")


def _may_begin(settings: "Settings") -> bool:
    """Whether there is anything to write down: no database, and never a backup, is no state."""
    return settings.backups.is_dir() or settings.engine.exists()


def _cover(lock: "Lock", kind: str, reason: str) -> Covered:
    settings = lock.settings
    if not settings.engine.exists():
        return Covered("", taken=False, damaged=False)
    if name := known(settings):
        return Covered(name, taken=False, damaged=False)
    fingerprint = settings.engine.fingerprint()
    had = set(os.listdir(settings.backups))
    for fresh in (False, True):
        with backup.covered(lock, backup.Purpose(reason, kind, fresh)) as state:
            covered = Covered(state.name, state.name not in had, state.kind == "damaged")
        if (settings.backups / covered.name).exists():
            break  # else only the vault has it
    if not covered.damaged:
        remember(lock, covered.name, fingerprint)
    return covered


def end(settings: "Settings", kind: str, command: str = "") -> Covered | None:
    """Write down that the newest step of that ``kind`` has ended, and hold the state after it.

    None where no such step is open. Nothing is written where an agent's call changed nothing:
    that shows. Raises UndropError, OSError.
    """
    if not _may_begin(settings):
        return None
    if kind == "agent" and (name := known(settings)) and _is_begun(settings, name):
        return None
    with locked(settings, lambda _: None) as lock:
        begun = (step for step in reversed(log.steps(settings)) if step.kind == kind)
        step = next((step for step in begun if not step.ended), None)
        if step is None and log.steps(settings):
            return None
        if step is None:  # it made the very first database
            step = log.begin(settings, kind, "", command)
        covered = _cover(lock, kind, f"after {kind}")
        same = covered.name == step.state_before or _is_same(settings, covered.name, step)
        if kind == "agent" and same:
            return covered
        step = step._replace(command=log.kept(command) or step.command)
        content = catalog.content(settings, covered.name) if covered.name else log.ABSENT
        after = log.UNKNOWN if same else log.After(covered.name, content)
        log.end(settings, step, "same" if same else "done", None, after)
    return covered


def _is_same(settings: "Settings", name: str, step: "log.Step") -> bool:
    """Whether two backups hold one state."""
    pair = [catalog.content(settings, each) for each in (name, step.state_before) if each]
    return len(pair) == 2 and pair[0] == pair[1] != ""


def known(settings: "Settings") -> str:
    """The name of the backup that holds the present state, if that is known cheaply; else empty."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(_file(settings).read_bytes())
        name = str(note["backup"])
        kept = settings.backups / name
        whole = kept.exists() and Backup(kept, record.read(kept.with_suffix(".json"))).verified
        if whole and not vault.missing(settings) and note["files"] == settings.engine.fingerprint():
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
