"""Which step was the last to change something, and how to take it back."""

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import LOOK, CheckError, UndropError
from undrop.recipes import Action
from undrop.steps import backup, restore
from undrop.store import catalog, log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from undrop.compare.comparison import TableChange
    from undrop.settings import Settings
    from undrop.steps.backup import State
    from undrop.steps.guarded import Change
    from undrop.store.lock import Lock
    from undrop.store.log import Step
    from undrop.values import Definitions


class Standing(NamedTuple):
    """A state of the database; ``definitions`` is None where there was no database."""

    content: str
    definitions: "Callable[[], Definitions | None] | None"


class Undone(NamedTuple):
    """What ``undo`` did."""

    step: "Step"
    """The step that was taken back."""
    source: "Path | None"
    """What was put in place; None when that was no database."""
    left: list["TableChange"]
    """From the state that was left to the one put in place, what that has not or has otherwise."""
    change: "Change"


ABSENT = Standing("", None)


def last_change(settings: "Settings", present: Standing) -> "Step | None":
    """The newest step that changed something; ``present`` is what the database is now.

    One whose state before is in place is undone already. An open step (killed, or a direct
    ``alembic`` run) changed something when the state after it, known from the next step or from
    ``present``, is another; rows that the application wrote since are not a migration's doing.
    """
    kept = {each.path.name: each for each in catalog.backups(settings)}
    point_after = present
    for step in reversed(log.chain(settings)):
        point_before = _point(settings, kept, step.state_before)
        changed = step.phase == "done" or (
            step.phase == "open" and _differ(step, point_before, point_after)
        )
        if changed and not _is(point_before, present):
            return step
        point_after = point_before
    return None


def undo(lock: "Lock") -> Undone:
    """Put back the state from before the last step that changed something.

    It is a step itself: undoing it is a redo. Raises CheckError when there is nothing to undo
    or that state cannot be put back, and what ``restore`` raises.
    """
    settings = lock.settings
    with backup.covered(lock, backup.Purpose("before undo", "undo")) as state:
        step = last_change(settings, _present(settings, state))
    if step is None:
        raise CheckError(
            "there is nothing to undo: no step has changed this database", Action("list")
        )
    if not step.state_before:
        return Undone(step, None, [], restore.nuke(lock, "undo"))
    chosen = _kept(settings, step)
    left: list[TableChange] = []

    def look(state: "State") -> None:
        left.clear()
        # It is for information: what cannot be compared is put back all the same.
        with suppress(UndropError):
            if not state.snapshot or not state.backup:
                return
            found = settings.engine.compare(state.backup.path, chosen.path)
            seen = (each for each in found.tables if each.name)
            left.extend(each for each in seen if each.lost or each.changed or each.gone_columns)

    done = restore.put_back(lock, chosen, "undo", look)
    return Undone(step, done.source, left, done.change)


def _kept(settings: "Settings", step: "Step") -> catalog.Backup:
    try:
        chosen = catalog.named(settings, step.state_before)
    except UndropError as gone:
        raise CheckError(
            f"the state before {step.kind} was kept in {step.state_before}, which is gone",
            Action("list"),
        ) from gone
    if chosen.is_set:
        raise CheckError(
            f"the database before {step.kind} was damaged; its files are in {chosen.path}",
            *LOOK,
        )
    return chosen


def _present(settings: "Settings", state: "State") -> Standing:
    return ABSENT if state.backup is None else _of(settings, state.backup)


def _point(settings: "Settings", kept: dict[str, catalog.Backup], name: str) -> Standing:
    """The state that a backup holds; one that is gone is like no other."""
    if not name:
        return ABSENT
    found = kept.get(name)
    return _of(settings, found) if found else Standing(f"gone: {name}", lambda: None)


def _of(settings: "Settings", backup: catalog.Backup) -> Standing:
    record = backup.record
    if backup.is_set or not backup.path.exists():
        return Standing(record.state if record else "", lambda: None)
    return Standing(
        record.state if record else "", lambda: settings.engine.definitions(backup.path, record)
    )


def _is(one: Standing, other: Standing) -> bool:
    return one.content == other.content and (one is ABSENT) == (other is ABSENT)


def _differ(step: "Step", point_before: Standing, point_after: Standing) -> bool:
    if _is(point_before, point_after):
        return False
    if step.kind not in {"alembic", "migrate"} or point_after.definitions is None:
        return True
    made = point_after.definitions()
    if made is None:
        return True
    if point_before.definitions is None:
        return bool(made.revisions)  # else it was not Alembic that made it
    return point_before.definitions() != made
