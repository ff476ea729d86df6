"""Which step was the last to change something, and how to take it back."""

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

    An open step (killed, or a direct ``alembic`` run) changed something when the state after it,
    known from the next step or from ``present``, is another. Of ``alembic`` only a change of the
    revision or the schema counts: rows that the application wrote since are not its doing.
    """
    after = present
    for step in reversed(steps.chain(settings)):
        before = _point(settings, step.before)
        if step.phase == "done" or (step.phase == "open" and _differ(step, before, after)):
            return step
        after = before
    return None


def undo(settings: "Settings", progress: sqlite.Progress) -> Undone:
    """Put back the state from before the last step that changed something.

    It is a step itself: undoing it is a redo. Call it inside ``turn.take``. Raises CheckError
    when there is nothing to undo or that state cannot be put back, and what ``restore`` raises.
    """
    with backup.covered(settings, _purpose(), progress) as state:
        step = last_change(settings, _present(state))
    if step is None:
        raise CheckError("there is nothing to undo: no step has changed this database", "just list")
    if not step.before:
        return Undone(step, None, [], restore.nuke(settings, progress, "undo"))
    chosen = _kept(settings, step)
    left: list[TableChange] = []

    def look(state: "State") -> None:
        left.clear()
        if state.held and state.backup:
            found = compare.files(state.backup.path, chosen.path, progress)
            seen = (each for each in found.tables if each.name)
            left.extend(each for each in seen if each.lost or each.changed or each.gone_columns)

    done = restore.put_back(settings, chosen, "undo", progress, look)
    return Undone(step, done.source, left, done.change)


def _purpose() -> backup.Purpose:
    return backup.Purpose("before undo", "undo")


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


def _point(settings: "Settings", name: str) -> Point:
    """The state that a backup holds; one that is gone is like no other."""
    if not name:
        return ABSENT
    try:
        found = catalog.named(settings, name)
    except UndropError:
        return Point(f"gone: {name}", None)
    return Point(found.record.digest if found.record else "", found.path)


def _differ(step: "Step", before: Point, after: Point) -> bool:
    if before.digest == after.digest and (before.path is None) == (after.path is None):
        return False
    both = [point.path for point in (before, after) if point.path and point.path.is_file()]
    if step.kind != "alembic" or len(both) < 2:
        return True
    return _schema(both[0]) != _schema(both[1])


def _schema(path: Path) -> tuple[object, ...]:
    with sqlite.explained(path, "reading the schema"):
        connection = sqlite.connect(path, "immutable")
        try:
            sql = "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
            return connection.execute(sql).fetchall(), check.revisions(connection)
        finally:
            connection.close()
