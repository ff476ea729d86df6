"""Which rows of a state were asked for: by their keys, or by an expression."""

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from undrop.compare.merge import Sides, identity
from undrop.compare.structure import fold
from undrop.errors import UsageError
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from undrop.compare.structure import Table
    from undrop.sqlitefile.connect import Connection

READ, ASKS = sqlite3.SQLITE_READ, sqlite3.SQLITE_PRAGMA
LOOKS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION}


def table(sides: "Sides", theirs: "Table", keys: tuple[str, ...], where: str) -> str | None:
    """The rows of theirs that were asked for by key or expression; None for all.

    A table of what tells them apart. Raises UsageError.
    """
    if not (keys or where):
        return None
    connection = sides.connection
    ids = identity(theirs)
    name = f"undrop_picked_{theirs.root}_{abs(hash(theirs.name))}"
    there = "SELECT 1 FROM sqlite_temp_master WHERE name = ?"
    if connection.ask(there, name):
        return f"temp.{name}"
    if not ids:
        raise UsageError(f"nothing tells the rows of {theirs.name} apart", "the same without that")
    columns = ", ".join(f"i{n}" for n in range(len(ids)))
    if where and sides.where:
        test, values = _test(theirs, keys, "")
        test += f" AND {sides.where(theirs, where)}"
        sql = f"SELECT {', '.join(ids)} FROM theirs.{quoted(theirs.name)} WHERE {test}"  # noqa: S608
        rows = connection.execute(sql, values).fetchall()
    else:
        test, values = _test(theirs, keys, where)
        sql = f"SELECT {', '.join(ids)} FROM theirs.{quoted(theirs.name)} WHERE {test}"  # noqa: S608
        rows = _read(connection, theirs, sql, values)
    connection.execute(f"CREATE TEMP TABLE {name} ({columns})")
    marks = ", ".join("?" * len(ids))
    connection.executemany(f"INSERT INTO temp.{name} VALUES ({marks})", rows)  # noqa: S608
    return f"temp.{name}"


def among(
    sides: "Sides", theirs: "Table", keys: tuple[str, ...], where: str, alias: str = ""
) -> str:
    """SQL for: the row, of that ``alias``, was asked for; empty for all. Raises UsageError."""
    rows = table(sides, theirs, keys, where)
    if rows is None:
        return ""
    ids = ", ".join(f"{alias}.{name}" if alias else name for name in identity(theirs))
    return f"({ids}) IN (SELECT * FROM {rows})"  # noqa: S608 - ours


def _test(theirs: "Table", keys: tuple[str, ...], where: str) -> tuple[str, list[Any]]:
    """SQL for: the row was asked for; and the values in it. Raises UsageError."""
    tests = ["1"]
    values: list[Any] = []
    if keys:
        test, values = _by_keys(theirs, keys)
        tests.append(test)
    if where:
        tests.append(f"({where}\n)")
    return " AND ".join(tests), values


def _read(connection: "Connection", theirs: "Table", sql: str, values: list[Any]) -> list[Any]:
    """Rows by an expression of somebody's: it may read that table, and do nothing else."""

    def allow(action: int, one: str | None, *_: object) -> int:
        name = fold(one or "")  # a full-text table reads what it keeps its rows in
        own = name == fold(theirs.name) or (
            theirs.virtual and name.startswith(f"{fold(theirs.name)}_")
        )
        # It asks whether somebody else wrote to them (its fts5_index.c).
        asks = action == ASKS and theirs.virtual and one == "data_version"
        reads = (action == READ and own) or asks
        return sqlite3.SQLITE_OK if reads or action in LOOKS else sqlite3.SQLITE_DENY

    if theirs.virtual:  # whose module looks round when SQLite first meets it
        connection.execute(f"SELECT 1 FROM theirs.{quoted(theirs.name)} LIMIT 0")  # noqa: S608
    connection.set_authorizer(allow)
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        raise UsageError(
            f"SQLite says of that expression: {error}",
            "an expression over the columns of",
            theirs.name,
        ) from error
    finally:
        connection.set_authorizer(None)


def _by_keys(theirs: "Table", keys: tuple[str, ...]) -> tuple[str, list[Any]]:
    """SQL for: it is one of those keys, as somebody typed them; and their values."""
    names = [quoted(column.name) for column in theirs.key] or [quoted(theirs.rowid_name)]
    if len(keys) % len(names):
        raise UsageError(
            f"a key of {theirs.name} has {len(names)} values ({', '.join(names)})",
            "--key with the values of each, one after the other",
        )
    tests, values = [], list[Any]()
    for start in range(0, len(keys), len(names)):
        parts = []
        for name, text in zip(names, keys[start : start + len(names)], strict=True):
            meant = _meant(text)
            parts.append(f"{name} IN ({', '.join('?' * len(meant))})")
            values += meant
        tests.append(" AND ".join(parts))
    return f"({' OR '.join(f'({test})' for test in tests)})", values


def _meant(text: str) -> list[Any]:
    """What may be meant by a value that somebody typed."""
    meant: list[Any] = [text]
    for kind in (int, float):
        with suppress(ValueError):
            meant.append(kind(text))
            break
    if text[:2].lower() == "x'" and text.endswith("'"):
        with suppress(ValueError):
            meant.append(bytes.fromhex(text[2:-1]))
    return meant
