"""Which column is which afterwards, and by what a row is known: the two sides of a comparison.

``main`` is the file before, as ``a`` in SQL; ``after`` the other, as ``b``.
"""

from typing import TYPE_CHECKING

from undrop import check

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from undrop.structure import Column, Table


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


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


class Pair:
    """A table, what is taken to be the same one afterwards, and how they join."""

    columns: dict[str, str]
    """Lower-case names of those that stayed, as they were and as they are."""
    gone: "list[Column]"
    new: "list[Column]"
    on: str
    """The join's condition; empty when rows have no identity."""
    mark: str
    """What is not NULL when the join found a row."""
    certain: bool
    """Whether that a row is not found means that it is gone."""
    by_rowid: bool

    def __init__(self, connection: "sqlite3.Connection", before: "Table", after: "Table") -> None:
        self._connection, self.before, self.after = connection, before, after
        names = [column.name.lower() for column in before.data]
        self.columns = {name: name for name in names if name in after.columns}
        self.gone = [c for c in before.data if c.name.lower() not in self.columns]
        self.new = [c for c in after.data if c.name.lower() not in before.columns]
        self._pair_keys()
        self._identify()
        self._pair_renamed()

    def joined(self, join: str) -> str:
        """The FROM clause."""
        before, after = quoted(self.before.name), quoted(self.after.name)
        return f"FROM main.{before} AS a {join} after.{after} AS b ON {self.on}"

    def pairs(self) -> "Iterator[tuple[Column, Column, str, str]]":
        """Columns that stayed, with their names in SQL."""
        for old, new in self.columns.items():
            a, b = self.before.columns[old], self.after.columns[new]
            yield a, b, f"a.{quoted(a.name)}", f"b.{quoted(b.name)}"

    def _take(self, old: "Column", new: "Column") -> None:
        self.columns[old.name.lower()] = new.name.lower()
        self.gone.remove(old)
        self.new.remove(new)

    def _pair_keys(self) -> None:
        """A key's column under a new name keeps its place in the key and its type."""
        for old in [column for column in self.gone if column.key]:
            for new in self.new:
                if (old.key, old.type) == (new.key, new.type):
                    self._take(old, new)
                    break

    def _pair_renamed(self) -> None:
        for old in list(self.gone):
            for new in list(self.new):
                if old.type == new.type and self._is_renamed(old, new):
                    self._take(old, new)
                    break

    def _is_renamed(self, old: "Column", new: "Column") -> bool:
        """Whether every value is under the new name, and that is no accident."""
        if not self.on:
            return False
        a, b = f"a.{quoted(old.name)}", f"b.{quoted(new.name)}"
        differ = f"SELECT 1 {self.joined('JOIN')} WHERE NOT {same(a, b)} LIMIT 1"
        if check.ask(self._connection, differ):
            return False
        distinct = f"SELECT count(DISTINCT {a}) FROM main.{quoted(self.before.name)} AS a"  # noqa: S608
        alike = (old.required, old.default) == (new.required, new.default)
        return (alike and self._place(old) == self._place(new)) or check.ask(
            self._connection, distinct
        )[0][0] > 1

    def _place(self, column: "Column") -> int:
        """How many of the columns that stayed come before this one."""
        old = column.name.lower() in self.before.columns
        table = self.before if old else self.after
        stayed = self.columns.keys() if old else self.columns.values()
        names = list(table.columns)
        return sum(name in stayed for name in names[: names.index(column.name.lower())])

    def _identify(self) -> None:
        """By the same primary key on both sides; else by rowid, which a rebuild may give anew."""
        old, new = self.before.key, self.after.key
        self.on, self.mark, self.certain, self.by_rowid = "", "", False, False
        if old and [self.columns.get(c.name.lower()) for c in old] == [c.name.lower() for c in new]:
            self.by_rowid = len(old) == 1 and self.before.rowid and old[0].type == "INTEGER"
            binary = "" if self.by_rowid else " COLLATE BINARY"
            both = zip(old, new, strict=True)
            self.on = " AND ".join(
                f"b.{quoted(b.name)} = a.{quoted(a.name)}{binary}" for a, b in both
            )
            self.mark = f"b.{quoted(new[0].name)}"
            # Elsewhere a key may be NULL, and NULL equals nothing.
            never_null = self.by_rowid or not self.before.rowid
            self.certain = never_null or all(column.required for column in old)
        elif self.before.rowid_name and self.after.rowid_name:
            self.mark = f"b.{self.after.rowid_name}"
            self.on = f"{self.mark} = a.{self.before.rowid_name}"
            self.by_rowid = True
