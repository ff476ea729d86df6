"""A backup's own bytes, wherever they are: in its file, or in a frame, which is unpacked then."""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop import digest, durable
from undrop.engines.registry import SUFFIXES
from undrop.errors import CheckError
from undrop.recipes import Action
from undrop.store import catalog, frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.record import Record
    from undrop.settings import Settings
    from undrop.store.catalog import Backup
    from undrop.values import Session

PREFIX = "undrop-unpacked-"
AT_ONCE = 8
"""Unpacked files that are kept for a command: it reads three states, and their bases, together."""
DEEPEST = 9
"""Frames, one upon the other, that are unpacked for one backup: more are no undrop's."""


class Packing(NamedTuple):
    """How a backup is packed (``Record.packed``)."""

    number: int = -1
    """Its place among the packed states of its database, which says whose base it is."""
    base: str = ""
    """The backup that it is packed against, by name; empty where it stands alone."""
    base_digest: str = ""
    """Of that one's own bytes."""
    digest: str = ""
    """Of the frame; empty where there is none."""
    bytes: int = 0
    """Of the frame."""
    folder: bool = False
    """Whether it is a folder of files, packed as an archive."""
    unpack: str = ""
    """The line that unpacks it by hand."""


UNPACKED = Packing()
KINDS = Packing.__annotations__


def packing(record: "Record | None") -> Packing:
    """How a record says that its backup is packed; what makes no sense says nothing."""
    if record is None or not record.packed:
        return UNPACKED
    fields: dict[str, Any] = record.packed
    known = Packing(**{name: v for name, v in fields.items() if type(v) is KINDS.get(name)})
    is_name = "/" not in known.base and os.path.splitext(known.base)[1] in SUFFIXES  # noqa: PTH122 - thousands are read
    return known if not known.base or is_name else UNPACKED


def plain(settings: "Settings", backup: "Backup", above: tuple[str, ...] = ()) -> Path:
    """A file with its own bytes: its own, or one that is there until the command ends.

    Of those at most AT_ONCE are, the ones that were asked for last. ``above`` are the digests of
    what is to be unpacked with it. Raises CheckError where it cannot be unpacked, OSError.
    """
    if backup.packed is None or is_whole(settings, backup):
        return backup.path
    record = backup.record
    if record is None or not record.digest:
        raise CheckError(
            f"{backup.packed} has no record, which says what it was packed against", Action("list")
        )
    session = settings.engine.session.first
    known = session.unpacked.pop(record.digest, None)
    if known is None or not known.exists():
        known = _folder(session, record.digest) / backup.path.name
        write(settings, backup, known, above)
        known.with_suffix(".json").write_text(record.to_json())  # engines read it beside a backup
    session.unpacked[record.digest] = known
    while len(session.unpacked) > AT_ONCE:
        oldest = next(iter(session.unpacked))
        durable.remove(session.unpacked.pop(oldest).parent)
    return known


def whole(settings: "Settings", backup: "Backup") -> Path:
    """The same, which has the bytes that the record names. Raises CheckError, OSError."""
    file = plain(settings, backup)
    if backup.packed is None and not is_whole(settings, backup):  # what has a frame was compared
        raise CheckError(f"{backup.path} is not what its record says", Action("verify"))
    return file


def write(
    settings: "Settings", backup: "Backup", target: Path, above: tuple[str, ...] = ()
) -> None:
    """Unpack a backup that has a frame to ``target``, which is not there yet.

    Its copy in the vault is tried, too, and those of its base. Raises CheckError, OSError.
    """
    record, how = backup.record, packing(backup.record)
    assert record is not None  # noqa: S101 - who packs has one
    if record.digest in above or len(above) == DEEPEST:
        raise CheckError(f"{backup.packed} is packed against itself", Action("list"))
    durable.require_space(target.parent, record.bytes)
    why: list[CheckError] = []
    for each in _frames(settings, backup):
        for base in _bases(settings, each, how, why, (*above, record.digest)):
            try:
                frame.unpack(each, base, target, record.bytes, is_folder=how.folder)
            except CheckError as error:
                why.append(error)
                continue
            if digest.of(target, settings.engine.session.progress, record.bytes) == record.digest:
                return
            durable.remove_with_sidecars(target)
            why.append(CheckError(f"{each} is not what its record says", Action("list")))
    raise next(iter(why), None) or CheckError(
        f"{backup.packed} cannot be unpacked: its base {how.base} is not there",
        Action("list"),
    )


def is_whole(settings: "Settings", backup: "Backup") -> bool:
    """Whether its plain file is there, with the bytes that the record says, if there is one."""
    record, progress = backup.record, settings.engine.session.progress
    with suppress(OSError):
        there = os.path.lexists(backup.path)
        same = record is None or digest.of(backup.path, progress, record.bytes) == record.digest
        return there and same
    return False


def _frames(settings: "Settings", backup: "Backup") -> "Iterator[Path]":
    """Where it is packed: in its own place first."""
    yield from (place.packed for place in catalog.places(settings, backup) if place.packed)


def _bases(
    settings: "Settings", packed: Path, how: Packing, why: list[CheckError], above: tuple[str, ...]
) -> "Iterator[Path | None]":
    """Files with the bytes that something was packed against; those beside it first."""
    if not how.base:
        yield None
        return
    seen: set[tuple[int, int]] = set()
    for folder in (packed.parent, *settings.folders):
        backup = catalog.at(folder / how.base)
        if backup is None or (backup.record and backup.record.digest != how.base_digest):
            continue
        with suppress(OSError):
            stat = backup.file.stat()
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            try:
                base = plain(settings, backup, above)
            except CheckError as error:
                why.append(error)
            else:
                if base.is_file():
                    yield base


def prefix() -> str:
    """What a temporary folder's name begins with that goes when a run that was killed left it."""
    return f"{PREFIX}{os.getpid()}-"


def _folder(session: "Session", mark: str) -> Path:
    """A folder of one's own for what is unpacked."""
    if session.scratch is None:
        durable.sweep_temporary(PREFIX)
        session.scratch = TemporaryDirectory(prefix=prefix())
    folder = Path(session.scratch.name, mark.rpartition(":")[2])
    folder.mkdir(exist_ok=True)
    return folder
