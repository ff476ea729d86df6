"""What kept backups cost: older ones are packed, a part at a time, when a command has answered."""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable
from undrop.errors import CheckError
from undrop.store import catalog, packing
from undrop.store.lock import locked
from undrop.values import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock
    from undrop.store.packing import State


class Packed(NamedTuple):
    """What was packed."""

    states: int
    bytes: int
    """That are free in ``backups/`` with that."""
    passed_over: dict[str, str]
    """Why one was not, by name."""


def pack(lock: "Lock", seconds: float = float("inf")) -> Packed:
    """Pack what is to be packed, the oldest first; one at least, and no other after ``seconds``.

    Raises OSError: what was packed until then is.
    """
    began, count, freed = time.monotonic(), 0, 0
    passed: dict[str, str] = {}
    for states in _of_all(lock.settings):
        for at, state in _waiting(lock.settings, states):
            if time.monotonic() - began > seconds:
                break
            try:
                states[at] = packing.pack(lock, state, states)
            except CheckError as error:
                passed[state.backups[0].path.name] = error.what
                continue
            if states[at].is_packed:
                count += 1
                freed += states[at].bytes - states[at].packed_bytes
    return Packed(count, freed, passed)


def afterwards(settings: "Settings", seconds: float) -> None:
    """The same with nobody told, once a command has answered: not while another undrop is at work.

    Raises UndropError, OSError.
    """
    session = settings.engine.session
    if not (session.took or _is_due(settings)):
        return
    session.progress, session.patience_with_undrop = quiet, 0.0
    with locked(settings, lambda _: None) as lock:
        pack(lock, seconds)


def _is_due(settings: "Settings") -> bool:
    """Whether there is anything to be packed."""
    return any(any(_waiting(settings, states)) for states in _of_all(settings))


def _of_all(settings: "Settings") -> "Iterator[list[State]]":
    """The states of each database that has backups here."""
    backups = catalog.backups(settings)
    for source in sorted({b.record.source for b in backups if b.record}):
        yield packing.states(backups, source)


def _waiting(settings: "Settings", states: "list[State]") -> "Iterator[tuple[int, State]]":
    """Those of a database that are to be packed, the oldest first, and their places."""
    kept, now = _newest(states, settings.plain), datetime.now(UTC)
    for at, state in enumerate(states):
        if state.is_packed or state.digest in kept or state.stays_plain:
            continue
        if all(_may_be(settings, backup, now) for backup in state.backups):
            yield at, state


def _newest(states: "list[State]", count: int) -> set[str]:
    """The digests of those that were seen last; one that was made plain again was seen then."""
    taken = sorted(
        ((each, state.digest) for state in states for each in state.backups),
        key=lambda pair: (pair[0].sequence, pair[0].created, pair[0].path.name),
    )
    seen = [(float(place), digest) for place, (_, digest) in enumerate(taken)]
    for backup, digest in taken:
        if backup.packed and os.path.lexists(backup.path):
            again = datetime.fromtimestamp(backup.path.lstat().st_mtime, UTC)
            seen.append((sum(each.created <= again for each, _ in taken) - 0.5, digest))
    newest = dict.fromkeys(digest for _, digest in sorted(seen, reverse=True))
    return {*list(newest)[:count]}


def _may_be(settings: "Settings", backup: "Backup", now: datetime) -> bool:
    """Whether a backup may be packed: undrop's own, or old enough; whole, and in nobody's hands."""
    record = backup.record
    assert record is not None  # noqa: S101 - a state's backups have one
    old = now - backup.created > timedelta(days=settings.plain_days)
    in_use = backup.path.is_symlink() or any(map(durable.size, durable.sidecars(backup.path)))
    return (record.automatic or old) and backup.verified and not (backup.pending or in_use)
