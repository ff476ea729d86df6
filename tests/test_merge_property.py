"""Random schemas, a random step, random work of others since: ``undo --keep`` takes back the step.

What it should come to is worked out without the product's help: others' statements, run on the
state before the step; and where both changed a thing, a merge of three states in Python.

Seen failing, each against the product broken on purpose: no conflict for a row that one side took
away, for a value, for a key that was handed out again; keys compared by their collation, values
without their type; rows with NULL in the key left out; foreign keys not looked at; rows that were
to go left there; live's values taken for those from before.
"""

import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from random_steps import (
    Change,
    Maker,
    Names,
    Picture,
    Row,
    Rows,
    Step,
    Write,
    as_text,
    attempt,
    changes,
    opened,
    picture,
    q,
    touched,
    whole_row,
)
from shop import wal_of
from tally import FULL

from undrop import settings
from undrop.compare.merge import BOTH, GONE, TAKEN, Conflict
from undrop.steps import cover, undo
from undrop.steps.keep import ConflictsError, Keep
from undrop.store.lock import locked

SOME = 3
MANY = 1000 if FULL else 12
RANDOM = st.randoms(use_true_random=False)


def examples(count: int) -> hypothesis:
    """That many of them."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    # New ones are for torture; a run of CI is to fail for what has changed.
    return hypothesis(
        max_examples=count, deadline=None, suppress_health_check=slow, derandomize=not FULL
    )


class World:
    """A project in a folder of its own, whose application has the database open."""

    def __init__(self, folder: Path, rnd: random.Random) -> None:
        self.rnd, self.folder = rnd, folder
        self.live = folder / "live.db"
        text = '[tool.undrop]\nurl = "sqlite:///live.db"\nvault = false\n'
        folder.joinpath("pyproject.toml").write_text(text)
        self.maker = Maker(rnd, self.live)
        self.maker.make()
        self.before = Path(shutil.copy(self.live, folder / "before.db"))
        self.after = self.kept = self.before
        self.wal = self.maker.chance(0.5)

    def connect(self) -> sqlite3.Connection:
        """The application."""
        connection = as_text(sqlite3.connect(self.live, isolation_level=None))
        connection.execute(f"PRAGMA journal_mode = {'WAL' if self.wal else 'DELETE'}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection

    def step(self, application: sqlite3.Connection, *, schema: bool, losing: bool = False) -> Step:
        """Somebody's command, as ``undrop run`` has it; ``losing`` some rows at its end."""
        watched = cover.Watched("run", "before it")
        loaded = settings.load(self.folder)
        begun = cover.begin(loaded, watched)
        self.kept = loaded.backups / begun.name
        step = Step(self.maker)
        (step.schema if schema else step.rows)(application)
        if losing:
            step.lose(application)
        application.execute("PRAGMA foreign_keys = ON")
        cover.end(loaded, watched, begun)
        self.after = self.copy("after")
        return step

    def others_write(self, step: Step, application: sqlite3.Connection) -> None:
        """Others change a row, any one."""
        write = self.maker.write(application, self.rnd.choice(step.names).table)
        if write is not None:
            attempt(application, *write.sql())

    def copy(self, name: str) -> Path:
        """The state now, in a file beside it."""
        path = self.folder / f"{name}.db"
        with opened(self.live) as one, opened(path) as two:
            one.backup(two)
        return path

    def undo(self, keep: Keep | None = None) -> undo.Undone:
        with locked(settings.load(self.folder), print) as lock:
            return undo.undo(lock, keep=keep)


@contextmanager
def world(rnd: random.Random) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        yield World(Path(folder), rnd)


def canonical(changed: list[Change]) -> Counter[object]:
    """Changes that can be compared with those of another database."""
    told = []
    for table, key, was, now in changed:
        known = whole_row(key) or key
        told.append(repr((table, known, was and sorted(was.items()), now and sorted(now.items()))))
    return Counter(told)


def is_told(world: World, names: Names, write: Write) -> bool:
    """Whether a row stays the same one for who compares, though the step changed its columns.

    One with another key, or that changed and has none, is one that went and one that came: what
    the step's columns hold, or others' had held, has no place then.
    """
    [before] = [table for table in world.maker.tables if table.name == names.before]
    if {*names.columns} == {c.name for c in names.table.columns} and len(names.columns) == len(
        before.columns
    ):
        return True
    key = [c.name for c in names.table.columns[: names.table.key]]
    return write.verb == "INSERT INTO" or ([*write.where] == key and not {*write.cells} & {*key})


class Apart:
    """Others' random writes on rows that the step left alone, and the same on the state before.

    One that does not come to the same on both is none that is apart from the step.
    """

    def __init__(
        self, world: World, step: Step, live: sqlite3.Connection, before: sqlite3.Connection
    ) -> None:
        self.world, self.names, self.live, self.before = world, step.names, live, before
        with opened(world.after) as after:
            pair = picture(before, self.names, before=True), picture(after, self.names)
        self.of_step = touched(changes(*pair))
        left = {names.before for names in self.names}
        self.gone = [table.name for table in world.maker.tables if table.name not in left]
        """Tables that the step took away."""

    def write(self) -> None:
        """One of them, or none."""
        chosen = self.world.rnd.choice(self.names)
        write = self.world.maker.write(self.live, chosen.table)
        if write is None or not is_told(self.world, chosen, write):
            return
        shared = {*chosen.columns, chosen.table.rowid}
        cells = {name: value for name, value in write.cells.items() if name in shared}
        write = write._replace(cells=cells)
        if not cells and write.verb != "DELETE FROM":
            return
        pair = self.live, self.before
        for connection in pair:
            connection.execute("BEGIN")
        done = self._is_apart(write, chosen)
        for connection in pair:
            connection.execute("COMMIT" if done and connection.in_transaction else "ROLLBACK")

    def _is_apart(self, write: Write, chosen: Names) -> bool:
        pair = self.live, self.before
        strays_before, were = [strays(c) for c in pair], self._pictures()
        taken_away = [all_rows(self.before, name) for name in self.gone]
        for connection, (sql, values) in (
            (self.live, write.sql()),
            (self.before, write.sql(chosen)),
        ):
            if not attempt(connection, sql, values):
                return False
        one, other = (changes(*pair) for pair in zip(were, self._pictures(), strict=True))
        # REPLACE lets a row in that points to none in its own table, if nothing else does.
        return (
            [strays(c) for c in pair] == strays_before
            and not touched(one) & self.of_step
            and canonical(one) == canonical(other)
            and taken_away == [all_rows(self.before, name) for name in self.gone]
        )

    def _pictures(self) -> tuple[Picture, Picture]:
        return picture(self.live, self.names), picture(self.before, self.names, before=True)


def strays(connection: sqlite3.Connection) -> int:
    """Rows that point to none."""
    return len(connection.execute("PRAGMA foreign_key_check").fetchall())


def is_sound(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a full-text index matches its rows; true where it is no longer there."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [name]).fetchall():
        return True
    try:
        connection.execute(f"INSERT INTO {q(name)} ({q(name)}, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError:
        return False
    return True


def definitions(connection: sqlite3.Connection) -> set[tuple[object, ...]]:
    """All but SQLite's own."""
    sql = "SELECT type, name, tbl_name, sql FROM sqlite_master"
    return {row for row in connection.execute(sql) if not row[1].startswith("sqlite_")}


def all_rows(connection: sqlite3.Connection, table: str) -> Counter[object]:
    connection.text_factory = bytes
    names = [row[1].decode() for row in connection.execute(f"PRAGMA table_xinfo({q(table)})")]
    selected = ", ".join(f"typeof({q(name)}), {q(name)}" for name in names)
    rows = Counter(connection.execute(f"SELECT {selected} FROM {q(table)}").fetchall())
    as_text(connection)
    return rows


def handed_out(connection: sqlite3.Connection) -> dict[str, int]:
    sql = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"
    if not connection.execute(sql).fetchone():
        return {}
    return dict(connection.execute("SELECT name, seq FROM sqlite_sequence"))


class Result(NamedTuple):
    """What came of it, and what it is compared with."""

    world: World
    step: Step
    got: sqlite3.Connection
    wanted: sqlite3.Connection
    left: sqlite3.Connection
    """The state before the undo."""

    def problems(self) -> Iterator[str]:
        """What is otherwise in it than wanted."""
        got, wanted = self.got, self.wanted
        if got.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            yield "integrity_check"
        if definitions(got) != definitions(wanted):
            yield f"definitions: {definitions(got) ^ definitions(wanted)}"
        if strays(got) > strays(wanted):
            yield "foreign keys point nowhere"
        one, two = (c.execute("PRAGMA user_version").fetchall() for c in (got, wanted))
        if one != two:
            yield f"user_version {one}"
        yield from self._rows()
        yield from self._full_text()
        with opened(self.world.after) as after:
            if exact(after)[:3] != exact(self.left)[:3]:
                yield from self._counters()
            # else the state before is back as it was, with its counters

    def _rows(self) -> Iterator[str]:
        maker = self.world.maker
        for table in maker.tables:
            one, two = all_rows(self.got, table.name), all_rows(self.wanted, table.name)
            if one != two:
                yield f"{table.name}: wrong {one - two}, missing {two - one}"
        for name in maker.logs:
            with opened(self.world.before) as before, opened(self.world.after) as after:
                due = all_rows(before, name) + (all_rows(self.left, name) - all_rows(after, name))
            if all_rows(self.got, name) != due:
                yield f"log {name}: {all_rows(self.got, name)}, not {due}"

    def _full_text(self) -> Iterator[str]:
        for name in self.world.maker.indexes:
            if not is_sound(self.wanted, name):
                continue  # a BLOB is indexed by a trigger, and not by a check or a rebuild
            for word in ("one", "a", "it", "1"):
                match = f"SELECT rowid FROM {name} WHERE {name} MATCH '{word}' ORDER BY 1"
                one, two = (c.execute(match).fetchall() for c in (self.got, self.wanted))
                if one != two:
                    yield f"full text {name}: {word}"
        for name in full_text(self.world):
            whole = all(is_sound(c, name) for c in (self.wanted, self.left))
            if whole and not is_sound(self.got, name):
                yield f"full text {name} does not match its rows"

    def _counters(self) -> Iterator[str]:
        called = {names.table.name: names.before for names in self.step.names}
        with opened(self.world.before) as before:
            last = handed_out(before)
        for name, number in handed_out(self.left).items():
            if name in called:
                last[called[name]] = max(number, last.get(called[name], 0))
        now = handed_out(self.got)
        for name, number in last.items():
            if now.get(name, 0) < number:
                yield f"{name} would hand out numbers again"


def full_text(world: World) -> list[str]:
    """Full-text tables and indexes."""
    own = [table.name for table in world.maker.tables if table.full_text]
    return [*world.maker.indexes, *own]


def kept_apart(rnd: random.Random, *, schema: bool) -> None:
    """One step, others' work apart from it, and the undo that keeps it."""
    with world(rnd) as made, closing(made.connect()) as application:
        step = made.step(application, schema=schema)
        if is_same(made):
            return
        expected = Path(shutil.copy(made.before, made.folder / "expected.db"))
        with opened(expected) as before:
            before.execute("PRAGMA foreign_keys = ON")
            apart = Apart(made, step, application, before)
            for _ in range(rnd.randint(1, 8)):
                apart.write()
        left = made.copy("left")
        if made.wal:
            assert wal_of(made.live).stat().st_size > 0
        made.undo("ask")
        result = made.copy("result")
        with opened(result) as got, opened(expected) as wanted, opened(left) as was:
            problems = [*Result(made, step, got, wanted, was).problems()]
        assert problems == [], problems


def is_same(made: World) -> bool:
    """Whether the step changed nothing."""
    with opened(made.before) as before, opened(made.after) as after:
        return exact(before)[:3] == exact(after)[:3]


def exact(connection: sqlite3.Connection) -> tuple[object, ...]:
    """Everything; the last, what counters have handed out, makes no state another one."""
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY 1"
    known = dict(connection.execute(sql))
    # What a full-text table keeps its text in is read as what it shows.
    own = ("sqlite_", *(f"{name}_" for name, text in known.items() if "USING fts5" in text))
    tables = [name for name in known if not name.startswith(own)]
    rows = [(name, all_rows(connection, name)) for name in tables]
    [version] = connection.execute("PRAGMA user_version").fetchall()
    return definitions(connection), rows, version, handed_out(connection)


class Merge:
    """What a merge of three states has to come to, row by row: it is small enough for Python."""

    def __init__(self, before: Picture, after: Picture, live: Picture, keep: str) -> None:
        self.keep = keep
        self.rows: Picture = {}
        self.whole: dict[str, Counter[object]] = {}
        """Rows that no key tells apart, and how often each is to be there."""
        self.conflicts: set[tuple[str, object, str]] = set()
        """Table, key, column, of rows with a key; no column where it is the row."""
        for table, base in after.items():
            ours, theirs = live[table], before[table]
            keys = {key for rows in (base, ours, theirs) for key in rows if not whole_row(key)}
            self.rows[table] = {
                key: row
                for key in keys
                if (row := self._row(table, key, base.get(key), ours.get(key), theirs.get(key)))
                is not None
            }
            counts = [whole_rows(rows) for rows in (base, ours, theirs)]
            self.whole[table] = self._counted(*counts)

    def _row(
        self, table: str, key: object, base: Row | None, ours: Row | None, theirs: Row | None
    ) -> Row | None:
        if ours == base:
            return theirs
        if theirs in (base, ours):
            return ours
        preferred = ours if self.keep == "live" else theirs
        if base is None or ours is None or theirs is None:
            self.conflicts.add((table, key, ""))
            return preferred
        assert preferred is not None
        row = {}
        for name, cell in base.items():
            cells = (cell, ours[name], theirs[name])
            row[name] = theirs[name] if cell == ours[name] else ours[name]
            if len({*cells}) == len(cells):
                self.conflicts.add((table, key, name))
                row[name] = preferred[name]
        return row

    @staticmethod
    def _counted(
        base: Counter[object], ours: Counter[object], theirs: Counter[object]
    ) -> Counter[object]:
        left: Counter[object] = Counter()
        for row in {*base, *ours, *theirs}:
            same = ours[row] == theirs[row]
            left[row] = ours[row] if same else ours[row] + theirs[row] - base[row]
        return +left


def whole_rows(rows: Rows) -> Counter[object]:
    """Those that no key tells apart, and how often each is there."""
    return Counter(filter(None, map(whole_row, rows)))


def named(conflict: Conflict, names: list[Names]) -> tuple[str, object, str]:
    """The same of a conflict that the product names, as far as it is about a row."""
    known = {each.table.name: each for each in names} | {each.before: each for each in names}
    chosen = known.get(conflict.table)
    if chosen is None:
        return conflict.table, None, ""
    keys = [(c.name, chosen.columns[c.name]) for c in chosen.table.columns[: chosen.table.key]]
    cells = [as_bytes(conflict.key.get(old, conflict.key.get(new))) for new, old in keys]
    if chosen.table.full_text:
        return chosen.before, next(iter(conflict.key.values()), None), conflict.column
    return chosen.before, tuple(cells), conflict.column


def as_bytes(value: object) -> object:
    return value.encode("utf-8", "replace") if isinstance(value, str) else value


def values(key: object) -> object:
    """A key without its types."""
    return tuple(cell[1] for cell in key) if isinstance(key, tuple) else key


def left_alone(world: World) -> tuple[bytes, bytes]:
    """What must not change by a byte."""
    wal = wal_of(world.live)
    return world.live.read_bytes(), wal.read_bytes() if wal.exists() else b""


def overlapping(rnd: random.Random, *, schema: bool) -> None:
    """One step, any work of others, and the undo that keeps it, as it is asked for."""
    with world(rnd) as made, closing(made.connect()) as application:
        step = made.step(application, schema=schema)
        if is_same(made):
            return
        for _ in range(rnd.randint(1, 8)):
            made.others_write(step, application)
        left = made.copy("left")
        with opened(made.after) as after, opened(left) as live:
            if exact(after)[:3] == exact(live)[:3]:
                return
        named_by_ask = refused(made, "ask")
        if named_by_ask is None:
            check_merged(made, step, left, "live", [])
        else:
            keep: Keep = rnd.choice(("live", "before"))
            stopped = refused(made, keep)
            if stopped is not None:
                assert {each.why for each in stopped} - {BOTH, GONE, TAKEN}
                return
            check_merged(made, step, left, keep, named_by_ask)
        with opened(left) as was, opened(made.live) as now:
            if exact(now)[:3] == exact(was)[:3]:
                return  # there is nothing to undo: all of the step was in conflict
            made.undo()
            assert exact(now) == exact(was)


def refused(made: World, keep: Keep) -> list[Conflict] | None:
    """The conflicts for which ``undo --keep`` stopped; None where it did not."""
    unchanged = left_alone(made)
    try:
        made.undo(keep)
    except ConflictsError as stopped:
        conflicts = stopped.conflicts
    else:
        return None
    assert left_alone(made) == unchanged
    assert conflicts
    return conflicts


def check_merged(made: World, step: Step, left: Path, keep: str, conflicts: list[Conflict]) -> None:
    """The result is what the rules come to, and each conflict was named."""
    names = step.names
    result = made.copy("result")
    with (
        opened(made.before) as before,
        opened(made.after) as after,
        opened(left) as live,
        opened(result) as merged,
    ):
        was = picture(before, names, before=True, computed=False)
        now = picture(live, names, computed=False)
        wanted = Merge(was, picture(after, names, computed=False), now, keep)
        got = picture(merged, names, before=True, computed=False)
        assert merged.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert definitions(merged) == definitions(before)
        assert strays(merged) <= strays(before) + strays(live)
        for name in full_text(made):
            assert is_sound(merged, name) or not (is_sound(before, name) and is_sound(live, name))
    keyed = {(table, values(key), name) for table, key, name in wanted.conflicts}
    told = {named(each, names) for each in conflicts}
    assert keyed <= told, (keyed, told)
    others = [each for each in conflicts if each.why not in {BOTH, GONE, TAKEN}]
    if not others:
        assert told <= keyed, (keyed, told)
    for table, rows in got.items():
        due = wanted.rows[table]
        whole = whole_rows(rows)
        if not others:
            assert {k: r for k, r in rows.items() if not whole_row(k)} == due, (table, due, rows)
            assert whole == wanted.whole[table], (table, whole - wanted.whole[table])
        sides = [was[table], now[table]]
        for key in {*due, *rows, *sides[0], *sides[1]}:
            if not whole_row(key):
                check_row(rows.get(key), [side.get(key) for side in sides])


def check_row(row: Row | None, sides: list[Row | None]) -> None:
    """Each value is live's or that from before."""
    if row is None:
        assert None in sides, sides
        return
    there = [side for side in sides if side is not None]
    for name, cell in row.items():
        assert cell in [side[name] for side in there], (name, cell, sides)


@examples(SOME)
@given(RANDOM)
def test_what_others_did_apart_from_a_step_stays(rnd: random.Random) -> None:
    kept_apart(rnd, schema=False)


@examples(SOME)
@given(RANDOM)
def test_what_others_did_apart_from_a_step_stays_across_its_schema(rnd: random.Random) -> None:
    kept_apart(rnd, schema=True)


@pytest.mark.more
@examples(MANY)
@given(RANDOM)
def test_what_others_did_apart_from_many_steps_stays(rnd: random.Random) -> None:
    kept_apart(rnd, schema=False)


@pytest.mark.more
@examples(MANY)
@given(RANDOM)
def test_what_others_did_apart_from_many_steps_stays_across_their_schema(
    rnd: random.Random,
) -> None:
    kept_apart(rnd, schema=True)


@examples(SOME)
@given(RANDOM)
def test_what_both_changed_is_named_and_then_as_it_was_said(rnd: random.Random) -> None:
    overlapping(rnd, schema=False)


@examples(SOME)
@given(RANDOM)
def test_what_both_changed_is_named_across_the_schema(rnd: random.Random) -> None:
    overlapping(rnd, schema=True)


@pytest.mark.more
@examples(MANY)
@given(RANDOM)
def test_what_many_both_changed_is_named_and_then_as_it_was_said(rnd: random.Random) -> None:
    overlapping(rnd, schema=False)


@pytest.mark.more
@examples(MANY)
@given(RANDOM)
def test_what_many_both_changed_is_named_across_the_schema(rnd: random.Random) -> None:
    overlapping(rnd, schema=True)
