"""The live database, looked at: nothing is written, nothing is copied, nobody is locked out."""

import os
import sqlite3
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from undrop import durable
from undrop.compare import files, readable
from undrop.engines.sqlite import livefiles
from undrop.engines.sqlite.live import Live
from undrop.errors import UndropError
from undrop.sqlitefile import check, connect, header, pages, query, wal
from undrop.values import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.comparison import Comparison, Reading
    from undrop.compare.readable import Readable
    from undrop.values import Definitions, Examined, Result, Session

CANNOT = {8, 10, 13, 14}
"""SQLITE_READONLY, IOERR, FULL, CANTOPEN (sqlite.org/rescode.html): no -shm can be made there."""
LONG = 100_000_000  # bytes whose comparison is not over at once
TRIES = 100
AGAIN = "the same command again"


class Look(Live):
    """The live database as one transaction sees it (``protocol.Look``).

    Where SQLite cannot make the -shm that WAL mode asks for (a read-only folder, a full disk) and
    no -wal has anything in it, the file is read alone, and that nobody wrote is told afterwards.
    """

    def __init__(self, path: Path, session: "Session") -> None:
        self._alone = False
        self._places: dict[int, int] = {}
        self._log = -1  # the -wal, where the transaction reads from it
        try:
            super().__init__(path, session)
        except UndropError as error:
            cause = error.__cause__
            cannot = isinstance(cause, sqlite3.Error) and connect.primary_code(cause) in CANNOT
            if not cannot or self._has_more():
                raise
            self._alone = True
            super().__init__(path, session, "immutable")
            self._written = os.fstat(self._fd).st_mtime_ns
        if self.wal:
            try:
                self._open_log()
            except BaseException:
                self.close()
                raise

    @property
    def mode(self) -> str:
        """Its journal mode."""
        return "wal mode" if os.pread(self._fd, 2, 18) == header.WAL else "rollback mode"

    def rows(self) -> dict[str, int]:
        """Counted in the transaction that is open."""
        with connect.explained(self.path, "counting rows"):
            return check.rows(self.connection)

    def state(self, like: Path | None) -> Identity:
        """The digest that a backup would have, of the pages where they are."""
        parts = pages.read(self._fd, self.page_size, self.bytes, self._log, self._places)
        start = self._start(like) or os.pread(self._fd, 100, 0)
        content = pages.digest_of_copy(self._shown(parts), start)
        self._refuse_moved()
        return Identity(content, self._definitions)

    def _start(self, backup: Path | None) -> bytes:
        """The header of a backup; empty where it has none that could be read."""
        with suppress(OSError):
            # Of another name of the live file our own locks would go with the descriptor.
            if backup is not None and not backup.samefile(self.path):
                with backup.open("rb") as file:
                    return start if len(start := file.read(100)) == 100 else b""
        return b""

    def _definitions(self) -> "Definitions":
        with connect.explained(self.path, "reading the schema"):
            return check.defined(self.connection, self.session.version_table)

    def _shown(self, parts: "Iterator[memoryview]") -> "Iterator[memoryview]":
        done = 0
        for part in parts:
            yield part
            done += len(part)
            self.session.progress("check", done, self.bytes)

    def compare(
        self, backup: Path, *, live_first: bool, also: "Reading | None" = None
    ) -> "Comparison":
        """By SQL, in a transaction of the comparison's own.

        A large database in rollback mode is copied first where there is room for that: its writers
        would wait for all of it.
        """
        with ExitStack() as stack:
            live, in_use = self.path, None if self._alone else self.path
            if self._keeps_writers_waiting:
                with suppress(OSError):
                    live, in_use = stack.enter_context(self._copied()), None
            # In rollback mode a writer that waits for this reader lets no other one in.
            self.release()
            pair = (live, backup) if live_first else (backup, live)
            found = files.compare(
                *pair,
                self.session.progress,
                in_use=in_use,
                version_table=self.session.version_table,
                also=also,
            )
        self._refuse_moved()
        return found

    @property
    def _keeps_writers_waiting(self) -> bool:
        """Whether reading all of it would, for longer than a moment."""
        return not (self.wal or self._alone) and self.bytes > LONG

    @contextmanager
    def readable(self, *, whole: bool) -> "Iterator[Readable]":
        """In the transaction that is open; a copy of what would keep writers waiting."""
        with ExitStack() as stack:
            copy: Path | None = None
            if whole and self._keeps_writers_waiting:
                with suppress(OSError):
                    copy = stack.enter_context(self._copied())
            if copy:
                yield stack.enter_context(readable.opened(copy))
                return
            with connect.explained(self.path, "reading", self.session.patience):
                yield readable.of(self.path, self.connection)
            self._refuse_moved()

    @contextmanager
    def query(self, sql: str) -> "Iterator[Result]":
        """What one statement gives (``protocol.Live.query_live``).

        In rollback mode of a copy where there is room for one: writers would wait for whoever
        reads the answer.
        """
        with ExitStack() as stack:
            connection, more = self.connection, list[str]()
            if not (self.wal or self._alone):
                try:
                    copy = stack.enter_context(self._copied())
                    connection = stack.enter_context(closing(connect.connect(copy, "immutable")))
                except (OSError, UndropError) as error:
                    what = error.what if isinstance(error, UndropError) else str(error)
                    more = [f"others cannot write while this reads: there is no copy: {what}"]
            with connect.explained(self.path, "reading", self.session.patience):
                found = query.read(connection, sql)
                yield found._replace(notes=[*found.notes, *more])
        self._refuse_moved()

    def examine(self) -> "Examined":
        """By ``integrity_check`` and ``foreign_key_check``.

        In WAL mode in the transaction that is open; else in a copy, so that writers wait no longer
        than for a backup.
        """
        with connect.explained(self.path, "checking"):
            if self.wal or self._alone:
                found = self._examined(self.connection)
                self._refuse_moved()
                return found
            with self._copied() as copy, closing(connect.connect(copy, "immutable")) as connection:
                return self._examined(connection)

    @contextmanager
    def _copied(self) -> "Iterator[Path]":
        """A copy, outside of the project, with the live database let go."""
        with TemporaryDirectory(prefix="undrop-") as folder:
            durable.require_space(Path(folder), self.bytes)
            copy = Path(folder, "copy")
            os.close(durable.create(copy, 0o600))
            self.copy_to(copy)
            self.release()
            yield copy

    def _examined(self, connection: connect.Connection) -> "Examined":
        answers: list[Examined] = []
        with check.beside(
            [connection],
            lambda: answers.append(check.examine(connection)),
            lambda: self.session.progress("check", 1, 1),
        ):
            pass
        return answers[0]

    def _open_log(self) -> None:
        """Begin anew where the -shm says the same before and after: what this transaction reads."""
        for _ in range(TRIES):
            self.release()
            seen = wal.index(self._index)
            self._pin()
            if seen.whole and wal.index(self._index) == seen:
                self.bytes = self._size()
                break
        else:
            raise UndropError(f"{self.path} is written to without a pause", AGAIN)
        log, shm, _ = durable.sidecars(self.path)
        if not seen.frames:
            return
        self._log = os.open(log, os.O_RDONLY)
        trusted = os.access(shm, os.W_OK)
        self._places = wal.places(self._log, self._index, seen, self.page_size, trusted=trusted)

    def _has_more(self) -> bool:
        return any(map(durable.size, livefiles.with_content(self.path)[1:]))

    def _refuse_moved(self) -> None:
        """Where no lock is held: raise UndropError if somebody wrote meanwhile."""
        if self._alone and (
            self._has_more()
            or not self.unchanged()
            or os.fstat(self._fd).st_mtime_ns != self._written
        ):
            raise UndropError(f"somebody wrote to {self.path} just now", AGAIN)

    def close(self) -> None:
        """Close every handle."""
        super().close()
        if self._log >= 0:
            os.close(self._log)
        self._log = -1
