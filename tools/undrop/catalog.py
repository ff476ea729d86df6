"""``backups/`` as a collection: names, records, what is there, how something gets in."""

import fcntl
import glob
import itertools
import os
import re
import shutil
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable, record
from undrop.errors import UndropError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.record import Record
    from undrop.settings import Settings

SLUG_LENGTH = 60  # characters
STEM_LENGTH = 120  # bytes; a file name may have 255
TURN_DEADLINE = 60.0  # seconds that one undrop waits for another
STAMP = "%Y%m%d-%H%M%S"
NAME = re.compile(r".+-(\d{8}-\d{6})-[a-z0-9-]+")
TAKEN_FOR_SAFETY = {"restore", "undo"}


class Backup(NamedTuple):
    """A backup, or a set of damaged files (then ``path`` is a folder)."""

    path: Path
    record: "Record | None"

    @property
    def is_set(self) -> bool:
        """Whether this is a set of damaged files, kept as they were."""
        return self.path.suffix == ".damaged"

    @property
    def verified(self) -> bool:
        """Whether it was read back and found whole when it was taken."""
        return self.record is not None and self.record.check == "ok"

    @property
    def created(self) -> datetime:
        """When it was taken: from its record, else its name, else the file's time."""
        if self.record:
            return datetime.fromisoformat(self.record.created).astimezone(UTC)
        with suppress(ValueError):
            if match := NAME.fullmatch(self.path.stem):
                return datetime.strptime(match[1], STAMP).replace(tzinfo=UTC)
        return datetime.fromtimestamp(self.path.lstat().st_mtime, UTC)


def slug(reason: str) -> str:
    """A reason reduced to ``[a-z0-9-]``, at most 60 characters, ``manual`` when nothing is left."""
    if not reason.isascii():
        import unicodedata

        reason = unicodedata.normalize("NFKD", reason.casefold()).encode("ascii", "ignore").decode()
    text = re.sub("[^a-z0-9]+", "-", reason.lower()).strip("-")
    return text[:SLUG_LENGTH].rstrip("-") or "manual"


def stem(settings: "Settings") -> str:
    """What this database's backups' names begin with: its file's stem, fit for a file name."""
    name = settings.database.stem if settings.database else ""
    name = re.sub(r"[\x00-\x1f\x7f]|^[.-]", "_", name)
    return os.fsencode(name)[:STEM_LENGTH].decode("utf-8", "ignore") or "database"


def entries(settings: "Settings") -> list[Backup]:
    """Everything in ``backups/``, oldest first. Opens no database."""
    try:
        names = os.listdir(settings.backups)
    except FileNotFoundError:
        return []
    found = [
        Backup(path, record.read(path.with_suffix(".json")))
        for path in (settings.backups / name for name in names if not name.startswith("."))
        if path.suffix in {".db", ".damaged"}
    ]
    return sorted(found, key=lambda backup: (backup.created, backup.path.name))


def is_of(settings: "Settings", backup: Backup) -> bool:
    """Whether a backup is of this project's database, not another one's in the same folder."""
    if backup.record:
        return backup.record.source == settings.source
    return backup.path.name.startswith(stem(settings) + "-")


def latest(settings: "Settings") -> Backup | None:
    """The newest verified backup of this database that no restore or undo took for safety."""
    for backup in reversed(entries(settings)):
        taken_for = backup.record.before if backup.record else ""
        if backup.verified and is_of(settings, backup) and taken_for not in TAKEN_FOR_SAFETY:
            return backup
    return None


def find(settings: "Settings", wanted: str, standing: Path) -> Backup:
    """What a user means by FILE: ``latest``, a path from ``standing``, a name in ``backups/``.

    Raises UsageError when there is no such thing.
    """
    if wanted == "latest":
        if backup := latest(settings):
            return backup
        raise UsageError(f"there is no verified backup in {settings.backups}", "just list")
    path = standing / wanted
    if not wanted or not path.exists():
        inside = settings.backups / Path(wanted).name
        if not wanted or "/" in wanted or not inside.exists():
            raise UsageError(f"there is no backup {wanted!r}", "just list")
        path = inside
    return Backup(path, record.read(path.with_suffix(".json")))


def publish(settings: "Settings", work: Path, entry: "Record") -> Backup:
    """Give a finished, synced file (or folder of damaged files) its name in ``backups/``.

    The name is reserved by creating the record without overwriting; nothing half-written ever
    bears a name. Raises OSError; the record is gone again then.
    """
    durable.sync_path(settings.backups)  # the sweep knows a reserved name by its partial
    suffix = ".damaged" if work.is_dir() else ".db"
    stamp = datetime.fromisoformat(entry.created).strftime(STAMP)
    base = f"{stem(settings)}-{stamp}-{slug(entry.reason)}"
    for number in itertools.count(1):
        name = base if number == 1 else f"{base}-{number}"
        path, beside = settings.backups / f"{name}{suffix}", settings.backups / f"{name}.json"
        if os.path.lexists(path):
            continue
        with suppress(FileExistsError):
            durable.write_new(beside, entry.to_json().encode(), 0o600)
            break
    try:
        work.rename(path)
    except BaseException:
        if not os.path.lexists(path):  # a signal can strike just after the rename
            beside.unlink()
        raise
    durable.sync_path(settings.backups)
    return Backup(path, entry)


@contextmanager
def turn(settings: "Settings", waiting: "Callable[[str], None]") -> "Iterator[None]":
    """Hold the one lock that all changes to a project take; sweep what a killed run left.

    The system drops the lock with the process, however it dies (flock(2)). ``waiting`` is told
    when another undrop is at work. Raises UndropError when that takes over TURN_DEADLINE.
    """
    durable.private_folder(settings.backups)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(settings.backups / ".lock", flags, 0o600)
    try:
        deadline = time.monotonic() + TURN_DEADLINE
        told = False
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                who = f"another undrop (pid {os.pread(fd, 20, 0).decode().strip() or '?'})"
                if time.monotonic() > deadline:
                    raise UndropError(
                        f"{who} has been at work for {TURN_DEADLINE:.0f} seconds",
                        "wait for it, then the same command again",
                    ) from None
                if not told:
                    waiting(f"waiting for {who}")
                    told = True
                time.sleep(0.02)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        _sweep_backups(settings)
        _sweep_work_copies(settings)
        yield
    finally:
        os.close(fd)


def partial(settings: "Settings") -> Path:
    """A hidden name in ``backups/`` for what is not finished; swept by the next run."""
    return settings.backups / f".{os.getpid()}.partial"


def work_copy(live: Path) -> Path:
    """A hidden name beside the live database, on its file system; swept by the next run."""
    return live.with_name(f"{_work_prefix(live)}{os.getpid()}.undrop-work")


def _work_prefix(live: Path) -> str:
    return f".{live.name[:STEM_LENGTH]}."


def _is_beside_backup(note: Path) -> bool:
    return any(os.path.lexists(note.with_suffix(kind)) for kind in (".db", ".damaged"))


def _sweep_backups(settings: "Settings") -> None:
    names = os.listdir(settings.backups)
    partials = [settings.backups / name for name in names if re.match(r"\.\d+\.partial", name)]
    if not partials:
        return
    # Killed between reserving a name, by its record, and renaming the partial to it. A record
    # that is older, or without any partial, belongs to a backup that somebody has moved away.
    oldest = min(path.lstat().st_ctime_ns for path in partials)
    for note in (settings.backups / name for name in names if name.endswith(".json")):
        if note.lstat().st_ctime_ns >= oldest and not _is_beside_backup(note):
            note.unlink()
    for path in partials:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sweep_work_copies(settings: "Settings") -> None:
    if settings.database is None or not settings.live.parent.is_dir():
        return
    for path in settings.live.parent.glob(
        f"{glob.escape(_work_prefix(settings.live))}*.undrop-work*"
    ):
        # Another project, with a lock of its own, may be at work on the same database.
        owner = path.name.removeprefix(_work_prefix(settings.live)).partition(".")[0]
        if not owner.isdecimal() or not _is_alive(int(owner)):
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
