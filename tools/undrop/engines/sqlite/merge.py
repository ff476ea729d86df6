"""A merge of three states on a work copy: done, checked, compared with what was asked."""

import re
import shutil
import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from undrop import durable
from undrop.compare import asked, encoding, files, merge, refused
from undrop.compare.merge import Conflict, Merge, Sides
from undrop.compare.structure import Clause, Structure, fold
from undrop.engines.sqlite import apply, fulltext, swap, workcopy
from undrop.engines.sqlite.apply import ForeignKeys, Script
from undrop.engines.sqlite.look import Look
from undrop.engines.sqlite.snapshot import ours
from undrop.engines.sqlite.work import File
from undrop.errors import LiveMovedError, UndropError
from undrop.recipes import Action
from undrop.sqlitefile import btree, check, connect, header, virtual
from undrop.sqlitefile.check import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from undrop.compare.merge import Into, Ops, Sources
    from undrop.engines.protocol import Log, State
    from undrop.engines.sqlite.snapshot import Snapshot
    from undrop.values import Session

SHARE = 4  # pages for a row that changes: with fewer, the whole file is sooner in place
NUMBERS = ("user_version", "application_id")
DIFFERS = "the merged copy is not what was asked for"


class Merged(File):
    """The work copy that came of it (``protocol.Merged``)."""

    def __init__(self, live: "Path", path: "Path", session: "Session", *, wal: bool) -> None:
        super().__init__(live, path, session, wal=wal, record=None)
        self.conflicts: list[Conflict] = []
        self.counts: dict[str, dict[str, int]] = {}
        self.set_aside: list[str] = []
        self.rows: tuple[Path, Script] | None = None
        """What changes live row by row, where that is the way."""
        self._is_live = False

    def replace_live(self, state: "State", log: "Log") -> float:
        """Make it the live content: whole, or by the same changes of rows."""
        if self.rows is None or state.snapshot is None:
            return super().replace_live(state, log)
        seconds = _change_live(ours(state.snapshot), *self.rows, log)
        with closing(Look(self._live, self._session)) as present:
            self._is_live = present.state(self.path).content == self.facts.digest
        return seconds

    def hand_over(self, target: "Path") -> bool:
        """Give the work copy away, where live is known to have its bytes."""
        return (self.rows is None or self._is_live) and super().hand_over(target)


@contextmanager
def merged(  # noqa: PLR0913 - what is merged, and how
    live: "Path",
    state: "State",
    session: "Session",
    sources: "Sources",
    work_out: "Callable[[Sides], Merge]",
    *,
    triggers: bool,
) -> "Iterator[Merged]":
    """What comes of ``work_out``, beside the live database, whose state is held.

    ``triggers``: all of them run. Raises UndropError, DamagedError.
    """
    kept = state.path
    assert kept is not None  # noqa: S101 - there is a database
    begin, theirs = sources.ours or kept, sources.theirs or kept
    durable.require_space(live.parent, 3 * durable.size(begin))
    work = workcopy.beside(live)
    operations = work.with_name(f"{work.name}-rows")  # swept as that is
    wal = bool(state.snapshot and ours(state.snapshot).wal)
    with durable.scratch(work), durable.scratch(operations):
        result = Merged(live, work, session, wal=wal)
        job = _Job(result, begin, operations, session)
        with _advised(), connect.explained(work, "merging"):
            job.work_out(sources, theirs, work_out, triggers=triggers)
            job.do()
        if sources.ours is None and job.changes * SHARE <= header.read(work).pages:
            result.rows = (operations, job.script)
        yield result


@contextmanager
def _advised() -> "Iterator[None]":
    """Say what there is to do about a table that only its application can write to."""
    try:
        yield
    except UndropError as error:
        if not re.search(r"(unknown|no such) function: ", error.what):
            raise
        raise UndropError(
            f"{error.what}; that function is the application's own, and no other program can write "
            "to a table that uses it",
            Action("diff", "live", "NAME", "--sql", typed=False),
            "prints statements that the application can run; or all of a backup:",
            Action("restore", "NAME", typed=False),
        ) from error


class _Job:
    def __init__(
        self, result: Merged, begin: "Path", operations: "Path", session: "Session"
    ) -> None:
        self.result, self.begin, self.operations, self.session = result, begin, operations, session
        self.script = Script([], [], [], {}, {}, {}, [])
        self.kept: frozenset[str] = frozenset()
        """Full-text tables that triggers keep, by folded name."""
        self.created = set[str]()
        """Tables that were asked for."""
        self.structure = Structure({}, {}, [], {})
        self.text = set[str]()
        """Tables that change, and full-text tables that their triggers write to; folded."""
        self.runs = False
        """Whether triggers run that may do anything."""

    @property
    def changes(self) -> int:
        """Rows that come, go or change."""
        return sum(sum(count.values()) for count in self.result.counts.values())

    def work_out(
        self,
        sources: "Sources",
        theirs: "Path",
        work_out: "Callable[[Sides], Merge]",
        *,
        triggers: bool,
    ) -> None:
        """Compare the three, and write down what is to be done."""
        progress, base = self.session.progress, sources.base
        older = sources.ours is not None
        to_ours = None
        if base:
            one, other = (self.begin, base) if older else (base, self.begin)
            to_ours = files.compare(one, other, progress, version_table="")
        one, other = (base, theirs) if base else (theirs, self.begin)
        to_theirs = files.compare(one, other, progress, version_table="")
        with ExitStack() as stack:
            connection = self._attached(base, theirs, stack)
            compared = to_ours or to_theirs
            structure = compared.structure_before if older else compared.structure_after
            tables = list(structure.tables.values())
            aside, kept = apply.triggers(self.begin, tables)
            self.kept = frozenset().union(*kept.values())
            self.structure = structure
            sides = Sides(connection, to_ours, to_theirs, self.kept, ours_first=older)
            done: list[Merge] = []
            with check.beside(
                [connection],
                lambda: done.append(work_out(sides)),
                lambda: progress("merge", 1, 1),
            ):
                pass
            counted = [(ops, merge.counts(connection, ops)) for ops in done[0].ops]
            needed = [ops for ops, count in counted if any(count.values())]
            needed.sort(key=lambda ops: fold(ops.table.name) in self.kept)  # triggers come first
            self.result.conflicts += done[0].conflicts
            numbers = _numbers(connection) if base else {}
            names = {fold(ops.table.name) for ops in needed}
            self.text = names.union(*(texts for table, texts in kept.items() if table in names))
            fired = [name for table in sorted(names) for name in aside.get(table, ())]
            again = {
                name: sql
                for table in sorted(names & aside.keys() if not triggers else ())
                for name, sql in apply.definitions(connection, table).items()
            }
            self.runs = bool(fired) and triggers
            self.script = Script(
                needed,
                _into(done[0].into),
                [] if triggers else fired,
                again,
                _counters(done[0].ops) if base else {},
                numbers,
                [],
            )
            self.result.set_aside = sorted(self.script.aside)
            self.created = {done[0].into.name} if done[0].into else set()

    def _attached(
        self, base: "Path | None", theirs: "Path", stack: ExitStack
    ) -> connect.Connection:
        sources = {"base": base, "theirs": theirs}
        connection = self._opened(stack)
        for name, path in sources.items():
            if path:
                alike, _ = stack.enter_context(encoding.alike(path, self.begin, None))
                connection.execute(f"ATTACH '{connect.uri(alike, 'immutable')}' AS {name}")
        return connection

    def _opened(self, stack: ExitStack) -> connect.Connection:
        """What the result begins as, with the file of operations."""
        connection = connect.connect(self.begin, "immutable")
        stack.callback(connection.close)
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute(f"PRAGMA mmap_size = {connect.MMAP}")
        # No quotation mark is in a URI.
        connection.execute(f"ATTACH '{connect.uri(self.operations, 'rw')}' AS ops")
        connection.execute("PRAGMA ops.journal_mode = OFF")
        connection.execute("PRAGMA ops.synchronous = OFF")
        return connection

    def do(self) -> None:
        """Do it to the work copy, less what that refuses; check it, and what it came to."""
        self._apply()
        work = self.result.path
        if wrong := self._unsound():
            shutil.copyfile(self.begin, work)
            before = self._unsound()
            self.script = self.script._replace(rebuilt=sorted(wrong - before))
            self._apply()
            if left := self._unsound() - before:
                raise UndropError(
                    f"{DIFFERS}: full-text index {', '.join(left)} does not match its rows",
                    "the same without that table",
                )
        if not self.runs:
            self._refuse_other_changes()
        header.settle(work)
        self.result.facts = check.verify(work, self.session)

    def _apply(self) -> None:
        work = self.result.path
        shutil.copyfile(self.begin, work)
        header.set_journal_mode(work, header.ROLLBACK)
        with closing(apply.opened(work, self.operations)) as connection:
            connection.execute("PRAGMA main.synchronous = OFF")
            with check.beside(
                [connection],
                lambda: self._until_none_is_refused(connection),
                lambda: self.session.progress("merge", 1, 1),
            ):
                pass

    def _until_none_is_refused(self, connection: sqlite3.Connection) -> None:
        while True:
            connection.execute("BEGIN IMMEDIATE")
            keys = ForeignKeys(connection, self.script.ops)
            not_taken = apply.run(connection, self.script) or keys.broken()
            if not not_taken:
                self._require_done(connection)
                connection.execute("COMMIT")
                break
            connection.execute("ROLLBACK")
            self.result.conflicts += refused.drop(connection, not_taken)
        self.result.counts = {
            ops.table.name: merge.counts(connection, ops) for ops in self.script.ops
        }

    def _require_done(self, connection: sqlite3.Connection) -> None:
        """Every row that was to come is there as it was to be; no row that was to go."""
        for ops in self.script.ops:
            for sql in _undone(ops):
                [(count,)] = connection.execute(sql).fetchall()
                if count:
                    raise UndropError(
                        f"{DIFFERS}: {count:,} row(s) of {ops.table.name}",
                        "the same without that table",
                    )

    def _unsound(self) -> set[str]:
        """Full-text indexes of what changed that do not match their rows."""

        def among(name: str, definition: str) -> bool:
            return bool({fold(name), fold(virtual.content(definition) or "")} & self.text)

        return {*fulltext.unsound(self.result.path, self.session.progress, among=among)}

    def _refuse_other_changes(self) -> None:
        """Nothing else than what was asked for may have changed."""
        work = self.result.path
        roots = {table.root for table in self.structure.tables.values()} - {0}
        untouched = btree.untouched(self.begin, work, roots)
        with ExitStack() as stack:
            connection = self._opened(stack)
            connection.execute(f"ATTACH '{connect.uri(work, 'immutable')}' AS done")
            before, after = (
                connection.ask(
                    f"SELECT type, name, sql FROM {schema}.sqlite_master "  # noqa: S608 - ours
                    "WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY 1, 2"
                )
                for schema in ("main", "done")
            )
            wrong = sorted({row[1] for row in {*before} ^ {*after}} - self.created)
            ops = self.script.ops
            with check.beside(
                [connection],
                lambda: wrong.extend(
                    asked.otherwise(connection, self.structure, ops, untouched, self.kept)
                ),
                lambda: self.session.progress("merge", 1, 1),
            ):
                pass
        if wrong:
            raise UndropError(
                f"{DIFFERS}: {', '.join(sorted(wrong))} would change otherwise",
                "the same without that table",
            )


def _numbers(connection: connect.Connection) -> dict[str, int]:
    """What theirs changed of SQLite's numbers for the application, where ours did not."""
    changed = {}
    for name in NUMBERS:
        one, base, other = (
            connection.ask(f"PRAGMA {schema}.{name}")[0][0] for schema in ("main", "base", "theirs")
        )
        if base != other and one == base:
            changed[name] = int(other)
    return changed


def _into(into: "Into | None") -> list[str]:
    """Statements that make a table of recovered rows."""
    if into is None:
        return []
    listed = [f"{quoted(column.name)} {column.type}".rstrip() for column in into.columns]
    if keys := [quoted(column.name) for column in into.columns if column.key]:
        listed.append(f"PRIMARY KEY ({', '.join(keys)})")
    name = f"main.{quoted(into.name)}"
    return [
        f"CREATE TABLE {name} ({', '.join(listed)})",
        f"INSERT INTO {name} SELECT * FROM {into.rows}",  # noqa: S608 - quoted
    ]


def _counters(ops: "list[Ops]") -> dict[str, int]:
    """The highest number that AUTOINCREMENT gave out on any side, by table of ours."""
    matches = [each.match for each in ops if each.table.clauses.get(Clause("AUTOINCREMENT"))]
    last = {m.ours.name: (m.ours.counter, max(m.base.counter, m.theirs.counter)) for m in matches}
    return {name: theirs for name, (own, theirs) in last.items() if theirs > own}


def _undone(ops: "Ops") -> "Iterator[str]":
    """SQL that counts rows that are not as they were to be; none where no key tells them.

    One with NULL in its key is compared as a whole (``asked``).
    """
    match = ops.match
    places = {fold(column.name): n for n, column in enumerate(ops.table.data)}
    keys = [(c.ours.name, places[fold(c.ours.name)]) for c in match.key]
    if not keys:
        return
    given = [(c.ours.name, places[fold(c.ours.name)]) for c in match.shared]
    table = f"main.{quoted(ops.table.name)} AS o"
    there, gone = (
        " AND ".join(f"o.{quoted(name)} = x.{side}{n} COLLATE BINARY" for name, n in keys)
        for side in "do"
    )
    known = " AND ".join(f"x.d{n} IS NOT NULL" for _, n in keys)
    values = (
        ", ".join(f"o.{quoted(name)} COLLATE BINARY" for name, _ in given),
        ", ".join(f"x.d{n}" for _, n in given),
    )
    yield (
        f"SELECT count(*) FROM {ops.rows} AS x WHERE does <> 'gone' AND {known} AND NOT EXISTS "  # noqa: S608
        f"(SELECT 1 FROM {table} WHERE {there} AND ({values[0]}) IS ({values[1]}))"
    )
    again = " AND ".join(f"y.d{n} = x.o{n}" for _, n in keys)
    yield (
        f"SELECT count(*) FROM {ops.rows} AS x WHERE does = 'gone' AND EXISTS "  # noqa: S608
        f"(SELECT 1 FROM {table} WHERE {gone}) AND NOT EXISTS "
        f"(SELECT 1 FROM {ops.rows} AS y WHERE does = 'put' AND {again})"
    )


def _change_live(snapshot: "Snapshot", operations: "Path", script: Script, log: "Log") -> float:
    """The same in the live database, in one transaction, if it still is what ``snapshot`` saw.

    Returns how long, in seconds, others could not write. Raises as ``swap.swap``.
    """
    session = snapshot.session
    snapshot.release()
    with (
        log,
        connect.explained(snapshot.path, "changing rows", session.patience),
        closing(apply.opened(snapshot.path, operations, operations_mode="immutable")) as live,
    ):
        live.execute("PRAGMA main.synchronous = FULL")
        if snapshot.hold:
            # As late as can be. What somebody commits now, the comparison sees.
            snapshot.let_write()
        snapshot.replacing = True
        connect.begin(live, session.patience, "BEGIN IMMEDIATE")
        began = time.monotonic()
        try:
            _refuse_moved(snapshot)
            if apply.run(live, script):
                _refuse_moved(snapshot, always=True)
            _commit(live, session)
            session.changed = True
        except LiveMovedError:
            raise
        except BaseException as error:
            if live.in_transaction:
                live.execute("ROLLBACK")
            swap.settle_failure(live, snapshot, error)
            raise
    snapshot.let_go()
    return time.monotonic() - began


def _refuse_moved(snapshot: "Snapshot", *, always: bool = False) -> None:
    """What the copy took is refused by what is no copy alone."""
    if always or not snapshot.unchanged():
        raise LiveMovedError(
            "somebody wrote to the database", "the same again", writes=snapshot.writes()
        )


def _commit(live: sqlite3.Connection, session: "Session") -> None:
    """Wait for those who read, in rollback mode: nobody new comes in meanwhile.

    (sqlite.org/lockingv3.html, 3.0: PENDING.)
    """
    deadline = time.monotonic() + session.patience
    while True:
        try:
            live.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if not connect.is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.001)
        else:
            return
