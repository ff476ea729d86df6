"""What one side did since a base, worked out to be done to the other: by row, key and value.

Of three states of a database, *base*, *ours* and *theirs*, ours is ``main`` in SQL, as ``o``; the
others are attached, as ``b`` and ``t``. What theirs did since the base is written down in the file
that is attached as ``ops``, a table for each table of ours: rows to take away, to put in and to
change. Nothing is done to ours here. What both sides changed, and not alike, is a conflict.
"""

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from undrop.compare import matching
from undrop.compare.matching import Shared
from undrop.compare.pairing import SCAN, affinity, any_type, cells, exactly, same, something
from undrop.compare.structure import NO_TEXT, TEXT, fold
from undrop.errors import UndropError
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.compare.matching import Match
    from undrop.compare.structure import Column, Table
    from undrop.sqlitefile.connect import Connection

Prefer = Literal["ours", "theirs"] | None
"""Whose value it is where both changed it; None where nobody may say."""
MOST = 900  # columns: their values before and after are in one row, of which SQLite takes 2,000
CHUNK = 300  # results of one statement
BOTH = "both changed it"
GONE = "one side changed the row, the other took it away"
TAKEN = "the key is another row's there"
NO_PLACE = "there is no such column or table there"
UNKEYED = "the row has no key, and others have no column for its value"
NO_TEXT_KEPT = "it keeps no text that could be indexed anew"
FEWER = "the row is not there as often as it should go"


class Conflict(NamedTuple):
    """Something that is not done, because nobody can know whether it should be."""

    table: str
    """As ours calls it."""
    key: dict[str, object]
    """The row's, by column; all of its values where it has none; empty for a whole table."""
    why: str
    """One of the sentences above, or what the database says of the row."""
    column: str = ""
    """The one that it is about; empty for a row."""
    ours: object = None
    theirs: object = None
    """The two values; of a row those that differ, by column."""


class Ops(NamedTuple):
    """What is to be done to a table of ours."""

    number: int
    match: "Match"

    @property
    def table(self) -> "Table":
        """The table."""
        return self.match.ours

    @property
    def rows(self) -> str:
        """The table of ``ops`` that says what.

        ``n``; ``does``: ``put``, ``change`` or ``gone``; ``i…``: what the row is known by in ours
        (``identity``); ``r``: the rowid that it is to have, if that is no column; ``o…`` and
        ``d…``: its values before and after, in the order of ``Table.data``.
        """
        return f"ops.row_{self.number}"


class Into(NamedTuple):
    """A table of its own that recovered rows go into."""

    name: str
    columns: "tuple[Column, ...]"
    """As theirs has them; those of the key come first."""
    rows: str = "ops.into"
    """Its rows, with these columns."""


class Merge(NamedTuple):
    """What is to be done, and what is not."""

    ops: list[Ops]
    conflicts: list[Conflict]
    into: Into | None = None


class Sources(NamedTuple):
    """The three states, as backups; None for the live one."""

    ours: "Path | None"
    base: "Path | None"
    """None where ours is the base."""
    theirs: "Path | None"


class Sides(NamedTuple):
    """Three states that are attached, and how they compare."""

    connection: "Connection"
    to_ours: "Comparison | None"
    """From the base, or else from ours to it; None where ours is the base."""
    to_theirs: "Comparison"
    """From the base to theirs; where ours is the base, from theirs to ours."""
    kept: frozenset[str] = frozenset()
    """Full-text tables of ours that triggers keep, by folded name."""
    ours_first: bool = False
    """Whether ``to_ours`` begins with ours: where that is the older one."""
    where: "Callable[[Table, str], str] | None" = None
    """SQL for: it is a row of theirs of which an expression is true that somebody typed.

    None where SQLite itself can say that. Raises UsageError.
    """
    fetch: "Callable[[str], None] | None" = None
    """Have the rows of a table of theirs there that were left out since nothing in it differs."""


def identity(table: "Table") -> tuple[str, ...]:
    """What tells a table's rows apart, quoted; empty where nothing does."""
    if table.rowid_name:
        return (quoted(table.rowid_name),)
    return () if table.rowid else tuple(quoted(column.name) for column in table.key)


def work_out(sides: Sides, prefer: Prefer = None) -> Merge:
    """What theirs did since the base, for ours.

    Raises UndropError for tables of more columns than can be merged, sqlite3.Error.
    """
    assert sides.to_ours  # noqa: S101 - a merge has a base
    connection = sides.connection
    matches = matching.matches(
        connection, sides.to_ours, sides.to_theirs, ours_first=sides.ours_first
    )
    ops: list[Ops] = []
    conflicts: list[Conflict] = []
    for match in matches.tables:
        if match.shared and fold(match.ours.name) not in sides.kept:
            worker = _Merger(connection, Ops(len(ops), match), prefer)
            conflicts += worker.work()
            unkept = [*without_text(connection, worker.ops)]
            conflicts += unkept if prefer != "ours" else []
            ops.append(worker.ops)
    if prefer != "ours":
        for base, theirs in matches.strays:
            conflicts += _stray(connection, base, theirs)
    return Merge(ops, conflicts)


def without_text(connection: "Connection", ops: Ops) -> "Iterator[Conflict]":
    """Nothing is done to a full-text index that keeps no text (sqlite.org/fts5.html, 4.4.1)."""
    if ops.table.clauses.get(TEXT) == NO_TEXT and any(counts(connection, ops).values()):
        connection.execute(f"DELETE FROM {ops.rows}")  # noqa: S608 - our own
        yield Conflict(ops.table.name, {}, NO_TEXT_KEPT)


def counts(connection: "sqlite3.Connection", ops: Ops) -> dict[str, int]:
    """Rows to ``put``, to ``change``, and to be ``gone``."""
    sql = f"SELECT does, count(*) FROM {ops.rows} GROUP BY 1"  # noqa: S608 - our own
    return {"put": 0, "change": 0, "gone": 0, **dict(connection.execute(sql).fetchall())}


def _stray(connection: "Connection", base: "Table | None", theirs: "Table") -> "Iterator[Conflict]":
    """What theirs has since the base in a table that ours has not."""
    there = f"theirs.{quoted(theirs.name)}"
    if base is None:
        [(count,)] = connection.ask(f"SELECT count(*) FROM {there}")  # noqa: S608
        yield Conflict(theirs.name, {}, NO_PLACE, theirs=count)
        return
    stayed = [column for column in theirs.data if fold(column.name) in base.columns]
    old = ", ".join(quoted(base.columns[fold(column.name)].name) for column in stayed)
    new = ", ".join(quoted(column.name) for column in stayed)
    sql = f"SELECT {new} FROM {there} EXCEPT SELECT {old} FROM base.{quoted(base.name)}"  # noqa: S608
    for row in connection.execute(sql):
        values = dict(zip((column.name for column in stayed), row, strict=True))
        yield Conflict(theirs.name, values, NO_PLACE)


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
        return f"{side}.{quoted(_of(side, column).name)}"

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
        kind = _of(one, column).type
        if kind != _of(other, column).type:
            return f"(({same(a, b)}) IS 1)"
        typed = f" AND typeof({a}) = typeof({b})" if any_type(kind) else ""
        return f"({a} IS {b} COLLATE BINARY{typed})"

    def differ(self, one: str, other: str, columns: "Sequence[Shared]") -> str:
        """SQL for: one of these values differs."""
        alike = [c for c in columns if _of(one, c).type == _of(other, c).type]
        tests = [
            f"NOT {self.equal(one, other, column)}" for column in columns if column not in alike
        ]
        if alike:
            vectors = (
                ", ".join(exactly([(_of(side, c), self.cell(side, c)) for c in alike]))
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


def _of(side: str, column: Shared) -> "Column":
    return {"o": column.ours, "b": column.base, "t": column.theirs}[side]


class _Merger(Worker):
    """What theirs did to one table since the base."""

    def __init__(self, connection: "Connection", ops: Ops, prefer: Prefer) -> None:
        super().__init__(connection, ops)
        self.prefer = prefer
        self.kept = [
            Shared(base, base, theirs) for base, theirs in self.match.unplaced if base is not None
        ]
        """Columns of the base and theirs that ours has not."""

    def work(self) -> list[Conflict]:
        """Write it down; what cannot be done is returned."""
        found: list[Conflict] = []
        if self.keyed:
            joined = f"{self.source('t')} AS t LEFT JOIN {self.lookup('b', 't')} ON "
            joined += self.on("b", "t")
            missing = f"NOT ({self.has_key('b')})"
            differ = self.differ("b", "t", [*self.values, *self.kept])
            self.touch(f"iif({missing}, 'added', 'changed')", joined, "t", f"{missing} OR {differ}")
            joined = f"{self.source('b')} AS b LEFT JOIN {self.lookup('t', 'b')} ON "
            joined += self.on("t", "b")
            self.touch("'deleted'", joined, "b", f"NOT ({self.has_key('t')})")
            found += [*self._deleted(), *self._added(), *self._changed(), *self._no_place()]
        if not self.keyed or any(_may_be_null(self.match.base, c.base) for c in self.match.key):
            found += whole_rows(self, self.prefer, self.kept)
        self.end()
        return found

    def _deleted(self) -> "Iterator[Conflict]":
        rows = self.rows("deleted", "b", "o")
        changed = self.differ("b", "o", self.values)
        if self.prefer == "theirs":
            self.take_away(rows)
            return
        self.take_away(f"{rows} WHERE NOT {changed}")
        if self.prefer is None:
            yield from self.whole_conflicts(f"{rows} WHERE {changed}", "o", GONE)

    def _added(self) -> "Iterator[Conflict]":
        rows = self.rows("added", "t", "O")
        there = self.has_key("o")
        self.put(f"{rows} WHERE NOT ({there})")
        rows += f" WHERE {there} AND {self.differ('o', 't', self.values)}"
        if self.prefer == "theirs":
            self.change(rows, {fold(c.ours.name): self.cell("t", c) for c in self.values})
        elif self.prefer is None:
            yield from self.whole_conflicts(rows, "to", TAKEN)

    def _changed(self) -> "Iterator[Conflict]":
        rows = self.rows("changed", "t", "b", "O")
        missing = f"{rows} WHERE NOT ({self.has_key('o')})"
        # Where nothing changed that ours has a column for, nothing is missed.
        missing += f" AND {self.differ('b', 't', self.values)}"
        if self.prefer == "theirs":
            self.put(missing)
        elif self.prefer is None:
            yield from self.whole_conflicts(missing, "t", GONE)
        rows = self.rows("changed", "t", "b", "o")
        other = "t" if self.prefer == "theirs" else "o"
        self.change(
            rows,
            {
                fold(c.ours.name): f"CASE WHEN {self.equal('b', 't', c)} THEN {self.cell('o', c)} "
                f"WHEN {self.equal('b', 'o', c)} THEN {self.cell('t', c)} "
                f"ELSE {self.cell(other, c)} END"
                for c in self.values
            },
        )
        if self.prefer is None:
            tests = (
                (
                    c.ours.name,
                    f"(NOT {self.equal('b', 't', c)} AND NOT {self.equal('b', 'o', c)} "
                    f"AND NOT {self.equal('o', 't', c)})",
                    self.cell("o", c),
                    self.cell("t", c),
                )
                for c in self.values
            )
            yield from self.by_column(rows, "o", BOTH, tests)

    def _no_place(self) -> "Iterator[Conflict]":
        """Values that theirs wrote into columns that ours has not."""
        if self.prefer == "ours":
            return
        for kind, sides in (("added", ("t",)), ("changed", ("t", "b"))):
            tests = []
            for base, theirs in self.match.unplaced:
                value = f"t.{quoted(theirs.name)}"
                test = something(value)
                if base and kind == "changed":
                    test += f" AND NOT {self.equal('b', 't', Shared(base, base, theirs))}"
                elif (default := constant(self.connection, theirs)) is not None:
                    test += f" AND {value} IS NOT {default}"
                tests.append((theirs.name, f"({test})", "NULL", value))
            if tests:
                yield from self.by_column(self.rows(kind, *sides), "t", NO_PLACE, tests)


def constant(connection: "Connection", column: "Column") -> str | None:
    """SQL for the value that a row has where none was given; None where SQLite cannot tell."""
    if column.default is None:
        return None
    try:
        return str(connection.ask(f"SELECT quote({column.default})")[0][0])
    except Exception:  # noqa: BLE001 - another engine's words
        return None


def _may_be_null(table: "Table", column: "Column") -> bool:
    """Whether a part of a key may be NULL (sqlite.org/lang_createtable.html, 3.5)."""
    return table.rowid and not table.key_is_rowid and not column.required


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


def _kept(worker: Worker, kept: "Sequence[Shared]") -> "Iterator[Conflict]":
    """New rows of a table without a key, with values that ours has no column for."""
    columns = [*worker.match.shared, *kept]
    sides = []
    for side in "tb":
        listed = [f"{worker.cell(side, column)} COLLATE BINARY" for column in columns]
        for column in kept:
            value = worker.cell(side, column)
            default = constant(worker.connection, _of(side, column)) or "NULL"
            listed.append(f"{something(value)} AND {value} IS NOT {default}")
        sides.append(f"SELECT {', '.join(listed)} FROM {worker.source(side)} AS {side}")  # noqa: S608
    for row in worker.connection.ask(" EXCEPT ".join(sides)):
        values = dict(zip((column.theirs.name for column in columns), row, strict=False))
        for column, told in zip(kept, row[len(columns) :], strict=True):
            if told:
                value = values[column.theirs.name]
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
