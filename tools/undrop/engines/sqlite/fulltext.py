"""Whether the full-text indexes of a work copy match the rows that they are to find."""

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from undrop.compare.comparison import MISMATCH, FullText
from undrop.compare.structure import fold
from undrop.sqlitefile import check, connect, virtual
from undrop.sqlitefile.check import quoted
from undrop.sqlitefile.connect import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.values import Progress

CHECKS = {
    # Without the rank FTS5 does not look at rows that another table keeps (fts5.html, 6.4.4).
    "fts5": "INSERT INTO {0}({0}, rank) VALUES ('integrity-check', 1)",
    "fts4": "INSERT INTO {0}({0}) VALUES ('integrity-check')",
    "fts3": "INSERT INTO {0}({0}) VALUES ('integrity-check')",
}


def unsound(path: "Path", progress: "Progress") -> dict[str, str]:
    """What is wrong with each full-text index that has something wrong; the file stays as it is.

    For the check SQLite wants to be able to write, and writes nothing. Raises UndropError.
    """
    errors: dict[str, str] = {}
    with connect.explained(path, "checking the full-text indexes"):
        connection = connect.connect(path, "rw")
        with closing(connection):
            connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
            indexes = list(_indexes(connection))
            with check.beside(
                [connection],
                lambda: errors.update(_checked(connection, indexes)),
                lambda: progress("compare", 1, 1),
            ):
                pass
    return errors


def compared(found: "Comparison", errors: dict[str, str], before: dict[str, str]) -> list[FullText]:
    """What is wrong now, beside what was before, with the same index under whatever name."""
    old, new = found.structure_before, found.structure_after
    moved = {change.now: change.name for change in found.tables}
    kept = {table.definition: table.name for table in old.external.values()}
    known = {
        table.name for table in (*old.tables.values(), *old.external.values()) if table.virtual
    }
    known |= {*old.unread}
    states = []
    for name, error in errors.items():
        external = new.external.get(fold(name))
        names = (name, moved.get(name, ""), kept.get(external.definition, "") if external else "")
        known_as = next((one for one in names if one in known), None)
        states.append(FullText(name, error, None if known_as is None else before.get(known_as, "")))
    return states


def _indexes(connection: Connection) -> "Iterator[tuple[str, str]]":
    for name, sql in virtual.defined(connection).items():
        module = virtual.module(sql)
        # FTS4 has no way to check one that keeps no text.
        if module in CHECKS and not (module == "fts4" and virtual.content(sql) == ""):
            yield name, CHECKS[module].format(quoted(name))


def _checked(connection: Connection, indexes: list[tuple[str, str]]) -> "Iterator[tuple[str, str]]":
    for name, sql in indexes:
        connection.execute("BEGIN")
        try:
            connection.execute(sql)
        except sqlite3.DatabaseError as error:
            if connect.primary_code(error) == sqlite3.SQLITE_INTERRUPT:
                raise
            is_mismatch = connect.primary_code(error) == sqlite3.SQLITE_CORRUPT
            yield name, MISMATCH if is_mismatch else str(error)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
