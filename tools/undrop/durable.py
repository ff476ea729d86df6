"""File operations that survive a crash: create without overwriting, make durable, publish."""

import errno
import fcntl
import os
import shlex
import shutil
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from undrop.errors import UndropError

if TYPE_CHECKING:
    from collections.abc import Iterator


def create(path: Path, mode: int) -> int:
    """Create ``path`` with exactly ``mode`` and return a descriptor open for writing.

    Never overwrites and never follows a symbolic link: FileExistsError then. Nothing is left when
    it fails.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(fd, mode)
        give(fd, path.parent)
    except BaseException:
        path.unlink()
        os.close(fd)
        raise
    return fd


def give(made: int | Path, folder: Path) -> None:
    """Where we are root, let what was made in ``folder`` (a path, a descriptor) be its owner's.

    One ``sudo`` would lock the user out of it.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        with suppress(OSError):  # a root that may not, in a container
            if owner.st_uid:
                os.chown(made, owner.st_uid, owner.st_gid)


def make_private(folder: Path) -> None:
    """Make a folder of our own, which must not be there yet, closed to others."""
    folder.mkdir(0o700)
    give(folder, folder.parent)


def sync(fd: int) -> None:
    """Force a file's content to the disk; raises OSError when the disk says it cannot."""
    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: a plain fsync stops at the drive's cache
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fsync(fd)


def sync_path(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if path.is_dir():
            os.fsync(fd)
        else:
            sync(fd)
    finally:
        os.close(fd)


def append(fd: int, lines: bytes) -> None:
    """Add lines to an open file and force them to the disk. Raises OSError.

    After a writer that was killed in the middle of its line, one of their own begins.
    """
    end = os.lseek(fd, 0, os.SEEK_END)
    torn = end and os.pread(fd, 1, end - 1) != b"\n"
    lines = b"\n" * bool(torn) + lines
    while lines:  # a full disk takes a part, and says so only when it is asked again
        lines = lines[os.write(fd, lines) :]
    sync(fd)


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a new file and force it to the disk; nothing is left when that fails."""
    fd = create(path, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            sync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def private_folder(folder: Path) -> None:
    """Make ``folder`` exist and be closed to everybody but its owner (0700)."""
    try:
        make_folder(folder, 0o700)
    except FileExistsError:
        raise UndropError(
            f"{folder} is in the way: it is no folder",
            f"mv {shlex.quote(str(folder))} elsewhere, then the same again",
        ) from None
    if folder.stat().st_mode & 0o077 and not folder.is_symlink():  # a link's target is not ours
        folder.chmod(0o700)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make ``folder`` exist, with those above it, in a way that outlasts a loss of power.

    ``mode`` (less the umask) is for those that have to be made.

    What is fsynced inside a folder is lost with the folder's own name.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode, exist_ok=True)
        give(path, path.parent)
    folder.mkdir(exist_ok=True)  # raises when it is no folder
    for path in missing or [folder]:  # one that is there may be a killed run's, not on the disk
        with suppress(PermissionError):  # a folder above that is not ours to read
            sync_path(path.parent)


@contextmanager
def scratch(path: Path) -> "Iterator[Path]":
    """An empty private file at ``path``, gone when the block ends, or the folder made of it.

    A file that the block renamed away is simply no longer there to remove.
    """
    os.close(create(path, 0o600))
    try:
        yield path
    finally:
        remove_with_sidecars(path)


def link_instead(whole: Path, work: Path) -> bool:
    """Make ``work``, a file of ours, another name of ``whole``; False where that cannot be.

    For a folder a new one is made, with its files linked into it.
    """
    beside = work.with_name(work.name + "-journal")  # swept, and cleaned up, as work is
    with suppress(OSError):
        if whole.is_dir():
            make_private(beside)
            for file in whole.iterdir():
                os.link(file, beside / file.name, follow_symlinks=False)
            sync_path(beside)
            work.unlink()
            beside.rename(work)
        else:
            os.link(whole, beside, follow_symlinks=False)
            beside.replace(work)
        return True
    return False


def move(work: Path, target: Path) -> None:
    """Put a file of ours in the place of another, forced to the disk; a copy where that takes one.

    Raises OSError.
    """
    os.utime(work)  # it is as old as its name
    sync_path(work)
    give(work, target.parent)
    try:
        work.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        require_space(target.parent, size(work))
        shutil.copyfile(work, target)
        sync_path(target)


def make_read_only(work: Path) -> None:
    """Take the right to write from a file, or from the files in a folder."""
    for file in work.iterdir() if work.is_dir() else [work]:
        file.chmod(0o400)


def remove_with_sidecars(path: Path) -> None:
    """Remove a file or folder of our own and whatever SQLite left beside it."""
    for name in (path, *sidecars(path)):
        remove(name)


def remove(path: Path) -> None:
    """Remove a file or folder of our own, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sidecars(path: Path) -> tuple[Path, Path, Path]:
    """The files that SQLite may keep beside a database (sqlite.org/tempfiles.html, 2.1 to 2.3)."""
    return (
        path.with_name(path.name + "-wal"),
        path.with_name(path.name + "-shm"),
        path.with_name(path.name + "-journal"),
    )


def sweep_temporary(beginning: str) -> None:
    """Remove what killed runs left below the temporary folder: names of that beginning and a pid.

    What this process made is its own to remove; who only looks holds no lock.
    """
    for left in Path(gettempdir()).glob(f"{beginning}*"):
        pid = left.name.removeprefix(beginning).partition("-")[0]
        if pid == str(os.getpid()) or is_alive(pid) or left.is_symlink():
            continue
        with suppress(FileNotFoundError):  # by another that sweeps
            if left.stat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)


def is_alive(pid: str) -> bool:
    """Whether what bears that number in its name is another process's that is there still.

    Of a number that is taken again what is left stays until that process ends.
    """
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid()


def size(path: Path) -> int:
    """Bytes in ``path``, a file or a folder of files; 0 when there is nothing."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return sum(file.stat().st_size for file in path.iterdir())
    except FileNotFoundError:
        return 0
    return status.st_size


def free(folder: Path) -> int:
    """Bytes that are free where ``folder`` is, or is to be. Raises OSError."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    disk = os.statvfs(there)
    return disk.f_bavail * disk.f_frsize


def require_space(folder: Path, needed: int) -> None:
    """Raise OSError(ENOSPC) unless ``needed`` bytes are free where ``folder`` is."""
    if (left := free(folder)) < needed:
        message = f"this step needs {needed:,} bytes free and there are {left:,}"
        raise OSError(errno.ENOSPC, message, str(folder))
