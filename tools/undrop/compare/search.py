"""Where a text is in one state: which tables, columns and rows."""

from typing import TYPE_CHECKING, NamedTuple

from undrop.compare.structure import fold
from undrop.sqlitefile import btree
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from undrop.compare.lookup import Row
    from undrop.compare.readable import Readable
    from undrop.compare.structure import Column, Table

CHUNK = 900  # results of one statement: SQLite takes 2,000
WIDTH = 200  # characters of a value that are shown
OF_NUMBERS = {*"0123456789.+-einf"}
"""What is in the text of a number: ``-1.5e+20``, ``inf``."""
BYTES = "BYTEA"
"""PostgreSQL's blobs, which a file that stands for its database has as text."""


class Hit(NamedTuple):
    """A row that has it in a column."""

    key: "Row"
    """By the primary key, else the rowid; empty where rows have neither."""
    value: str
    """Of a long one, what is around the text."""


class Hits(NamedTuple):
    """A column that holds it."""

    table: str
    column: str
    rows: int
    """How many have it."""
    samples: list[Hit]


class Done(NamedTuple):
    """A backup in which nothing was found."""

    path: "Path"
    tables: "dict[str, Table]"
    """By folded name."""


def left(state: "Readable", tables: "dict[str, Table]", done: Done | None) -> "list[Table]":
    """Those of a backup's tables that may have what the one that was searched before has not.

    Most of a database is as it was in the backup before. Raises OSError, DamagedError.
    """
    same = {
        name: table
        for name, table in (done.tables if done else {}).items()
        if table.root and table._replace(counter=0) == tables.get(name, table)._replace(counter=0)
    }
    if not same or done is None or state.known:
        return [*tables.values()]
    roots = btree.untouched(done.path, state.path, {table.root for table in same.values()})
    return [t for name, t in tables.items() if name not in same or t.root not in roots]


def search(state: "Readable", table: "Table", text: str, most: int) -> "Iterator[Hits]":
    """The columns of a table that have it, with ``most`` of their rows. Raises sqlite3.Error.

    Of ASCII letters alone the case does not count, as with LIKE (sqlite.org/lang_expr.html#like);
    numbers match as text; blobs do not.
    """
    wanted = fold(text)
    kinds = ("text", "integer", "real") if {*wanted} <= OF_NUMBERS else ("text",)
    columns = [column for column in table.data if column.type != BYTES]
    for start in range(0, len(columns), CHUNK):
        part = columns[start : start + CHUNK]
        sums = ", ".join(f"count(*) FILTER (WHERE {_has(column, kinds)})" for column in part)
        [counts] = state.connection.ask(f"SELECT {sums} FROM main.{quoted(table.name)}", wanted)  # noqa: S608
        for column, count in zip(part, counts, strict=True):
            if count:
                where = f"{_has(column, kinds)} LIMIT {most}"
                samples = [*_samples(state, table, column, wanted, where)]
                yield Hits(table.name, column.name, count, samples)


def _has(column: "Column", kinds: "Iterable[str]") -> str:
    # LIKE takes no pattern of over 50,000 bytes.
    name, listed = quoted(column.name), ", ".join(f"'{kind}'" for kind in kinds)
    return f"typeof({name}) IN ({listed}) AND instr(lower({name}), ?1)"


def _samples(
    state: "Readable", table: "Table", column: "Column", wanted: str, where: str
) -> "Iterator[Hit]":
    key = {c.name: quoted(c.name) for c in table.key}
    if not key and table.rowid_name and not state.known:
        key = {"rowid": table.rowid_name}
    name = quoted(column.name)
    start = f"max(1, instr(lower({name}), ?1) - {WIDTH // 4})"
    shown = f"{start}, length({name}), substr({name}, {start}, {WIDTH})"
    sql = f"SELECT {', '.join([shown, *key.values()])} FROM main.{quoted(table.name)}"  # noqa: S608
    for begin, length, value, *values in state.connection.ask(f"{sql} WHERE {where}", wanted):
        before, after = "…" * (begin > 1), "…" * (begin - 1 + WIDTH < length)
        yield Hit(dict(zip(key, values, strict=True)), f"{before}{value}{after}")
