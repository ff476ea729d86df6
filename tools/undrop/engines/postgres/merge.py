"""A merge of three states: tried in a scratch database, checked, and then done to live.

What is to be done is worked out in SQLite files, as a comparison is, and done to the scratch
database that holds what the result begins with; the very statements then change the live one.
"""

import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from undrop.compare import merge, standing
from undrop.compare.merge import Conflict, Merge, Ops, Sides
from undrop.compare.structure import fold
from undrop.engines.postgres import (
    aside,
    content,
    exclusive,
    load,
    references,
    sequences,
    session,
)
from undrop.engines.postgres.operations import Operations
from undrop.engines.postgres.own_table import OwnTable
from undrop.engines.postgres.plan import Plan
from undrop.engines.postgres.states import States
from undrop.engines.postgres.structure import LARGE
from undrop.engines.postgres.trial import Trial
from undrop.errors import UndropError
from undrop.values import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from undrop.compare.merge import Sources
    from undrop.engines.postgres.site import Site
    from undrop.engines.protocol import Log, State
    from undrop.recipes import Text
    from undrop.sqlitefile.connect import Connection

NOT_MERGED = "the bytes of large objects are not merged"
DIFFERS = "the merged copy is not what was asked for"
LESS = "the same without that table"


class Sum(NamedTuple):
    """What a table, or the columns of it that are written, must hold in the end."""

    rows: str
    """As it stands after FROM."""
    content: tuple[int, str]


class Merged:
    """What comes of it (``protocol.Merged``)."""

    journal_mode = ""
    note: "Text" = ""

    def __init__(self, site: "Site", dump: Path | None, sqlite: "Connection") -> None:
        self._site, self._dump, self._sqlite = site, dump, sqlite
        self.facts = Facts(0, "", [], [])
        self.conflicts: list[Conflict] = []
        self.counts: dict[str, dict[str, int]] = {}
        self.set_aside: list[str] = []
        self.plan = Plan([], [], [])
        self.into: OwnTable | None = None
        self.numbers: dict[str, int] = {}
        """Where sequences must not stand below."""
        self.sums: dict[str, Sum] = {}
        """By the tables' names; none where triggers run of which nobody knows what they do."""

    def carry_over(self, _state: "State") -> None:
        """Nothing: no program beside us keeps its own in the database."""

    def hand_over(self, _target: Path) -> bool:
        """No: a scratch database is no dump."""
        return False

    def replace_live(self, state: "State", log: "Log") -> float:
        """Change rows of live, in one transaction; before that, load the dump that it begins with.

        Only for the second, and for what the server itself wants that for, readers wait as well.
        """
        began = time.monotonic()
        readers = self._dump is None
        with exclusive.exclusive(self._site, state, log, readers=readers) as (connection, there):
            ask = session.asker(connection)
            numbers = self.numbers
            if self._dump:
                numbers = sequences.behind(numbers, sequences.positions(connection, ask))
                exclusive.fill(self._site, state, load.Load(self._dump), connection, there)
            for operations in self.plan.tables.values():
                operations.load(connection, self._sqlite)
            for part in self.plan.parts():
                for sql in part.statements(""):
                    connection.execute(sql)
            if self.into:
                self.into.make(connection, self._sqlite)
            ask(session.GUARDED)  # no trigger runs any more
            sequences.forward(connection, ask, numbers)
            for name, each in self.sums.items():
                if content.sum_of(ask, each.rows) != each.content:
                    raise UndropError(f"{DIFFERS}: {name} would change otherwise", LESS)
        return time.monotonic() - began


@contextmanager
def merged(
    site: "Site",
    state: "State",
    sources: "Sources",
    work_out: "Callable[[Sides], Merge]",
    *,
    triggers: bool,
) -> "Iterator[Merged]":
    """What comes of ``work_out``; ``triggers``: all of them run. Raises UndropError."""
    kept = state.path
    assert kept is not None  # noqa: S101 - there is a database
    paths = {"ours": sources.ours or kept, "base": sources.base, "theirs": sources.theirs or kept}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix=site.prefix)))
        states = States(site, paths, folder, stack)
        sides = states.compared(stack, ours_first=sources.ours is not None)
        result = Merged(site, sources.ours, sides.connection)
        job = _Job(site, states, sides, result)
        job.work_out(work_out, triggers=triggers)
        job.do(folder / "done.db", in_live=sources.ours is None, triggers=triggers)
        yield result


class _Job:
    def __init__(self, site: "Site", states: States, sides: Sides, result: Merged) -> None:
        self.site, self.states, self.sides, self.result = site, states, sides, result
        self.ours = states.ours
        self.sums = self.ours.sums
        """What each table held before anything was done."""
        self.sqlite = sides.connection
        self.keys = references.read(self.ours.ask)
        self.ops: list[Ops] = []
        """Those with something to do."""
        self.foreseen = True
        """Whether no trigger runs of which nobody knows what it does."""

    def work_out(self, work_out: "Callable[[Sides], Merge]", *, triggers: bool) -> None:
        """Write down what is to be done."""
        result, progress = self.result, self.site.session.progress
        worked: list[Merge] = []
        standing.work(
            self.sqlite,
            lambda: worked.append(work_out(self.sides)),
            lambda: progress("merge", 1, 1),
        )
        [done] = worked
        self.ops = [ops for ops in done.ops if any(merge.counts(self.sqlite, ops).values())]
        tables = [self._operations(ops) for ops in self.ops]
        fired = aside.read(self.ours.connection, [each.source.name for each in tables])
        self.foreseen = not (triggers and fired)
        result.plan = Plan(tables, self.keys, fired, running=triggers)
        result.set_aside = sorted({each.name for each in fired if not triggers})
        result.conflicts = [*done.conflicts, *self._of_large_objects()]
        result.into = OwnTable(done.into, self.states.theirs) if done.into else None
        others = [
            (name, sequences.read(side.ask))
            for name, side in self.states.sides.items()
            if self.states.base and name != "ours"
        ]
        counters = sequences.read(self.ours.ask)
        result.numbers = sequences.wanted(counters, others, done.ops, self.sqlite)

    def _operations(self, ops: Ops) -> Operations:
        table, ours = ops.table, self.ours
        there = [side.source(fold(table.name), table) for side in self.states.sides_of(ours)]
        others = [source for source in there if source]
        source = ours.sources[fold(table.name)]
        return Operations(ops, source, others, encoded=ours.encoded)

    def _of_large_objects(self) -> "Iterator[Conflict]":
        base, theirs = self.states.base, self.states.theirs
        if base and base.sums.get(LARGE) != theirs.sums.get(LARGE):
            yield Conflict(LARGE, {}, NOT_MERGED)

    def do(self, done: Path, *, in_live: bool, triggers: bool) -> None:
        """Do it to the scratch database, less what that refuses; check what it came to."""
        result, plan = self.result, self.result.plan
        trial = Trial(self.ours.connection, self.sqlite, plan, self.keys, self.ours.sources)
        trial.alterable = {*plan.tables}
        for operations in plan.tables.values():
            operations.load(self.ours.connection, self.sqlite)
        if in_live and plan.tables:
            with session.opened(self.site.address, "asking what this user may do") as live:
                trial.alterable = aside.owned(live, plan.tables, set_aside=not triggers)
        trial.run()
        if result.into:
            result.into.make(self.ours.connection, self.sqlite)
        result.conflicts += trial.conflicts
        result.counts = {ops.table.name: merge.counts(self.sqlite, ops) for ops in self.ops}
        if self.foreseen:
            self._refuse_other_changes(done)
            result.sums = {
                name: total
                for name, total in self._sums().items()
                if name in plan.tables or not in_live
            }
        version_table = self.site.address.version_table
        whole = content.read(self.ours.ask, version_table=version_table)
        result.facts = Facts(0, "", whole.revisions, whole.filled, rows=whole.rows)

    def _sums(self) -> dict[str, Sum]:
        """What each table holds now."""
        tables, sources = self.result.plan.tables, self.ours.sources
        rows = {
            name: tables[name].given_rows() if name in tables else source.sql
            for name, source in sources.items()
        }
        return {name: Sum(each, content.sum_of(self.ours.ask, each)) for name, each in rows.items()}

    def _refuse_other_changes(self, done: Path) -> None:
        """Nothing else than what was asked for may have changed."""
        ours, touched = self.ours, self.result.plan.tables
        wrong = [
            name
            for name, source in ours.sources.items()
            if name not in touched and content.sum_of(ours.ask, source.sql) != self.sums[name]
        ]
        without = ours.structure.tables.keys() - touched.keys()
        self.states.write(ours, done, without)
        written = [
            (each.ops, [n for n in each.given if each.fields[n].alike]) for each in touched.values()
        ]
        wrong += standing.otherwise(self.sqlite, done, ours.structure, written, without)
        if wrong:
            raise UndropError(
                f"{DIFFERS}: {', '.join(sorted({*wrong}))} would change otherwise", LESS
            )
