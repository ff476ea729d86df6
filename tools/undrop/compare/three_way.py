"""What theirs did since the base, worked out to be done to ours."""

from typing import TYPE_CHECKING

from undrop.compare import matching
from undrop.compare.matching import Shared
from undrop.compare.merge import (
    BOTH,
    GONE,
    NO_PLACE,
    TAKEN,
    Conflict,
    Merge,
    Ops,
    Prefer,
    Sides,
)
from undrop.compare.pairing import something
from undrop.compare.structure import fold
from undrop.compare.whole_rows import constant, more, whole_rows
from undrop.compare.worker import Worker, without_text
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undrop.compare.structure import Column, Table
    from undrop.sqlitefile.connect import Connection


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
            conflicts += _stray(connection, base, theirs, unknown=matches.unknown)
    return Merge(ops, conflicts)


def _stray(
    connection: "Connection", base: "Table | None", theirs: "Table", *, unknown: bool
) -> "Iterator[Conflict]":
    """What theirs has since the base in a table that ours has not.

    What it has no more, too, where one of ours may be that table: else it goes with the table.
    """
    if base is None:
        sql = f"SELECT count(*) FROM theirs.{quoted(theirs.name)}"  # noqa: S608
        yield Conflict(theirs.name, {}, NO_PLACE, theirs=connection.ask(sql)[0][0])
        return
    pairs = [(base.columns[fold(c.name)], c) for c in theirs.data if fold(c.name) in base.columns]
    sides = [(f"theirs.{quoted(theirs.name)}", [c for _, c in pairs])]
    sides.append((f"base.{quoted(base.name)}", [c for c, _ in pairs]))
    for one, other in (sides, sides[::-1])[: 1 + unknown]:
        for row in more(connection, one, other):
            values = dict(zip((column.name for _, column in pairs), row, strict=True))
            yield Conflict(theirs.name, values, NO_PLACE)


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
                test = f"{value} IS NOT NULL" if self.match.unknown else something(value)
                if base and kind == "changed":
                    other = f"NOT {self.equal('b', 't', Shared(base, base, theirs))}"
                    test = other if self.match.unknown else f"{test} AND {other}"
                elif (default := constant(self.connection, theirs)) is not None:
                    test += f" AND {value} IS NOT {default}"
                tests.append((theirs.name, f"({test})", "NULL", value))
            if tests:
                yield from self.by_column(self.rows(kind, *sides), "t", NO_PLACE, tests)


def _may_be_null(table: "Table", column: "Column") -> bool:
    """Whether a part of a key may be NULL (sqlite.org/lang_createtable.html, 3.5)."""
    return table.rowid and not table.key_is_rowid and not column.required
