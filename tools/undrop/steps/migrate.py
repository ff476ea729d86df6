"""Change the schema on a work copy, check that, and only then replace the live content."""

import shutil
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable, record
from undrop.compare import losses
from undrop.errors import (
    CheckError,
    DamagedError,
    UndropError,
    UnknownRevisionError,
    UsageError,
)
from undrop.migrations import revisions, runner
from undrop.recipes import Action
from undrop.steps import backup, choose, guarded
from undrop.values import Moved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.engines.protocol import Work
    from undrop.settings import Settings
    from undrop.steps.backup import State
    from undrop.store.catalog import Backup
    from undrop.store.lock import Lock

AGAIN = "correct the migration, then the same command again"


class Migrated(NamedTuple):
    """What ``migrate`` or ``reset`` did."""

    moved: Moved
    report: losses.Report
    change: guarded.Change


class Rehearsed(NamedTuple):
    """What ``migrate`` would do."""

    moved: Moved
    report: losses.Report
    remaining: list[losses.Loss]
    """Losses that nobody accepted."""
    seconds_locked: float
    """How long the replacement took, tried on a copy."""
    backup: "Backup"
    """What holds the live database as it was."""
    has_moved: bool
    """Whether somebody has written to it since."""


def migrate(lock: "Lock", revision: str, *, accept_loss: bool) -> Migrated:
    """Bring the live database's schema to ``revision``, up or down, in one atomic step.

    Alembic runs on a copy of the verified backup; the live database stays in use meanwhile and
    is replaced only when the copy passes its checks and has lost nothing that was not accepted,
    in the migration's file or by ``accept_loss``. Raises LossError,
    CheckError, UndropError with the live database bit for bit as it was.
    """
    settings = lock.settings
    copy = UNMOVED

    def change(attempt: guarded.Attempt) -> guarded.Outcome | None:
        nonlocal copy
        state = attempt.state
        with _discarded(alembic), settings.engine.work(state, alembic) as work:
            copy = _migrated(work, state, revision)
            if copy.moved.steps == 0:
                return None
            left = [] if accept_loss else losses.remaining(copy.report, copy.moved.accepts)
            if left:
                raise losses.LossError(copy.report, left, revision)
            # What an earlier backup misses is missed still, unless its table went on purpose.
            missed = set(state.record.shrunk if state.record else ()) & work.tables()
            filled = sorted(missed | set(work.facts.filled))
            seconds = attempt.put_in_place(work)
            after = backup.after(lock, state, work, filled)
            return guarded.Outcome(seconds, filled, after, note=work.note)

    with runner.Alembic(settings) as alembic, _advised(settings):
        done = guarded.run(lock, "migrate", change)
    return Migrated(copy.moved, copy.report, done)


def starts(settings: "Settings", revision: str) -> bool:
    """Whether ``migrate`` would have anything to do, as far as that is told without running it."""
    wanted = revisions.heads(settings) if revision in {"head", "heads"} else [revision]
    try:
        with closing(settings.engine.look()) as present:
            return not wanted or present.revisions() != sorted(wanted)
    except UndropError:  # the step itself says what is wrong
        return True


def rehearse(lock: "Lock", revision: str, *, accept_loss: bool) -> Rehearsed:
    """Do all that ``migrate`` does but the last step, which is tried on a copy.

    A backup is taken all the same: what a migration starts may go to the live database. Raises
    UsageError without a database, CheckError and UndropError where ``migrate`` would.
    """
    settings = lock.settings
    engine = settings.engine
    if not engine.exists():
        raise UsageError("there is no database to rehearse on", Action("migrate"))
    with (
        runner.Alembic(settings) as alembic,
        _advised(settings),
        backup.covered(lock, backup.Purpose("before rehearse", "")) as state,
        guarded.compared(lock, state),
        ExitStack() as stack,
        engine.work(state, alembic) as work,
    ):
        stack.callback(alembic.discard)
        assert state.backup and state.record  # noqa: S101, PT018 - it is a database
        seconds = 0.0
        copy = _migrated(work, state, revision)
        left = [] if accept_loss else losses.remaining(copy.report, copy.moved.accepts)
        if copy.moved.steps and state.snapshot:
            with durable.scratch(lock.partial()) as there:
                shutil.copyfile(state.backup.path, there)
                seconds = work.try_replace(state.snapshot, there)
        moved = guarded.has_moved(lock, state)
        return Rehearsed(copy.moved, copy.report, left, seconds, state.backup, moved)


@contextmanager
def _discarded(alembic: runner.Alembic) -> "Iterator[None]":
    """What the migrations made besides goes again where the block fails, and is tried anew."""
    try:
        yield
    except BaseException:
        alembic.discard()
        raise


@contextmanager
def _advised(settings: "Settings") -> "Iterator[None]":
    """Say what there is to do about a database at a revision of another branch's."""
    try:
        yield
    except UnknownRevisionError as unknown:
        raise UnknownRevisionError(unknown.revisions, *choose.instead(settings)) from unknown


class _Copy(NamedTuple):
    """What became of a work copy."""

    moved: Moved
    report: losses.Report


UNMOVED = _Copy(Moved([], [], 0, [], "", [], 0.0), losses.Report([], [], [], []))


def _migrated(work: "Work", state: "State", revision: str) -> _Copy:
    """Run Alembic on a copy of what holds ``state``; check it, say what is lost."""
    taken = state.path
    moved = work.migrate(revision)
    if moved.steps == 0:
        return UNMOVED._replace(moved=moved)
    _finish(work, moved, state.record.revisions if state.record else [])
    report = losses.report(work.compare(taken)) if taken else UNMOVED.report
    orphans = work.orphans(taken, report.tables)
    if broken := [each.what for each in orphans if not each.known]:
        raise CheckError(f"the migration breaks foreign keys: {'; '.join(broken)}", AGAIN)
    return _Copy(moved, losses.warned(report, orphans, moved.accepts))


def reset(lock: "Lock") -> Migrated:
    """Make the live database an empty one at the code's head(s).

    The new one is made and checked before that is touched. Raises as ``migrate`` does.
    """
    settings = lock.settings
    moved = UNMOVED.moved

    def change(attempt: guarded.Attempt) -> guarded.Outcome:
        nonlocal moved
        state = attempt.state
        with _discarded(alembic), settings.engine.work(None, alembic) as work:
            moved = work.migrate("heads")
            _finish(work, moved, [])
            filled = work.facts.filled
            same = _is_same(state, work)
            seconds = attempt.put_in_place(work)
            after = backup.after(lock, state, work, filled)
            return guarded.Outcome(seconds, filled, after, same, work.note)

    with runner.Alembic(settings) as alembic:
        done = guarded.run(lock, "reset-db", change)
    return Migrated(moved, UNMOVED.report, done)


def _is_same(state: "State", work: "Work") -> bool:
    """Whether the database is an empty one at head already."""
    if state.snapshot is None or state.record is None or state.path is None:
        return False
    if work.facts.content:
        return bool(work.facts.content == state.record.content)
    alike = (state.record.revisions, state.record.filled) == (
        work.facts.revisions,
        work.facts.filled,
    )
    return alike and work.compare(state.path).same


def _finish(work: "Work", moved: Moved, known: list[str]) -> None:
    """Check a migrated copy of what was at the revisions ``known``.

    Raises CheckError when it is damaged or not where it should be.
    """
    try:
        work.finish(moved)
    except DamagedError as damage:
        raise CheckError(f"the migrated copy is damaged: {damage.what}", AGAIN) from damage
    # On a server, another application may have its own in the same database.
    if work.facts.revisions != sorted(
        {*known} - {*moved.revisions_before} | {*moved.revisions_after}
    ):
        raise CheckError(
            f"the migrated copy is at {record.revision_names(work.facts.revisions)}, "
            f"by Alembic it should be at {record.revision_names(moved.revisions_after)}",
            AGAIN,
        )
