"""Two databases that keep text in two ways, to be compared all the same."""

import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from undrop.compare import reading
from undrop.compare.structure import fold
from undrop.sqlitefile import connect
from undrop.sqlitefile.check import quoted
from undrop.values import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.structure import Table
    from undrop.sqlitefile.connect import Connection


@contextmanager
def alike(old: Path, new: Path, in_use: Path | None) -> "Iterator[tuple[Path, Path]]":
    """The same two, or a copy in the other's encoding of the one that nobody writes.

    SQLite attaches none of another encoding (sqlite.org/pragma.html#pragma_encoding). Raises
    sqlite3.Error.
    """
    one, two = (_of(path, in_use) for path in (old, new))
    if one == two:
        yield old, new
        return
    with TemporaryDirectory(prefix="undrop-") as folder:
        copy = Path(folder, "copy")
        if old == in_use:
            _copy(new, copy, one)
            yield old, copy
        else:
            _copy(old, copy, two)
            yield copy, new


def _of(path: Path, in_use: Path | None) -> str:
    with closing(connect.connect(path, "ro" if path == in_use else "immutable")) as connection:
        # Others may be committing.
        connect.begin(connection, PATIENCE, "BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1")
        return str(connection.ask("PRAGMA encoding")[0][0])


def _copy(source: Path, target: Path, encoding: str) -> None:
    with (
        closing(connect.connect(source, "immutable")) as old,
        closing(sqlite3.connect(target, isolation_level=None)) as new,
    ):
        old.text_factory = lambda raw: raw.decode("utf-8", "replace")
        new.execute(f"PRAGMA encoding = '{encoding}'")
        new.execute("PRAGMA synchronous = OFF")
        new.execute("PRAGMA ignore_check_constraints = ON")
        new.execute("BEGIN")
        own = reading.read(old, "main", "").tables
        texts = "SELECT name, sql FROM sqlite_master WHERE sql <> '' AND type {} 'table'"
        for name, sql in old.ask(texts.format("=")):
            with suppress(sqlite3.OperationalError):  # what a virtual table made already, or cannot
                new.execute(sql)
                if table := own.get(fold(name)):
                    _fill(old, new, table)
        for _, sql in old.ask(texts.format("<>")):
            with suppress(sqlite3.OperationalError):  # what only its application has
                new.execute(sql)
        with suppress(sqlite3.OperationalError):  # where nothing counts
            counters = old.ask("SELECT name, seq FROM sqlite_sequence")
            new.execute("DELETE FROM sqlite_sequence")
            new.executemany("INSERT INTO sqlite_sequence VALUES (?, ?)", counters)
        new.execute("COMMIT")


def _fill(old: "Connection", new: sqlite3.Connection, table: "Table") -> None:
    """Copy the rows, each under its number."""
    columns = [quoted(column.name) for column in table.data]
    if table.rowid_name and not table.key_is_rowid:
        columns.append(table.rowid_name)
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    rows = old.execute(f"SELECT {names} FROM {quoted(table.name)}")  # noqa: S608
    new.executemany(f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({marks})", rows)  # noqa: S608
