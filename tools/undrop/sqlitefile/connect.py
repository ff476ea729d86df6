"""Open a SQLite file, wait for its locks, and say in our words what SQLite says."""

import re
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrop import errors
from undrop.errors import UndropError
from undrop.values import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


MMAP = 1 << 40  # bytes that may be read without being copied first (sqlite.org/mmap.html)
MALFORMED = re.compile(r"malformed database schema \((.*?)\)(?: - (.*))?", re.DOTALL)
BROKEN = re.compile(
    r"invalid rootpage|orphan index|already exists|already another"
    r"|unrecognized token: \"[\x00-\x1f\x7f'\"`\[]"
)
"""What SQLite says of a schema table that is damaged: of SQL that it cannot read it says where, and
none has a control character, or a quotation mark alone."""
STATEMENT = re.compile(r"CREATE\s+(?:UNIQUE\s+|VIRTUAL\s+)?(\w+)\b", re.IGNORECASE)
"""How SQLite begins each definition that it keeps (its build.c, trigger.c), with what it is of."""
FUNCTION = re.compile(r"(?:unknown|no such) function: (.+?)(?:\(\))?")
UNSAFE = re.compile(r"unsafe use of (.+?)\(\)")
NEVER = frozenset({"load_extension", "fts3_tokenizer"})
"""SQLite's own functions that somebody else's schema may not call."""


class Connection(sqlite3.Connection):
    """A connection that reads on where only a newer SQLite, or the application, could read all.

    No function of a schema is trusted (sqlite.org/pragma.html#pragma_trusted_schema) before SQLite
    refuses one of its own: before 3.45 it does so for JSON's, in an index or a generated column.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as sqlite3's
        super().__init__(*arguments, **options)
        self.unread: dict[str, str] = {}
        """Of whose definition SQLite says that it cannot read it, and why: the first, at least."""
        self.collations: set[str] = set()
        """The application's own, which bytes stand in for."""
        self.functions: set[str] = set()
        """The application's own, in whose place everything is NULL."""
        self._trusting = False
        super().execute("PRAGMA trusted_schema = OFF")

    def ask(self, sql: str, *values: str) -> list[Any]:
        """All rows."""
        return self.execute(sql, values).fetchall()

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:  # noqa: ANN401 - as sqlite3's
        """As sqlite3's. What can be done without is found when a statement is prepared."""
        while True:
            try:
                return super().execute(sql, *parameters)
            except sqlite3.Error as error:
                if not self.can_do_without(str(error)):
                    raise

    def can_do_without(self, said: str) -> bool:
        """Whether there is another way than the one that SQLite refused with these words."""
        _, missing, name = said.partition("no such collation sequence: ")
        if missing and name not in self.collations:
            return self._order_by_bytes({name})
        if said == "no query solution" and (names := self._unordered()):
            return self._order_by_bytes(names)
        function = FUNCTION.fullmatch(said)
        if function and function[1] not in self.functions:
            self.create_function(function[1], -1, lambda *_: None, deterministic=True)
            self.functions.add(function[1])
            return True
        unsafe = UNSAFE.search(said)
        if unsafe and not self._trusting and self._is_harmless(unsafe[1]):
            super().execute("PRAGMA trusted_schema = ON")
            self._trusting = True
            return True
        malformed = MALFORMED.fullmatch(said)
        if malformed and malformed[2] and not self.unread and not BROKEN.search(malformed[2]):
            super().execute("PRAGMA writable_schema = ON")  # what comes after it is loaded, too
            self.unread[malformed[1]] = malformed[2]
            return not self._has_broken_entry()
        return False

    def _order_by_bytes(self, collations: set[str]) -> bool:
        """Stand in for an application's collations, and read the schema anew.

        To a table without rowid whose key has a collation that was not there when the schema was
        read, SQLite finds no way ("no query solution").
        """
        for name in collations:
            self.create_collation(name, lambda one, other: (one > other) - (one < other))
        self.collations |= collations
        super().execute("PRAGMA writable_schema = RESET")
        if self.unread:
            super().execute("PRAGMA writable_schema = ON")
        return True

    def _unordered(self) -> set[str]:
        """Collations that the schema names and nobody has registered: SQLite lists these, too."""
        sql = "PRAGMA collation_list"
        with closing(sqlite3.connect(":memory:")) as bare:
            there = {name for _, name in bare.execute(sql)} | self.collations
        return {str(name) for _, name in super().execute(sql)} - there

    def _is_harmless(self, function: str) -> bool:
        """Whether it is SQLite's, or stands for the application's: nothing can come of it."""
        if function in self.functions:
            return True
        with closing(sqlite3.connect(":memory:")) as bare:
            sql = "SELECT 1 FROM pragma_function_list WHERE name = ? AND builtin"
            return function not in NEVER and bool(bare.execute(sql, [function]).fetchone())

    def _has_broken_entry(self) -> bool:
        """Whether the schema table holds what nobody has written as a definition."""
        [(encoding,)] = super().execute("PRAGMA encoding").fetchall()
        for _, schema, _ in super().execute("PRAGMA database_list").fetchall():
            sql = (
                f"SELECT CAST(type AS BLOB), CAST(sql AS BLOB) FROM {schema}.sqlite_master "  # noqa: S608 - ours
                "WHERE type <> 'index' OR sql <> ''"
            )
            for row in super().execute(sql).fetchall():
                kind, text = ((raw or b"").decode(encoding, "replace") for raw in row)
                begun = STATEMENT.match(text)
                if not begun or begun[1].lower() != kind or {"\0", "\ufffd"} & {*text}:
                    return True
        return False


def connect(path: Path, mode: str) -> Connection:
    """Open an existing database; ``mode`` is ``ro``, ``rw`` or ``immutable`` (nobody writes it).

    Never creates a file. No implicit transactions, no waiting inside SQLite.
    """
    return sqlite3.connect(
        uri(path, mode),
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
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
