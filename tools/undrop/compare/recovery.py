"""What live lacks, brought back from another state: rows, values, and what belongs to them.

Ours, in SQL ``main`` as ``o``, is live and the base; theirs, as ``t``, is the state that has more.
Nothing of ours goes, and nothing in it is overwritten that was not asked for.
"""

import re
import sqlite3
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop.compare import encoding, matching
from undrop.compare.matching import Match, Shared
from undrop.compare.merge import (
    MOST,
    NO_PLACE,
    TAKEN,
    Conflict,
    Into,
    Merge,
    Ops,
    Sides,
    Worker,
    counts,
    identity,
    without_text,
)
from undrop.compare.pairing import something
from undrop.compare.structure import Clause, fold
from undrop.errors import UndropError, UsageError
from undrop.recipes import Action
from undrop.sqlitefile import connect
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.compare.structure import Column, Reference, Table
    from undrop.sqlitefile.connect import Connection

OTHER = "live has another value"
ANOTHERS = "the key that it points to is another row's there"
READ, ASKS = sqlite3.SQLITE_READ, sqlite3.SQLITE_PRAGMA
LOOKS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION}


class Wish(NamedTuple):
    """What of one table is wanted back; names are those that theirs has, folded."""

    table: str
    rows: bool = False
    columns: frozenset[str] | None = frozenset()
    """Columns whose values are wanted; None for all."""


class Request(NamedTuple):
    """What is wanted back, and how."""

    wishes: tuple[Wish, ...]
    keys: tuple[str, ...] = ()
    """The values of the keys of the rows it is about, as somebody typed them; empty for all."""
    where: str = ""
    """An expression that is true of them."""
    overwrite: bool = False
    children: bool = False
    """With the rows that point to what comes back and went with it."""
    new_keys: bool = False
    """Rows whose key is another row's in live get a new one."""
    triggers: bool = False
    """All of live's triggers run, also those that do more than keep full text."""
    into: str = ""
    """The table of their own that rows go into which live's schema has no place for."""
    later: "tuple[Path, ...]" = ()
    """Some newer states: a key that was nobody's in one of them is another row's in live."""


class Along(NamedTuple):
    """Rows of another table that belong to what comes back."""

    table: str
    rows: int
    keys: list[dict[str, object]]
    """Some of them."""


class Recovery(NamedTuple):
    """What was worked out."""

    merge: Merge
    parents: list[Along]
    """They come along: a foreign key needs them."""
    children: list[Along]
    """They were gone with them; whether they come along was asked (``Request.children``)."""
    new_keys: dict[str, dict[int, int]]
    """The new keys that rows got, and those that they had, by table."""
    into_rows: int
    """How many go into a table of their own."""


def work_out(sides: "Sides", request: Request) -> Recovery:
    """What brings back what is wanted.

    Raises UsageError for what cannot be done so, UndropError, sqlite3.Error.
    """
    return _Job(sides, request).run()


def lost(
    path: "Path", live: "Path", comparison: "Comparison", request: Request
) -> tuple[int, bool]:
    """How many of the rows that were asked for by key or expression a state can give back.

    Those that live, of which ``live`` is a copy, has no row or no value for; and whether it has
    another one for any. Raises UsageError, UndropError.
    """
    with connect.explained(path, "looking for rows"), encoding.alike(path, live, None) as (one, _):
        connection = connect.connect(live, "immutable")
        try:
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            connection.execute(f"ATTACH '{connect.uri(one, 'immutable')}' AS theirs")
            connection.execute("ATTACH '' AS ops")  # (sqlite.org/inmemorydb.html#temp_db)
            sides = Sides(connection, None, comparison)
            plain = request._replace(overwrite=False, children=False, new_keys=False)
            done = work_out(sides, plain)
            wished = {wish.table for wish in request.wishes}
            tables = [ops for ops in done.merge.ops if fold(ops.match.theirs.name) in wished]
            rows = sum(sum(counts(connection, ops).values()) for ops in tables)
            return rows + done.into_rows, bool(done.merge.conflicts)
        finally:
            connection.close()


class _Job:
    def __init__(self, sides: "Sides", request: Request) -> None:
        self.sides, self.request = sides, request
        self.connection = sides.connection
        found = matching.since(sides.connection, sides.to_theirs)
        self.matches = {fold(match.theirs.name): match for match in found.tables}
        self.strays = {fold(theirs.name): theirs for _, theirs in found.strays}
        self.workers: dict[str, _Recoverer] = {}
        """By the folded name of theirs."""
        self.by_ours = {fold(match.ours.name): match for match in found.tables}

    def run(self) -> Recovery:
        into = None
        gone: list[Conflict] = []
        for wish in self.request.wishes:
            if theirs := self.strays.get(wish.table):
                into = self._into(theirs, list(theirs.data), into)
                continue
            match = self.matches[wish.table]
            if self.request.children and self.sides.fetch:
                self.sides.fetch(wish.table)
            unplaced = [
                column
                for _, column in match.unplaced
                if wish.columns is None or fold(column.name) in wish.columns
            ]
            named = unplaced if wish.columns else []
            if named:
                keys = [column for column in match.theirs.data if column.key]
                into = self._into(match.theirs, [*keys, *(c for c in named if not c.key)], into)
            elif unplaced:
                gone += self._without_place(match, unplaced)
            self.worker(match).wish(wish)
        self._parents()
        children = self._children()
        self._parents()
        done = sorted(self.workers.values(), key=self._depth)
        conflicts = [conflict for worker in done for conflict in worker.work()]
        said = {(conflict.table, conflict.column) for conflict in conflicts}
        conflicts += [each for each in gone if (each.table, each.column) not in said]
        for worker in done:
            conflicts += without_text(self.connection, worker.ops)
        parents = [worker.along("parent") for worker in done]
        gone_along = [along for along in children if along.rows]
        new = {worker.match.ours.name: worker.new_keys() for worker in done if worker.new}
        ops = [worker.ops for worker in done]
        for worker in done:
            worker.end()
        merge = Merge(ops, conflicts, into)
        rows = self.connection.ask(f"SELECT count(*) FROM {into.rows}")[0][0] if into else 0  # noqa: S608
        return Recovery(merge, [a for a in parents if a.rows], gone_along, new, int(rows))

    def worker(self, match: Match) -> "_Recoverer":
        """The table's."""
        name = fold(match.theirs.name)
        if name not in self.workers:
            ops = Ops(len(self.workers), match)
            self.workers[name] = _Recoverer(self.sides, ops, self.request, self.workers)
        return self.workers[name]

    def _without_place(self, match: Match, columns: "list[Column]") -> "Iterator[Conflict]":
        """Columns that live has not, with values in rows that were asked for."""
        picked = _picks(self.sides, match.theirs, self.request)
        ids = ", ".join(f"t.{name}" for name in identity(match.theirs))
        chosen = f" AND ({ids}) IN (SELECT * FROM {picked})" if picked else ""  # noqa: S608 - ours
        for column in columns:
            value = something(f"t.{quoted(column.name)}")
            sql = f"SELECT 1 FROM theirs.{quoted(match.theirs.name)} AS t WHERE {value}{chosen}"  # noqa: S608
            if self.connection.ask(f"{sql} LIMIT 1"):
                yield Conflict(match.ours.name, {}, NO_PLACE, column.name)

    def _into(self, theirs: "Table", columns: "list[Any]", other: Into | None) -> Into:
        request = self.request
        if not request.into:
            kind = "table" if fold(theirs.name) in self.strays else "column"
            said = self.said(theirs, kind)
            name = own_table(theirs.name if kind == "table" else said[0])
            raise UsageError(
                f"live's schema has no {kind} for that: its rows can go into a table of their own",
                Action("recover", "--into", name, *said),
                "; a migration can then move them with INSERT … SELECT, or UPDATE … FROM",
            )
        if other:
            raise UsageError(
                f"{request.into} has room for one of those names alone",
                "one name at a time",
            )
        sql = "SELECT 1 FROM main.sqlite_master WHERE name = ? COLLATE NOCASE"
        if self.connection.ask(sql, request.into) or len(columns) > MOST:
            raise UsageError(f"there is a {request.into} already", "another name")
        if fold(request.into).startswith("sqlite_"):
            raise UsageError(f"{request.into}: SQLite keeps such names for itself", "another name")
        listed = ", ".join(quoted(column.name) for column in columns)
        where = _picks(self.sides, theirs, request)
        chosen = ""
        if where is not None:
            ids = ", ".join(identity(theirs))
            chosen = f" WHERE ({ids}) IN (SELECT * FROM {where})"  # noqa: S608 - ours
        self.connection.execute(
            f"CREATE TABLE ops.into_rows AS SELECT {listed} FROM theirs.{quoted(theirs.name)}{chosen}"  # noqa: S608, E501
        )
        return Into(request.into, tuple(columns), "ops.into_rows")

    def said(self, theirs: "Table", kind: str) -> list[str]:
        """The names again that were typed for it."""
        if kind == "table":
            return [f"table {theirs.name}"]
        wanted = [wish for wish in self.request.wishes if wish.table == fold(theirs.name)]
        return [f"{theirs.name}.{column}" for wish in wanted for column in wish.columns or ()]

    def _parents(self) -> None:
        """What foreign keys of live need comes along, and what that needs."""
        while any(
            self._bring(worker, reference)
            for worker in [*self.workers.values()]
            for reference in worker.match.ours.references
        ):
            pass

    def _bring(self, child: "_Recoverer", reference: "Reference") -> int:
        match = self.by_ours.get(reference.parent)
        if match is None:
            return 0
        columns = [child.shared.get(name) for name in reference.columns]
        to = {fold(column.ours.name): column for column in match.shared}
        parents = [to.get(name) for name in reference.to]
        if None in columns or None in parents:
            return 0
        parent = self.worker(match)
        if not parent.keyed:
            return 0
        pairs = [(c, p) for c, p in zip(columns, parents, strict=True) if c and p]
        to_there = ", ".join(f"t.{quoted(p.theirs.name)}" for _, p in pairs)
        from_here = ", ".join(child.value_of("c", c) for c, _ in pairs)
        lacking = " AND ".join(
            f"o.{quoted(p.ours.name)} = t.{quoted(p.theirs.name)}" for _, p in pairs
        )
        values = {*reference.columns} & child.wanted_names
        coming = child.coming("c", *["value"] * bool(values)) if child.keyed else child.counted("c")
        rows = (
            f"{parent.source('t')} AS t WHERE ({to_there}) IN "  # noqa: S608 - ours
            f"(SELECT {from_here} FROM {coming}) AND NOT EXISTS "
            f"(SELECT 1 FROM {parent.source('o')} AS o WHERE {lacking})"
        )
        there = (
            f"{parent.pairs} WHERE ({to_there}) IN (SELECT {from_here} FROM {coming}) "  # noqa: S608
            f"AND {parent.is_another}"
        )
        return parent.add("parent", rows) + parent.add("taken", there)

    def _children(self) -> list[Along]:
        """Rows of theirs that live lacks and that point to what comes back; down to the last."""
        said: dict[str, Along] = {}
        waiting = [*self.workers.values()]
        while waiting:
            parent = waiting.pop()
            if not parent.keyed:
                continue
            for match in self.matches.values():
                for reference in match.theirs.references:
                    if reference.parent != fold(parent.match.theirs.name):
                        continue
                    child = self.worker(match)
                    if not child.keyed:
                        if rows := child.with_parents(self._points(parent, reference)):
                            said[match.ours.name] = Along(match.ours.name, rows, [])
                        continue
                    before = child.count("child")
                    if child.add("child", self._pointing(child, parent, reference)):
                        waiting.append(child)
                    if child.count("child") > before:
                        said[match.ours.name] = child.along("child")
        if not self.request.children:
            for worker in self.workers.values():
                worker.leave("child")
                worker.pointing.clear()
        return list(said.values())

    def _pointing(self, child: "_Recoverer", parent: "_Recoverer", reference: "Reference") -> str:
        return (
            f"{child.source('t')} AS t LEFT JOIN {child.lookup('o', 't')} ON {child.on('o', 't')} "
            f"WHERE NOT ({child.has_key('o')}) AND {self._points(parent, reference)}"
        )

    @staticmethod
    def _points(parent: "_Recoverer", reference: "Reference") -> str:
        """SQL for: the row points to one that comes back."""
        from_here = ", ".join(f"t.{quoted(column)}" for column in reference.columns)
        to_there = ", ".join(f"p.{quoted(column)}" for column in reference.to)
        return f"({from_here}) IN (SELECT {to_there} FROM {parent.coming('p', 'back')})"  # noqa: S608

    def _depth(self, worker: "_Recoverer", seen: "tuple[str, ...]" = ()) -> int:
        """How many tables are above this one by foreign keys: parents come first."""
        name = fold(worker.match.ours.name)
        above = {reference.parent for reference in worker.match.ours.references} - {name, *seen}
        others = [w for w in self.workers.values() if fold(w.match.ours.name) in above]
        return max((1 + self._depth(other, (*seen, name)) for other in others), default=0)


class _Recoverer(Worker):
    """One table, from which rows and values are brought back."""

    schemas = {"o": "main", "b": "main", "t": "theirs"}  # noqa: RUF012 - read only

    def __init__(
        self, sides: "Sides", ops: Ops, request: Request, others: "dict[str, _Recoverer]"
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
        table = _picks(self.sides, self.match.theirs, self.request)
        if table is None:
            return ""
        ids = ", ".join(f"t.{name}" for name in identity(self.match.theirs))
        return f" AND ({ids}) IN (SELECT * FROM {table})"  # noqa: S608 - ours

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
        from undrop.compare.merge import cells_of

        names = [f"c{n}" for n in range(len(self.match.shared))]
        chosen = [*self.pointing, *[f"(1{self._picked()})"] * any(w.rows for w in self.wishes)]
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


def own_table(name: str) -> str:
    """What a table of recovered rows is called, without a need for quotation marks."""
    return "recovered_" + re.sub(r"\W", "_", name)


def _picks(sides: "Sides", theirs: "Table", request: Request) -> str | None:
    """The rows of theirs that were asked for by key or expression; None for all.

    A table of what tells them apart. Raises UsageError.
    """
    if not (request.keys or request.where):
        return None
    connection = sides.connection
    ids = identity(theirs)
    name = f"undrop_picked_{theirs.root}_{abs(hash(theirs.name))}"
    there = "SELECT 1 FROM sqlite_temp_master WHERE name = ?"
    if connection.ask(there, name):
        return f"temp.{name}"
    if not ids:
        raise UsageError(f"nothing tells the rows of {theirs.name} apart", "the same without that")
    columns = ", ".join(f"i{n}" for n in range(len(ids)))
    if request.where and sides.where:
        test, values = _test(theirs, request._replace(where=""))
        test += f" AND {sides.where(theirs, request.where)}"
        sql = f"SELECT {', '.join(ids)} FROM theirs.{quoted(theirs.name)} WHERE {test}"  # noqa: S608
        rows = connection.execute(sql, values).fetchall()
    else:
        test, values = _test(theirs, request)
        sql = f"SELECT {', '.join(ids)} FROM theirs.{quoted(theirs.name)} WHERE {test}"  # noqa: S608
        rows = _read(connection, theirs, sql, values)
    connection.execute(f"CREATE TEMP TABLE {name} ({columns})")
    marks = ", ".join("?" * len(ids))
    connection.executemany(f"INSERT INTO temp.{name} VALUES ({marks})", rows)  # noqa: S608
    return f"temp.{name}"


def _test(theirs: "Table", request: Request) -> tuple[str, list[Any]]:
    """SQL for: the row was asked for; and the values in it. Raises UsageError."""
    tests = ["1"]
    values: list[Any] = []
    if request.keys:
        test, values = _by_keys(theirs, request.keys)
        tests.append(test)
    if request.where:
        tests.append(f"({request.where}\n)")
    return " AND ".join(tests), values


def _read(connection: "Connection", theirs: "Table", sql: str, values: list[Any]) -> list[Any]:
    """Rows by an expression of somebody's: it may read that table, and do nothing else."""

    def allow(action: int, one: str | None, *_: object) -> int:
        name = fold(one or "")  # a full-text table reads what it keeps its rows in
        own = name == fold(theirs.name) or (
            theirs.virtual and name.startswith(f"{fold(theirs.name)}_")
        )
        # It asks whether somebody else wrote to them (its fts5_index.c).
        asks = action == ASKS and theirs.virtual and one == "data_version"
        reads = (action == READ and own) or asks
        return sqlite3.SQLITE_OK if reads or action in LOOKS else sqlite3.SQLITE_DENY

    if theirs.virtual:  # whose module looks round when SQLite first meets it
        connection.execute(f"SELECT 1 FROM theirs.{quoted(theirs.name)} LIMIT 0")  # noqa: S608
    connection.set_authorizer(allow)
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        raise UsageError(
            f"SQLite says of that expression: {error}",
            "an expression over the columns of",
            theirs.name,
        ) from error
    finally:
        connection.set_authorizer(None)


def _by_keys(theirs: "Table", keys: tuple[str, ...]) -> tuple[str, list[Any]]:
    """SQL for: it is one of those keys, as somebody typed them; and their values."""
    names = [quoted(column.name) for column in theirs.key] or [quoted(theirs.rowid_name)]
    if len(keys) % len(names):
        raise UsageError(
            f"a key of {theirs.name} has {len(names)} values ({', '.join(names)})",
            "--key with the values of each, one after the other",
        )
    tests, values = [], list[Any]()
    for start in range(0, len(keys), len(names)):
        parts = []
        for name, text in zip(names, keys[start : start + len(names)], strict=True):
            meant = _meant(text)
            parts.append(f"{name} IN ({', '.join('?' * len(meant))})")
            values += meant
        tests.append(" AND ".join(parts))
    return f"({' OR '.join(f'({test})' for test in tests)})", values


def _meant(text: str) -> list[Any]:
    """What may be meant by a value that somebody typed."""
    meant: list[Any] = [text]
    for kind in (int, float):
        with suppress(ValueError):
            meant.append(kind(text))
            break
    if text[:2].lower() == "x'" and text.endswith("'"):
        with suppress(ValueError):
            meant.append(bytes.fromhex(text[2:-1]))
    return meant
