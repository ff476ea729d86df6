"""All that can be checked: the live database, every backup, the vault, the log of steps, space."""

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable, record
from undrop.errors import CheckError, DamagedError, UndropError
from undrop.recipes import Action, Part, Setting
from undrop.steps import status, undo, verify
from undrop.store import catalog, damaged_sets, log
from undrop.store.timeline import Timeline
from undrop.values import Examined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.settings import Settings
    from undrop.steps.status import Status
    from undrop.steps.verify import Proof
    from undrop.store.catalog import Backup

ANOTHER: tuple[Part, ...] = (Action("list"), ", then", Action("restore", "NAME", typed=False))
AGAIN: tuple[Part, ...] = ("then", Action("backup"), "keeps another there")
MARKS = "marks it, and `latest` passes it over;"
MEND: tuple[Part, ...] = (
    "mend it behind",
    Action("run", "COMMAND…", typed=False),
    ", or go back to a state without it:",
    *ANOTHER,
)


class Checked(NamedTuple):
    """One thing, and what was found; it is a finding where something is to be done about it."""

    name: str
    said: str
    to_do: tuple[Part, ...] = ()
    database: str = ""
    """Which database that is done to, as ``recipes.Prompt`` takes it."""


def audit(databases: "list[Settings]") -> "Iterator[Checked]":
    """Check one thing after the other, of these databases of a project; nothing is written.

    Raises UndropError, OSError.
    """
    settings = databases[0]
    looks: list[tuple[Settings, Status]] = []
    for each in databases:
        try:
            looks.append((each, status.look(each)))
        except UndropError as error:
            if len(databases) == 1 or (each is databases[-1] and not looks):
                raise
            yield Checked(each.engine.label, error.what, error.next_parts, each.told)
    for each, seen in looks:
        yield from (checked._replace(database=each.told) for checked in _live(each, seen))
    seen = looks[0][1]
    proofs: dict[object, list[Proof]] = {}
    backups = catalog.backups(settings)
    for backup in backups:
        with suppress(FileNotFoundError):  # forgotten since it was listed
            yield from [_set(backup)] if backup.is_set else _backup(settings, backup, proofs)
            yield from _second(settings, backup)
    yield from _vault(settings, seen)
    for each in databases:
        yield from (checked._replace(database=each.told) for checked in _log(each))
    yield from (c for each, own in looks for c in _handed_on(each, own))
    yield _space(settings, seen)


def _live(settings: "Settings", seen: "Status") -> "Iterator[Checked]":
    label = settings.engine.label
    if not seen.exists:
        yield Checked(label, "there is no database")
        return
    if seen.damage:
        yield Checked(label, f"damaged: {seen.damage}", ANOTHER)
        return
    live = settings.engine.look()
    try:
        found = live.examine()
    except DamagedError as damage:
        found = Examined("", [f"damaged: {damage.what}"])
    except OSError as error:  # no room for a copy, say
        yield Checked(label, f"not checked: {error}", ("correct that, then", Action("audit")))
        return
    finally:
        live.close()
    for problem in found.problems:
        yield Checked(label, problem, MEND)
    if not found.problems:
        yield Checked(label, f"whole, by {found.by}")


def _backup(
    settings: "Settings", backup: "Backup", proofs: "dict[object, list[Proof]]"
) -> "Iterator[Checked]":
    """A backup, read and compared with its record; names of the same bytes are read once."""
    name = backup.path.name
    stats = [place.file.lstat() for place in catalog.places(settings, backup)]
    same = (backup.record.digest if backup.record else name, *((s.st_dev, s.st_ino) for s in stats))
    if same not in proofs:
        proofs[same] = verify.prove(settings, backup)
    first, *copies = proofs[same]
    if problem := first.problem:
        to_do: tuple[Part, ...] = (Action("verify", name), MARKS, *ANOTHER)
        for copy in copies:
            if not copy.problem:
                there = backup.path.with_name(copy.backup.file.name)
                paths = shlex.join([str(copy.backup.file), str(there)])
                to_do = (f"cp -fp {paths}", "puts that in its place")
        yield Checked(name, problem.removeprefix(f"{backup.path} "), to_do)
    else:
        where = ", only in the vault" if backup.only_in_vault else ""
        yield Checked(name, ("as its record says" if backup.record else "whole, no record") + where)
    yield from (_spoilt(name, copy.backup.file) for copy in copies if copy.problem)


def _spoilt(name: str, path: "Path") -> Checked:
    """A copy in the vault that is not what was copied."""
    said = f"its copy {path} is not what the record says"
    return Checked(name, said, (f"rm -r {shlex.quote(str(path))},", *AGAIN))


def _set(backup: "Backup") -> Checked:
    """The damaged files of a database, which are as they were kept or not."""
    name = backup.path.name
    if damaged_sets.is_as_kept(backup.path, backup.record):
        return Checked(name, "damaged files, as they were kept")
    said = "damaged files, and not those that were kept"
    return Checked(name, said, (Action("forget", name), "removes what is left of them"))


def _second(settings: "Settings", backup: "Backup") -> "Iterator[Checked]":
    """A set's copy in the vault, where it is no link to the same bytes; and any record's."""
    vault, kept = settings.vault_folder, backup.record
    if vault is None or backup.only_in_vault or kept is None:
        return
    path = vault / backup.path.name
    note = path.with_suffix(".json")
    separate = backup.is_set and path.exists() and not path.samefile(backup.path)
    if separate and not damaged_sets.is_as_kept(path, kept):
        yield _spoilt(backup.path.name, path)
    if note.exists() and record.read(note) != kept:
        said = f"the copy of its record, {note}, says something else"
        yield Checked(backup.path.name, said, (f"rm {shlex.quote(str(note))},", *AGAIN))


def _vault(settings: "Settings", seen: "Status") -> "Iterator[Checked]":
    if not seen.vault:
        yield Checked("vault", "turned off")
        return
    for name in seen.not_in_vault:
        size = durable.size(settings.backups / name)
        said = f"{name} is not in {seen.vault}"
        if size > settings.vault_copy_limit:
            more = Setting(f"vault-copy-limit = {size}")
            yield Checked("vault", said, (more, ", then", Action("backup")))
        else:
            yield Checked("vault", said, (Action("backup"), "puts it there"))
    if not seen.not_in_vault:
        yield Checked("vault", f"{seen.vault} has everything")


def _log(settings: "Settings") -> "Iterator[Checked]":
    """Whether there still is what undo would go back to, and both copies tell the same."""
    name, line = f"{settings.called}log of steps", Timeline(settings)
    try:
        plan = undo.planned(settings, line, undo.look(settings, line), whole=True)
    except CheckError:  # there is nothing to undo
        plan = None
    if plan and not plan.target.can_be_put_back:
        yield Checked(name, undo.gone(plan).what, ("another state:", *ANOTHER))
    for folder, count in log.missing(settings).items():
        to_do = (Action("run", "true"), "writes a line, and them with it")
        yield Checked(name, f"{count} line(s) are not in {folder}", to_do)
    strangers = log.strangers(settings)
    more = f", {len(strangers)} step(s) of another folder's database" if strangers else ""
    steps, there = log.steps(settings), {b.path.name for b in catalog.backups(settings)}
    gone = {step.state_before for step in steps} - there - {""}
    said = f"{len(steps)} step(s), {len(gone)} state(s) before one gone{more}"
    yield Checked(name, said)


def _handed_on(settings: "Settings", seen: "Status") -> "Iterator[Checked]":
    """Whether ``after-backup`` has every backup; one that is at work is not late."""
    if told := seen.after_backup:
        why = f": {told.error}" if told.error else ""
        said = f"{told.left} backup(s) not taken{why}" if told.left else "has every backup"
        to_do = (Action("after-backup"),) if told.left and not told.running else ()
        yield Checked(f"{settings.called}after-backup", said, to_do, settings.told)


def _space(settings: "Settings", seen: "Status") -> Checked:
    free = durable.free(settings.backups)
    said = f"{seen.used:,} bytes in backups and vault, {free:,} free"
    if free < seen.bytes:
        less = ("make room there, or", Action("forget", "NAME", typed=False))
        return Checked("space", f"{said}: not enough for another backup", less)
    return Checked("space", said)
