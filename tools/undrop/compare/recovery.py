"""What live lacks, brought back from another state: rows, values, and what belongs to them.

Ours, in SQL ``main`` as ``o``, is live and the base; theirs, as ``t``, is the state that has more.
Nothing of ours goes, and nothing in it is overwritten that was not asked for.
"""

import csv
import io
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from undrop.compare import encoding, matching, picked
from undrop.compare.matching import Match
from undrop.compare.merge import (
    MOST,
    NO_PLACE,
    Conflict,
    Into,
    Merge,
    Ops,
    Sides,
    counts,
)
from undrop.compare.pairing import something
from undrop.compare.recoverer import Along, Recoverer
from undrop.compare.structure import fold
from undrop.compare.wishes import Request
from undrop.compare.worker import without_text
from undrop.errors import UsageError
from undrop.recipes import Action
from undrop.sqlitefile import connect
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undrop.compare.comparison import Comparison
    from undrop.compare.matching import Match
    from undrop.compare.structure import Column, Reference, Table


def own_table(name: str) -> str:
    """What a table of recovered rows is called, without a need for quotation marks."""
    return "recovered_" + re.sub(r"\W", "_", name)


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
        self.workers: dict[str, Recoverer] = {}
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

    def worker(self, match: Match) -> "Recoverer":
        """The table's."""
        name = fold(match.theirs.name)
        if name not in self.workers:
            ops = Ops(len(self.workers), match)
            self.workers[name] = Recoverer(self.sides, ops, self.request, self.workers)
        return self.workers[name]

    def _without_place(self, match: Match, columns: "list[Column]") -> "Iterator[Conflict]":
        """Columns that live has not, with values in rows that were asked for."""
        keys, where = self.request.keys, self.request.where
        chosen = picked.among(self.sides, match.theirs, keys, where, "t")
        chosen = f" AND {chosen}" if chosen else ""
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
                Action("recover", "--into", name, *self._asked, *said),
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
        chosen = picked.among(self.sides, theirs, request.keys, request.where)
        chosen = f" WHERE {chosen}" if chosen else ""
        self.connection.execute(
            f"CREATE TABLE ops.into_rows AS SELECT {listed} FROM theirs.{quoted(theirs.name)}{chosen}"  # noqa: S608, E501
        )
        return Into(request.into, tuple(columns), "ops.into_rows")

    @property
    def _asked(self) -> list[str]:
        """Which state and rows it is about, as it is typed."""
        request, told = self.request, ["--from", self.request.source]
        if request.keys:
            text = io.StringIO()
            csv.writer(text, lineterminator="").writerow(request.keys)
            told += ["--key", text.getvalue()]
        return [*told, "--where", request.where] if request.where else told

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

    def _bring(self, child: "Recoverer", reference: "Reference") -> int:
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

    def _pointing(self, child: "Recoverer", parent: "Recoverer", reference: "Reference") -> str:
        return (
            f"{child.source('t')} AS t LEFT JOIN {child.lookup('o', 't')} ON {child.on('o', 't')} "
            f"WHERE NOT ({child.has_key('o')}) AND {self._points(parent, reference)}"
        )

    @staticmethod
    def _points(parent: "Recoverer", reference: "Reference") -> str:
        """SQL for: the row points to one that comes back."""
        from_here = ", ".join(f"t.{quoted(column)}" for column in reference.columns)
        to_there = ", ".join(f"p.{quoted(column)}" for column in reference.to)
        return f"({from_here}) IN (SELECT {to_there} FROM {parent.coming('p', 'back')})"  # noqa: S608

    def _depth(self, worker: "Recoverer", seen: "tuple[str, ...]" = ()) -> int:
        """How many tables are above this one by foreign keys: parents come first."""
        name = fold(worker.match.ours.name)
        above = {reference.parent for reference in worker.match.ours.references} - {name, *seen}
        others = [w for w in self.workers.values() if fold(w.match.ours.name) in above]
        return max((1 + self._depth(other, (*seen, name)) for other in others), default=0)
