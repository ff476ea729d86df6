"""Change the schema on a work copy, check that, and only then replace the live content."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import (
    check,
    compare,
    durable,
    header,
    loss,
    record,
    replace,
    schema,
    sqlite,
    step,
    turn,
)
from undrop.errors import CheckError, DamagedError, UsageError

if TYPE_CHECKING:
    from undrop.backup import State
    from undrop.settings import Settings

AGAIN = "correct the migration, then just migrate again"


class Migrated(NamedTuple):
    """What ``migrate`` or ``reset`` did."""

    moved: schema.Moved
    report: loss.Report
    change: step.Change


class Rehearsed(NamedTuple):
    """What ``migrate`` would do."""

    moved: schema.Moved
    report: loss.Report
    remaining: list[loss.Loss]
    """Losses that nobody accepted."""
    seconds_locked: float
    """How long the replacement took, tried on a copy."""


def migrate(
    settings: "Settings", revision: str, progress: sqlite.Progress, *, accept_loss: bool
) -> Migrated:
    """Bring the live database's schema to ``revision``, up or down, in one atomic step.

    Alembic runs on a copy of the verified backup; the live database stays in use meanwhile and
    is replaced only when the copy passes its checks and has lost nothing that was not accepted,
    in the migration's file or by ``accept_loss``. Call it inside ``turn.take``. Raises LossError,
    CheckError, UndropError with the live database bit for bit as it was.
    """
    copy = UNMOVED

    def change(state: "State") -> step.Outcome | None:
        nonlocal copy
        if state.held:
            durable.require_space(settings.live.parent, 2 * state.held.bytes)
        with durable.scratch(turn.work_copy(settings.live)) as work:
            before = state.backup.path if state.backup else None
            copy = _migrated(alembic, work, before, revision, progress)
            if copy.facts is None:
                return None
            left = [] if accept_loss else loss.remaining(copy.report, copy.moved.accepts)
            if left:
                raise loss.LossError(copy.report, left, revision)
            entry = state.backup.record if state.backup else None
            # What an earlier backup misses is missed still, unless its table went on purpose.
            missed = set(entry.shrunk if entry else ()) & set(check.tables(work))
            filled = sorted(missed | set(copy.facts.filled))
            return step.Outcome(step.put(settings, state, work, progress, wal=copy.wal), filled)

    with schema.Alembic(settings) as alembic:
        done = step.guarded(settings, "migrate", progress, change)
    return Migrated(copy.moved, copy.report, done)


def rehearse(
    settings: "Settings", revision: str, progress: sqlite.Progress, *, accept_loss: bool
) -> Rehearsed:
    """Do all that ``migrate`` does but the last step, which is tried on a copy; keep nothing.

    Call it inside ``turn.take``. Raises UsageError without a database, CheckError and UndropError
    where ``migrate`` would.
    """
    live = settings.live
    if not live.is_file():
        raise UsageError("there is no database to rehearse on", "just migrate")
    held = sqlite.Held(live)
    try:
        durable.require_space(live.parent, 4 * held.bytes)
        with (
            schema.Alembic(settings) as alembic,
            durable.scratch(turn.partial(settings)) as before,
            durable.scratch(turn.work_copy(live)) as work,
        ):
            held.copy_to(before, progress)
            held.release()
            check.verify(before, progress)
            copy = _migrated(alembic, work, before, revision, progress)
            if copy.facts is None:
                return Rehearsed(copy.moved, copy.report, [], 0.0)
            left = [] if accept_loss else loss.remaining(copy.report, copy.moved.accepts)
            replace.pad(work)
            seconds = _try_swap(before, work, progress, wal=held.wal)
            return Rehearsed(copy.moved, copy.report, left, seconds)
    finally:
        held.close()


class _Copy(NamedTuple):
    """A migrated work copy, checked and compared."""

    moved: schema.Moved
    wal: bool
    """Whether the migration left it in WAL mode."""
    facts: check.Facts | None
    """None when there was nothing to do."""
    report: loss.Report


UNMOVED = _Copy(schema.Moved([], [], 0, [], 0.0), False, None, loss.Report([], [], [], []))  # noqa: FBT003 - a field


def _migrated(
    alembic: schema.Alembic,
    work: Path,
    before: Path | None,
    revision: str,
    progress: sqlite.Progress,
) -> _Copy:
    """Run Alembic on a copy of ``before`` in ``work``, check it and say what it took away."""
    if before:
        shutil.copyfile(before, work)
    moved = alembic.run(work, revision)
    if moved.steps == 0:
        return UNMOVED._replace(moved=moved)
    wal, facts = _checked(work, moved, progress)
    report = loss.report(before, work, progress) if before else UNMOVED.report
    _refuse_new_orphans(before, work, report)
    return _Copy(moved, wal, facts, report)


def _refuse_new_orphans(before: Path | None, work: Path, report: loss.Report) -> None:
    """Raise CheckError for rows that point nowhere and did not before, renamed or not."""
    old, new = check.tables(before) if before else {}, check.tables(work)
    # Where neither the rows nor the definitions of a table and its parents changed, no row of it
    # can have lost its parent: on gigabytes that spares most of the time.
    steady = {
        each.now for each in report.tables if each.same and old.get(each.now) == new[each.now]
    }
    found = check.foreign_key_violations(work, lambda table, to: {table, *to} <= steady)
    if not found:
        return
    now = {change.name: change.now for change in report.tables}
    known = {
        (now.get(table, table), now.get(parent, parent)): count
        for (table, parent), count in (
            check.foreign_key_violations(before) if before else {}
        ).items()
    }
    added = {pair: count for pair, count in found.items() if count > known.get(pair, 0)}
    if added:
        cut = (f"{n} row(s) of {table} point to no row of {to}" for (table, to), n in added.items())
        raise CheckError(f"the migration breaks foreign keys: {'; '.join(cut)}", AGAIN)


def _try_swap(before: Path, work: Path, progress: sqlite.Progress, *, wal: bool) -> float:
    header.set_journal_mode(before, header.WAL if wal else header.ROLLBACK)
    held = sqlite.Held(before)
    try:
        if held.wal and held.page_size != header.read(work).page_size:
            held.close()
            with replace.without_wal(before):
                return _try_swap(before, work, progress, wal=False)
        return replace.swap(held, work, progress)
    finally:
        held.close()


def reset(settings: "Settings", progress: sqlite.Progress) -> Migrated:
    """Make the live database an empty one at the code's head(s).

    The new one is made and checked beside the old before that is touched. Call it inside
    ``turn.take``. Raises as ``migrate`` does.
    """
    with (
        schema.Alembic(settings) as alembic,
        durable.scratch(turn.work_copy(settings.live)) as work,
    ):
        moved = alembic.run(work, "heads")
        wal, facts = _checked(work, moved, progress)

        def change(state: "State") -> step.Outcome:
            same = _is_same(state, work, facts, progress)
            seconds = step.put(settings, state, work, progress, wal=wal)
            return step.Outcome(seconds, facts.filled, same)

        done = step.guarded(settings, "reset-db", progress, change)
    return Migrated(moved, UNMOVED.report, done)


def _is_same(state: "State", work: Path, facts: check.Facts, progress: sqlite.Progress) -> bool:
    """Whether the database is an empty one at head already."""
    entry = state.backup.record if state.backup and state.held else None
    if entry is None or state.backup is None:
        return False
    alike = (entry.revisions, entry.filled) == (facts.revisions, facts.filled)
    return alike and compare.files(state.backup.path, work, progress).same


def _checked(
    work: Path, moved: schema.Moved, progress: sqlite.Progress
) -> tuple[bool, check.Facts]:
    """Check a migrated work copy; returns whether it was left in WAL mode, and what it is.

    Raises CheckError when it is damaged or not at the revision that was asked for.
    """
    wal = replace.settle(work)
    try:
        facts = check.verify(work, progress)
    except DamagedError as damage:
        raise CheckError(f"the migrated copy is damaged: {damage.what}", AGAIN) from damage
    if facts.revisions != moved.after:
        raise CheckError(
            f"the migrated copy is at {record.revision_names(facts.revisions)}, "
            f"asked for was {record.revision_names(moved.after)}",
            AGAIN,
        )
    return wal, facts
