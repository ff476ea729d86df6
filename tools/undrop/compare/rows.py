"""What became of one table's rows: SQL over the two files of a comparison, attached as one.

``main`` is the file before, ``after`` the other. Rows are joined by their primary key, else by
rowid; where neither holds, what counts is how often each whole row is there.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from undrop.compare import reading
from undrop.compare.comparison import ColumnChange, Sample, TableChange
from undrop.compare.pairing import MOST, PART, Join, Pair, cells, same, something
from undrop.compare.structure import fold
from undrop.sqlitefile import connect
from undrop.sqlitefile.check import quoted
from undrop.sqlitefile.connect import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from undrop.compare.structure import Column, Table

SAMPLES = 3
SHORT = 60  # characters of a value in a report
CHUNK = 300  # results of one statement: SQLite takes 2,000
SWAPPED = 20  # columns that are looked at for whether they changed names
LARGE = 100_000  # rows of a table that two threads share


def compare(connections: "Sequence[Connection]", old: "Table", new: "Table") -> TableChange:
    """Compare a table with what is taken to be the same one afterwards.

    Two connections, or the same twice, so that two processors can work. Raises sqlite3.Error.
    """
    return _Rows(connections, Pair(connections[0], old, new)).compare()


def of(path: "Path", version_table: str) -> dict[str, int]:
    """Rows by table in a file nobody writes. Raises UndropError."""
    with connect.explained(path, "counting rows"):
        connection = connect.connect(path, "immutable")
        try:
            tables = reading.read(connection, "main", version_table).tables.values()
            return {
                table.name: count(connection, "main", table)
                for table in tables
                if not table.virtual
            }
        finally:
            connection.close()


def count(connection: Connection, schema: str, table: "Table") -> int:
    """Number of rows. Raises sqlite3.Error."""
    return int(connection.ask(f"SELECT count(*) FROM {schema}.{quoted(table.name)}")[0][0])  # noqa: S608


def first(connection: Connection, table: "Table") -> tuple[Sample, ...]:
    """Up to three rows of a table that is gone. Raises sqlite3.Error."""
    shown = {c.name: f"a.{quoted(c.name)}" for c in table.data[:CHUNK]}
    return _rows(connection, f"FROM main.{quoted(table.name)} AS a LIMIT {SAMPLES}", shown)


def _rows(connection: Connection, rest: str, shown: dict[str, str]) -> tuple[Sample, ...]:
    rows = connection.ask(f"SELECT {', '.join(shown.values())} {rest}")
    return tuple(dict(zip(shown, map(short, row), strict=True)) for row in rows)


def _in_parts(values: list[str]) -> list[str]:
    """SQL for several values in one, each by its type and all of its bytes."""
    texts = [
        f"iif(typeof({v}) IN ('text', 'blob'), typeof({v}) || hex({v}), quote({v})) || ','"
        for v in values
    ]
    return [" || ".join(texts[n : n + PART]) for n in range(0, len(texts), PART)]


def identity(connection: Connection, old: "Table", new: "Table") -> tuple[Pair, Join | None]:
    """Which columns are which, and by what rows are known: as ``compare`` tells.

    Rows that are known by nothing are counted, each whole. Raises sqlite3.Error.
    """
    known = _Rows((connection, connection), Pair(connection, old, new))
    known.compare()
    return known.pair, known.join


def grouped(pair: Pair) -> tuple[str, dict[str, str]]:
    """Each whole row with how much more often it was there, as ``n``; what to show of it."""
    pairs = list(pair.pairs())
    one, two, shown = _cells(pair, pairs) if pairs else (["1"], ["1"], {"row": "c0"})
    old = ", ".join(f"+{a} COLLATE BINARY AS c{n}" for n, a in enumerate(one))
    new = ", ".join(f"+{b}" for b in two)
    groups = ", ".join(f"c{n}" for n in range(len(one)))
    rows = (
        f"(SELECT {groups}, sum(side) AS n FROM "  # noqa: S608
        f"(SELECT 1 AS side, {old} FROM main.{quoted(pair.table_before.name)} AS a UNION ALL "
        f"SELECT -1, {new} FROM after.{quoted(pair.table_after.name)} AS b) GROUP BY {groups})"
    )
    return rows, shown


def _cells(
    pair: Pair, pairs: "list[tuple[Column, Column, str, str]]"
) -> tuple[list[str], list[str], dict[str, str]]:
    """What tells a row from others, as SQL for either side; which of it to show."""
    sides: tuple[list[str], list[str]] = ([], [])
    for old, new, a, b in pairs:
        for side, cell in zip(sides, cells(old, new, a, b), strict=True):
            side.append(cell)
    if len(pairs) > MOST:
        return _in_parts(sides[0]), _in_parts(sides[1]), {"row": "substr(c0, 1, 60)"}
    old_types, new_types = pair.types()
    shown = {old.name: f"c{n}" for n, (old, *_) in enumerate(pairs)}
    return [*sides[0], *old_types], [*sides[1], *new_types], shown


class _Rows:
    def __init__(self, connections: "Sequence[Connection]", pair: Pair) -> None:
        self.connection, self.second = connections
        self.pair = pair
        self.join: Join | None = None
        """By what rows were found to be known, once they are compared."""
        self._changed = set[str]()
        """Columns that lost values by one identity or the other; folded names."""
        self.table_before, self.table_after = pair.table_before, pair.table_after

    def compare(self) -> TableChange:
        best, join = self._best()
        may_have_moved = bool(self._changed and best.lost) or bool(self.pair.gone)
        if may_have_moved and len(self._changed) <= SWAPPED and self.pair.swap(self._changed):
            best, join = self._best()
        self.join = join
        best = self._with_samples(best, join)
        missing = tuple(change for column in self.pair.gone if (change := self._gone(column)).gone)
        return best._replace(
            columns=(*best.columns, *missing),
            gone_columns=tuple(column.name for column in self.pair.gone),
            new_columns=tuple(column.name for column in self.pair.new),
            renamed=tuple((a.name, b.name) for a, b, _, _ in self.pair.pairs() if a.name != b.name),
        )

    def _best(self) -> tuple[TableChange, Join | None]:
        """By the identity that shows the least loss, of those that may be the right one."""
        changes: list[tuple[TableChange, Join | None]] = []
        for join in self.pair.joins:
            change = self._joined(join)
            self._changed |= {fold(column.name) for column in change.columns}
            if join.certain or not change.lost:
                return change, join
            changes.append((change, join))
        return min([*changes, (self._counted(), None)], key=lambda known: known[0].lost)

    def _with_samples(self, change: TableChange, join: Join | None) -> TableChange:
        """The same with some of what is lost; ``join`` is the identity that shows it."""
        if join is None:
            if not change.gone:
                return change
            rows, shown = grouped(self.pair)
            rest = f"FROM {rows} WHERE n > 0 LIMIT {SAMPLES}"
            return change._replace(samples=_rows(self.connection, rest, shown))
        samples: tuple[Sample, ...] = ()
        if change.gone:
            rest = f"{self.pair.joined('LEFT JOIN', join)} WHERE {join.mark} IS NULL"
            keys = ", ".join(f"b.{column}" for column in join.columns)
            merged = f"{self.pair.joined('CROSS JOIN', join)} GROUP BY {keys} HAVING count(*) > 1"
            samples = self._samples(rest, change.gone) or self._samples(merged, change.gone)
        columns = tuple(self._with_values(column, join) for column in change.columns)
        return change._replace(columns=columns, samples=samples)

    def _ask(self, sql: str) -> list[Any]:
        return self.connection.ask(sql)

    def _joined(self, join: Join) -> TableChange:
        pairs = list(self.pair.pairs())
        where = f"({join.mark} IS NULL OR {self.pair.differ()})"
        sums = [f"count(*) FILTER (WHERE {join.mark} IS {null} NULL)" for null in ("", "NOT")]
        for _, _, a, b in pairs:
            was, stays = f"{join.mark} IS NOT NULL AND {something(a)}", something(b)
            sums += [
                f"count(*) FILTER (WHERE {was} AND {b} IS NULL)",
                f"count(*) FILTER (WHERE {was} AND {b} IS NOT NULL AND NOT {stays})",
                f"count(*) FILTER (WHERE {was} AND {stays} AND NOT {same(a, b)})",
            ]
        counts: list[int] = []
        for start in range(0, len(sums), CHUNK):
            counts += self._sum(join, ", ".join(sums[start : start + CHUNK]), where)
        rows_before = count(self.connection, "main", self.table_before)
        rows_after = count(self.connection, "after", self.table_after)
        gone, changed = counts[:2]
        gone += max(0, rows_before - gone - rows_after)  # of which several became one
        return TableChange(
            self.table_before.name,
            self.table_after.name,
            rows_before,
            rows_after,
            gone,
            rows_after - (rows_before - gone),
            changed,
            tuple(self._values(counts[2:])) if changed else (),
        )

    def _sum(self, join: Join, sums: str, where: str) -> list[int]:
        """Sums over the join, of both halves of a large table at once."""
        sql = f"SELECT {sums} {self.pair.joined('LEFT JOIN', join)} WHERE {where}"
        rowid = join.rowid
        table = f"FROM main.{quoted(self.table_before.name)} AS a"
        ends = f"SELECT (SELECT min({rowid}) {table}), (SELECT max({rowid}) {table})"
        low, high = self._ask(ends)[0] if rowid else (0, 0)
        alone = self.second is self.connection or self.pair.after.startswith("temp.")
        if not high or high - low < LARGE or alone:
            return list(self._ask(sql)[0])
        middle = low + (high - low) // 2
        halves = (f"{sql} AND {rowid} <= {middle}", f"{sql} AND {rowid} > {middle}")
        with ThreadPoolExecutor(2) as both:
            found = list(both.map(Connection.ask, (self.connection, self.second), halves))
        return [one + two for one, two in zip(found[0][0], found[1][0], strict=True)]

    def _values(self, counts: list[int]) -> "Iterator[ColumnChange]":
        for number, (old, new, _, _) in enumerate(self.pair.pairs()):
            nulled, blanked, overwritten = counts[3 * number : 3 * number + 3]
            if nulled or blanked or overwritten:
                types = (old.type, new.type)
                yield ColumnChange(old.name, new.name, types, 0, nulled, blanked, overwritten)

    def _with_values(self, change: ColumnChange, join: Join) -> ColumnChange:
        a, b = f"a.{quoted(change.name)}", f"b.{quoted(change.now)}"
        lost = f"{something(a)} AND (({something(b)}) IS NOT 1 OR NOT {same(a, b)})"
        rest = f"{self.pair.joined('CROSS JOIN', join)} WHERE {lost}"
        samples = self._samples(rest, change.lost, {"before": a, "after": b})
        return change._replace(samples=samples)

    def _gone(self, column: "Column") -> ColumnChange:
        a = f"a.{quoted(column.name)}"
        rest = f"FROM main.{quoted(self.table_before.name)} AS a WHERE {something(a)}"
        [(values,)] = self._ask(f"SELECT count(*) {rest}")
        samples = self._samples(rest, values, {"before": a}) if values else ()
        return ColumnChange(column.name, "", (column.type, ""), values, samples=samples)

    def _counted(self) -> TableChange:
        """By how often each whole row is there: exact, and slower."""
        rows, _ = grouped(self.pair)
        [(gone, added)] = self._ask(
            f"SELECT coalesce(sum(max(n, 0)), 0), coalesce(sum(max(-n, 0)), 0) FROM {rows}"  # noqa: S608
        )
        return TableChange(
            self.table_before.name,
            self.table_after.name,
            count(self.connection, "main", self.table_before),
            count(self.connection, "after", self.table_after),
            gone,
            added,
        )

    def _samples(
        self, rest: str, most: int, values: dict[str, str] | None = None
    ) -> tuple[Sample, ...]:
        """Three of the ``most`` rows by their key, with ``values`` or every column."""
        shown = {c.name: f"a.{quoted(c.name)}" for c in self.table_before.key}
        if not shown and self.table_before.rowid_name:
            shown = {"rowid": f"a.{self.table_before.rowid_name}"}
        if values is None:
            values = {c.name: f"a.{quoted(c.name)}" for c in self.table_before.data[:CHUNK]}
        return _rows(self.connection, f"{rest} LIMIT {min(most, SAMPLES)}", {**shown, **values})


def short(value: object, most: int = SHORT) -> object:
    """A value for a report: not a megabyte of it, but so many characters; JSON can have it."""
    if isinstance(value, bytes):
        shown = most * 16 // SHORT
        dots = "…" if len(value) > shown else ""
        return f"x'{value[:shown].hex()}{dots}' ({len(value):,} bytes)"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    if isinstance(value, str) and len(value) > most:
        return f"{value[:most]}… ({len(value):,} characters)"
    return value
