"""Whether the full-text indexes of a work copy match the rows that they are to find."""

import sqlite3
from contextlib import closing
from itertools import zip_longest
from typing import TYPE_CHECKING

from undrop.compare.comparison import MISMATCH, FullText
from undrop.compare.structure import fold
from undrop.sqlitefile import check, connect, virtual
from undrop.sqlitefile.check import quoted
from undrop.sqlitefile.connect import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.values import Progress

BEFORE = "before"  # what the backup is attached as
BARE = ("fts4", "")
CHECKS = {
    # Without the rank FTS5 does not look at rows that another table keeps (fts5.html, 6.4.4).
    "fts5": "INSERT INTO {0}({0}, rank) VALUES ('integrity-check', 1)",
    "fts4": "INSERT INTO {0}({0}) VALUES ('integrity-check')",
    "fts3": "INSERT INTO {0}({0}) VALUES ('integrity-check')",
}


def unsound(
    path: "Path",
    progress: "Progress",
    since: "tuple[Path, Comparison] | None" = None,
    among: "Callable[[str, str], bool]" = lambda _name, _definition: True,
) -> dict[str, str]:
    """What is wrong with each full-text index that has something wrong; the file stays as it is.

    What did not change ``since`` that backup is left out: on gigabytes that spares reading every
    word; and so is what is not ``among`` those that were asked for, by name and definition. For the
    check SQLite wants to be able to write, and writes nothing. Raises UndropError.
    """
    errors: dict[str, str] = {}
    with connect.explained(path, "checking the full-text indexes"):
        connection = connect.connect(path, "rw")
        with closing(connection):
            connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
            indexes = {name: sql for name, sql in _indexes(connection).items() if among(name, sql)}
            if not indexes:
                return {}
            if since:
                uri = connect.uri(since[0], "immutable")  # no quotation mark is in one
                connection.execute(f"ATTACH '{uri}' AS {BEFORE}")
            with check.beside(
                [connection],
                lambda: errors.update(_checked(connection, indexes, since and since[1])),
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


def _indexes(connection: Connection) -> dict[str, str]:
    """Their names and definitions; FTS4 has no way to check one that keeps no text."""
    return {
        name: sql
        for name, sql in virtual.defined(connection).items()
        if virtual.module(sql) in CHECKS and (virtual.module(sql), virtual.content(sql)) != BARE
    }


def _checked(
    connection: Connection, indexes: dict[str, str], since: "Comparison | None"
) -> "Iterator[tuple[str, str]]":
    for name, definition in indexes.items():
        if since and _is_as_it_was(connection, name, definition, since):
            continue
        connection.execute("BEGIN")
        try:
            connection.execute(CHECKS[virtual.module(definition)].format(quoted(name)))
        except sqlite3.DatabaseError as error:
            if connect.primary_code(error) == sqlite3.SQLITE_INTERRUPT:
                raise
            is_mismatch = connect.primary_code(error) == sqlite3.SQLITE_CORRUPT
            yield name, MISMATCH if is_mismatch else str(error)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _is_as_it_was(connection: Connection, name: str, definition: str, since: "Comparison") -> bool:
    """Whether all that makes an index is what it was, and so are the rows of which it is one."""
    shadows = virtual.shadows(definition)
    if shadows is None or virtual.defined(connection, BEFORE).get(name) != definition:
        return False
    text = virtual.content(definition)
    if text:
        tables = [
            side.tables.get(fold(text)) for side in (since.structure_before, since.structure_after)
        ]
        # Where the key is another, a rebuild may number the rows anew, and none has changed.
        if not all(table and table.key_is_rowid for table in tables):
            return False
        change = next(one for one in since.tables if fold(one.now) == fold(text))
        if change.name != change.now or not change._replace(new_columns=()).same:
            return False
    connection.text_factory = bytes
    try:
        return all(_is_same(connection, table) for table in shadows)
    finally:
        connection.text_factory = str


def _is_same(connection: Connection, table: str) -> bool:
    """Whether a table holds the same in the same order on both sides."""
    sides = (f"SELECT * FROM {schema}.{quoted(table)}" for schema in ("main", BEFORE))  # noqa: S608
    return all(one == other for one, other in zip_longest(*map(connection.execute, sides)))
