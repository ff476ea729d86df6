"""A SQLite file that stands for another engine's database, so that one comparison serves all."""

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from undrop.compare.structure import Table


class StandIn:
    """The file while it is written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, table: "Table", rows: "Iterable[Sequence[Any]]") -> None:
        """A table, and the values of its ``data`` in each row.

        It has no types: SQLite shall turn no value into another.
        """
        columns = [quoted(column.name) for column in table.data]
        marks = ", ".join("?" * len(columns)) or "NULL"
        if table.key:
            key = ", ".join(quoted(column.name) for column in table.key)
            columns.append(f"PRIMARY KEY ({key})")
        name = quoted(table.name)
        listed = ", ".join(columns) or "no_column"  # of which there is no table
        self._connection.execute(f"CREATE TABLE {name} ({listed})")
        self._connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608


@contextmanager
def written(path: "Path") -> "Iterator[StandIn]":
    """A new file, whole when the block has ended. Raises sqlite3.Error."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        # Else no table could be called sqlite_… (sqlite3CheckObjectName in build.c).
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("BEGIN")
        yield StandIn(connection)
        connection.execute("COMMIT")
