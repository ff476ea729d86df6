"""One undrop at a time in a project: its lock, its hidden names, the sweep of what was killed."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from undrop import durable, version_table
from undrop.engines.registry import SUFFIXES
from undrop.errors import UndropError, UsageError
from undrop.recipes import Setting
from undrop.record import NAME
from undrop.settings import known
from undrop.store import after_backup, calls, owners, unguarded
from undrop.store.frame import ENDINGS, SUFFIX

if TYPE_CHECKING:
    from undrop.settings import Settings
    from undrop.values import Session

LOCK = ".lock"
PAGES = {".gitignore", ".gitkeep", "README.md", "README", ".DS_Store"}
"""What people put into a folder for backups, before we do."""
COVERED = "covered"
"""The note of which backup holds the present state (``steps.cover``)."""
NOTES = {f"{COVERED}.json", version_table.NAME, unguarded.NAME, calls.NAME, *after_backup.FILES}
"""What we put there besides: with no lock, or where the lock was left out when it was copied."""
KINDS = {*SUFFIXES, ".damaged", SUFFIX, ".jsonl", ".partial"}
PARTIAL = re.compile(r"\.\d+\.partial(-frame)?(-wal|-shm|-journal|-replica)?")


class Lock(NamedTuple):
    """The lock of a project, held: who needs it held takes this."""

    settings: "Settings"

    @property
    def session(self) -> "Session":
        """The command that holds it."""
        return self.settings.engine.session

    def partial(self) -> Path:
        """A hidden name in ``backups/`` for what is not finished; swept by the next run."""
        return partial(self.settings)


@contextmanager
def locked(settings: "Settings", waiting: Callable[[str], None]) -> Iterator[Lock]:
    """Hold the one lock that all changes to a project take; sweep what a killed run left.

    The system drops the lock with the process, however it dies (flock(2)). ``waiting`` is told
    when another undrop is at work. Raises UndropError when that lasts longer
    than the session's patience, and where something belongs to another user.
    """
    try:
        with owners.explained(settings), _locked(settings, waiting) as lock:
            yield lock
    finally:
        sessions = settings.engine.session.all
        if any(each.published and each.tells_at_once for each in sessions):
            after_backup.start(settings)
        for each in sessions:
            each.published = False


@contextmanager
def _locked(settings: "Settings", waiting: Callable[[str], None]) -> Iterator[Lock]:
    _refuse_link_out_of(settings)
    _refuse_what_is_not_ours(settings)
    durable.private_folder(settings.backups)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(settings.backups / LOCK, flags, 0o600)
    try:
        durable.give(fd, settings.backups)
        _wait(fd, waiting, settings.engine.session.patience_with_undrop)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        settings.engine.session.first.last_sequences.clear()  # others may have taken some
        _sweep_backups(settings, settings.backups)
        for each in known(settings):  # a run on all of them may have been killed
            if each.name == settings.name or each.engine.file:
                each.engine.sweep()
        kept = settings.vault_folder
        if kept is not None and owners.is_closed(kept):
            owners.pass_over(settings, kept)
        elif kept is not None and kept.is_dir():
            _sweep_backups(settings, kept)
        yield Lock(settings)
    finally:
        os.close(fd)


def _wait(fd: int, waiting: Callable[[str], None], patience: float) -> None:
    deadline = time.monotonic() + patience
    told = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "?"
            who = f"another undrop (pid {pid})"
            if time.monotonic() > deadline:
                raise UndropError(
                    f"{who} has been at work for {patience:.0f} seconds",
                    "wait for it, then the same command again",
                ) from None
            if not told:
                waiting(f"waiting for {who}")
                told = True
            time.sleep(0.02)
        else:
            return


def _refuse_link_out_of(settings: "Settings") -> None:
    """A link planted where ``backups/`` should be must not lead our files elsewhere."""
    real = Path(os.path.realpath(settings.backups))
    meant_inside = settings.backups.is_relative_to(settings.root)
    if meant_inside and not real.is_relative_to(os.path.realpath(settings.root)):
        raise UsageError(
            f"{settings.backups} is a link out of the project, to {real}",
            "if it is yours,",
            Setting(f'backups = "{real}"'),
            "; else remove the link",
        )


def _refuse_what_is_not_ours(settings: "Settings") -> None:
    """A folder that has other things in it is not closed to everybody else, nor filled."""
    try:
        names = set(os.listdir(settings.backups))
    except (FileNotFoundError, NotADirectoryError):
        return
    if LOCK in names:
        return
    for name in sorted(names):
        path = Path(name)
        in_use = {f"{name}-wal", f"{name}-shm", f"{name}-journal"} & names
        note = path.suffix == ".json" and NAME.fullmatch(path.stem)
        of_a_name = re.sub(r"\.[\w-]+\.json$", ".json", name)
        if in_use or not (note or path.suffix in KINDS or {name, of_a_name} & (PAGES | NOTES)):
            raise UsageError(
                f"{settings.backups} is no folder for backups: {name} is in it",
                Setting('backups = "FOLDER"'),
                ", a folder of its own",
            )


def partial(settings: "Settings") -> Path:
    """A hidden name in ``backups/`` for what is not finished; swept by the next run."""
    return settings.backups / f".{os.getpid()}.partial"


def _sweep_backups(settings: "Settings", folder: Path) -> None:
    names = os.listdir(folder)
    partials = [folder / name for name in names if PARTIAL.fullmatch(name)]
    if not partials:
        return
    # Killed between reserving a name, by its record, and renaming the partial to it. A record
    # that is older, or without any partial, belongs to a backup that somebody has moved away.
    oldest = min(path.lstat().st_ctime_ns for path in partials)
    for note in (folder / name for name in names if name.endswith(".json")):
        beside = (note.with_suffix(kind) for kind in (*ENDINGS, ".damaged"))
        if note.lstat().st_ctime_ns >= oldest and not any(map(os.path.lexists, beside)):
            note.unlink()
    for path in partials:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except PermissionError:
            owners.pass_over(settings, path)
