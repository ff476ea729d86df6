"""A backup is removed everywhere, on purpose, and nothing that needs it with it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable, record
from undrop.store import catalog, frame, packing, unpacked, vault
from undrop.store.catalog import Backup

if TYPE_CHECKING:
    from undrop.record import Record
    from undrop.settings import Settings
    from undrop.store.lock import Lock


class Forgotten(NamedTuple):
    """What was removed, and what is left of its bytes."""

    folders: list[Path]
    """Where it was removed from."""
    same: list[str]
    """What holds the same bytes still: names in ``backups/``, paths in other projects' vaults."""


def forget(lock: "Lock", name: str) -> Forgotten:
    """Remove a backup everywhere: from ``backups/``, and from every vault that has it.

    A project that was moved, or shares its ``backups/`` with another, has several. What is packed
    against it is made anew first. Raises UsageError when there is none of that name, CheckError
    where what needs it cannot be unpacked, OSError.
    """
    settings = lock.settings
    gone = catalog.named(settings, name)
    ours, others = _folders(settings)
    notes = (record.read(folder / f"{gone.path.stem}.json") for folder in ours)
    gone = gone._replace(record=next(filter(None, notes), None))
    _release(lock, gone)
    removed = _removed_everywhere(settings, gone)
    digest = gone.record.digest if gone.record else ""
    if not digest:
        return Forgotten(removed, [])
    left = catalog.backups(settings)
    same = [b.path.name for b in left if b.record and b.record.digest == digest]
    for folder in others:
        there = {note: record.read(note) for note in sorted(folder.glob("*.json"))}
        same += [str(note.with_suffix("")) for note, r in there.items() if r and r.digest == digest]
    return Forgotten(removed, same)


def forget_all(lock: "Lock", gone: list[Backup]) -> None:
    """The same for many backups of this project's, which have records, one after the other.

    What one is packed against is better behind it. Raises CheckError, OSError.
    """
    settings = lock.settings
    bases = _bases(settings)
    for backup in gone:
        if backup.record and backup.record.digest in bases:  # nobody else is asked for each
            _release(lock, backup)
            bases = _bases(settings)
        _removed_everywhere(settings, backup)


def _bases(settings: "Settings") -> set[str]:
    """Digests of all that anything is packed against."""
    ours, others = _folders(settings)
    notes = (record.read(note) for each in (*ours, *others) for note in each.glob("*.json"))
    return {unpacked.packing(note).base_digest for note in notes if note}


def _folders(settings: "Settings") -> tuple[list[Path], list[Path]]:
    """Our own, and other projects' vaults."""
    ours = settings.folders
    return ours, [folder for folder in vault.folders(settings) if folder not in ours]


def _release(lock: "Lock", gone: Backup) -> None:
    """Let nothing need it. Raises CheckError, OSError."""
    packing.release(lock, gone)
    ours, others = _folders(lock.settings)
    for folder in (*ours, *others):
        if gone.record and (folder in ours or _has(folder, gone)):
            packing.release_beside(lock, folder, gone)


def _removed_everywhere(settings: "Settings", gone: Backup) -> list[Path]:
    """Where it was removed from. Raises OSError.

    ``backups/`` is the last: killed, it is there to be removed again, and what tells the others'.
    """
    ours, others = _folders(settings)
    every = [*others, *reversed(ours)]
    return [folder for folder in every if _removed(folder, gone, ours=folder in ours)][::-1]


def _removed(folder: Path, gone: Backup, *, ours: bool) -> bool:
    """Whether a folder had a backup, which is gone from there now. Raises OSError.

    What a killed run leaves of ours is a backup without its record, never a record of nothing; of
    others' it has the record, by which it is known.
    """
    if not ours and not _has(folder, gone):
        return False
    name = gone.path.name
    names = [name, name + frame.SUFFIX, f"{gone.path.stem}.json"]
    there = [path for each in names if os.path.lexists(path := folder / each)]
    for path in there[::-1] if ours else there:
        durable.remove(path)
        durable.sync_path(folder)
    return bool(there)


def _has(folder: Path, gone: Backup) -> bool:
    """Whether another project's vault has that very backup."""
    return _is_same(record.read(folder / f"{gone.path.stem}.json"), gone.record)


def _is_same(one: "Record | None", other: "Record | None") -> bool:
    """Whether two records are of one backup, whatever they were marked with since."""
    told = [(r.created, r.source, r.digest, r.files) for r in (one, other) if r]
    return len(told) == 2 and told[0] == told[1]
