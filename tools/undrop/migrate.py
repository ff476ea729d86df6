"""Change the schema on a work copy, check that, and only then replace the live content."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import check, durable, replace, schema, sqlite, step, turn
from undrop.errors import CheckError, DamagedError

if TYPE_CHECKING:
    from undrop.backup import State
    from undrop.catalog import Backup
    from undrop.settings import Settings

AGAIN = "correct the migration, then just migrate again"


class Migrated(NamedTuple):
    """What ``migrate`` or ``reset`` did."""

    moved: schema.Moved
    change: step.Change


def migrate(settings: "Settings", revision: str, progress: sqlite.Progress) -> Migrated:
    """Bring the live database's schema to ``revision``, up or down, in one atomic step.

    Alembic runs on a copy of the verified backup; the live database stays in use meanwhile and
    is replaced only when the copy passes its checks. Call it inside ``turn.take``. Raises
    CheckError, UndropError with the live database bit for bit as it was.
    """
    live = settings.live
    moved = schema.Moved([], [], 0)

    def change(state: "State") -> step.Outcome | None:
        nonlocal moved
        if state.held:
            durable.require_space(live.parent, 2 * state.held.bytes)
        with durable.scratch(turn.work_copy(live)) as work:
            before = state.backup.path if state.backup else None
            if before:
                shutil.copyfile(before, work)
            moved = schema.run(settings, work, revision)
            if moved.steps == 0:
                return None
            wal, facts = _checked(work, before, moved, progress)
            filled = _still_expected(state.backup, work, facts)
            return step.Outcome(step.put(settings, state, work, progress, wal=wal), filled)

    done = step.guarded(settings, "migrate", progress, change)
    return Migrated(moved, done)


def reset(settings: "Settings", progress: sqlite.Progress) -> Migrated:
    """Make the live database an empty one at the code's head(s).

    The new one is made and checked beside the old before that is touched. Call it inside
    ``turn.take``. Raises as ``migrate`` does.
    """
    live = settings.live
    with durable.scratch(turn.work_copy(live)) as work:
        moved = schema.run(settings, work, "heads")
        wal, facts = _checked(work, None, moved, progress)
        change = step.guarded(
            settings,
            "reset-db",
            progress,
            lambda state: step.Outcome(
                step.put(settings, state, work, progress, wal=wal), facts.filled
            ),
            sqlite.read_header(work).page_size,
        )
    return Migrated(moved, change)


def _checked(
    work: Path, before: Path | None, moved: schema.Moved, progress: sqlite.Progress
) -> tuple[bool, check.Facts]:
    """Check a migrated work copy; returns whether it was left in WAL mode, and what it is.

    Raises CheckError when it is damaged, has foreign-key violations that ``before`` had not, or
    is not at the revision that was asked for.
    """
    wal = replace.settle(work)
    try:
        facts = check.verify(work, progress)
    except DamagedError as damage:
        raise CheckError(f"the migrated copy is damaged: {damage.what}", AGAIN) from damage
    if facts.revisions != moved.after:
        raise CheckError(
            f"the migrated copy is at {names(facts.revisions)}, asked for was {names(moved.after)}",
            AGAIN,
        )
    known = check.foreign_key_violations(before) if before else {}
    added = {
        pair: count - known.get(pair, 0)
        for pair, count in check.foreign_key_violations(work).items()
        if count > known.get(pair, 0)
    }
    # Rows that pointed nowhere before may do so under their table's new name.
    there = check.tables(work)
    renamed = sum(count for (table, _), count in known.items() if table not in there)
    if sum(added.values()) > renamed:
        cut = (f"{n} row(s) of {table} point to no row of {to}" for (table, to), n in added.items())
        raise CheckError(f"the migration breaks foreign keys: {'; '.join(cut)}", AGAIN)
    return wal, facts


def _still_expected(before: "Backup | None", work: Path, facts: check.Facts) -> list[str]:
    """Tables that are to have rows: a migration may drop one, but not empty one unnoticed."""
    entry = before.record if before else None
    had = {*entry.filled, *entry.shrunk} if entry else set()
    return sorted((had & check.tables(work)) | set(facts.filled))


def names(revisions: list[str]) -> str:
    """Revisions for people: ``base`` when there is none."""
    return ", ".join(revisions) or "base"
