"""One table of a merge: its three sides in SQL, how its rows are found and written down."""

import re
from typing import TYPE_CHECKING

from undrop.compare import merge
from undrop.compare.matching import Shared
from undrop.compare.merge import (
    MOST,
    NO_TEXT_KEPT,
    Conflict,
    Ops,
    identity,
)
from undrop.compare.pairing import SCAN, affinity, any_type, exactly, same
from undrop.compare.structure import NO_TEXT, TEXT, fold
from undrop.errors import UndropError
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from undrop.compare.structure import Column
    from undrop.sqlitefile.connect import Connection

CHUNK = 300  # results of one statement


class Worker:
    """One table: its sides in SQL, and how its rows are found and written down."""

    schemas: "dict[str, str]" = {"o": "main", "b": "base", "t": "theirs"}  # noqa: RUF012 - read only

    def __init__(self, connection: "Connection", ops: Ops) -> None:
        self.connection, self.ops, self.match = connection, ops, ops.match
        match = ops.match
        self.tables = {"o": match.ours, "b": match.base, "t": match.theirs}
        if max(len(table.data) for table in self.tables.values()) > MOST:
            raise UndropError(
                f"{match.ours.name} has more than {MOST} columns: it cannot be merged",
                "the same without it",
            )
        data = match.ours.data
        self.shared = {fold(column.ours.name): column for column in match.shared}
        self.values = [column for column in match.shared if column not in match.key]
        """The columns that are not in the key."""
        self.keyed = bool(match.key) or match.by_rowid
        self.identity = identity(match.ours)
        listed = [f"i{n}" for n in range(len(self.identity))]
        listed += ["r", *(f"o{n}" for n in range(len(data)))]
        listed += [f"d{n} {self._made(column)}" for n, column in enumerate(data)]
        connection.execute(
            f"CREATE TABLE {ops.rows} (n INTEGER PRIMARY KEY, does TEXT, {', '.join(listed)})"
        )

    def _made(self, column: "Column") -> str:
        """The type that makes of theirs what ours does (sqlite.org/datatype3.html, 3)."""
        shared = self.shared.get(fold(column.name))
        kind = affinity(column.type)
        if shared is None or affinity(shared.theirs.type) == kind:
            return ""
        return {"text": "TEXT", "numeric": "NUMERIC"}.get(kind, "")

    @property
    def touched(self) -> str:
        """The keys of rows that something was done to, and what: ``kind`` and ``k…``, as ``k``."""
        return f"temp.undrop_touched_{self.ops.number}"

    def source(self, side: str) -> str:
        """A side's table."""
        if side == "k":
            return self.touched
        return f"{self.schemas[side]}.{quoted(self.tables[side].name)}"

    def cell(self, side: str, column: Shared) -> str:
        """A value in SQL."""
        return f"{side}.{quoted(of(side, column).name)}"

    def key(self, side: str) -> list[str]:
        """The key's values in SQL."""
        if side == "k":
            return [f"k.k{n}" for n in range(len(self.key_names))]
        if self.match.by_rowid:
            return [f"{side}.{quoted(self.tables[side].rowid_name)}"]
        return [self.cell(side, column) for column in self.match.key]

    @property
    def key_names(self) -> list[str]:
        """What ours calls the key's columns."""
        if self.match.by_rowid:
            return [self.match.ours.rowid_name]
        return [column.ours.name for column in self.match.key]

    def on(self, side: str, known: str) -> str:
        """SQL for: the row of ``side`` that is looked for has the key of one that is known."""
        pairs = zip(self.key(side), self.key(known), strict=True)
        exact = "" if self.match.by_rowid or self.match.ours.key_is_rowid else " COLLATE BINARY"
        return " AND ".join(f"{a} = {b}{exact}" for a, b in pairs)

    def has_key(self, side: str) -> str:
        """SQL for: the row is there, and no part of its key is NULL."""
        return " AND ".join(f"{value} IS NOT NULL" for value in self.key(side))

    def lookup(self, side: str, known: str) -> str:
        """A side whose rows are looked up by the key of ``known``: itself, or a copy with an index.

        Frozen statistics, another collation or another type would have SQLite go through all of it
        for each row of the other.
        """
        joined = f"{self.source(known)} AS {known} CROSS JOIN {self.source(side)} AS {side}"
        explained = f"EXPLAIN QUERY PLAN SELECT 1 FROM {joined} ON {self.on(side, known)}"  # noqa: S608
        plan = [str(row[3]) for row in self.connection.ask(explained)]
        scan = re.compile(SCAN.pattern.replace(r"b\b", rf"{side}\b"))
        if not any(scan.match(step) and "VIRTUAL" not in step for step in plan):
            return f"{self.source(side)} AS {side}"
        table = self.tables[side]
        copy = f"undrop_{side}_{self.ops.number}"
        rowid = "" if table.key_is_rowid or not table.rowid_name else quoted(table.rowid_name)
        listed = [quoted(column.name) for column in table.data]
        listed += [f"{rowid} AS {rowid}"] if rowid else []
        there = "SELECT 1 FROM sqlite_temp_master WHERE name = ?"
        if not self.connection.ask(there, copy):
            self.connection.execute(
                f"CREATE TEMP TABLE {copy} AS SELECT {', '.join(listed)} FROM {self.source(side)}"  # noqa: S608
            )
            keys = ", ".join(value.removeprefix(f"{side}.") for value in self.key(side))
            self.connection.execute(f"CREATE INDEX temp.{copy}_key ON {copy} ({keys})")
        return f"temp.{copy} AS {side}"

    def touch(self, kind: str, sides: str, side: str, where: str) -> None:
        """Note the keys that rows have in ``side``; ``kind`` is SQL for what was done to them."""
        keys = ", ".join(f"k{n}" for n in range(len(self.key_names)))
        self.connection.execute(f"CREATE TABLE IF NOT EXISTS {self.touched} (kind, {keys})")
        self.connection.execute(
            f"INSERT INTO {self.touched} SELECT {kind}, {', '.join(self.key(side))} "  # noqa: S608
            f"FROM {sides} WHERE {self.has_key(side)} AND ({where})"
        )

    def rows(self, kind: str, *sides: str) -> str:
        """Rows that were touched in that way, as each side has them: what comes after FROM.

        Of a side in capitals the row may be missing.
        """
        joins = [
            f"{'LEFT JOIN' if side.isupper() else 'CROSS JOIN'} "
            f"{self.lookup(side.lower(), 'k')} ON {self.on(side.lower(), 'k')}"
            for side in sides
        ]
        return f"(SELECT * FROM {self.touched} WHERE kind = '{kind}') AS k {' '.join(joins)}"  # noqa: S608

    def write(self, does: str, rows: str, new: "Sequence[str]", rowid: str = "NULL") -> None:
        """Write rows down; ``rows`` is what comes after FROM, ``new`` the values to come."""
        old = does != "put"
        listed = ["does", *(f"i{n}" for n in range(len(self.identity))), "r"]
        listed += [f"{side}{n}" for side in "od" for n in range(len(new))]
        values = [f"'{does}'", *(f"o.{name}" if old else "NULL" for name in self.identity), rowid]
        values += [f"o.{quoted(c.name)}" if old else "NULL" for c in self.match.ours.data]
        self.connection.execute(
            f"INSERT INTO {self.ops.rows} ({', '.join(listed)}) "  # noqa: S608
            f"SELECT {', '.join([*values, *new])} FROM {rows}"
        )

    def put(self, rows: str) -> None:
        """Write down that theirs are to be put in."""
        new = [
            self.cell("t", self.shared[fold(column.name)])
            if fold(column.name) in self.shared
            else "NULL"
            for column in self.match.ours.data
        ]
        self.write("put", rows, new, self.rowid_of_theirs())

    def change(self, rows: str, value: "dict[str, str]") -> None:
        """Write down that rows change; ``value`` is SQL for the new ones by folded name."""
        data = self.match.ours.data
        new = [value.get(fold(column.name), f"o.{quoted(column.name)}") for column in data]
        self.write("change", rows, new, self.rowid_of_ours())
        vectors = (
            ", ".join(exactly([(column, f"{side}{n}") for n, column in enumerate(data)]))
            for side in "od"
        )
        self.connection.execute(
            f"DELETE FROM {self.ops.rows} WHERE does = 'change' AND "  # noqa: S608
            f"({next(vectors)}) IS ({next(vectors)})"
        )

    def take_away(self, rows: str) -> None:
        """Write down that rows of ours go."""
        self.write("gone", rows, ["NULL"] * len(self.match.ours.data))

    def rowid_of_ours(self) -> str:
        """SQL for the rowid that a changed row keeps."""
        ours = self.match.ours
        return (
            "NULL" if ours.key_is_rowid or not ours.rowid_name else f"o.{quoted(ours.rowid_name)}"
        )

    def rowid_of_theirs(self) -> str:
        """SQL for the rowid of a row that is put in: its own, where that is free."""
        ours, theirs = self.match.ours, self.match.theirs
        if ours.key_is_rowid or not ours.rowid_name or not theirs.rowid_name:
            return "NULL"
        rowid = f"t.{quoted(theirs.rowid_name)}"
        if self.match.by_rowid:
            return rowid
        same_rowid = f"x.{quoted(ours.rowid_name)} = {rowid}"
        taken = f"EXISTS (SELECT 1 FROM {self.source('o')} AS x WHERE {same_rowid})"  # noqa: S608
        return f"iif({taken}, NULL, {rowid})"

    def equal(self, one: str, other: str, column: Shared) -> str:
        """SQL for: the value is one and the same; what another type holds as well is."""
        a, b = self.cell(one, column), self.cell(other, column)
        kind = of(one, column).type
        if kind != of(other, column).type:
            return f"(({same(a, b)}) IS 1)"
        typed = f" AND typeof({a}) = typeof({b})" if any_type(kind) else ""
        return f"({a} IS {b} COLLATE BINARY{typed})"

    def differ(self, one: str, other: str, columns: "Sequence[Shared]") -> str:
        """SQL for: one of these values differs."""
        alike = [c for c in columns if of(one, c).type == of(other, c).type]
        tests = [
            f"NOT {self.equal(one, other, column)}" for column in columns if column not in alike
        ]
        if alike:
            vectors = (
                ", ".join(exactly([(of(side, c), self.cell(side, c)) for c in alike]))
                for side in (one, other)
            )
            tests.append(f"({next(vectors)}) IS NOT ({next(vectors)})")
        return f"({' OR '.join(tests)})" if tests else "0"

    def conflicts(
        self, rows: str, side: str, why: str, values: "tuple[str, str, str]" = ("", "NULL", "NULL")
    ) -> "Iterator[Conflict]":
        """One for each of these rows; ``values``: a column's name, and its two values in SQL."""
        name, ours, theirs = values
        listed = ", ".join([*self.key(side), ours, theirs])
        for *key, one, other in self.connection.ask(f"SELECT {listed} FROM {rows}"):  # noqa: S608
            known = dict(zip(self.key_names, key, strict=True))
            yield Conflict(self.match.ours.name, known, why, name, one, other)

    def whole_conflicts(self, rows: str, sides: str, why: str) -> "Iterator[Conflict]":
        """One for each of these rows, with its values in these sides, where they differ."""
        names = [column.ours.name for column in self.values]
        cells = [self.cell(side, column) for side in sides for column in self.values]
        listed = ", ".join([*self.key(sides[0]), *cells])
        for row in self.connection.ask(f"SELECT {listed} FROM {rows}"):  # noqa: S608
            known = dict(zip(self.key_names, row, strict=False))
            rest = row[len(known) :]
            has = {side: rest[at * len(names) :][: len(names)] for at, side in enumerate(sides)}
            one, other = has.get("o", ()), has.get("t", ())
            told = [n for n in range(len(names)) if not (one and other) or one[n] != other[n]]
            ours, theirs = ({names[n]: v[n] for n in told} if v else None for v in (one, other))
            yield Conflict(self.match.ours.name, known, why, "", ours, theirs)

    def by_column(
        self, rows: str, side: str, why: str, tests: "Iterable[tuple[str, str, str, str]]"
    ) -> "Iterator[Conflict]":
        """The same for each column whose test is true: its name, the test, the two values."""
        every = list(tests)
        hits: list[int] = []
        for start in range(0, len(every), CHUNK):
            sums = ", ".join(f"total({test})" for _, test, _, _ in every[start : start + CHUNK])
            hits += self.connection.ask(f"SELECT {sums} FROM {rows}")[0]  # noqa: S608
        for (name, test, ours, theirs), hit in zip(every, hits, strict=True):
            if hit:
                values = (name, ours, theirs)
                yield from self.conflicts(f"{rows} WHERE {test}", side, why, values)

    def end(self) -> None:
        """Leave nothing behind that is not asked for any more."""
        for name in (self.touched, *(f"temp.undrop_{s}_{self.ops.number}" for s in "obt")):
            self.connection.execute(f"DROP TABLE IF EXISTS {name}")


def of(side: str, column: Shared) -> "Column":
    """The column, as that side has it."""
    return {"o": column.ours, "b": column.base, "t": column.theirs}[side]


def without_text(connection: "Connection", ops: Ops) -> "Iterator[Conflict]":
    """Nothing is done to a full-text index that keeps no text (sqlite.org/fts5.html, 4.4.1)."""
    if ops.table.clauses.get(TEXT) == NO_TEXT and any(merge.counts(connection, ops).values()):
        connection.execute(f"DELETE FROM {ops.rows}")  # noqa: S608 - our own
        yield Conflict(ops.table.name, {}, NO_TEXT_KEPT)
