"""What a user means by FILE: ``latest``, a path, a name, a part of one, or a number of ``list``."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop.errors import UsageError
from undrop.migrations import revisions
from undrop.recipes import Action
from undrop.record import revision_names
from undrop.steps import undo
from undrop.steps.backup import INVOCATION
from undrop.store import catalog, frame
from undrop.store.catalog import Backup
from undrop.store.timeline import GOING_BACK, Moment, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.recipes import Part
    from undrop.settings import Settings

MANY = 5  # names that are given when none fits, or several do
LEFT = "it is the state before a restore or undo"


class Latest(NamedTuple):
    """What ``latest`` is, and what it passed over."""

    backup: Backup | None
    """None where what would be put back is in place already."""
    passed_over: list[tuple[str, str]]
    """Newer ones, by name, and why."""
    in_place: str = ""
    """What holds the present state: the last restore or undo put it there, or there is no other."""
    older: str = ""
    """The next one behind that."""


def find(settings: "Settings", wanted: str, standing: Path) -> Backup:
    """One backup, or a file of the user's own, for a look or for ``restore``.

    ``latest`` may be the present state here. Raises UsageError when there is no such thing, or
    there are several.
    """
    if wanted == "latest":
        candidates = list(_candidates(settings, Timeline(settings, strangers=True)))
        for wanted_why in ("", LEFT):
            for moment, why in candidates:
                if moment.backup and why == wanted_why:
                    return moment.backup
        raise _none(settings)
    path = standing / wanted
    if wanted and path.name:
        there = catalog.at(path.with_name(path.name.removesuffix(frame.SUFFIX)))
        if there and os.path.exists(there.file):  # noqa: PTH110 - any name may be typed, also a long one
            return catalog.led_to(there)
    name = path.name if catalog.is_inside(settings, path) else wanted
    return catalog.led_to(_named(settings, name))


def latest(settings: "Settings") -> Latest:
    """The newest verified backup of this database that takes it back to another state.

    Passed over are the present state, a state that a restore or undo left, one that the shrink
    alarm marked, and one at a revision that the migrations here do not know. Raises UsageError
    when there is none, UndropError when the database cannot be looked at.
    """
    line = Timeline(settings, strangers=True)
    present = undo.look(settings, line)
    line.see(present)
    passed: list[tuple[str, str]] = []
    in_place, held, left = "", "", None
    last = _gone_back(line)
    for moment, unwanted in _candidates(settings, line):
        if unwanted:
            passed.append((moment.name, unwanted))
            left = left or (moment.backup if unwanted == LEFT else None)
        elif not undo.differ(settings, moment, present):
            passed.append((moment.name, "it is the present state"))
            held = moment.name
            if last == moment.content:
                in_place = moment.name
        elif in_place:
            return Latest(None, passed, in_place, moment.name)
        else:
            return Latest(moment.backup, passed)
    if left and not in_place:  # better than nothing
        return Latest(left, passed)
    if held:
        return Latest(None, passed, held)
    raise _none(settings, passed)


def _gone_back(line: Timeline) -> str:
    """What tells the state that the last step put there, if that was a restore or undo."""
    for before, after in zip(line.moments[-2::-1], line.moments[:0:-1], strict=True):
        if after.steps:
            step = after.steps[-1]
            did = step.phase == "same" or before.content != after.content
            return after.content if did and step.kind in GOING_BACK else ""
    return ""


def is_elsewheres(backup: Backup) -> bool:
    """Whether it was taken in another folder: one that stood at this path, or this one's copy."""
    return bool(backup.record and backup.record.home and not backup.sequence)


def unknown_revisions(settings: "Settings", backup: Backup) -> list[str]:
    """Revisions of a backup that the migrations here do not know."""
    return revisions.unknown(settings, backup.record.revisions if backup.record else [])


def fitting(settings: "Settings") -> str:
    """The newest backup of this database at a revision that the migrations here know, by name."""
    for moment, why in _candidates(settings, Timeline(settings)):
        if not why and moment.revisions:
            return moment.name
    return ""


def instead(settings: "Settings") -> "tuple[Part, ...]":
    """What else there is to do about a database at a revision of another branch's."""
    newest = fitting(settings)
    back: tuple[Part, ...] = (
        ("; or", Action("restore", newest), ", the newest backup that fits") if newest else ()
    )
    return (*back, "; or alembic stamp REVISION, where the schema is that of one here")


def numbered(settings: "Settings", backups: list[Backup]) -> list[Backup]:
    """The backups of this database, oldest first: as ``list`` numbers them, from 1."""
    ours = (b for b in backups if catalog.is_of(settings, b))
    call = os.environ.get(INVOCATION)
    return [b for b in ours if not (call and b.record and b.record.invocation == call)]


def _candidates(settings: "Settings", line: Timeline) -> "Iterator[tuple[Moment, str]]":
    """Each state once, the one that was seen last first, and why it is not wanted back."""
    seen: set[str] = set()
    moments = line.moments
    strange = set(
        revisions.unknown(settings, sorted({r for m in moments for r in m.revisions or ()}))
    )
    for at in range(len(moments) - 1, -1, -1):
        moment, backup = moments[at], moments[at].backup
        if moment.content in seen or backup is None or backup.record is None:
            continue
        seen.add(moment.content)
        following = moments[at + 1] if at + 1 < len(moments) else None
        left = following and following.content != moment.content and following.steps
        old = backup.record.next_step in GOING_BACK and not backup.sequence
        if backup.is_set or not backup.verified:
            yield moment, "it was not found whole"
        elif backup.record.shrunk:
            yield moment, f"tables that had rows have none: {', '.join(backup.record.shrunk)}"
        elif old or (left and left[-1].kind in GOING_BACK):
            yield moment, LEFT
        elif theirs := [each for each in backup.record.revisions if each in strange]:
            names = revision_names(theirs)
            yield moment, f"its revision {names} is unknown to the migrations here"
        else:
            yield moment, ""


def _named(settings: "Settings", wanted: str) -> Backup:
    every = catalog.backups(settings)
    for backup in every:
        if wanted.removesuffix(frame.SUFFIX) in {backup.path.name, backup.path.stem}:
            return backup
    ours = numbered(settings, every)
    if wanted.isascii() and wanted.isdecimal() and 1 <= int(wanted) <= len(ours):
        return ours[int(wanted) - 1]
    parts = [backup for backup in ours if wanted and wanted in backup.path.name]
    if len(parts) == 1:
        return parts[0]
    if parts:
        names = [backup.path.name for backup in parts[-MANY:]]
        raise UsageError(
            f"{len(parts)} backups have {wanted!r} in their names: {', '.join(names)}",
            "type more of the name;",
            Action("list"),
        )
    near = get_close_matches(wanted, [backup.path.stem for backup in ours], MANY, 0.3)
    like = f"; the nearest: {', '.join(near)}" if near else ""
    raise UsageError(f"there is no backup {wanted!r}{like}", Action("list"))


def _none(settings: "Settings", passed: "list[tuple[str, str]] | None" = None) -> UsageError:
    others = {b.record.source for b in catalog.backups(settings) if b.record} - {settings.source}
    what = f"there is no verified backup in {settings.backups} to go back to"
    what += "".join(f"\npassed over: {name}: {why}" for name, why in passed or [])
    if others:
        what += f"\nthere are backups of: {', '.join(sorted(others))}"
    return UsageError(what, Action("list"))
