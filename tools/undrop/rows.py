"""What became of one table's rows: SQL over the two files of a comparison, attached as one.

``main`` is the file before, ``after`` the other. Rows are joined by their primary key, else by
rowid; where neither holds, what counts is how often each whole row is there.
"""

from typing import TYPE_CHECKING, Any

from undrop import check
from undrop.change import ColumnChange, Sample, TableChange

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from undrop.structure import Column, Table

SAMPLES = 3
CHUNK = 100  # columns in one statement: SQLite takes 2,000 results


def compare(connection: "sqlite3.Connection", before: "Table", after: "Table") -> TableChange:
    """Compare a table with what is taken to be the same one afterwards. Raises sqlite3.Error."""
    return _Pair(connection, before, after).compare()


def count(connection: "sqlite3.Connection", schema: str, table: "Table") -> int:
    """Number of rows. Raises sqlite3.Error."""
    return int(check.ask(connection, f"SELECT count(*) FROM {schema}.{_q(table.name)}")[0][0])  # noqa: S608


def first(connection: "sqlite3.Connection", table: "Table") -> tuple[Sample, ...]:
    """Up to three rows of a table that is gone. Raises sqlite3.Error."""
    shown = {c.name: f"a.{_q(c.name)}" for c in table.data[:CHUNK]}
    return _rows(connection, f"FROM main.{_q(table.name)} AS a", shown)


def _rows(connection: "sqlite3.Connection", rest: str, shown: dict[str, str]) -> tuple[Sample, ...]:
    rows = check.ask(connection, f"SELECT {', '.join(shown.values())} {rest} LIMIT {SAMPLES}")
    return tuple(dict(zip(shown, map(_short, row), strict=True)) for row in rows)


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _something(value: str) -> str:
    return f"+{value} COLLATE BINARY NOT IN ('', x'')"


def _same(old: str, new: str) -> str:
    # Unary plus takes the column's affinity away: '007' must not equal 7
    # (sqlite.org/datatype3.html, 4.2). A value that another type holds as well is the same.
    return (
        f"(+{old} IS +{new} COLLATE BINARY OR (typeof({old}) <> typeof({new}) AND "
        f"CAST({old} AS TEXT) = CAST({new} AS TEXT) COLLATE BINARY AND "
        f"(typeof({old}) <> 'real' OR CAST({new} AS REAL) = {old})))"
    )


class _Pair:
    def __init__(self, connection: "sqlite3.Connection", before: "Table", after: "Table") -> None:
        self.connection, self.before, self.after = connection, before, after
        there = after.columns
        self.columns = {
            name: name for name in (c.name.lower() for c in before.data) if name in there
        }
        self.gone = [c for c in before.data if c.name.lower() not in self.columns]
        self.new = [c for c in after.data if c.name.lower() not in before.columns]
        self._pair_keys()
        self.on, self.mark, self.certain = self._identity()
        self._pair_renamed()

    def compare(self) -> TableChange:
        found = self._joined() if self.on else None
        if found is None or (found.lost and not self.certain):
            counted = self._counted()
            found = counted if found is None or counted.gone < found.lost else found
        missing = tuple(change for column in self.gone if (change := self._gone(column)).gone)
        return found._replace(
            columns=(*found.columns, *missing),
            gone_columns=tuple(column.name for column in self.gone),
            new_columns=tuple(column.name for column in self.new),
            renamed=tuple((a.name, b.name) for a, b, _, _ in self._pairs() if a.name != b.name),
        )

    def _ask(self, sql: str) -> list[Any]:
        return check.ask(self.connection, sql)

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
        a, b = f"a.{_q(old.name)}", f"b.{_q(new.name)}"
        differ = f"SELECT 1 {self._from('JOIN')} WHERE NOT {_same(a, b)} LIMIT 1"
        if self._ask(differ):
            return False
        distinct = f"SELECT count(DISTINCT {a}) FROM main.{_q(self.before.name)} AS a"  # noqa: S608
        alike = (old.required, old.default) == (new.required, new.default)
        return (alike and self._place(old) == self._place(new)) or self._ask(distinct)[0][0] > 1

    def _place(self, column: "Column") -> int:
        """How many of the columns that stayed come before this one."""
        old = column.name.lower() in self.before.columns
        table = self.before if old else self.after
        stayed = self.columns.keys() if old else self.columns.values()
        names = list(table.columns)
        return sum(name in stayed for name in names[: names.index(column.name.lower())])

    def _identity(self) -> tuple[str, str, bool]:
        """The join's condition, what tells that it found a row, whether the key must hold."""
        old, new = self.before.key, self.after.key
        if old and [self.columns.get(c.name.lower()) for c in old] == [c.name.lower() for c in new]:
            is_rowid = len(old) == 1 and self.before.rowid and old[0].type == "INTEGER"
            binary = "" if is_rowid else " COLLATE BINARY"
            pairs = [
                f"b.{_q(b.name)} = a.{_q(a.name)}{binary}" for a, b in zip(old, new, strict=True)
            ]
            filled = is_rowid or all(c.required for c in old) or not self.before.rowid
            return " AND ".join(pairs), f"b.{_q(new[0].name)}", filled
        if self.before.rowid_name and self.after.rowid_name:
            mark = f"b.{self.after.rowid_name}"
            return f"{mark} = a.{self.before.rowid_name}", mark, False
        return "", "", False

    def _from(self, join: str) -> str:
        before, after = _q(self.before.name), _q(self.after.name)
        return f"FROM main.{before} AS a {join} after.{after} AS b ON {self.on}"

    def _pairs(self) -> "Iterator[tuple[Column, Column, str, str]]":
        for old, new in self.columns.items():
            a, b = self.before.columns[old], self.after.columns[new]
            yield a, b, f"a.{_q(a.name)}", f"b.{_q(b.name)}"

    def _joined(self) -> TableChange:
        pairs = list(self._pairs())
        old = ", ".join(f"+{a}" for _, _, a, _ in pairs)
        new = ", ".join(f"+{b} COLLATE BINARY" for _, _, _, b in pairs)
        differ = f"{self.mark} IS NOT NULL AND ({old}) IS NOT ({new})" if pairs else "0"
        [(before, matched, changed)] = self._ask(
            f"SELECT count(*), count({self.mark}), count(*) FILTER (WHERE {differ}) "
            f"{self._from('LEFT JOIN')}"
        )
        after = count(self.connection, "after", self.after)
        gone = before - matched
        return TableChange(
            self.before.name,
            self.after.name,
            before,
            after,
            gone,
            after - matched,
            changed,
            tuple(self._values()) if changed else (),
            samples=self._samples(f"{self._from('LEFT JOIN')} WHERE {self.mark} IS NULL")
            if gone
            else (),
        )

    def _values(self) -> "Iterator[ColumnChange]":
        pairs = list(self._pairs())
        for start in range(0, len(pairs), CHUNK):
            chunk = pairs[start : start + CHUNK]
            sums = []
            for _, _, a, b in chunk:
                was, stays = _something(a), _something(b)
                sums += [
                    f"count(*) FILTER (WHERE {b} IS NULL AND {was})",
                    f"count(*) FILTER (WHERE {b} IS NOT NULL AND NOT {stays} AND {was})",
                    f"count(*) FILTER (WHERE {was} AND {stays} AND NOT {_same(a, b)})",
                ]
            [counts] = self._ask(f"SELECT {', '.join(sums)} {self._from('JOIN')}")
            for number, (old, new, a, b) in enumerate(chunk):
                nulled, blanked, overwritten = counts[3 * number : 3 * number + 3]
                if nulled or blanked or overwritten:
                    lost = f"{_something(a)} AND (({_something(b)}) IS NOT 1 OR NOT {_same(a, b)})"
                    samples = self._samples(
                        f"{self._from('JOIN')} WHERE {lost}", {"before": a, "after": b}
                    )
                    yield ColumnChange(
                        old.name,
                        new.name,
                        (old.type, new.type),
                        0,
                        nulled,
                        blanked,
                        overwritten,
                        samples,
                    )

    def _gone(self, column: "Column") -> ColumnChange:
        a = f"a.{_q(column.name)}"
        rest = f"FROM main.{_q(self.before.name)} AS a WHERE {_something(a)}"
        [(values,)] = self._ask(f"SELECT count(*) {rest}")
        samples = self._samples(rest, {"before": a}) if values else ()
        return ColumnChange(column.name, "", (column.type, ""), values, samples=samples)

    def _counted(self) -> TableChange:
        """By how often each whole row is there: exact, and slower."""
        pairs = list(self._pairs())
        if not pairs:
            pairs, old, new = [], "1 AS c0", "1"
        else:
            old = ", ".join(f"+{a} COLLATE BINARY AS c{n}" for n, (_, _, a, _) in enumerate(pairs))
            new = ", ".join(f"+{b}" for _, _, _, b in pairs)
        groups = ", ".join(f"c{n}" for n in range(max(1, len(pairs))))
        rows = (
            f"(SELECT {groups}, sum(side) AS n FROM "  # noqa: S608
            f"(SELECT 1 AS side, {old} FROM main.{_q(self.before.name)} AS a UNION ALL "
            f"SELECT -1, {new} FROM after.{_q(self.after.name)} AS b) GROUP BY {groups})"
        )
        [(gone, added)] = self._ask(
            f"SELECT coalesce(sum(max(n, 0)), 0), coalesce(sum(max(-n, 0)), 0) FROM {rows}"  # noqa: S608
        )
        shown = {old.name: f"c{n}" for n, (old, _, _, _) in enumerate(pairs)} or {"row": "c0"}
        return TableChange(
            self.before.name,
            self.after.name,
            count(self.connection, "main", self.before),
            count(self.connection, "after", self.after),
            gone,
            added,
            samples=_rows(self.connection, f"FROM {rows} WHERE n > 0", shown) if gone else (),
        )

    def _samples(self, rest: str, values: dict[str, str] | None = None) -> tuple[Sample, ...]:
        """Up to three rows by their key, with ``values`` or every column."""
        shown = {c.name: f"a.{_q(c.name)}" for c in self.before.key}
        if not shown and self.before.rowid_name:
            shown = {"rowid": f"a.{self.before.rowid_name}"}
        if values is None:
            values = {c.name: f"a.{_q(c.name)}" for c in self.before.data[:CHUNK]}
        return _rows(self.connection, rest, {**shown, **values})


def _short(value: object) -> object:
    """A value for the report: not a megabyte of it."""
    if isinstance(value, bytes):
        dots = "…" if len(value) > 16 else ""
        return f"x'{value[:16].hex()}{dots}' ({len(value):,} bytes)"
    if isinstance(value, str) and len(value) > 60:
        return f"{value[:60]}… ({len(value):,} characters)"
    return value
