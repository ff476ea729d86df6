"""A folder in memory for one run of the tests; what a killed run left there goes with the next.

A small file costs a tenth there, CREATE DATABASE an eighth. What a killed process wrote outlives it
there as on a disk; what is about fsync, free space or links across file systems has the mark
``disk``.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SHARED = Path("/dev/shm")  # noqa: S108 - a name of our own is made in it
PREFIX = "undrop-tests-"
DISK = "UNDROP_TESTS_DISK"
"""Names the folder for temporary files that are to be on a disk, for the run's workers."""
ROOM = 4_000_000_000  # bytes that must be free


def disk() -> str:
    """Where temporary files go that are to be on a disk."""
    return os.environ.get(DISK) or tempfile.gettempdir()


def enter(made: Path) -> None:
    """Let this process, and what it starts, have its temporary files in ``made``."""
    os.environ[DISK] = tempfile.gettempdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(made)


@contextmanager
def held(shared: Path = SHARED) -> Iterator[Path | None]:
    """A folder of this run's own while the block runs; None where there is no room."""
    if not (shared.is_dir() and os.access(shared, os.W_OK)) or not _may_run(shared):
        yield None
        return
    sweep(shared)
    if shutil.disk_usage(shared).free < ROOM:
        yield None
        return
    # Locked before it has the name that others sweep.
    made = Path(tempfile.mkdtemp(prefix="undrop-new-", dir=shared))
    lock = os.open(made, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    made.chmod(0o711)  # a server in it may have to run as another user
    made = made.rename(shared / (PREFIX + made.name.rpartition("-")[2]))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def _may_run(shared: Path) -> bool:
    """Whether programs may be started from there: containers often forbid it."""
    return not os.statvfs(shared).f_flag & getattr(os, "ST_NOEXEC", 0)


def sweep(shared: Path) -> None:
    """Remove the folders of runs that are no more."""
    for left in shared.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, or just gone
            lock = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
