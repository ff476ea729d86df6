"""The history of the database: each state that it was in, and what changed from one to the next."""

import time
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable
from undrop.compare import losses
from undrop.compare.listing import Listing
from undrop.errors import DamagedError, SlowError, UndropError, UsageError
from undrop.recipes import Action
from undrop.steps import live, undo
from undrop.store import unpacked
from undrop.store.timeline import Moment, Timeline
from undrop.values import version_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.compare.listing import Listed
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.step import Step
    from undrop.values import Session

Rows = Mapping[str, int]

PATIENCE = 20.0  # seconds for all comparisons
NEWEST = 100  # states that are compared with those before them
SAMPLES = 5  # rows of a table and kind


class State(NamedTuple):
    """What the database was, for as long as it stayed so."""

    moment: Moment
    """With what holds it, where anything does."""
    at: datetime | None
    """When it was seen first; None where a step alone tells that it was before it."""
    bytes: int | None
    rows: Rows | None
    """By table, but for the one that has the revision; of both None where it is not known."""
    quiet: "tuple[Step, ...]" = ()
    """Steps that changed nothing of it."""

    @property
    def backup(self) -> "Backup | None":
        """What holds it."""
        return self.moment.backup

    @property
    def total(self) -> int | None:
        """Rows of all tables; None where it is not known."""
        return None if self.rows is None else sum(self.rows.values())

    @property
    def shrunk(self) -> list[str]:
        """Tables that the shrink alarm marked."""
        record = self.backup.record if self.backup else None
        return record.shrunk if record else []


class History(NamedTuple):
    """All that is known of it."""

    states: list[State]
    """Oldest first."""
    is_there: bool
    """Whether the last is live as it is now; else that could not be looked at."""
    no_live: str
    """Why not."""
    left_out: dict[str, str]
    """Backups that tell of no state and cannot be put back, and why."""


class Change(NamedTuple):
    """What changed from an older state to one."""

    since: State
    """The newest older one that is held."""
    comparison: "Comparison | None" = None
    """None where they were not compared."""
    listed: "tuple[Listed, ...]" = ()
    """Some of the rows."""
    why_not: str = ""
    """Why they were not compared."""

    def missing(self, state: State) -> dict[str, int]:
        """How many rows and values went with nothing in their place, by ``losses.Loss.name``.

        ``state`` is what it led to. By the numbers of rows alone where they were not compared.
        """
        if self.comparison:
            return losses.missing(self.comparison)
        if self.since.rows is None or not state.rows:
            return {}
        return {
            f"{'rows' if name in state.rows else 'table'} {name}": -count
            for name, count in moved(self.since.rows, state.rows).items()
            if count < 0
        }


def look(settings: "Settings") -> History:
    """Every state that backups and the log of steps tell of, and live. A look.

    Raises UsageError where there is neither, UndropError as for a lock that lasts.
    """
    line = Timeline(settings, strangers=True)
    no_live = ""
    present = Moment("")
    try:
        present = undo.look(settings, line)
    except UsageError as error:  # something else is in its place
        no_live = error.what
    else:
        line.see(present)
    states: list[State] = []
    for number, moment in enumerate(line.moments):
        settings.engine.session.progress("count", number, len(line.moments))
        if states and states[-1].moment.content == moment.content:
            states[-1] = _lasting(settings, states[-1], moment)
        else:
            states.append(_state(settings, moment))
    if not any(state.backup for state in states):
        raise UsageError(f"there are no backups in {settings.backups}", Action("backup"))
    if not no_live:
        states[-1] = _present(settings, states[-1], present)
    told = {state.moment.name for state in states} | {m.name for m in line.moments}
    left_out = {
        backup.path.name: backup.record.check if backup.record else "it has no record"
        for backup in line.backups
        if not backup.verified and backup.path.name not in told
    }
    return History(states, not no_live, no_live, left_out)


def changes(settings: "Settings", history: History, *, values: bool) -> dict[int, Change]:
    """What led to each state from the one before, by its place in ``History.states``.

    Only the newest are compared, the last of them first, until that takes too long, and none where
    that takes a server. ``values``: with some of the rows.
    """
    states = history.states
    found: dict[int, Change] = {}
    with _within(settings.engine.session, PATIENCE) as is_over:
        for at in range(len(states) - 1, 0, -1):
            since = next((each for each in states[at - 1 :: -1] if _is_known(each)), None)
            if since is None:
                break
            change = Change(since)
            if not settings.engine.light:
                found[at] = change
            elif len(states) - at > NEWEST:
                found[at] = change._replace(why_not="it is one of the older ones")
            elif is_over():
                found[at] = change._replace(why_not="it took too long")
            else:
                found[at] = _compared(settings, change, states[at], values=values)
    return found


def moved(rows_before: Rows, rows: Rows) -> dict[str, int]:
    """By how many rows each table has more or less, those first of which rows are gone."""
    every = rows_before.keys() | rows.keys()
    by_table = {name: rows.get(name, 0) - rows_before.get(name, 0) for name in every}
    counts = {name: count for name, count in by_table.items() if count}
    return dict(sorted(counts.items(), key=lambda each: (each[1] > 0, -abs(each[1]), each[0])))


def _state(settings: "Settings", moment: Moment) -> State:
    record = moment.backup.record if moment.backup else None
    size = record and (record.database_bytes or record.bytes)
    seen = moment.backup.created if moment.backup else None
    at = moment.steps[-1].when if moment.steps else seen
    rows = _without_revision(settings, undo.rows_of(settings, moment))
    return State(moment, at, 0 if moment.absent else size, rows)


def _without_revision(settings: "Settings", rows: Rows | None) -> Rows | None:
    hidden = {table.name for table in version_tables(settings.engine.session.version_table)}
    return rows and {name: count for name, count in rows.items() if name not in hidden}


def _lasting(settings: "Settings", state: State, moment: Moment) -> State:
    """The same state, seen once more."""
    if state.backup is None and moment.backup:
        steps = state.moment.steps
        again = _state(settings, moment)._replace(moment=moment._replace(steps=steps))
        state = again._replace(at=state.at, quiet=state.quiet)
    return state._replace(quiet=(*state.quiet, *moment.steps))


def _present(settings: "Settings", state: State, present: Moment) -> State:
    """The last one, which is live as it is now."""
    if state.backup or not present.live:
        return state
    rows = _without_revision(settings, present.rows)
    at = state.at or datetime.now(UTC)
    return state._replace(at=at, bytes=settings.engine.size(), rows=rows)


def _is_known(state: State) -> bool:
    moment = state.moment
    return moment.absent or moment.live or (moment.can_be_put_back and moment.backup is not None)


def _compared(settings: "Settings", change: Change, state: State, *, values: bool) -> Change:
    """What is in both, row by row; why not, where that cannot be."""
    before, after = change.since.backup, state.backup
    if before is None or (after is None and not state.moment.live) or not _is_known(state):
        return change  # nothing was there before, or is now
    listing = Listing(most=SAMPLES) if values else None
    try:
        if after is None:
            comparison = live.compare(settings, _file(settings, before), also=listing)
        else:
            comparison = settings.engine.compare(
                _file(settings, before), _file(settings, after), listing
            )
    except (UndropError, OSError) as error:  # damage, a collation, forgotten by now
        return change._replace(why_not=error.what if isinstance(error, UndropError) else str(error))
    return change._replace(comparison=comparison, listed=(*listing.tables,) if listing else ())


def _file(settings: "Settings", backup: "Backup") -> "Path":
    """A backup's file. Raises DamagedError where it is not as large as its record says."""
    plain = unpacked.plain(settings, backup)
    if backup.record and durable.size(plain) != backup.record.bytes:
        raise DamagedError("it has not the size that its record names", Action("verify"))
    return plain


@contextmanager
def _within(session: "Session", seconds: float) -> "Iterator[Callable[[], bool]]":
    """Long SQL in the block is given up with a SlowError once so many seconds are over.

    It is asked how far it is, again and again (``check.beside``).
    """
    progress, deadline = session.progress, time.monotonic() + seconds

    def tick(phase: str, done: int, total: int) -> None:
        if time.monotonic() > deadline:
            raise SlowError("it took too long", Action("diff"))
        progress(phase, done, total)

    session.progress = tick
    try:
        yield lambda: time.monotonic() > deadline
    finally:
        session.progress = progress
