"""Whether what came of a merge is what was asked for: those rows, and nothing else.

``main`` is the file before, as ``a`` in SQL; ``done`` the merged copy, as ``z``; ``ops`` says what
was to be done.
"""

from typing import TYPE_CHECKING

from undrop.compare import merge
from undrop.compare.pairing import exactly
from undrop.compare.structure import fold
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from undrop.compare.merge import Ops
    from undrop.compare.structure import Structure, Table
    from undrop.sqlitefile.connect import Connection


def otherwise(
    connection: "Connection",
    before: "Structure",
    ops: "list[Ops]",
    untouched: "Collection[int]",
    without: "Collection[str]",
) -> "Iterator[str]":
    """Tables that changed otherwise.

    Those whose pages are the same, by their root in ``untouched``, are not read; nor are those
    ``without`` (folded names). Raises sqlite3.Error.
    """
    by_name = {fold(each.table.name): each for each in ops}
    for name, table in before.tables.items():
        changed = by_name.get(name)
        if name in without or (changed is None and table.root in untouched):
            continue
        keyed = table.key and all(
            c.required or table.key_is_rowid or not table.rowid for c in table.key
        )
        is_other = _by_key if keyed else _by_whole_rows
        if is_other(connection, table, changed):
            yield table.name


def _by_key(connection: "Connection", table: "Table", ops: "Ops | None") -> bool:
    """Whether other rows than those changed, went or came."""
    exact = "" if table.key_is_rowid else " COLLATE BINARY"
    on = " AND ".join(f"z.{quoted(c.name)} = a.{quoted(c.name)}{exact}" for c in table.key)
    name = quoted(table.name)
    there = f"z.{quoted(table.key[0].name)} IS NOT NULL"
    values = [c for c in table.data if not c.key]
    sides = [", ".join(exactly((c, f"{side}.{quoted(c.name)}") for c in values)) for side in "az"]
    differ = f"({sides[0]}) IS NOT ({sides[1]})" if values else "0"
    sql = (
        f"SELECT count(*) FILTER (WHERE NOT ({there})), count(*) FILTER (WHERE {there}) "  # noqa: S608
        f"FROM main.{name} AS a LEFT JOIN done.{name} AS z ON {on} WHERE NOT ({there}) OR {differ}"
    )
    [(gone, changed)] = connection.ask(sql)
    [(more,)] = connection.ask(
        f"SELECT (SELECT count(*) FROM done.{name}) - (SELECT count(*) FROM main.{name})"  # noqa: S608
    )
    wanted = merge.counts(connection, ops) if ops else {"gone": 0, "change": 0, "put": 0}
    there_are = (gone, changed, more)
    return there_are != (wanted["gone"], wanted["change"], wanted["put"] - wanted["gone"])


def _by_whole_rows(connection: "Connection", table: "Table", ops: "Ops | None") -> bool:
    """Whether a row is there more or less often than it should be."""
    shared = {fold(column.ours.name) for column in ops.match.shared} if ops else {*table.columns}
    columns = [(n, c) for n, c in enumerate(table.data) if fold(c.name) in shared]
    if not columns:
        return False
    names = ", ".join(f"c{n}" for n, _ in columns)
    parts = [
        (
            schema,
            [f"+{quoted(c.name)} COLLATE BINARY" for _, c in columns],
            quoted(table.name),
            sign,
        )
        for schema, sign in (("main.", 1), ("done.", -1))
    ]
    selects = [
        f"SELECT {', '.join(f'{v} AS c{n}' for v, (n, _) in zip(values, columns, strict=True))}, "  # noqa: S608
        f"{sign} AS times FROM {schema}{name}"
        for schema, values, name, sign in parts
    ]
    if ops:
        for side, does, sign in (("o", "put", -1), ("d", "gone", 1)):
            listed = ", ".join(f"{side}{n}" for n, _ in columns)
            selects.append(f"SELECT {listed}, {sign} FROM {ops.rows} WHERE does <> '{does}'")  # noqa: S608
    sql = (
        f"SELECT 1 FROM ({' UNION ALL '.join(selects)}) GROUP BY {names} "  # noqa: S608
        "HAVING sum(times) <> 0 LIMIT 1"
    )
    return bool(connection.ask(sql))
