"""Which column is which afterwards, and by what a row is known: the two sides of a comparison.

``main`` is the file before, as ``a`` in SQL; ``after`` the other, as ``b``.
"""

import re
from typing import TYPE_CHECKING, NamedTuple

from undrop.compare.structure import fold
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from undrop.compare.structure import Column, Table
    from undrop.sqlitefile.connect import Connection


def same(old: str, new: str) -> str:
    """SQL for: no value was lost between the two; one that another type holds as well is the same.

    Unary plus takes the column's affinity away: '007' must not equal 7
    (sqlite.org/datatype3.html, 4.2).
    """
    return (
        f"(+{old} IS +{new} COLLATE BINARY OR (typeof({old}) <> typeof({new}) AND "
        f"{as_text(old)} = {as_text(new)} COLLATE BINARY))"
    )


def as_text(value: str) -> str:
    """SQL for the text that another type holds as well; of a REAL with all of its digits.

    CAST gives 15 of them (sqlite.org/lang_expr.html#castexpr); 17 tell any two apart.
    """
    texts = [f"CAST({value} AS TEXT)", *(f"printf('%!.{n}g', {value})" for n in (16, 17))]
    cases = [f"WHEN CAST({text} AS REAL) = {value} THEN {text}" for text in texts[:2]]
    return f"iif(typeof({value}) <> 'real', {texts[0]}, CASE {' '.join(cases)} ELSE {texts[2]} END)"


def something(value: str) -> str:
    """SQL for: it is not NULL, and not blank."""
    return f"+{value} COLLATE BINARY NOT IN ('', x'')"


def affinity(kind: str) -> str:
    """What a column of that declared type makes of values (sqlite.org/datatype3.html, 3.1)."""
    if "INT" in kind:
        return "numeric"
    if any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    # Of ANY it depends on the table.
    return "none" if "BLOB" in kind or kind in {"", "ANY"} else "numeric"


def any_type(kind: str) -> bool:
    """Whether a column of that declared type holds 1 as well as 1.0: to SQLite these are equal."""
    return affinity(kind) == "none"


def exactly(values: "Iterable[tuple[Column, str]]") -> "Iterator[str]":
    """SQL for what tells values of columns from all others."""
    for column, value in values:
        yield f"{value} COLLATE BINARY"
        if any_type(column.type):
            yield f"typeof({value})"


def cells(old: "Column", new: "Column", *values: str) -> list[str]:
    """SQL for what makes a value of either column one and the same to GROUP BY."""
    kinds = {affinity(old.type), affinity(new.type)}
    if old.type == new.type or kinds == {"numeric"}:
        return [*values]
    if "text" in kinds:
        return [as_text(value) for value in values]
    return [_as_number(value) for value in values]


def _as_number(value: str) -> str:
    """SQL for the same text of a REAL as of the INTEGER that equals it."""
    whole = f"CAST({value} AS INTEGER)"
    is_whole = f"typeof({value}) = 'real' AND {value} = {whole}"
    return f"iif({is_whole}, CAST({whole} AS TEXT), {as_text(value)})"


SCAN = re.compile(r"SCAN (TABLE .* AS )?b\b")
COPY = "undrop_after"
PART = 50  # values that are told apart as one
MOST = 1900  # columns of one statement: SQLite takes 2,000


class Join(NamedTuple):
    """By what a row is known on both sides."""

    on: str
    mark: str
    """What is not NULL when a row was found."""
    certain: bool
    """Whether a row that is not found is gone."""
    rowid: str
    """By which name of the rowid the left side goes; empty when it is another key."""
    columns: tuple[str, ...]
    """The right side's, quoted."""


class Pair:
    """A table, what is taken to be the same one afterwards, and how they join."""

    columns: dict[str, str]
    """Folded names of those that stayed, as they were and as they are."""
    gone: "list[Column]"
    new: "list[Column]"
    joins: list[Join]
    """The one to trust most first; none when rows have no identity."""
    after: str
    """The table afterwards, or a copy of it, as it stands in SQL."""

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
        self.after = f"after.{quoted(table_after.name)}"
        self.joins = [self._with_index(join) for join in self._joins()]
        for old in list(self.gone):
            new = next((each for each in self.new if self._is_renamed(old, each)), None)
            if new:
                self._take(old, new)

    def joined(self, kind: str, join: Join) -> str:
        """The FROM clause. No CROSS JOIN changes its order (sqlite.org/optoverview.html, 8)."""
        table_before = f"main.{quoted(self.table_before.name)} AS a"
        return f"FROM {table_before} {kind} {self.after} AS b ON {join.on}"

    def _with_index(self, join: Join) -> Join:
        """The same, looked up by an index, whatever ANALYZE once wrote down about the tables.

        Where SQLite would go through all of one table for each row of the other, a copy that it
        knows nothing of takes its place.
        """
        needed = [f"b.{quoted(column.name)}" for column in self.table_after.data]
        if not self.after.startswith("temp."):
            shown = ", ".join([join.mark, *needed][:MOST])
            explained = f"EXPLAIN QUERY PLAN SELECT {shown} {self.joined('LEFT JOIN', join)}"
            plan = [str(row[3]) for row in self._connection.ask(explained)]
            if not any(SCAN.match(step) and "VIRTUAL" not in step for step in plan):
                return join
            if self.table_after.rowid_name and not self.table_after.key_is_rowid:
                needed.append(f"b.{self.table_after.rowid_name} AS {self.table_after.rowid_name}")
            if len(needed) > 2000:
                return join  # SQLite has no table for that
            copied = f"SELECT {', '.join(needed)} FROM {self.after} AS b"  # noqa: S608
            self._connection.execute(f"DROP TABLE IF EXISTS temp.{COPY}")
            self._connection.execute(f"CREATE TEMP TABLE {COPY} AS {copied}")
            self.after = f"temp.{COPY}"
        index = f"temp.{COPY}_{'rowid' if join.rowid else 'key'}"
        self._connection.execute(f"CREATE INDEX {index} ON {COPY} ({', '.join(join.columns)})")
        return join

    def pairs(self) -> "Iterator[tuple[Column, Column, str, str]]":
        """Columns that stayed, with their names in SQL."""
        for old, new in self.columns.items():
            a, b = self.table_before.columns[old], self.table_after.columns[new]
            yield a, b, f"a.{quoted(a.name)}", f"b.{quoted(b.name)}"

    def differ(self) -> str:
        """SQL for: a row that both have, joined, is not the same."""
        pairs = list(self.pairs())
        if not pairs:
            return "0"
        # A column whose type stayed keeps its affinity too, and needs no plus: see ``same``.
        # (ANY has none in a STRICT table and another elsewhere.)
        plus = ["" if x.type == y.type != "ANY" else "+" for x, y, _, _ in pairs]
        old = [f"{sign}{pair[2]}" for sign, pair in zip(plus, pairs, strict=True)]
        new = [f"{sign}{pair[3]} COLLATE BINARY" for sign, pair in zip(plus, pairs, strict=True)]
        old_types, new_types = self.types()
        old, new = [*old, *old_types], [*new, *new_types]
        return f"({', '.join(old)}) IS NOT ({', '.join(new)})"

    def types(self) -> tuple[list[str], list[str]]:
        """SQL for the types of values that may equal others and not be the same, on either side."""
        pairs = [p for p in self.pairs() if any_type(p[0].type) and any_type(p[1].type)]
        sides = ([f"typeof({pair[n]})" for pair in pairs] for n in (2, 3))
        one, two = ([" || ".join(s[n : n + PART]) for n in range(0, len(s), PART)] for s in sides)
        return one, two

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
            columns = tuple(quoted(column.name) for column in new)
            yield Join(on, f"b.{columns[0]}", never_null, rowid, columns)
            if never_null:
                return
        if self.table_before.rowid_name and self.table_after.rowid_name:
            rowid = f"a.{quoted(self.table_before.rowid_name)}"
            mark = f"b.{quoted(self.table_after.rowid_name)}"
            columns = (quoted(self.table_after.rowid_name),)
            yield Join(f"{mark} = {rowid}", mark, False, rowid, columns)  # noqa: FBT003 - a field

    def swap(self, changed: set[str]) -> bool:
        """Pair columns whose values stand under a name that another had: they changed places.

        Those that are ``changed`` (folded names), or gone. Whether there are any: all of their
        values are there, and they are not all alike.
        """
        keys = {fold(column.name) for column in self.table_before.key}
        stayed = {old for old, new in self.columns.items() if old == new} - keys
        gone = {fold(column.name) for column in self.gone if not column.key}
        sought = changed & stayed | {name for name in gone if not self._is_empty(name)}
        if not sought:
            return False  # before every other column is gone through
        empty = {name for name in stayed - changed if self._is_empty(name)}
        added = {fold(column.name) for column in self.new}
        there = changed & stayed | empty | added
        moved: dict[str, str] = {}
        for name in sorted(sought):
            old = self.table_before.columns[name]
            for other in sorted(there - {name} - {*moved.values()}):
                new = self.table_after.columns[other]
                is_elsewhere = name in gone and other in added and old.type != new.type
                if not is_elsewhere and self._has_values_of(old, new):
                    moved[name] = other
                    break
        while stray := {*moved.values()} - moved.keys() - empty - added:
            moved = {old: new for old, new in moved.items() if new not in stray}
        told = [f"a.{quoted(self.table_before.columns[name].name)}" for name in moved]
        if not moved or all(self._distinct_still(column) < 2 for column in told):
            return False
        self._move(moved)
        return True

    def _move(self, moved: dict[str, str]) -> None:
        """Take these pairs; what stood in their place is paired with a name that is free now."""
        self.gone = [column for column in self.gone if fold(column.name) not in moved]
        free = [name for name in moved.keys() & self.columns if name not in moved.values()]
        for name in [name for name in moved.values() if name in self.columns.keys() - moved.keys()]:
            old = self.table_before.columns[name]
            fits = sorted(free, key=lambda f: self.table_after.columns[f].type != old.type)
            if fits:
                free.remove(fits[0])
                moved[name] = fits[0]
            else:
                del self.columns[name]
                self.gone.append(old)
        self.columns |= moved
        left = [column for column in self.new if fold(column.name) not in moved.values()]
        self.new = [*left, *(self.table_after.columns[name] for name in free)]

    def _is_empty(self, name: str) -> bool:
        """Whether there is no value in it that could be lost."""
        value = something(f"a.{quoted(self.table_before.columns[name].name)}")
        table = quoted(self.table_before.name)
        return not self._connection.ask(f"SELECT 1 FROM main.{table} AS a WHERE {value} LIMIT 1")  # noqa: S608

    def _is_renamed(self, old: "Column", new: "Column") -> bool:
        """Whether every value is under the new name, and that is no accident."""
        in_place = self._place(old) == self._place(new)
        if not in_place and old.type != new.type:
            return False
        # A value that all rows have may be the new column's default.
        told = new.default is None or (old.required, old.default) == (new.required, new.default)
        if not (in_place and told) and self._distinct(f"a.{quoted(old.name)}") < 2:
            return False
        return self._has_values_of(old, new)

    def _has_values_of(self, old: "Column", new: "Column") -> bool:
        """Whether every value of one column is in the other."""
        a, b = f"a.{quoted(old.name)}", f"b.{quoted(new.name)}"
        lost = f"{something(a)} AND {same(a, b)} IS NOT 1"
        if any(
            not self._connection.ask(
                f"SELECT 1 {self.joined('CROSS JOIN', join)} WHERE {lost} LIMIT 1",
            )
            for join in self.joins
        ):
            return True
        if any(join.certain for join in self.joins):
            return False
        return self._same_values(*cells(old, new, a, b))

    def _distinct(self, column: str) -> int:
        sql = f"SELECT count(DISTINCT {column}) FROM main.{quoted(self.table_before.name)} AS a"  # noqa: S608
        return int(self._connection.ask(sql)[0][0])

    def _distinct_still(self, column: str) -> int:
        """The same of rows that are still there: others are no evidence."""
        if not self.joins:
            return self._distinct(column)
        sql = f"SELECT count(DISTINCT {column}) {self.joined('CROSS JOIN', self.joins[0])}"
        return int(self._connection.ask(sql)[0][0])

    def _same_values(self, a: str, b: str) -> bool:
        """Whether each value is there as often as it was, in whatever row."""
        more = (
            f"SELECT 1 FROM (SELECT 1 AS side, +{a} COLLATE BINARY AS value "  # noqa: S608
            f"FROM main.{quoted(self.table_before.name)} AS a UNION ALL "
            f"SELECT -1, +{b} FROM {self.after} AS b) "
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
