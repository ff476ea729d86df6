"""One table from which rows and values are brought back; ours is live, and the base."""

import sqlite3
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from undrop.compare import picked
from undrop.compare.matching import Shared
from undrop.compare.merge import (
    NO_PLACE,
    TAKEN,
    Conflict,
    Ops,
    Sides,
)
from undrop.compare.pairing import something
from undrop.compare.structure import Clause, fold
from undrop.compare.whole_rows import cells_of
from undrop.compare.wishes import Request, Wish
from undrop.compare.worker import Worker
from undrop.errors import UndropError
from undrop.sqlitefile import connect
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from undrop.compare.structure import Column

OTHER = "live has another value"
ANOTHERS = "the key that it points to is another row's there"


class Along(NamedTuple):
    """Rows of another table that belong to what comes back."""

    table: str
    rows: int
    keys: list[dict[str, object]]
    """Some of them."""


class Recoverer(Worker):
    """One table, from which rows and values are brought back."""

    schemas = {"o": "main", "b": "main", "t": "theirs"}  # noqa: RUF012 - read only

    def __init__(
        self, sides: "Sides", ops: Ops, request: Request, others: "dict[str, Recoverer]"
    ) -> None:
        super().__init__(sides.connection, ops)
        self.sides, self.request, self.others = sides, request, others
        self.wishes: list[Wish] = []
        self.pointing: list[str] = []
        """SQL, each for: a row that no key tells from others points to one that comes back."""
        self.new = 0
        """Rows that got a new key."""
        keys = ", ".join(f"k{n}" for n in range(len(self.key_names) or 1))
        self.connection.execute(
            f"CREATE TABLE {self.touched} (kind, {keys}, UNIQUE ({keys}) ON CONFLICT IGNORE)"
        )

    @property
    def wanted(self) -> "list[Shared]":
        """Columns whose values are wanted."""
        every = any(wish.columns is None for wish in self.wishes)
        names = frozenset().union(*(wish.columns or frozenset() for wish in self.wishes))
        return [c for c in self.values if every or fold(c.theirs.name) in names]

    def wish(self, wish: Wish) -> None:
        """Note which rows it is about."""
        self.wishes.append(wish)
        if not self.keyed:
            return
        joined = f"{self.source('t')} AS t LEFT JOIN {self.lookup('o', 't')} ON {self.on('o', 't')}"
        there, picked = self.has_key("o"), self._picked()
        if wish.rows:
            self.add("row", f"{joined} WHERE NOT ({there}){picked}")
            self.add("taken", f"{joined} WHERE {there} AND {self._taken}{picked}")
            if self.request.children:  # they came back before
                self.add("back", f"{joined} WHERE {there} AND {self.was_gone}{picked}")
        if self.wanted:
            differ = self.differ("o", "t", self.wanted)
            self.add("value", f"{joined} WHERE {there} AND {differ}{picked}")

    def _picked(self) -> str:
        """SQL for: it is one of the rows that were asked for."""
        keys, where = self.request.keys, self.request.where
        chosen = picked.among(self.sides, self.match.theirs, keys, where, "t")
        return f" AND {chosen}" if chosen else ""

    @property
    def pairs(self) -> str:
        """Rows of theirs with ours of the same key: what comes after FROM."""
        return f"{self.source('t')} AS t CROSS JOIN {self.lookup('o', 't')} ON {self.on('o', 't')}"

    @cached_property
    def is_another(self) -> str:
        """SQL for: live has another row under that key, which SQLite gave out again.

        Where a newer state had no row under it, little of what the row says is the same; elsewhere
        nothing is, and it says something else: it was not emptied.
        """
        ours, theirs = self.match.ours, self.match.theirs
        if not (ours.key_is_rowid and theirs.key_is_rowid):
            return "0"  # who writes such a key means that row
        if ours.clauses.get(Clause("AUTOINCREMENT")):
            return "0"  # (sqlite.org/autoinc.html)
        total, alike, clash = (
            " + ".join(f"coalesce({test}, 0)" for test in tests) or "0"
            for tests in (
                [something(self.cell("t", c)) for c in self.values],
                [
                    f"({something(self.cell('t', c))} AND {self.equal('o', 't', c)})"
                    for c in self.values
                ],
                [
                    f"({something(self.cell('t', c))} AND {something(self.cell('o', c))} "
                    f"AND NOT {self.equal('o', 't', c)})"
                    for c in self.values
                ],
            )
        )
        tests = [f"({self.was_gone} AND ({total}) > 2 * ({alike}))"]
        if not self.request.overwrite:
            tests.append(f"(({clash}) > 1 AND ({alike}) = 0)")
        return f"({self.differ('o', 't', self.values)} AND ({' OR '.join(tests)}))"

    @property
    def _taken(self) -> str:
        """The same of rows that were asked for: somebody may name one, and say so."""
        if self.request.new_keys and self.request.keys and len(self.match.key) == 1:
            number = f"typeof({self.cell('t', self.match.key[0])}) = 'integer'"
            return f"({number} AND {self.differ('o', 't', self.values)})"
        return self.is_another

    def at_another(self, columns: "Iterable[Shared]") -> str:
        """SQL for: one of these of theirs points to a row whose key is another's in live."""
        names = {fold(column.ours.name) for column in columns}
        tests = ["0"]
        for reference in self.match.ours.references if not self.request.new_keys else ():
            shared = [self.shared.get(name) for name in reference.columns]
            for parent in self.others.values():
                if fold(parent.match.ours.name) != reference.parent or None in shared:
                    continue
                to = [parent.shared.get(name) for name in reference.to]
                if not names & {*reference.columns} or None in to or not parent.count("taken"):
                    continue
                mine = ", ".join(self.value_of("t", column) for column in shared if column)
                theirs = ", ".join(f"p.{quoted(column.theirs.name)}" for column in to if column)
                taken = parent.of_kinds("p", ["taken"])
                tests.append(f"({mine}) IN (SELECT {theirs} FROM {taken})")  # noqa: S608
        return f"(({' OR '.join(tests)}) IS 1)"

    @cached_property
    def was_gone(self) -> str:
        """SQL for: a newer state had no such row as live and theirs have now."""
        table = f"temp.undrop_gone_{self.ops.number}"
        names = ", ".join(f"k{n}" for n in range(len(self.key_names)))
        self.connection.execute(f"CREATE TABLE {table} ({names})")
        joined = self.pairs
        name = f"later.{quoted(self.match.theirs.name)}"
        columns = [quoted(c.theirs.name) for c in self.match.key] or [
            quoted(self.match.theirs.rowid_name)
        ]
        keys = self.key("t")
        there = " AND ".join(f"x.{c} = {key}" for c, key in zip(columns, keys, strict=True))
        wanted = "1" if self.request.children else self.differ("o", "t", self.values)
        for path in self.request.later:
            self.connection.execute(f"ATTACH '{connect.uri(path, 'immutable')}' AS later")
            with suppress(sqlite3.OperationalError):  # it had another name then, or another key
                self.connection.execute(
                    f"INSERT INTO {table} SELECT {', '.join(keys)} FROM {joined} WHERE {wanted} "  # noqa: S608
                    f"AND NOT EXISTS (SELECT 1 FROM {name} AS x WHERE {there})"
                )
            self.connection.execute("DETACH later")
        return f"({', '.join(keys)}) IN (SELECT * FROM {table})"  # noqa: S608 - ours

    def add(self, kind: str, rows: str) -> int:
        """Note rows of theirs; how many were not noted yet. ``rows`` is what comes after FROM."""
        where = " AND " if " WHERE " in rows else " WHERE "
        done = self.connection.execute(
            f"INSERT INTO {self.touched} SELECT '{kind}', {', '.join(self.key('t'))} "  # noqa: S608
            f"FROM {rows}{where}{self.has_key('t')}"
        )
        return done.rowcount

    def leave(self, kind: str) -> None:
        """Let rows be that were noted."""
        self.connection.execute(f"DELETE FROM {self.touched} WHERE kind = ?", [kind])  # noqa: S608

    def count(self, kind: str) -> int:
        """How many were noted."""
        sql = f"SELECT count(*) FROM {self.touched} WHERE kind = ?"  # noqa: S608 - ours
        return int(self.connection.ask(sql, kind)[0][0])

    def along(self, kind: str) -> Along:
        """Them, for people."""
        if not self.keyed:
            return Along(self.match.ours.name, 0, [])
        sql = f"SELECT * FROM {self.touched} WHERE kind = ? LIMIT 3"  # noqa: S608 - ours
        keys = [
            dict(zip(self.key_names, row[1:], strict=True))
            for row in self.connection.ask(sql, kind)
        ]
        return Along(self.match.ours.name, self.count(kind), keys)

    @property
    def wanted_names(self) -> set[str]:
        """What ours calls the columns whose values are wanted, folded."""
        return {fold(column.ours.name) for column in self.wanted}

    def coming(self, alias: str, *more: str) -> str:
        """Rows of theirs that come, and those of the kinds ``more``: what comes after FROM."""
        return self.of_kinds(
            alias, ["row", "parent", "child", *more, *["taken"] * self.request.new_keys]
        )

    def of_kinds(self, alias: str, kinds: list[str]) -> str:
        """Rows of theirs of these kinds: what comes after FROM."""
        pairs = zip(self.key("t"), self.key("k"), strict=True)
        on = " AND ".join(f"{a.replace('t.', f'{alias}.', 1)} = {k}" for a, k in pairs)
        chosen = ", ".join(f"'{kind}'" for kind in kinds)
        return (
            f"(SELECT * FROM {self.touched} WHERE kind IN ({chosen})) AS k "  # noqa: S608 - ours
            f"CROSS JOIN {self.source('t')} AS {alias} ON {on}"
        )

    def work(self) -> list[Conflict]:
        """Write down what comes back; what cannot is returned."""
        found: list[Conflict] = []
        left_out = self._left_out()
        if not self.keyed:
            found += self._whole()
            if left_out and self.connection.ask(f"SELECT 1 FROM {self.ops.rows} LIMIT 1"):  # noqa: S608
                name = self.match.ours.name
                found += [Conflict(name, {}, NO_PLACE, column.name) for column in left_out]
            return found
        if self.request.new_keys:
            self._with_new_keys()
        else:
            found += self.whole_conflicts(self.rows("taken", "t", "o"), "to", TAKEN)
        astray = self.at_another(self.match.shared)
        for kind in ("row", "parent", "child"):
            rows = self.rows(kind, "t")
            self.put(f"{rows} WHERE NOT {astray}")
            found += self.conflicts(f"{rows} WHERE {astray}", "t", ANOTHERS)
            cells = {column.name: f"t.{quoted(column.name)}" for column in left_out}
            tests = ((name, something(cell), "NULL", cell) for name, cell in cells.items())
            if cells:
                found += self.by_column(self.rows(kind, "t"), "t", NO_PLACE, tests)
        if self.wanted:
            found += self._values()
        return found

    def _left_out(self) -> "list[Column]":
        """Columns that live has no place for, and that go into no table of their own."""
        named: frozenset[str] = frozenset()
        if self.request.into:
            named = named.union(*(wish.columns or () for wish in self.wishes))
        return [theirs for _, theirs in self.match.unplaced if fold(theirs.name) not in named]

    def value_of(self, alias: str, column: "Shared") -> str:
        """A value of theirs, or of rows that no key tells apart, in SQL."""
        if self.keyed:
            return f"{alias}.{quoted(column.theirs.name)}"
        return f"{alias}.c{self.match.shared.index(column)}"

    def value(self, column: "Shared | None") -> str:
        """SQL for a value of a row that is put in: it points to where its parent is now."""
        if column is None:
            return "NULL"
        own = self.value_of("t", column)
        for reference in self.match.ours.references:
            if reference.columns == (fold(column.ours.name),):
                for other in self.others.values():
                    if other.new and fold(other.match.ours.name) == reference.parent:
                        moved = f"SELECT new FROM {other.moved} WHERE old = {own}"  # noqa: S608
                        own = f"coalesce(({moved}), {own})"
        return own

    def put(self, rows: str) -> None:
        """Write down that theirs are to be put in, pointing to where their parents are now."""
        data = self.match.ours.data
        new = [self.value(self.shared.get(fold(column.name))) for column in data]
        self.write("put", rows, new, self.rowid_of_theirs())

    def new_keys(self) -> dict[int, int]:
        """Which rows got one, by the new one."""
        return dict(self.connection.ask(f"SELECT new, old FROM {self.moved}"))  # noqa: S608 - ours

    @property
    def moved(self) -> str:
        """Keys that rows had, and those that they get."""
        return f"temp.undrop_moved_{self.ops.number}"

    def _with_new_keys(self) -> None:
        """Rows whose key is taken get one that nobody ever had."""
        if not self.count("taken"):
            return
        ours, theirs, key = self.match.ours, self.match.theirs, self.match.key
        whole = f"SELECT 1 FROM {self.touched} WHERE kind = 'taken' AND typeof(k0) <> 'integer'"  # noqa: S608
        if len(key) != 1 or self.connection.ask(whole):
            raise UndropError(
                f"the key of {ours.name} is no number: none can be given to its rows",
                "the same without --new-keys",
            )
        highest = [
            f"(SELECT max({self.cell(side, key[0])}) FROM {self.source(side)} AS {side})"  # noqa: S608
            for side in "ot"
        ]
        highest = [f"coalesce({each}, 0)" for each in highest]
        last = f"max({', '.join(highest)}, {ours.counter}, {theirs.counter})"
        self.connection.execute(
            f"CREATE TABLE {self.moved} AS SELECT k0 AS old, "  # noqa: S608 - ours
            f"{last} + row_number() OVER (ORDER BY k0) AS new "
            f"FROM {self.touched} WHERE kind = 'taken'"
        )
        self.new = self.count("taken")
        data = ours.data
        new = [
            "m.new"
            if self.shared.get(fold(column.name)) == key[0]
            else self.value(self.shared.get(fold(column.name)))
            for column in data
        ]
        rows = f"{self.rows('taken', 't')} CROSS JOIN {self.moved} AS m ON m.old = k.k0"
        self.write("put", rows, new)

    def _values(self) -> "Iterator[Conflict]":
        rows = self.rows("value", "t", "o")
        value = {}
        tests = []
        astrays = []
        for column in self.wanted:
            a, b = self.cell("t", column), self.cell("o", column)
            lost = f"({something(a)} AND ({something(b)}) IS NOT 1)"
            take = "1" if self.request.overwrite else lost
            astray = self.at_another([column])
            value[fold(column.ours.name)] = (
                f"CASE WHEN {take} AND NOT {astray} THEN {self.value(column)} ELSE {b} END"
            )
            clash = f"({something(a)} AND {something(b)} AND NOT {self.equal('o', 't', column)})"
            tests.append((column.ours.name, clash, b, a))
            astrays.append((column.ours.name, f"({take} AND {astray})", b, a))
        self.change(rows, value)
        yield from self.by_column(rows, "t", ANOTHERS, astrays)
        if not self.request.overwrite:
            yield from self.by_column(rows, "t", OTHER, tests)

    def with_parents(self, points: str) -> int:
        """Rows that no key tells apart go with those that they point to; how many that are."""
        if points not in self.pointing:
            self.pointing.append(points)
        if any(wish.rows for wish in self.wishes):
            return 0
        [(rows,)] = self.connection.ask(f"SELECT total(more) FROM {self.counted('t')}")  # noqa: S608
        return int(rows)

    def counted(self, alias: str) -> str:
        """Rows that no key tells apart: each as often (``more``) as theirs has it more."""
        names = [f"c{n}" for n in range(len(self.match.shared))]
        chosen = [*self.pointing]
        if any(wish.rows for wish in self.wishes):
            chosen.append(f"(1{self._picked()})")
        parts = []
        for side in "to":
            cells = zip(cells_of(self, side), names, strict=True)
            listed = ", ".join(f"+{cell} COLLATE BINARY AS {name}" for cell, name in cells)
            mine = f"({' OR '.join(chosen) or '0'})" if side == "t" else "0"
            parts.append(
                f"SELECT {listed}, {1 if side == 't' else -1} AS times, {mine} AS picked "  # noqa: S608
                f"FROM {self.source(side)} AS {side}"
            )
        groups = ", ".join(names)
        return (
            f"(SELECT {groups}, min(sum(times), sum(picked)) AS more "  # noqa: S608
            f"FROM ({' UNION ALL '.join(parts)}) GROUP BY {groups} "
            f"HAVING min(sum(times), sum(picked)) > 0) AS {alias}"
        )

    def _whole(self) -> "Iterator[Conflict]":
        """Rows that no key tells apart."""
        table = f"temp.undrop_counted_{self.ops.number}"
        self.connection.execute(f"CREATE TABLE {table} AS SELECT * FROM {self.counted('t')}")  # noqa: S608
        shared = self.match.shared
        astray = self.at_another(shared)
        numbers = f"numbers AS n ON n.number <= t.more WHERE NOT {astray}"
        [(most,)] = self.connection.ask(f"SELECT coalesce(max(more), 0) FROM {table}")  # noqa: S608
        if most:
            counting = (
                f"WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 "  # noqa: S608
                f"FROM numbers WHERE number < {most}) "
            )
            more = f"SELECT t.* FROM {table} AS t CROSS JOIN {numbers}"  # noqa: S608
            data = self.match.ours.data
            new = [self.value(self.shared.get(fold(column.name))) for column in data]
            self.write("put", f"({counting}{more}) AS t", new)
        for row in self.connection.ask(f"SELECT * FROM {table} AS t WHERE {astray}"):  # noqa: S608
            values = dict(zip((column.ours.name for column in shared), row, strict=False))
            yield Conflict(self.match.ours.name, values, ANOTHERS)
