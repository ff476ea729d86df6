"""``backups/`` as a collection: names, records, what is there, how something gets in."""

import itertools
import json
import os
import re
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable, record
from undrop.engines.registry import SUFFIXES
from undrop.errors import UsageError
from undrop.recipes import Action
from undrop.settings import known
from undrop.store import frame, owners, vault
from undrop.store.home import here, is_same
from undrop.values import PENDING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from undrop.record import Record
    from undrop.settings import Settings
    from undrop.store.lock import Lock

SLUG_LENGTH = 60  # characters
STEM_LENGTH = 120  # bytes; a file name may have 255
STAMP = "%Y%m%d-%H%M%S"


class Backup(NamedTuple):
    """A backup, or a set of damaged files (then ``path`` is a folder)."""

    path: Path
    record: "Record | None"
    only_in_vault: bool = False
    """Whether ``backups/`` has lost it."""
    sequence: int = 0
    """Its place among all that was done here; 0 for what is older than that, or from elsewhere."""
    packed: Path | None = None
    """The frame that its bytes are in; ``path`` is there as well, or is its name alone."""

    @property
    def file(self) -> Path:
        """The file that is there: its own, or else the one that it is packed in."""
        return self.packed if self.packed and not os.path.lexists(self.path) else self.path

    @property
    def disk_bytes(self) -> int:
        """Of that; 0 where it leads nowhere, or was forgotten since it was listed."""
        with suppress(OSError):
            return durable.size(self.file)
        return 0

    @property
    def is_set(self) -> bool:
        """Whether this is a set of damaged files, kept as they were."""
        return self.path.suffix == ".damaged"

    @property
    def verified(self) -> bool:
        """Whether it was read back and found whole when it was taken."""
        return self.record is not None and self.record.check.partition(",")[0] == "ok"

    @property
    def pending(self) -> bool:
        """Whether the proof that it can be put back is still to come."""
        return self.record is not None and self.record.check == PENDING

    @property
    def unproved(self) -> str:
        """What of its proof could not be done; empty where all was."""
        checked = self.record.check if self.record and self.verified else ""
        return checked.removeprefix("ok").removeprefix(", ")

    @property
    def created(self) -> datetime:
        """When it was taken: from its record, else its name, else the file's time."""
        if self.record:
            return datetime.fromisoformat(self.record.created).astimezone(UTC)
        with suppress(ValueError):
            if match := record.NAME.fullmatch(self.path.stem):
                return datetime.strptime(match[1], STAMP).replace(tzinfo=UTC)
        with suppress(FileNotFoundError):  # forgotten since it was listed
            return datetime.fromtimestamp(self.file.lstat().st_mtime, UTC)
        return datetime.now(UTC)


def slug(reason: str) -> str:
    """A reason reduced to ``[a-z0-9-]``, at most 60 characters, ``manual`` when nothing is left."""
    if not reason.isascii():
        reason = unicodedata.normalize("NFKD", reason.casefold()).encode("ascii", "ignore").decode()
    text = re.sub("[^a-z0-9]+", "-", reason.lower()).strip("-")
    return text[:SLUG_LENGTH].rstrip("-") or "manual"


def stem(settings: "Settings") -> str:
    """What this database's backups' names begin with: fit for a file name."""
    return os.fsencode(settings.engine.stem)[:STEM_LENGTH].decode("utf-8", "ignore") or "database"


def backups(settings: "Settings") -> list[Backup]:
    """Everything in ``backups/`` and what only the vault still has, oldest first.

    Their order is that in which they were taken here, by date before that. What is closed to us
    is passed over. Opens no database. Raises OSError where ``backups/`` itself is closed.
    """
    known: dict[str, Backup] = {}
    for folder in settings.folders:
        known |= {backup.path.name: backup for backup in read(settings, folder, known)}
    found = sorted(known.values(), key=lambda b: (b.sequence, b.created, b.path.name))
    _sequences(settings)[settings.backups] = found[-1].sequence if found else 0
    return found


def last_sequence(settings: "Settings") -> int:
    """The place of the newest backup among all that was done here; 0 where none has one.

    While the lock is ours nobody else takes one, and they are looked through once.
    """
    if settings.backups not in _sequences(settings):
        backups(settings)
    return _sequences(settings)[settings.backups]


def _sequences(settings: "Settings") -> dict[Path, int]:
    return settings.engine.session.first.last_sequences


def read(settings: "Settings", folder: Path, but: "Container[str]" = ()) -> "Iterator[Backup]":
    """What is in one folder, in no order, but for these names. Raises as ``backups``."""
    ours = here(settings)
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        if folder == settings.backups:
            raise
        owners.pass_over(settings, folder)
        return
    frames = [name for name in names if name.endswith(frame.FRAMES)]
    there, packed = {*names}, {name.removesuffix(frame.SUFFIX) for name in frames}
    only_in_vault = folder != settings.backups
    for name in there | packed:
        if not name.endswith((*SUFFIXES, ".damaged")) or name.startswith(".") or name in but:
            continue
        beside = f"{folder}/{name.rpartition('.')[0]}.json"
        note = record.read(beside)
        holds = folder / (name + frame.SUFFIX) if name in packed else None
        sequence = note.sequence if note and is_same(note.home, ours) else 0
        backup = Backup(folder / name, note, only_in_vault, sequence, holds)
        file = f"{folder}/{name}" if name in there else f"{folder}/{name}{frame.SUFFIX}"
        if owners.is_closed(file):
            owners.pass_over(settings, Path(file))
        elif note is None and owners.is_closed(beside):
            owners.pass_over(settings, Path(beside))
        else:
            yield backup


def at(path: Path, *, only_in_vault: bool = False) -> Backup | None:
    """The backup that is, or is packed, in that place; None where none is."""
    packed = frame.of(path)
    packed_there = path.suffix in SUFFIXES and os.path.lexists(packed)
    if not packed_there and not os.path.lexists(path):
        return None
    note = record.read(path.with_suffix(".json"))
    return Backup(path, note, only_in_vault, packed=packed if packed_there else None)


def is_of(settings: "Settings", backup: Backup) -> bool:
    """Whether a backup is of this project's database, not another one's in the same folder."""
    if backup.record:
        return backup.record.source == settings.source
    return backup.path.name.startswith(stem(settings) + "-")


def has_moved(settings: "Settings", backup: Backup) -> bool:
    """Whether it is of this database, which lay elsewhere in the project then."""
    source = Path(backup.record.source) if backup.record else Path()
    if source.stem != Path(settings.source).stem or (settings.root / source).exists():
        return False
    return all(each.source != str(source) for each in known(settings))


def is_inside(settings: "Settings", path: Path) -> bool:
    """Whether a file is in one of our own folders, by whatever path."""
    return any(path.parent.resolve() == folder.resolve() for folder in settings.folders)


def places(settings: "Settings", backup: Backup) -> list[Backup]:
    """A backup's files: the one that it names, and its copy where that is no link to the same."""
    if backup.record is None or backup.is_set or not is_inside(settings, backup.path):
        return [backup]
    known = [backup]
    for folder in settings.folders:
        with suppress(OSError):
            other = at(folder / backup.path.name)
            if other and other.file.is_file() and not other.file.samefile(backup.file):
                known.append(backup._replace(path=other.path, packed=other.packed))
    return known


def named(settings: "Settings", name: str) -> Backup:
    """The backup of that name, with or without its suffix. Raises UsageError."""
    for backup in backups(settings):
        if name.removesuffix(frame.SUFFIX) in {backup.path.name, backup.path.stem}:
            return backup
    raise UsageError(f"there is no backup {name!r}", Action("list"))


def led_to(backup: Backup) -> Backup:
    """What it is a link to, which may be in use and has its sidecars there; else itself."""
    if not backup.path.is_symlink() or not backup.path.exists():
        return backup
    path = backup.path.resolve()
    return Backup(path, record.read(path.with_suffix(".json")))


def contents(settings: "Settings") -> dict[str, str]:
    """What tells the state in each backup that has a record from others, by name."""
    return {b.path.name: b.record.state for b in backups(settings) if b.record}


def known_as(settings: "Settings", name: str) -> Backup | None:
    """The backup of exactly that name, without a look at all the others; None where none is."""
    for folder in settings.folders:
        path = folder / name
        if path.name == name:  # a name in a log is data
            backup = at(path, only_in_vault=folder != settings.backups)
            if backup and backup.file.exists():
                return backup
    return None


def amend(lock: "Lock", backup: Backup, **fields: object) -> None:
    """Let a backup's record say that of it, wherever there is one. Raises OSError.

    In ``backups/`` last: killed, it is the old one, and what is done again tells both.
    """
    settings = lock.settings
    for folder in (settings.vault_folder, settings.backups):
        beside = Path(folder or "", f"{backup.path.stem}.json")
        if folder is None or record.read(beside) is None:  # forgotten meanwhile
            continue
        text = record.text({**json.loads(beside.read_bytes()), **fields})
        work = folder / lock.partial().name
        with durable.scratch(work):
            work.write_text(text)
            durable.sync_path(work)
            work.replace(beside)
        durable.sync_path(folder)


def publish(lock: "Lock", work: Path, record: "Record", suffix: str) -> Backup:
    """Give a finished, synced file or folder its name in ``backups/``.

    The name is reserved by creating the record without overwriting; nothing half-written ever
    bears a name. Raises OSError; the record is gone again then.
    """
    settings = lock.settings
    durable.sync_path(settings.backups)  # the sweep knows a reserved name by its partial
    stamp = datetime.fromisoformat(record.created).strftime(STAMP)
    base = f"{stem(settings)}-{stamp}-{slug(record.reason)}"
    kept = settings.vault_folder
    for number in itertools.count(1):
        name = base if number == 1 else f"{base}-{number}"
        path, beside = settings.backups / f"{name}{suffix}", settings.backups / f"{name}.json"
        if at(path) or (kept and at(kept / path.name)):
            continue
        with suppress(FileExistsError):
            durable.write_new(beside, record.to_json().encode(), 0o600)
            break
    try:
        work.rename(path)
    except BaseException:
        if not os.path.lexists(path):  # a signal can strike just after the rename
            beside.unlink()
        raise
    durable.sync_path(settings.backups)
    vault.keep(lock)
    lock.session.published = lock.session.took = True
    _sequences(settings)[settings.backups] = record.sequence
    return Backup(path, record)
