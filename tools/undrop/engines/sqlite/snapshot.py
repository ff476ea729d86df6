"""One snapshot of the live SQLite file, held, and a copy of it."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import durable, errors
from undrop.engines.sqlite.writelock import WriteLock
from undrop.sqlitefile import connect, header, pages

if TYPE_CHECKING:
    from undrop.engines.protocol import Snapshot as AnySnapshot
    from undrop.values import Hold, Progress, Session

COPY_STEP = 8 << 20  # bytes copied between two looks at Ctrl-C and the progress bar


def ours(snapshot: "AnySnapshot") -> "Snapshot":
    """What ``Engine.snapshot`` gave out, back from where it is only known as any engine's."""
    if not isinstance(snapshot, Snapshot):
        raise TypeError(type(snapshot))
    return snapshot


class Snapshot:
    """The live database as one snapshot saw it, and whether it still is that.

    From construction until ``release`` a read transaction pins the snapshot; until ``close``,
    ``unchanged`` tells, asked while some connection holds the write lock, whether anybody
    committed since. In WAL mode this connection's ``PRAGMA data_version`` sees every commit
    (sqlite.org/pragma.html#pragma_data_version), and of the checkpoints only those that start the
    -wal anew, which then costs another try. In rollback mode the lock's
    holder lets nobody read through SQLite, so the header's change counter is read past it, on a
    descriptor opened before and closed after every SQLite handle (howtocorrupt.html, 2.2).
    With ``hold``, for that many seconds at most, nobody can commit from before the snapshot until
    ``let_write`` or ``close``.
    """

    replacing = False
    """Whether a replacement of the content was begun."""

    def __init__(
        self, path: Path, session: "Session", mode: str | None = None, *, hold: float = 0
    ) -> None:
        self.path, self.session = path, session
        self._write_lock: WriteLock | None = None
        self._fd = os.open(path, os.O_RDONLY)
        self._index = -1  # of the -shm, where WAL mode counts its transactions
        try:
            # The last connection to close checkpoints, which would write an old program's
            # left-over -wal into the file merely because we looked; a read-only one does not.
            # Where there is no -wal it would leave an empty one behind.
            wal, _shm, journal = durable.sidecars(path)
            looking = durable.size(wal) and not durable.size(journal)
            mode = mode or ("ro" if looking else "rw")
            with connect.explained(path, "opening the database", session.patience):
                self.connection = connect.connect(path, mode)
        except BaseException:
            os.close(self._fd)
            raise
        try:
            with connect.explained(path, "reading the database", session.patience):
                self._refuse_what_is_no_database()
                self.connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
                if hold:
                    # First: in rollback mode a writer that has it waits for readers to commit.
                    self._write_lock = WriteLock(path, session, hold)
                self._pin()
                self.wal = self.pragma("journal_mode") == "wal"
                self.page_size = int(self.pragma("page_size"))
                self.bytes = self._size()
                self._seen = self._state()
                if self.wal:
                    self._index = os.open(durable.sidecars(path)[1], os.O_RDONLY)
                self._counted = self._transactions()
        except BaseException:
            self.close()
            raise

    def _pin(self) -> None:
        # Under an EXCLUSIVE lock it is the read, not the BEGIN, that fails.
        read = "SELECT 1 FROM sqlite_master LIMIT 1"
        connect.begin(self.connection, self.session.patience, "BEGIN", read)

    def _size(self) -> int:
        return self.page_size * int(self.pragma("page_count"))

    def _refuse_what_is_no_database(self) -> None:
        # SQLite takes a file of a few bytes for an empty database.
        start = os.pread(self._fd, len(header.MAGIC), 0)
        if start not in {b"", header.MAGIC}:
            raise errors.damaged("it is not a SQLite database")

    def pragma(self, name: str) -> str:
        """Value of a pragma, as text."""
        return str(self.connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _state(self) -> object:
        if self.wal:
            return self.pragma("data_version")
        stat = os.fstat(self._fd)
        return os.pread(self._fd, 100, 0), stat.st_ino, stat.st_size

    def copy_to(self, target: Path) -> None:
        """Write the pinned snapshot into ``target``, an empty file of ours, as a rollback file.

        It is for ``check.verify`` to force it to the disk. Raises UndropError, DamagedError.
        """
        total = max(1, self.bytes)

        def step(_status: int, remaining: int, _pages: int) -> None:
            self.session.progress("copy", total - remaining * self.page_size, total)

        with connect.explained(self.path, "copying the database", self.session.patience):
            copy = connect.connect(target, "rw")
            try:
                copy.execute("PRAGMA journal_mode = OFF")
                copy.execute("PRAGMA synchronous = OFF")
                pages = max(1, COPY_STEP // self.page_size)
                self.connection.backup(copy, pages=pages, progress=step)
            finally:
                copy.close()
        header.set_journal_mode(target, header.ROLLBACK)

    def _transactions(self) -> int:
        """SQLite's own counter (sqlite.org/fileformat2.html, 1.3.7; walformat.html, 2.1)."""
        fd, at, order = (self._index, 8, sys.byteorder) if self.wal else (self._fd, 24, "big")
        return int.from_bytes(os.pread(fd, 4, at), order)

    def writes(self) -> int:
        """How many transactions others have committed since, at least; 1 when that is unknown."""
        return max(1, (self._transactions() - self._counted) % 2**32)

    @property
    def hold(self) -> "Hold | None":
        """How long others' writes have had to wait; None where they have not."""
        return self._write_lock.hold if self._write_lock else None

    def release(self) -> None:
        """Keep no writer and no checkpoint waiting by reading; ``unchanged`` tells about them."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def let_write(self) -> None:
        """Let others commit again."""
        if self._write_lock:
            self._write_lock.end()

    def moved(self) -> bool | None:
        """Whether others have written since; None once it is closed, or a replacement was tried."""
        if self._fd < 0 or self.replacing:
            return None
        return not (self.path.exists() and self.unchanged())

    def unchanged(self) -> bool:
        """Whether the file still is what the snapshot saw; for the write lock's holder to ask."""
        same_file = os.path.samestat(self.path.stat(), os.fstat(self._fd))
        return same_file and self._state() == self._seen

    def is_copied_in(self, other: Path, progress: "Progress") -> bool:
        """Whether ``other`` has the same pages; no where that cannot be told from the files.

        A file that another program writes to meanwhile is no copy; a read transaction keeps a
        writer in rollback mode from that, and checkpoints off a file with an empty -wal.
        """
        if durable.size(durable.sidecars(self.path)[0]):
            return False  # what is in there is not in the file
        return pages.same(self._fd, other, self.page_size, progress)

    def let_go(self) -> None:
        """Close the connections, so that a writer is the last to close and checkpoints."""
        if self._write_lock:
            self._write_lock.close()
        self.connection.close()

    def close(self) -> None:
        """Close every handle, the plain descriptor last."""
        self.let_go()
        for fd in (self._index, self._fd):
            if fd >= 0:
                os.close(fd)
        self._index = self._fd = -1
