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
from undrop.steps import backup, pending
from undrop.store import calls, catalog, log, shrink, vault
from undrop.store.catalog import Backup
from undrop.store.lock import COVERED, locked

if TYPE_CHECKING:
    from pathlib import Path

    from undrop.settings import Settings
    from undrop.store.lock import Lock
    from undrop.store.step import Step


class Covered(NamedTuple):
    """What holds the present state."""

    name: str
    """The backup's name; empty when there is no database."""
    taken: bool
    """Whether it was taken just now."""
    damaged: bool
    """Whether the database was found damaged and its files were set aside."""
    step: "Step | None" = None
    """The step that was written down; None where the log has it, or there is nothing to log."""
    again: bool = False
    """Whether another hook has told of this call."""
    emptied: tuple[str, ...] = ()
    """Tables that had rows and have none, where an agent's step begins on this state."""
    ended: "Ended | None" = None
    """What an agent's call has changed, that has ended."""
    beside: bool = False
    """Whether others are one step with that call."""
    lost: bool = False
    """Whether there is no database, and there was one when it was seen last."""


class Ended(NamedTuple):
    """The states that a call led from and to, as the log names them: empty for no database."""

    state_before: str
    state_after: str


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
    background: bool = False
    """Whether the command goes on when the call has ended."""
    tells_ends: bool = False
    """Whether it is known that the agent tells when a call has ended."""


def begin(settings: "Settings", watched: Watched) -> Covered:
    """See to it that a verified backup holds the present state, and that ``undo`` knows of it.

    Free where nothing changed since the last time. Raises UndropError, OSError.
    """
    if not _may_begin(settings):
        return Covered("", taken=False, damaged=False)
    name = known(settings) if watched.kind == "agent" else ""  # asked before every call of a tool
    if name and (step := _begun_on(settings, name, watched)):
        return _noted(settings, watched, Covered(name, taken=False, damaged=False), step)
    try:
        return _begin(settings, watched)
    except UndropError:
        if name:  # it is held: nobody is asked because another undrop is at work
            return Covered(name, taken=False, damaged=False)
        raise


def _begin(settings: "Settings", watched: Watched) -> Covered:
    with locked(settings, lambda _: None) as lock:
        covered = _cover(lock, watched.kind, watched.reason)
        if watched.kind != "agent":
            told = log.Known(command=watched.command, session=watched.session)
            return covered._replace(step=log.begin(settings, watched.kind, covered.name, told))
        if step := _begun_on(settings, covered.name, watched):
            return _noted(settings, watched, covered, step)
        lost = not covered.name and _was_there(settings)
        covered = covered._replace(ended=_end_unseen(settings, watched, covered), lost=lost)
        told = log.Known(command=watched.command, session=watched.session)
        step = log.begin(settings, watched.kind, covered.name, told)
        emptied = _emptied(settings, covered, watched)
        covered = covered._replace(step=step, emptied=emptied)
        return _noted(settings, watched, covered, step)


def _noted(settings: "Settings", watched: Watched, covered: Covered, step: "Step") -> Covered:
    """Keep that an agent's call begins on the state that is covered, as a part of a step."""
    if not (watched.call or watched.command):  # the session's start is no call
        return covered
    call = _call(watched)._replace(step=step.id, state_before=covered.name)
    with suppress(OSError):  # its end will be paired by the log alone
        return covered._replace(again=not calls.begin(settings, call))
    return covered


def _call(watched: Watched) -> "calls.Call":
    line = log.kept(watched.command)
    return calls.call(watched.session, watched.call, line, background=watched.background)


def _begun_on(settings: "Settings", name: str, watched: Watched) -> "Step | None":
    """The step of that agent on that state, of which no end was seen; nothing came since.

    Another agent may have begun one on it as well.
    """
    for step in reversed(log.steps(settings)):
        if (step.kind, step.state_before, step.phase) != ("agent", name, "open"):
            return None
        if step.session == watched.session:
            return step
    return None


def _is_idle(settings: "Settings", name: str, watched: Watched, step_id: str) -> bool:
    """Whether the state is what it was when that step began, and nothing came since."""
    step = _begun_on(settings, name, watched)
    return step is not None and step.id == step_id


def _end_unseen(settings: "Settings", watched: Watched, now: Covered) -> Ended | None:
    """Close the last step of an agent that never tells when a call has ended, if it did something.

    A call that was refused looks the same where its agent tells of ends: that one's end is not
    known, and what came since is others' work.
    """
    step = _begun(settings, watched)
    waiting = [call for call in calls.waiting(settings) or () if step and call.step == step.id]
    tells = watched.tells_ends or calls.session(settings, watched.session).tells_ends
    if step is None or not waiting or tells:
        return None
    last = waiting[-1]
    if last.id or last.background:
        return None
    _end(settings, step._replace(command=last.command), now)
    return Ended(step.state_before, now.name)


def _was_there(settings: "Settings") -> bool:
    """Whether there was a database when its state was seen last."""
    backups = [each for each in catalog.backups(settings) if catalog.is_of(settings, each)]
    steps = log.steps(settings)
    last = steps[-1] if steps else None
    if last is None or (backups and backups[-1].sequence > last.sequence):
        return bool(backups)
    return (last.state_before if last.state_after is None else last.state_after) != ""


def _emptied(settings: "Settings", covered: Covered, watched: Watched) -> tuple[str, ...]:
    """Tables that had rows and have none in the state that is covered, since it was told last.

    One with as many rows as another has had that is new was renamed.
    """
    kept = catalog.known_as(settings, covered.name) if covered.name else None
    if kept is None or kept.record is None or not kept.verified:
        return ()
    backups, now = catalog.backups(settings), kept.record
    missing = shrink.missing(settings, backups, now.filled)
    steps = log.steps(settings)[:-1] if missing else []
    ours = [s for s in steps if (s.kind, s.session) == ("agent", watched.session)]
    for step in ours[-1:]:
        before = catalog.known_as(settings, step.state_before) if step.state_before else None
        if before and before.record:
            rows = before.record.rows
            new = {count for name, count in now.rows.items() if name not in rows}
            told = shrink.missing(settings, backups, before.record.filled)
            missing = [name for name in missing if name not in told and rows.get(name) not in new]
    return tuple(missing)


def _content(settings: "Settings", name: str) -> str:
    """What tells a state, as the log names it, from others; empty where that is not known."""
    kept = catalog.known_as(settings, name) if name else None
    return log.ABSENT if not name else kept.record.state if kept and kept.record else ""


def _is_same(settings: "Settings", one: str, other: str) -> bool:
    """Whether two states, as the log names them, are the same."""
    content = _content(settings, one)
    return one == other or (content != "" and content == _content(settings, other))


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
        purpose = backup.Purpose(reason, kind, fresh, proved=False)
        with backup.covered(lock, purpose) as state:
            covered = Covered(state.name, state.name not in had, state.kind == "damaged")
        if (settings.backups / covered.name).exists():
            break  # else only the vault has it
    if not covered.damaged:
        remember(lock, covered.name, fingerprint)
    return covered


def end(settings: "Settings", watched: Watched, begun: Covered | None = None) -> Covered | None:
    """Write down that a command of others has ended, and hold the state after it.

    It is the one that ``begun`` tells of, else the one that an agent's call was begun for, else
    the newest of its kind and session, if that is open; None where there is none. Nothing is
    written where an agent's call changed nothing: that shows. Raises UndropError, OSError.
    """
    if not _may_begin(settings):
        return None
    if watched.kind == "agent":
        return _end_call(settings, watched)
    with locked(settings, lambda _: None) as lock:
        step = _begun(settings, watched) if begun is None else begun.step
        if step is None and begun is not None:  # there was no database, nor anything to log
            step = log.begin(settings, watched.kind, "", log.Known(command=watched.command))
        if step is None:
            return None
        covered = _cover(lock, watched.kind, f"after {watched.kind}")
        _end(settings, step._replace(command=log.kept(watched.command) or step.command), covered)
        pending.settle(lock)
    return covered


def settle(settings: "Settings") -> None:
    """Catch up on proofs that were put off, when an agent has stopped. Raises UndropError."""
    if pending.waiting(settings):
        with locked(settings, lambda _: None) as lock:
            pending.settle(lock)


def _end_call(settings: "Settings", watched: Watched) -> Covered | None:
    """A call of an agent has ended. Those that ran in one another's time are one step."""
    call: calls.Call | None = None
    try:
        call = calls.end(settings, _call(watched))
    except OSError:
        pass  # what was known of calls went with backups/: the log has the session's last step
    else:
        if call is None:  # another hook has told of its end, or its beginning was not seen
            return None
    if watched.background or (call and call.background):
        return None
    if call and (name := known(settings)) and _is_idle(settings, name, watched, call.step):
        return None
    try:
        with locked(settings, lambda _: None) as lock:
            step = _step(settings, call) if call else _begun(settings, watched)
            return _end_step(lock, watched, step) if step else None
    except (UndropError, OSError):
        with suppress(OSError):  # its end is not known
            if call:
                calls.begin(settings, call)
        raise


def _end_step(lock: "Lock", watched: Watched, step: "Step") -> Covered:
    """Hold the state after a call that is a part of a step; that ends here, if it did before."""
    settings = lock.settings
    covered = _cover(lock, watched.kind, f"after {watched.kind}")
    told = step.state_before if step.state_after is None else step.state_after
    same = _is_same(settings, told, covered.name)
    if same and _is_idle(settings, step.state_before, watched, step.id):
        return covered
    line = log.kept(watched.command)
    if step.ended and step.command:
        line = step.command if line in step.command else f"{step.command}{calls.BESIDE}{line}"
    _end(settings, step._replace(command=log.kept(line) or step.command), covered)
    others = [call for call in calls.waiting(settings) or () if call.step == step.id]
    beside = step.ended or bool(others)
    return covered if same else covered._replace(ended=Ended(told, covered.name), beside=beside)


def _end(settings: "Settings", step: "Step", covered: Covered) -> None:
    """Write down that a step ended on the state that is covered."""
    if _is_same(settings, step.state_before, covered.name):
        log.end(settings, step, "same")
    else:
        after = log.After(covered.name, _content(settings, covered.name))
        log.end(settings, step, "done", None, after)


def session(settings: "Settings", name: str, *, tells_ends: bool) -> Ended | None:
    """The states that an agent's session led from and to, if it changed something since told.

    Takes no backup, but for an agent that never tells when a call has ended. Raises UndropError,
    OSError.
    """
    ours = [step for step in log.steps(settings) if step.kind == "agent" and step.session == name]
    if not ours or not name:
        return None
    now = known(settings)
    last = ours[-1].state_before if ours[-1].state_after is None else ours[-1].state_after
    ended = Ended(ours[0].state_before, now or last)
    remembered = calls.session(settings, name)
    if not (now or ours[-1].ended or tells_ends or remembered.tells_ends):
        with locked(settings, lambda _: None) as lock:
            covered = _cover(lock, "agent", "after agent")
            _end_unseen(settings, Watched("agent", "", session=name), covered)
            ended = ended._replace(state_after=covered.name)
    if ended.state_after == (ended.state_before if remembered.told is None else remembered.told):
        return None
    with suppress(OSError):
        calls.told(settings, name, ended.state_after)
    return ended


def _step(settings: "Settings", call: "calls.Call") -> "Step | None":
    """The step that a call is a part of."""
    return next((step for step in log.steps(settings) if step.id == call.step), None)


def _begun(settings: "Settings", watched: Watched) -> "Step | None":
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
        if whole and not vault.missing(settings):
            fingerprint = settings.engine.fingerprint()
            if fingerprint and settings.engine.is_same(note["files"], fingerprint):
                return name
    return ""


def remember(lock: "Lock", name: str, fingerprint: list[object] | None) -> None:
    """Keep that ``name`` holds the state of ``fingerprint``, if the files still have that.

    Call it with the database closed.
    """
    settings = lock.settings
    with suppress(OSError):
        present = settings.engine.fingerprint()
        if present and fingerprint and settings.engine.is_same(fingerprint, present):
            kept = _written(settings.backups / name)
            _write(settings, {**_note(settings), "backup": name, "files": present, "kept": kept})


def _written(path: "Path") -> list[int]:
    """Which file it is, its bytes, and when it was written. Raises OSError."""
    stat = path.stat()
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns]


def _note(settings: "Settings") -> dict[str, Any]:
    with suppress(OSError, ValueError):
        note = json.loads(settings.note(COVERED).read_bytes())
        return note if isinstance(note, dict) else {}
    return {}


def _write(settings: "Settings", note: dict[str, Any]) -> None:
    work = settings.backups / f".{os.getpid()}.partial"
    durable.write_new(work, json.dumps(note).encode(), 0o600)
    work.replace(settings.note(COVERED))
