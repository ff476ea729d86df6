"""Which column is which afterwards, and by what a row is known: the two sides of a comparison.

``main`` is the file before, as ``a`` in SQL; ``after`` the other, as ``b``.
"""

from typing import TYPE_CHECKING, NamedTuple

from undrop.compare.structure import fold
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.structure import Column, Table
    from undrop.sqlitefile.connect import Connection


def same(old: str, new: str) -> str:
    """SQL for: no value was lost between the two; one that another type holds as well is the same.

    Unary plus takes the column's affinity away: '007' must not equal 7
    (sqlite.org/datatype3.html, 4.2).
    """
    return (
        f"(+{old} IS +{new} COLLATE BINARY OR (typeof({old}) <> typeof({new}) AND "
        f"CAST({old} AS TEXT) = CAST({new} AS TEXT) COLLATE BINARY AND "
        f"(typeof({old}) <> 'real' OR CAST({new} AS REAL) = {old})))"
    )


class Join(NamedTuple):
    """By what a row is known on both sides."""

    on: str
    mark: str
    """What is not NULL when a row was found."""
    certain: bool
    """Whether a row that is not found is gone."""
    rowid: str
    """By which name of the rowid the left side goes; empty when it is another key."""


class Pair:
    """A table, what is taken to be the same one afterwards, and how they join."""

    columns: dict[str, str]
    """Folded names of those that stayed, as they were and as they are."""
    gone: "list[Column]"
    new: "list[Column]"
    joins: list[Join]
    """The one to trust most first; none when rows have no identity."""

    def __init__(
        self, connection: "Connection", table_before: "Table", table_after: "Table"
    ) -> None:
        self._connection, self.table_before, self.table_after = (
            connection,
            table_before,
            table_after,
        )
        names = [fold(column.name) for column in table_before.data]
        self.columns = {name: name for name in names if name in table_after.columns}
        self.gone = [c for c in table_before.data if fold(c.name) not in self.columns]
        self.new = [c for c in table_after.data if fold(c.name) not in table_before.columns]
        self._pair_keys()
        self.joins = list(self._joins())
        for old in list(self.gone):
            new = next((each for each in self.new if self._is_renamed(old, each)), None)
            if new:
                self._take(old, new)

    def joined(self, kind: str, join: Join) -> str:
        """The FROM clause."""
        table_before, table_after = quoted(self.table_before.name), quoted(self.table_after.name)
        return f"FROM main.{table_before} AS a {kind} after.{table_after} AS b ON {join.on}"

    def pairs(self) -> "Iterator[tuple[Column, Column, str, str]]":
        """Columns that stayed, with their names in SQL."""
        for old, new in self.columns.items():
            a, b = self.table_before.columns[old], self.table_after.columns[new]
            yield a, b, f"a.{quoted(a.name)}", f"b.{quoted(b.name)}"

    def _take(self, old: "Column", new: "Column") -> None:
        self.columns[fold(old.name)] = fold(new.name)
        self.gone.remove(old)
        self.new.remove(new)

    def _pair_keys(self) -> None:
        """A key's column under a new name keeps its place in the key and its type."""
        for old in [column for column in self.gone if column.key]:
            for new in self.new:
                if (old.key, old.type) == (new.key, new.type):
                    self._take(old, new)
                    break

    def _joins(self) -> "Iterator[Join]":
        """By the same primary key on both sides; by rowid, which a rebuild may give anew."""
        old, new = self.table_before.key, self.table_after.key
        by_rowid = self.table_before.key_is_rowid and self.table_after.key_is_rowid
        if old and [self.columns.get(fold(c.name)) for c in old] == [fold(c.name) for c in new]:
            binary = "" if by_rowid else " COLLATE BINARY"
            both = zip(old, new, strict=True)
            on = " AND ".join(f"b.{quoted(b.name)} = a.{quoted(a.name)}{binary}" for a, b in both)
            # Elsewhere a key may be NULL, and NULL equals nothing.
            never_null = by_rowid or not self.table_before.rowid or all(c.required for c in old)
            rowid = f"a.{quoted(old[0].name)}" if by_rowid else ""
            yield Join(on, f"b.{quoted(new[0].name)}", never_null, rowid)
            if never_null:
                return
        if self.table_before.rowid_name and self.table_after.rowid_name:
            rowid = f"a.{quoted(self.table_before.rowid_name)}"
            mark = f"b.{quoted(self.table_after.rowid_name)}"
            yield Join(f"{mark} = {rowid}", mark, False, rowid)  # noqa: FBT003 - a field

    def _is_renamed(self, old: "Column", new: "Column") -> bool:
        """Whether every value is under the new name, and that is no accident."""
        a, b = f"a.{quoted(old.name)}", f"b.{quoted(new.name)}"
        in_place = self._place(old) == self._place(new)
        if not in_place and old.type != new.type:
            return False
        alike = (old.type, old.required, old.default) == (new.type, new.required, new.default)
        if not (in_place and alike) and self._distinct(a) < 2:
            return False
        if any(
            not self._connection.ask(
                f"SELECT 1 {self.joined('JOIN', join)} WHERE NOT {same(a, b)} LIMIT 1",
            )
            for join in self.joins
        ):
            return True
        return not any(join.certain for join in self.joins) and self._same_values(a, b)

    def _distinct(self, column: str) -> int:
        sql = f"SELECT count(DISTINCT {column}) FROM main.{quoted(self.table_before.name)} AS a"  # noqa: S608
        return int(self._connection.ask(sql)[0][0])

    def _same_values(self, a: str, b: str) -> bool:
        """Whether each value is there as often as it was, in whatever row."""
        more = (
            f"SELECT 1 FROM (SELECT 1 AS side, +{a} COLLATE BINARY AS value "  # noqa: S608
            f"FROM main.{quoted(self.table_before.name)} AS a UNION ALL "
            f"SELECT -1, +{b} FROM after.{quoted(self.table_after.name)} AS b) "
            "GROUP BY value HAVING sum(side) > 0 LIMIT 1"
        )
        return not self._connection.ask(more)

    def _place(self, column: "Column") -> int:
        """How many of the columns that stayed come before this one."""
        old = column in self.gone
        table = self.table_before if old else self.table_after
        stayed = self.columns.keys() if old else self.columns.values()
        names = list(table.columns)
        return sum(name in stayed for name in names[: names.index(fold(column.name))])
