"""Rows that no key tells apart, merged by how often each is there."""

from typing import TYPE_CHECKING

from undrop.compare.matching import Shared
from undrop.compare.merge import (
    FEWER,
    NO_PLACE,
    UNKEYED,
    Conflict,
    Prefer,
)
from undrop.compare.pairing import any_type, cells, something
from undrop.compare.structure import fold
from undrop.compare.worker import Worker, of
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from undrop.compare.matching import Shared
    from undrop.compare.structure import Column
    from undrop.sqlitefile.connect import Connection


def constant(connection: "Connection", column: "Column") -> str | None:
    """SQL for the value that a row has where none was given; None where SQLite cannot tell."""
    if column.default is None:
        return None
    try:
        return str(connection.ask(f"SELECT quote({column.default})")[0][0])
    except Exception:  # noqa: BLE001 - another engine's words
        return None


def whole_rows(worker: Worker, prefer: Prefer, kept: "Sequence[Shared]" = ()) -> list[Conflict]:
    """The rows that no key tells apart, by how often each is there.

    All of a table without a key; of another, those with NULL in it. Values of columns that ours
    has not are in ``kept``.
    """
    match, connection = worker.match, worker.connection
    shared = match.shared
    if not shared:
        return []
    sides = {side: [*cells_of(worker, side), *_types_of(worker, side)] for side in "bto"}
    names = [f"c{n}" for n in range(len(sides["o"]))]
    groups = ", ".join(names)
    parts = []
    for side, columns in sides.items():
        listed = ", ".join(
            f"+{c} COLLATE BINARY AS {n}" for c, n in zip(columns, names, strict=True)
        )
        marks = ", ".join(f"{int(side == other)} AS {other}" for other in sides)
        parts.append(
            f"SELECT {listed}, {marks} FROM {worker.source(side)} AS {side} "  # noqa: S608
            f"WHERE {_without_key(worker, side)}"
        )
    table = f"temp.undrop_counted_{worker.ops.number}"
    connection.execute(
        f"CREATE TABLE {table} AS SELECT {groups}, sum(b) AS b, sum(t) AS t, sum(o) AS o "  # noqa: S608
        f"FROM ({' UNION ALL '.join(parts)}) GROUP BY {groups} HAVING sum(b) <> sum(t)"
    )
    found: list[Conflict] = []
    more = f"{table} AS n, numbers WHERE n.t > n.b AND n.t <> n.o AND number <= n.t - n.b"
    places = {fold(column.ours.name): f"n.c{at}" for at, column in enumerate(shared)}
    new = [places.get(fold(column.name), "NULL") for column in match.ours.data]
    [(most,)] = connection.ask(f"SELECT coalesce(max(t - b), 0) FROM {table}")  # noqa: S608
    if most > 0:
        numbers = (
            f"WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 "  # noqa: S608
            f"FROM numbers WHERE number < {most}) "
        )
        worker.write("put", f"({numbers}SELECT n.* FROM {more}) AS n", new)  # noqa: S608
    fewer = f"{table} AS n WHERE n.t < n.b AND n.t <> n.o"
    enough = "n.o >= n.b - n.t"
    if prefer != "ours":
        short = f"NOT ({enough} AND {int(bool(worker.identity))})"
        for row in connection.ask(f"SELECT {groups} FROM {fewer} AND {short}"):  # noqa: S608
            values = dict(zip((column.ours.name for column in shared), row, strict=False))
            found.append(Conflict(match.ours.name, values, FEWER))
    if worker.identity:
        rowid = worker.identity[0]
        mine = ", ".join(
            f"+{c} COLLATE BINARY AS {n}" for c, n in zip(sides["o"], names, strict=True)
        )
        going = (
            f"SELECT {mine}, o.{rowid} AS id, 0 AS goes FROM {worker.source('o')} AS o "  # noqa: S608
            f"WHERE {_without_key(worker, 'o')} UNION ALL "
            f"SELECT {groups}, NULL, n.b - n.t FROM {fewer} AND {enough}"
        )
        chosen = (
            f"SELECT id, row_number() OVER (PARTITION BY {groups} ORDER BY id DESC) AS place, "  # noqa: S608
            f"sum(goes) OVER (PARTITION BY {groups}) AS goes FROM ({going})"
        )
        ids = f"SELECT id FROM ({chosen}) WHERE id IS NOT NULL AND place <= goes"  # noqa: S608
        if connection.ask(f"SELECT 1 FROM {fewer} AND {enough} LIMIT 1"):  # noqa: S608
            rows = f"{worker.source('o')} AS o WHERE o.{rowid} IN ({ids})"
            lost = [*_unkeyed(worker, rows)] if most > 0 and prefer != "theirs" else []
            if not lost:
                worker.take_away(rows)
            elif prefer is None:
                found += lost
    if kept and prefer != "ours" and not worker.keyed:
        found += _kept(worker, kept)
    connection.execute(f"DROP TABLE {table}")
    return found


def more(
    connection: "Connection", one: "tuple[str, list[Column]]", other: "tuple[str, list[Column]]"
) -> list[tuple[object, ...]]:
    """Rows that are in one table more often than in the other; each: its name in SQL, columns."""
    typed = [any_type(a.type) or any_type(b.type) for a, b in zip(one[1], other[1], strict=True)]
    parts = []
    for sign, (table, columns) in ((1, one), (-1, other)):
        names = [quoted(column.name) for column in columns]
        told = [f"{name} COLLATE BINARY" for name in names]
        told += [f"typeof({name})" for name, needed in zip(names, typed, strict=True) if needed]
        listed = [f"{value} AS c{n}" for n, value in enumerate(told)]
        listed += [f"{name} AS v{n}" for n, name in enumerate(names)]
        parts.append(f"SELECT {', '.join(listed)}, {sign} AS n FROM {table}")  # noqa: S608 - quoted
    cells = ", ".join(f"c{n}" for n in range(len(typed) + sum(typed)))
    values = ", ".join(f"v{n}" for n in range(len(typed)))
    return connection.ask(
        f"SELECT {values} FROM ({' UNION ALL '.join(parts)}) "  # noqa: S608 - ours
        f"GROUP BY {cells} HAVING sum(n) > 0"
    )


def _kept(worker: Worker, kept: "Sequence[Shared]") -> "Iterator[Conflict]":
    """New rows of a table without a key, with values that ours has no column for."""
    columns = [*worker.match.shared, *kept]
    one, other = ((worker.source(side), [of(side, c) for c in columns]) for side in "tb")
    blank = (None,) if worker.match.unknown else (None, "", b"")
    defaults = [constant(worker.connection, column.theirs) for column in kept]
    told = [worker.connection.ask(f"SELECT {default or 'NULL'}")[0][0] for default in defaults]
    for row in more(worker.connection, one, other):
        values = dict(zip((column.theirs.name for column in columns), row, strict=True))
        for column, default in zip(kept, told, strict=True):
            value = values[column.theirs.name]
            if value not in blank and value != default:
                yield Conflict(
                    worker.match.ours.name, values, NO_PLACE, column.theirs.name, None, value
                )


def _unkeyed(worker: Worker, rows: str) -> "Iterator[Conflict]":
    """Rows of ours that others changed, maybe, with values that theirs has no column for.

    Without a key, a row that changed is one that went and one that came.
    """
    listed = [column for column in worker.match.ours.data if fold(column.name) not in worker.shared]
    for column in listed:
        value = f"o.{quoted(column.name)}"
        default = constant(worker.connection, column) or "NULL"
        test = f"{something(value)} AND {value} IS NOT {default}"
        names = [each.ours for each in worker.match.shared]
        shown = ", ".join(f"o.{quoted(each.name)}" for each in names)
        sql = f"SELECT {shown}, {value} FROM {rows} AND {test}"  # noqa: S608 - quoted
        for *told, ours in worker.connection.ask(sql):
            values = dict(zip((each.name for each in names), told, strict=True))
            yield Conflict(worker.match.ours.name, values, UNKEYED, column.name, ours)


def cells_of(worker: Worker, side: str) -> list[str]:
    """What makes a row's values one and the same to GROUP BY, whatever the side."""
    listed = []
    for column in worker.match.shared:
        other = column.ours if column.base.type == column.theirs.type else column.theirs
        listed += cells(column.base, other, worker.cell(side, column))
    return listed


def _types_of(worker: Worker, side: str) -> list[str]:
    """The types of those values that may equal one of another type."""
    columns = [
        column
        for column in worker.match.shared
        if column.ours.type == column.base.type == column.theirs.type and any_type(column.base.type)
    ]
    return [f"typeof({worker.cell(side, column)})" for column in columns]


def _without_key(worker: Worker, side: str) -> str:
    """SQL for: no key tells the row from others."""
    return f"NOT ({worker.has_key(side)})" if worker.match.key else "1"
