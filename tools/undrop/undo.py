"""Which step was the last to change something, and how to take it back."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import backup, catalog, check, compare, restore, sqlite, steps
from undrop.errors import CheckError, UndropError

if TYPE_CHECKING:
    from undrop.backup import State
    from undrop.change import TableChange
    from undrop.settings import Settings
    from undrop.step import Change
    from undrop.steps import Step


class Point(NamedTuple):
    """A state of the database: a file with its content, or none where there was no database."""

    digest: str
    path: Path | None


class Undone(NamedTuple):
    """What ``undo`` did."""

    step: "Step"
    """The step that was taken back."""
    source: Path | None
    """What was put in place; None when that was no database."""
    left: list["TableChange"]
    """From the state that was left to the one put in place, what that has not or has otherwise."""
    change: "Change"


ABSENT = Point("", None)


def last_change(settings: "Settings", present: Point) -> "Step | None":
    """The newest step that changed something; ``present`` is what the database is now.

    One whose state before is in place is undone already. An open step (killed, or a direct
    ``alembic`` run) changed something when the state after it, known from the next step or from
    ``present``, is another; rows that the application wrote since are not a migration's doing.
    """
    kept = {each.path.name: each for each in catalog.entries(settings)}
    after = present
    for step in reversed(steps.chain(settings)):
        before = _point(kept, step.before)
        changed = step.phase == "done" or (step.phase == "open" and _differ(step, before, after))
        if changed and not _is(before, present):
            return step
        after = before
    return None


def undo(settings: "Settings", progress: sqlite.Progress) -> Undone:
    """Put back the state from before the last step that changed something.

    It is a step itself: undoing it is a redo. Call it inside ``turn.take``. Raises CheckError
    when there is nothing to undo or that state cannot be put back, and what ``restore`` raises.
    """
    with backup.covered(settings, backup.Purpose("before undo", "undo"), progress) as state:
        step = last_change(settings, _present(state))
    if step is None:
        raise CheckError("there is nothing to undo: no step has changed this database", "just list")
    if not step.before:
        return Undone(step, None, [], restore.nuke(settings, progress, "undo"))
    chosen = _kept(settings, step)
    left: list[TableChange] = []

    def look(state: "State") -> None:
        left.clear()
        # It is for information: what cannot be compared is put back all the same.
        with suppress(UndropError):
            if not state.held or not state.backup:
                return
            found = compare.files(state.backup.path, chosen.path, progress)
            seen = (each for each in found.tables if each.name)
            left.extend(each for each in seen if each.lost or each.changed or each.gone_columns)

    done = restore.put_back(settings, chosen, "undo", progress, look)
    return Undone(step, done.source, left, done.change)


def _kept(settings: "Settings", step: "Step") -> catalog.Backup:
    try:
        chosen = catalog.named(settings, step.before)
    except UndropError as gone:
        raise CheckError(
            f"the state before {step.kind} was kept in {step.before}, which is gone", "just list"
        ) from gone
    if chosen.is_set:
        raise CheckError(
            f"the database before {step.kind} was damaged; its files are in {chosen.path}",
            "just list, then just restore with the state that you want",
        )
    return chosen


def _present(state: "State") -> Point:
    if state.backup is None:
        return ABSENT
    return Point(state.backup.record.digest if state.backup.record else "", state.backup.path)


def _point(kept: dict[str, catalog.Backup], name: str) -> Point:
    """The state that a backup holds; one that is gone is like no other."""
    if not name:
        return ABSENT
    found = kept.get(name)
    if found is None:
        return Point(f"gone: {name}", None)
    return Point(found.record.digest if found.record else "", found.path)


def _is(one: Point, other: Point) -> bool:
    return one.digest == other.digest and (one.path is None) == (other.path is None)


def _differ(step: "Step", before: Point, after: Point) -> bool:
    if _is(before, after):
        return False
    if step.kind not in {"alembic", "migrate"} or after.path is None or not after.path.is_file():
        return True
    made = _schema(after.path)
    if before == ABSENT:
        return bool(made.revisions)  # else it was not Alembic that made it
    return before.path is None or not before.path.is_file() or _schema(before.path) != made


class _Schema(NamedTuple):
    definitions: list[object]
    revisions: list[str]


def _schema(path: Path) -> _Schema:
    with sqlite.explained(path, "reading the schema"):
        connection = sqlite.connect(path, "immutable")
        try:
            sql = "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
            rows = connection.execute(sql).fetchall()
            found = [row for row in rows if not row[1].startswith("sqlite_")]  # ANALYZE's tables
            return _Schema(found, check.revisions(connection))
        finally:
            connection.close()
