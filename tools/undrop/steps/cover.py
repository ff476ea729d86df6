"""A backup before somebody else's command, where the cheap answer "there is one" will do.

The cheap answer goes by the files' times and counters, for those who destroy nothing themselves.
Whoever does destroy asks ``backup.covered``, which compares content.
"""

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop import durable, record
from undrop.errors import UndropError
from undrop.steps import backup
from undrop.store import catalog, log, vault
from undrop.store.catalog import Backup
from undrop.store.lock import locked

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.settings import Settings
    from undrop.store.lock import Lock


NOTE = "covered.json"
MOST_CALLS = 100  # of an agent that run at once, or on one state


class Covered(NamedTuple):
    """What holds the present state."""

    name: str
    """The backup's name; empty when there is no database."""
    taken: bool
    """Whether it was taken just now."""
    damaged: bool
    """Whether the database was found damaged and its files were set aside."""
    step: "log.Step | None" = None
    """The step that was written down; None where the log has it, or there is nothing to log."""


class Watched(NamedTuple):
    """A command of others, which changes the database itself."""

    kind: str
    """``run``, ``agent`` or ``alembic``."""
    reason: str
    """Of the backup that is taken."""
    command: str = ""
    session: str = ""
    """The agent's, where it is a call of one."""
    call: str = ""
    """What that call is known by, where the agent says so."""


def begin(settings: "Settings", watched: Watched) -> Covered:
    """See to it that a verified backup holds the present state, and that ``undo`` knows of it.

    Free where nothing changed since the last time. Raises UndropError, OSError.
    """
    if not _may_begin(settings):
        return Covered("", taken=False, damaged=False)
    name = known(settings) if watched.kind == "agent" else ""  # asked before every call of a tool
    if name and _is_begun(settings, name, watched):
        _note_call(settings, name, watched.call)
        return Covered(name, taken=False, damaged=False)
    try:
        return _begin(settings, watched)
    except UndropError:
        if name:  # it is held: nobody is asked because another undrop is at work
            return Covered(name, taken=False, damaged=False)
        raise


def _begin(settings: "Settings", watched: Watched) -> Covered:
    with locked(settings, lambda _: None) as lock:
        covered = _cover(lock, watched.kind, watched.reason)
        _note_call(settings, covered.name, watched.call)
        if watched.kind == "agent" and _is_begun(settings, covered.name, watched):
            return covered
        told = log.Known(command=watched.command, session=watched.session)
        return covered._replace(step=log.begin(settings, watched.kind, covered.name, told))


def _is_begun(settings: "Settings", name: str, watched: Watched) -> bool:
    """Whether the log ends with a call of that agent on that state, of which no end was seen."""
    last = log.steps(settings)[-1:]
    told = (last[0].kind, last[0].state_before, last[0].session, last[0].phase) if last else ()
    return told == ("agent", name, watched.session, "open")


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


def end(settings: "Settings", watched: Watched, begun: Covered | None = None) -> Covered | None:
    """Write down that a command of others has ended, and hold the state after it.

    It is the one that ``begun`` tells of, else the newest of its kind and session, if that is
    open; None where it is not. Nothing is written where an agent's call changed nothing: that
    shows. Raises UndropError, OSError.
    """
    if not _may_begin(settings):
        return None
    agent = watched.kind == "agent"
    # Without any note the calls may have taken it away, with all backups: the vault has the log.
    if watched.call and _note(settings) and watched.call not in _calls(settings):
        return None  # its beginning was not seen
    if agent and (name := known(settings)) and _is_begun(settings, name, watched):
        return None
    with locked(settings, lambda _: None) as lock:
        step = _begun(settings, watched) if begun is None else begun.step
        if step is None and begun is not None:  # there was no database, nor anything to log
            step = log.begin(settings, watched.kind, "", log.Known(command=watched.command))
        if step is None:
            return None
        covered = _cover(lock, watched.kind, f"after {watched.kind}")
        contents = {**catalog.contents(settings), "": log.ABSENT}
        content = contents.get(covered.name, "")
        alike = content != "" and content == contents.get(step.state_before)
        same = alike or covered.name == step.state_before
        if agent and same:
            return covered
        step = step._replace(command=log.kept(watched.command) or step.command)
        after = log.UNKNOWN if same else log.After(covered.name, content)
        log.end(settings, step, "same" if same else "done", None, after)
    return covered


def _begun(settings: "Settings", watched: Watched) -> "log.Step | None":
    """The newest step of that kind and session, if it is open."""
    alike = (s for s in reversed(log.steps(settings)) if s.kind == watched.kind)
    newest = next((step for step in alike if step.session == watched.session), None)
    return None if newest is None or newest.ended else newest


def known(settings: "Settings") -> str:
    """The name of the backup that holds the present state, if that is known cheaply; else empty."""
    note = _note(settings)
    with suppress(OSError, ValueError, KeyError, TypeError):
        name = str(note["backup"])
        kept = settings.backups / name
        same = note["kept"] == _written(kept)
        whole = same and Backup(kept, record.read(kept.with_suffix(".json"))).verified
        if whole and not vault.missing(settings) and note["files"] == settings.engine.fingerprint():
            return name
    return ""


def remember(lock: "Lock", name: str, fingerprint: list[object] | None) -> None:
    """Keep that ``name`` holds the state of ``fingerprint``, if the files still have that.

    Call it with the database closed.
    """
    settings = lock.settings
    with suppress(OSError):
        if fingerprint is not None and settings.engine.fingerprint() == fingerprint:
            kept = _written(settings.backups / name)
            _write(
                settings, {**_note(settings), "backup": name, "files": fingerprint, "kept": kept}
            )


def _written(path: "Path") -> list[int]:
    """Which file it is, its bytes, and when it was written. Raises OSError."""
    stat = path.stat()
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns]


def _note_call(settings: "Settings", name: str, call: str) -> None:
    """Keep that an agent's call begins on the state that ``name`` holds."""
    note = _note(settings)
    calls = _calls(settings) if note.get("calls_on") == name else []
    with suppress(OSError):
        if call:
            _write(settings, {**note, "calls_on": name, "calls": [*calls, call][-MOST_CALLS:]})


def _calls(settings: "Settings") -> list[str]:
    """The calls that began on the state that was found last."""
    calls = _note(settings).get("calls")
    return [str(call) for call in calls] if isinstance(calls, list) else []


def _note(settings: "Settings") -> dict[str, Any]:
    with suppress(OSError, ValueError):
        note = json.loads((settings.backups / NOTE).read_bytes())
        return note if isinstance(note, dict) else {}
    return {}


def _write(settings: "Settings", note: dict[str, Any]) -> None:
    work = settings.backups / f".{os.getpid()}.partial"
    durable.write_new(work, json.dumps(note).encode(), 0o600)
    work.replace(settings.backups / NOTE)
