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
from undrop.migrations import revisions, tool
from undrop.recipes import Action
from undrop.steps import backup, choose, guarded, strayed
from undrop.values import Moved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.comparison import Comparison
    from undrop.engines.protocol import Work
    from undrop.migrations.tool import Tool
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


def migrate(lock: "Lock", migrations: "Tool", *, accept_loss: bool) -> Migrated:
    """Bring the live database's schema where ``migrations`` are asked to, in one atomic step.

    They run on a copy of the verified backup; the live database stays in use meanwhile and
    is replaced only when the copy passes its checks and has lost nothing that was not accepted,
    in the migration's file or by ``accept_loss``. Raises LossError,
    CheckError, UndropError with the live database bit for bit as it was.
    """
    settings = lock.settings
    copy, moved_from = UNMOVED, ""

    def change(attempt: guarded.Attempt) -> guarded.Outcome | None:
        nonlocal copy, moved_from
        state = attempt.state
        with _discarded(migrations), settings.engine.work(state, migrations) as work:
            copy = _migrated(lock, work, state, migrations)
            if copy.moved.steps == 0:
                if not migrations.fenced and strayed.has_moved(lock, state):
                    moved_from = state.name
                return None
            left = [] if accept_loss else losses.remaining(copy.report, copy.moved.accepts)
            if left:
                raise loss(migrations, copy.report, left)
            # What an earlier backup misses is missed still, unless its table went on purpose.
            missed = set(state.record.shrunk if state.record else ()) & work.tables()
            filled = sorted(missed | set(work.facts.filled))
            seconds = attempt.put_in_place(work)
            after = backup.after(lock, state, work, filled)
            return guarded.Outcome(seconds, filled, after, note=work.note)

    with _advised(settings):
        done = guarded.run(lock, "migrate", change)
    done = done._replace(moved_from=done.moved_from or moved_from)
    return Migrated(copy.moved, copy.report, done)


def loss(
    migrations: "Tool", report: losses.Report, remaining: list[losses.Loss]
) -> losses.LossError:
    """The error for losses that nobody accepted."""
    accepting = migrations.typed("--accept-loss")
    return losses.LossError(report, remaining, accepting, in_file=migrations.reads_accepts_loss)


def starts(settings: "Settings", migrations: "Tool") -> bool:
    """Whether ``migrate`` would have anything to do, as far as that is told without running it."""
    goes_to = migrations.goes_to
    if goes_to == [] or (goes_to is None and not revisions.heads(settings)):
        return True
    try:
        with closing(settings.engine.look()) as present:
            there = present.revisions()
            if goes_to is None:
                return revisions.is_behind(settings, there)
            return there != sorted(goes_to)
    except UndropError:  # the step itself says what is wrong
        return True


def rehearse(lock: "Lock", migrations: "Tool", *, accept_loss: bool) -> Rehearsed:
    """Do all that ``migrate`` does but the last step, which is tried on a copy.

    A backup is taken all the same: what a migration starts may go to the live database. Raises
    UsageError without a database, CheckError and UndropError where ``migrate`` would.
    """
    settings = lock.settings
    engine = settings.engine
    if not engine.exists():
        raise UsageError("there is no database to rehearse on", Action("migrate"))
    with (
        _advised(settings),
        backup.covered(lock, backup.Purpose("before rehearse", "")) as state,
        guarded.compared(lock, state),
        ExitStack() as stack,
        engine.work(state, migrations) as work,
    ):
        stack.callback(migrations.discard)
        assert state.backup and state.record  # noqa: S101, PT018 - it is a database
        seconds = 0.0
        copy = _migrated(lock, work, state, migrations)
        left = [] if accept_loss else losses.remaining(copy.report, copy.moved.accepts)
        if copy.moved.steps and state.snapshot:
            with durable.scratch(lock.partial()) as there:
                shutil.copyfile(state.backup.path, there)
                seconds = work.try_replace(state.snapshot, there)
        has_moved = guarded.has_moved if migrations.fenced else strayed.has_moved
        moved = has_moved(lock, state)
        return Rehearsed(copy.moved, copy.report, left, seconds, state.backup, moved)


@contextmanager
def _discarded(migrations: "Tool") -> "Iterator[None]":
    """What the migrations made besides goes again where the block fails, and is tried anew."""
    try:
        yield
    except BaseException:
        migrations.discard()
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


def _migrated(lock: "Lock", work: "Work", state: "State", migrations: "Tool") -> _Copy:
    """Migrate a copy of what holds ``state``; check it, say what is lost."""
    taken = state.path
    moved = _run(lock, work, state, migrations)
    if moved.steps == 0:
        return UNMOVED._replace(moved=moved)
    moved = _finish(work, moved, migrations, state.record.revisions if state.record else [])
    comparison = work.compare(taken) if taken else None
    if comparison and not migrations.fenced and _is_as_before(state, work, comparison):
        return UNMOVED._replace(moved=moved._replace(steps=0))
    report = losses.report(comparison) if comparison else UNMOVED.report
    orphans = work.orphans(taken, report.tables)
    if broken := [each.what for each in orphans if not each.known]:
        raise CheckError(f"the migration breaks foreign keys: {'; '.join(broken)}", AGAIN)
    return _Copy(moved, losses.warned(report, orphans, moved.accepts))


def _run(lock: "Lock", work: "Work", state: "State", migrations: "Tool") -> Moved:
    """Run the migrations on the work copy. Raises ChangedError where they went elsewhere."""
    if migrations.fenced:
        return work.migrate()
    with strayed.told(lock, state, migrations.name):
        return work.migrate()


def _is_as_before(state: "State", work: "Work", comparison: "Comparison") -> bool:
    """Whether a command has left a copy of ``state`` as it was, other bytes apart."""
    record, facts = state.record, work.facts
    names = ("revisions", "rows", "user_version", "application_id")
    same = record and all(getattr(record, name) == getattr(facts, name) for name in names)
    return bool(same and comparison.same and not comparison.counters and not work.journal_mode)


def reset(lock: "Lock") -> Migrated:
    """Make the live database an empty one at the code's head(s).

    The new one is made and checked before that is touched. Raises as ``migrate`` does.
    """
    settings = lock.settings
    moved = UNMOVED.moved

    def change(attempt: guarded.Attempt) -> guarded.Outcome:
        nonlocal moved
        state = attempt.state
        with _discarded(migrations), settings.engine.work(None, migrations) as work:
            moved = _run(lock, work, state, migrations)
            moved = _finish(work, moved, migrations, [])
            filled = work.facts.filled
            same = _is_same(state, work)
            seconds = attempt.put_in_place(work)
            after = backup.after(lock, state, work, filled)
            return guarded.Outcome(seconds, filled, after, same, work.note)

    with tool.to_newest(settings) as migrations:
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


def _finish(work: "Work", moved: Moved, migrations: "Tool", known: list[str]) -> Moved:
    """Check a migrated copy of what was at the revisions ``known``; from where it went to where.

    Raises CheckError when it is damaged or not where it should be.
    """
    try:
        work.finish(moved)
    except DamagedError as damage:
        raise CheckError(f"the migrated copy is damaged: {damage.what}", AGAIN) from damage
    if not migrations.fenced:
        return moved._replace(revisions_before=known, revisions_after=work.facts.revisions)
    # On a server, another application may have its own in the same database.
    gone, there = {*moved.revisions_before} - {*moved.revisions_after}, {*work.facts.revisions}
    if gone & there or not there.issuperset(moved.revisions_after):
        raise CheckError(
            f"the migrated copy is at {record.revision_names(work.facts.revisions)}, "
            f"by {migrations.name} it should be at {record.revision_names(moved.revisions_after)}",
            AGAIN,
        )
    return moved
