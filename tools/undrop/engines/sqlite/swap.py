"""Put finished content in place of the live database's: at every instant it is old or new."""

import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from undrop.engines.sqlite.snapshot import Snapshot
from undrop.errors import LOOK, ChangedError, LiveMovedError, UndropError
from undrop.sqlitefile import connect, header, holders
from undrop.values import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.values import Session

SQLITE_OK, SQLITE_DONE = 0, 101
STEP = 256  # pages copied between two looks at Ctrl-C and the progress bar
BUSY_TIMEOUT = 1000  # milliseconds; Ctrl-C waits as long
CACHE = 32_000  # KiB; each time it is full costs an fsync of the rollback journal


def needs_own_copy(source: Path) -> bool:
    """Whether ``swap`` cannot use ``source`` as it is and wants a copy, settled and padded.

    A WAL file would turn a rollback-mode database into a WAL one, and a source of one page is
    committed before the first progress call, where ``swap`` compares.
    """
    claimed = header.read(source)
    return claimed.wal or claimed.pages == 1


def settle(work: Path) -> bool:
    """Bring a work copy of ours into rollback mode, all in one file; True when it was WAL."""
    connection = connect.connect(work, "rw")
    try:
        wal = bool(connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal")
        connection.execute("PRAGMA journal_mode = DELETE")
        return wal
    finally:
        connection.close()


def pad(work: Path) -> None:
    """Give a work copy of ours the second page that ``swap`` needs to compare in time."""
    connection = connect.connect(work, "rw")
    try:
        if connection.execute("PRAGMA page_count").fetchone()[0] < 2:
            # A table made and dropped leaves a free page, unless full auto-vacuum takes it away.
            if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 1:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("CREATE TABLE undrop_padding (x)")
            connection.execute("DROP TABLE undrop_padding")
    finally:
        connection.close()


def swap(snapshot: Snapshot, source: Path) -> float:
    """Replace the live content by ``source``'s in one SQLite transaction, if it is unchanged.

    Returns how long, in seconds, others were locked out. The file's inode, permissions and
    journal mode stay, open connections see an ordinary commit. Raises LiveMovedError when
    somebody committed since ``held`` saw it, UndropError when it could not be done, both with
    the live content as it was; ChangedError when interrupted after the commit.
    """
    snapshot.release()
    origin = connect.connect(source, "ro")
    try:
        live = connect.connect(snapshot.path, "rw")
        try:
            return _backup_into(origin, live, snapshot)
        finally:
            live.close()
    finally:
        origin.close()


def _backup_into(
    origin: sqlite3.Connection,
    live: sqlite3.Connection,
    snapshot: Snapshot,
) -> float:
    session = snapshot.session
    deadline = time.monotonic() + session.patience
    locked_at = None

    def step(status: int, remaining: int, total: int) -> None:
        nonlocal locked_at
        if status in {SQLITE_OK, SQLITE_DONE}:
            if locked_at is None:
                # The first pages are in SQLite's cache and the write lock is ours: nothing is
                # written that the rollback after a raise does not take back.
                locked_at = time.monotonic()
                if not snapshot.unchanged():
                    raise LiveMovedError(
                        "somebody wrote to the database", "the same again", writes=snapshot.writes()
                    )
            done, size = (total - remaining) * snapshot.page_size, total * snapshot.page_size
            session.progress("replace", done, size)
        elif time.monotonic() > deadline:
            raise connect.locked(snapshot.path, "replacing the database", session.patience)

    with connect.explained(snapshot.path, "replacing the database", session.patience):
        # It reads the schema, which nobody can in rollback mode while somebody commits.
        connect.begin(live, session.patience, "PRAGMA synchronous = FULL")
        live.execute(f"PRAGMA cache_size = -{CACHE}")
        origin.execute(f"PRAGMA mmap_size = {connect.MMAP}")
        [count] = origin.execute("PRAGMA page_count").fetchone()
        try:
            # The comparison must come before the last step.
            pages = max(1, min(STEP, count - 1))
            if snapshot.hold:
                # In rollback mode readers are waited for then with the write lock in hand; where
                # SQLite only says that it is busy, writers come in.
                live.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
                # As late as can be. What somebody commits now, the comparison sees.
                snapshot.let_write()
            snapshot.replacing = True
            origin.backup(live, pages=pages, progress=step, sleep=0.001)
            session.changed = True
        except LiveMovedError:
            raise
        except BaseException as error:
            if locked_at is not None:
                settle_failure(live, snapshot, error)
            raise
    snapshot.let_go()
    return time.monotonic() - (locked_at or deadline)


def settle_failure(live: sqlite3.Connection, snapshot: Snapshot, error: BaseException) -> None:
    """Once the write lock was ours: raise ChangedError where the new content is in place after all.

    A signal can strike in the very call that commits: the file itself tells.
    """
    if not snapshot.unchanged():
        snapshot.session.changed = True
        raise ChangedError(
            f"interrupted ({error!r}) when the new content was committed", *LOOK
        ) from error
    if snapshot.wal:
        _forget(live, snapshot.session, error)


def _forget(live: sqlite3.Connection, session: "Session", error: BaseException) -> None:
    """Empty the -wal of a commit that failed in its fsync: whole frames, seen at the next opening.

    While others have the database open they see the old content, and their next commit
    overwrites the frames; then SQLite says that it is busy, which is no failure here.
    """
    try:
        live.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as again:
        session.changed = True
        raise ChangedError(
            f"replacing the database failed ({error}), and so did taking it back ({again}): it "
            "may hold the old content or the new",
            *LOOK,
        ) from error


@contextmanager
def without_wal(snapshot: Snapshot, kept: Path) -> "Iterator[Snapshot]":
    """A WAL database that nobody else has open, in rollback mode for the block, held anew.

    SQLite cannot change the page size of a WAL database
    (sqlite.org/pragma.html#pragma_page_size), nor leave WAL mode while ``held`` has it open. What
    is there afterwards is compared with ``kept``, the backup of what ``held`` saw. Killed inside,
    the database is whole and in rollback mode. Raises LiveMovedError, UndropError naming who has
    it open.
    """
    snapshot.close()
    _switch_journal_mode(snapshot.path, "delete")
    try:
        with closing(Snapshot(snapshot.path, snapshot.session)) as reopened:
            if not reopened.is_copied_in(kept, quiet):
                raise LiveMovedError("somebody wrote to the database", "the same again")
            yield reopened
    finally:
        _switch_journal_mode(snapshot.path, "wal")


def _switch_journal_mode(live: Path, mode: str) -> None:
    with connect.explained(live, "switching WAL off and on around a change of page size"):
        if not set_journal_mode(live, mode):
            raise UndropError(
                f"the page size changes, which takes the file alone: {live} could not be switched "
                f"to journal_mode {mode}, it is open{holders.describe(live)}",
                "close that program, then the same command again",
            )


def set_journal_mode(live: Path, mode: str) -> bool:
    """Have a database in the journal mode ``wal`` or ``delete``; no where others keep it as it is.

    Into WAL mode SQLite waits for readers only, out of it it wants the file alone: every
    connection to a WAL database has a lock (sqlite.org/wal.html, pragma.html#pragma_journal_mode).
    The change is a transaction: killed in it, the file is in the one mode or the other.
    """
    connection = connect.connect(live, "rw")
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        [now] = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
    except sqlite3.OperationalError as error:
        if not connect.is_busy(error):
            raise
        return False
    finally:
        connection.close()
    return bool(now == mode)
