"""Which rows of two tables of one definition are not the same, to the last bit."""

import math
from typing import TYPE_CHECKING, Any

from undrop.compare.literal import Text
from undrop.compare.pairing import Pair
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.structure import Table
    from undrop.sqlitefile.connect import Connection

Row = tuple[object, ...]
ZERO = "undrop_zero"  # tells -0.0 from 0.0, which SQLite's own functions do not
WIDE = 900  # columns of two rows that are read as one
PART = 50  # columns that are told apart as one: SQLite takes 1,000 levels, and 2,000 columns


def read(connection: "Connection", sql: str) -> list[Any]:
    """All rows, with every value as it is. Raises sqlite3.Error."""
    connection.create_function(
        ZERO, 1, lambda zero: str(math.copysign(1, zero)), deterministic=True
    )
    usual = connection.text_factory
    connection.text_factory = Text
    try:
        return connection.ask(sql)
    finally:
        connection.text_factory = usual


def columns(table: "Table") -> list[str]:
    """What of a row is written, quoted; of a virtual table its number as well."""
    names = [quoted(column.name) for column in table.data]
    return [table.rowid_name, *names] if table.virtual else names


def is_keyed(connection: "Connection", table: "Table", left: str) -> bool:
    """Whether each row is known by what is in the table: its key has no NULL on either side."""
    if table.virtual or table.key_is_rowid or not table.rowid or not table.key:
        return table.virtual or bool(table.key)
    null = " OR ".join(f"{quoted(column.name)} IS NULL" for column in table.key)
    return not any(
        connection.ask(f"SELECT 1 FROM {side} WHERE {null} LIMIT 1")  # noqa: S608 - quoted
        for side in (left, f"after.{quoted(table.name)}")
    )


def before(table: "Table") -> str:
    """A table of ``main``, as it stands in SQL."""
    return f"main.{quoted(table.name)}"


def every(connection: "Connection", table: "Table") -> "list[Row]":
    """All rows of ``after``."""
    names = ", ".join(columns(table))
    return read(connection, f"SELECT {names} FROM after.{quoted(table.name)}")  # noqa: S608


def by_key(connection: "Connection", old: "Table", new: "Table") -> "Iterator[tuple[Row, Row]]":
    """Rows of ``main`` and ``after`` that differ, each with its other one; empty where none is."""
    pair = Pair(connection, old, new)
    join, names = pair.joins[0], columns(new)
    a, b = ([f"{side}.{name}" for name in names] for side in "ab")
    shown = ", ".join((*a, *b))
    differ = " OR ".join(
        f"({', '.join(one)}) IS NOT ({', '.join(two)})"
        for one, two in (
            (a, [f"{value} COLLATE BINARY" for value in b]),
            ([f"typeof({value})" for value in a], [f"typeof({value})" for value in b]),
            ([*map(_zero, a)], [*map(_zero, b)]),
        )
    )
    joined = pair.joined("LEFT JOIN", join)
    missing = f"{join.mark} IS NULL"
    where = f"{missing} OR {differ}"
    for row in read(connection, f"SELECT {missing}, {shown} {joined} WHERE {where}"):
        yield row[1 : 1 + len(names)], () if row[0] else row[1 + len(names) :]
    keys = ", ".join(f"b.{column}" for column in join.columns)
    known = f"SELECT {keys} {pair.joined('CROSS JOIN', join)}"
    rest = f"FROM {pair.after} AS b WHERE ({keys}) NOT IN ({known})"
    for row in read(connection, f"SELECT {', '.join(b)} {rest}"):
        yield (), row


def by_row(connection: "Connection", left: str, table: "Table") -> "Iterator[tuple[int, str, Row]]":
    """Whole rows that ``left`` and ``after`` do not hold equally often.

    How much more often the left one does, the numbers of all of its own, the row.
    """
    names = columns(table)
    number = f"CAST({table.rowid_name} AS TEXT)" if table.rowid_name else "''"
    cells = [_exact(name) for name in names]
    parts = [" || ".join(cells[n : n + PART]) for n in range(0, len(cells), PART)]
    known = ", ".join(f"{part} AS p{n}" for n, part in enumerate(parts))
    groups = ", ".join(f"p{n}" for n in range(len(parts)))
    values = ", ".join(f"{name} AS c{n}" for n, name in enumerate(names))
    shown = ", ".join(f"c{n}" for n in range(len(names)))
    right = f"after.{quoted(table.name)}"
    sql = (
        f"SELECT sum(side), coalesce(group_concat(number), ''), {shown} FROM ("  # noqa: S608
        f"SELECT 1 AS side, {number} AS number, {known}, {values} FROM {left} UNION ALL "
        f"SELECT -1, NULL, {', '.join(parts)}, {', '.join(names)} FROM {right}) "
        f"GROUP BY {groups} HAVING sum(side) <> 0"
    )
    for count, numbers, *row in read(connection, sql):
        yield count, numbers.decode(), tuple(row)


def _zero(value: str) -> str:
    return f"iif(typeof({value}) = 'real' AND {value} = 0, {ZERO}({value}), '')"


def _exact(value: str) -> str:
    """SQL for a text that no other value has."""
    return (
        f"(CASE WHEN typeof({value}) IN ('text', 'blob') THEN typeof({value}) || hex({value}) "
        f"ELSE quote({value}) || {_zero(value)} END || ',')"
    )
