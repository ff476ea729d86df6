"""Open a SQLite file, wait for its locks, and say in our words what SQLite says."""

import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from undrop import errors
from undrop.errors import UndropError
from undrop.values import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


MMAP = 1 << 40  # bytes that may be read without being copied first (sqlite.org/mmap.html)


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open an existing database; ``mode`` is ``ro``, ``rw`` or ``immutable`` (nobody writes it).

    Never creates a file. No implicit transactions, no waiting inside SQLite.
    """
    return sqlite3.connect(
        uri(path, mode),
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
    )


def uri(path: Path, mode: str) -> str:
    """What SQLite opens for that, by itself or to be attached."""
    query = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
    return f"{path.as_uri()}?{query}"


def begin(connection: sqlite3.Connection, patience: float, *statements: str) -> None:
    """Open a transaction, or read once, trying again each millisecond until ``patience`` is over.

    Raises what SQLite said last.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            for statement in statements:
                connection.execute(statement).fetchone()
        except sqlite3.OperationalError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.001)
        else:
            return


def is_busy(error: sqlite3.Error) -> bool:
    """SQLITE_BUSY, SQLITE_LOCKED or SQLITE_PROTOCOL (sqlite.org/rescode.html): try again."""
    return primary_code(error) in {5, 6, 15}


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 1 (SQLITE_ERROR) when Python gave none."""
    return getattr(error, "sqlite_errorcode", 1) & 0xFF


@contextmanager
def explained(path: Path, doing: str, patience: float = PATIENCE) -> "Iterator[None]":
    """Turn SQLite's errors on ``path`` into ours: damage, a lock, or a failure.

    ``patience`` is how many seconds the block waits for a lock.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        # SQLite quotes a damaged schema in its message, and Python wants that to be UTF-8.
        text = error.object.decode("utf-8", "backslashreplace")
        raise errors.damaged(f"SQLite says: {text}") from error
    except sqlite3.Error as error:
        code = primary_code(error)
        if code in {11, 26}:  # SQLITE_CORRUPT, SQLITE_NOTADB
            raise errors.damaged(f"SQLite says: {error}") from error
        if is_busy(error):
            raise locked(path, doing, patience) from error
        raise UndropError(
            f"{doing}: SQLite says: {error} ({path})", "correct that, then the same command again"
        ) from error


def locked(path: Path, doing: str, patience: float) -> UndropError:
    """The error for a lock that outlasted ``patience``; it names who has the file open."""
    from undrop.sqlitefile import holders

    return UndropError(
        f"{doing}: {path} was locked for {patience:.0f} seconds{holders.describe(path)}",
        "end that program's transaction, then the same command again",
    )
