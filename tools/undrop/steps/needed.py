"""Backups without which the next undo, ``latest`` or the shrink alarm would answer otherwise."""

from contextlib import suppress
from typing import TYPE_CHECKING

from undrop.errors import UsageError
from undrop.steps import choose, undo
from undrop.store import shrink
from undrop.store.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.store.timeline import Moment

UNDO = "the next undo looks at it"


def names(settings: "Settings", backups: "list[Backup]") -> dict[str, str]:
    """Why each of them is needed, by its name; ``backups`` are this database's, oldest first.

    Raises UndropError where the present state cannot be looked at.
    """
    needed = dict.fromkeys(_of_undo(settings), UNDO)
    with suppress(UsageError):  # there is nothing to go back to
        latest = choose.latest(settings)
        told = [latest.backup.path.name if latest.backup else "", latest.in_place, latest.older]
        told.append(choose.find(settings, "latest", settings.root).path.name)
        needed |= dict.fromkeys(filter(None, told), "`latest` is found by it")
    needed |= dict.fromkeys(_of_alarm(settings, backups), "the shrink alarm goes by it")
    verified = [backup.path.name for backup in backups if backup.verified]
    proved = [each.path.name for each in backups if each.verified and not each.unproved]
    newest = {*verified[-1:], *proved[-1:]}
    return needed | dict.fromkeys(newest, "it is the newest of this database")


def _of_alarm(settings: "Settings", backups: "list[Backup]") -> "Iterator[str]":
    """The newest with rows in what is to have some: in all of it, and in each table."""
    expected = shrink.expected(settings, backups)
    for tables in (expected, *([name] for name in expected)):
        if name := shrink.full(settings, backups, tables):
            yield name


def _of_undo(settings: "Settings") -> set[str]:
    """What holds the moments that ``undo.planned`` goes through.

    Of a step that left its state alone that does not matter, once it is known where others' work
    begins.
    """
    line = Timeline(settings)
    present = undo.look(settings, line)
    line.see(present)
    moments, needed = line.moments, set[str]()
    if lost := undo.when_lost(settings, moments):
        newest = max(at for at, moment in enumerate(moments) if moment is lost.target)
        needed |= _held(moments[newest:])
    current, last, changed = present, 0, False
    for at in range(len(moments) - 1, 0, -1):
        before, after = moments[at - 1 : at + 1]
        if not after.steps:
            continue
        if not last or before.name != after.name:
            needed |= _held((before, after))
        if not last and undo.differ(settings, after, current):
            last = at
        if changed := undo.differ(settings, before, after):
            break
        current = before
    if last:
        return needed | _held(moments[last:])
    since = None if changed else undo.newest_other(settings, moments)
    return needed | _held([present, *([since] if since else [])])


def _held(moments: "Iterable[Moment]") -> set[str]:
    return {moment.name for moment in moments if moment.name}
