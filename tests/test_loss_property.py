"""Random schemas: random lossless migrations never alarm, random lossy ones always do."""

import itertools
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tally import FULL

from undrop.compare import files, losses

MANY = 1500 if FULL else 80
COUNTS = "INTEGER PRIMARY KEY AUTOINCREMENT"
KEYS = (
    "INTEGER PRIMARY KEY",
    COUNTS,
    "TEXT PRIMARY KEY",
    "TEXT PRIMARY KEY NOT NULL",
    "WITHOUT ROWID",
    "",
)
FULL_TEXT = (
    "fts5 ({})",
    "fts5 ({}, columnsize=0)",
    "fts5 ({}, detail=none)",
    "fts4 ({})",
    "fts4 ({}, matchinfo=fts3)",
    "fts3 ({})",
)
TYPES = ("INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "")
INDEXES = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql <> ''"
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=5),
    st.floats(allow_nan=False),
    st.binary(max_size=5),
    st.sampled_from(["", "007", "12.50", "abc", b"", 0, 0.0, "NULL"]),
)


MOVES = {"name", "column", "build"}
"""What may not all be done to one table: of its names and its place, something has to stay."""


class Table(NamedTuple):
    """A table that the strategies made; ``columns`` has the key first, if there is one."""

    name: str
    key: str
    columns: tuple[tuple[str, str], ...]
    done: frozenset[str] = frozenset()
    """Which of MOVES it has been through."""

    def create(self, name: str) -> str:
        if self.is_virtual:
            names = ", ".join(column for column, _ in self.columns)
            return f"CREATE VIRTUAL TABLE {name} USING {self.key.format(names)}"
        without = self.key == "WITHOUT ROWID"
        parts = [f"{column} {kind}" for column, kind in self.columns]
        if self.key:
            parts[0] = f"{self.columns[0][0]} {'TEXT PRIMARY KEY' if without else self.key}"
        return f"CREATE TABLE {name} ({', '.join(parts)})" + " WITHOUT ROWID" * without

    @property
    def is_virtual(self) -> bool:
        return self.key in FULL_TEXT


def is_kept(old: object, new: object) -> bool:
    """Whether a value is still there, maybe in another type: an oracle of its own."""
    if old is None or old in {"", b""}:
        return True
    if isinstance(old, int | float) and isinstance(new, int | float):
        return old == new
    if isinstance(old, float) and isinstance(new, str):
        return float(new) == old  # "Inf", too
    if isinstance(old, str) and isinstance(new, float):
        with closing(sqlite3.connect(":memory:")) as connection:
            texts = "CAST(?1 AS TEXT), printf('%!.16g', ?1), printf('%!.17g', ?1)"
            return old in connection.execute(f"SELECT {texts}", [new]).fetchone()
    if isinstance(old, bytes) and isinstance(new, str):
        return old == new.encode()
    return str(old) == str(new) if isinstance(new, int | str) else old == new


class Random:
    """A database, and one random change after another on it."""

    def __init__(self, data: st.DataObject, connection: sqlite3.Connection) -> None:
        self.data, self.connection = data, connection
        self.names = (f"n{number}" for number in itertools.count())
        self.tables = [self.make() for _ in range(data.draw(st.integers(1, 3)))]
        if data.draw(st.booleans()):
            connection.execute("ANALYZE")

    def make(self) -> Table:
        kinds = self.data.draw(st.lists(st.sampled_from(TYPES), min_size=2, max_size=4))
        key = self.data.draw(st.sampled_from([*KEYS, *KEYS, *FULL_TEXT]))
        table = Table(next(self.names), key, tuple((next(self.names), kind) for kind in kinds))
        self.connection.execute(table.create(table.name))
        rows = self.data.draw(st.lists(st.tuples(*([VALUES] * len(kinds))), min_size=1, max_size=6))
        marks = ", ".join("?" * len(kinds))
        for number, row in enumerate(rows):
            first = {"": row[0], KEYS[0]: number + 1, COUNTS: number + 1}.get(key, f"k{number}")
            self.connection.execute(f"INSERT INTO {table.name} VALUES ({marks})", (first, *row[1:]))
        if key == COUNTS and self.data.draw(st.booleans()):  # the counter is ahead of the rows
            self.connection.execute(f"DELETE FROM {table.name} WHERE rowid = {len(rows)}")
        return table

    def pick(self) -> Table:
        return self.data.draw(st.sampled_from(self.tables))

    def replace(self, old: Table, new: Table) -> None:
        self.tables[self.tables.index(old)] = new

    def lossless(self) -> None:
        table = self.pick()
        kinds = ["add", "index", "new", "name", "column", "fill", "build"]
        what = self.data.draw(st.sampled_from([*kinds, "type", "swap", "columns"]))
        if table.is_virtual and what not in {"new", "name"}:
            what = "optimize"
        if what in {"type", "swap", "columns", "optimize"}:
            getattr(self, what)(table)
        else:
            self.change(table, what)

    def change(self, table: Table, what: str) -> None:
        """One of a table, or one table more."""
        if what in MOVES:
            if table.done | {what} == MOVES:
                return
            known, table = table, table._replace(done=table.done | {what})
            self.replace(known, table)
        run, fresh = self.connection.execute, next(self.names)
        if what == "add":
            default = self.data.draw(st.sampled_from(["", " DEFAULT 7", " DEFAULT 'x'"]))
            run(f"ALTER TABLE {table.name} ADD COLUMN {fresh} TEXT{default}")
            self.replace(table, table._replace(columns=(*table.columns, (fresh, "TEXT"))))
        elif what == "index":
            run(f"CREATE INDEX {fresh} ON {table.name} ({table.columns[-1][0]})")
        elif what == "new":
            self.tables.append(self.make())
        elif what == "name":
            run(f"ALTER TABLE {table.name} RENAME TO {fresh}")
            self.replace(table, table._replace(name=fresh))
        elif what == "column":
            at = self.data.draw(st.integers(0, len(table.columns) - 1))
            old, kind = table.columns[at]
            run(f"ALTER TABLE {table.name} RENAME COLUMN {old} TO {fresh}")
            columns = (*table.columns[:at], (fresh, kind), *table.columns[at + 1 :])
            self.replace(table, table._replace(columns=columns))
        elif what == "fill":
            column = table.columns[-1][0]
            run(f"UPDATE {table.name} SET {column} = 'filled' WHERE {column} IS NULL")
        else:
            run(table.create(fresh))
            run(f"INSERT INTO {fresh} SELECT * FROM {table.name}")
            if table.key == COUNTS:
                sql = "SELECT max(seq) FROM sqlite_sequence WHERE name IN (?1, ?2)"
                run("DELETE FROM sqlite_sequence WHERE name = ?", [fresh])
                seq = run(sql, [fresh, table.name]).fetchall()[0][0]
                run("INSERT INTO sqlite_sequence VALUES (?, ?)", [fresh, seq])
            for (name,) in run(f"{INDEXES} AND tbl_name = ?", [table.name]).fetchall():
                run(f"DROP INDEX {name}")
                run(f"CREATE INDEX {name} ON {fresh} ({table.columns[-1][0]})")
            run(f"DROP TABLE {table.name}")
            run(f"ALTER TABLE {fresh} RENAME TO {table.name}")

    def type(self, table: Table, *, lossy: bool = False) -> bool:
        """Build a table anew with another type for a column, if that keeps its values, or not."""
        if "build" in table.done or {"name", "column"} <= table.done or len(table.columns) < 2:
            return False
        at, kind = len(table.columns) - 1, self.data.draw(st.sampled_from(TYPES))
        column, old_kind = table.columns[at]
        new = table._replace(
            columns=(*table.columns[:at], (column, kind)), done=table.done | {"build"}
        )
        run, fresh = self.connection.execute, next(self.names)
        # Whatever an earlier change added is no column of ours.
        names = ", ".join(name for name, _ in table.columns)
        run("SAVEPOINT typed")
        run(new.create(fresh))
        order = table.columns[0][0] if table.key == "WITHOUT ROWID" else "rowid"
        run(f"INSERT INTO {fresh} ({names}) SELECT {names} FROM {table.name} ORDER BY {order}")
        values = [
            [row[0] for row in run(f"SELECT {column} FROM {name} ORDER BY {order}").fetchall()]
            for name in (table.name, fresh)
        ]
        kept = all(is_kept(*pair) for pair in zip(*values, strict=True))
        counts = [
            row[0]
            for row in run("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'")
        ]
        added = len(run(f"SELECT * FROM {table.name} LIMIT 1").description) != len(table.columns)
        if kept == lossy or old_kind == kind or added or (counts[0] and table.key == COUNTS):
            run("ROLLBACK TO typed")
            return False
        for (name,) in run(f"{INDEXES} AND tbl_name = ?", [table.name]).fetchall():
            run(f"DROP INDEX {name}")
            run(f"CREATE INDEX {name} ON {fresh} ({column})")
        run(f"DROP TABLE {table.name}")
        run(f"ALTER TABLE {fresh} RENAME TO {table.name}")
        run("RELEASE typed")
        self.replace(table, new)
        return True

    def optimize(self, table: Table) -> None:
        """Have a full-text table keep its index in another way."""
        self.connection.execute(f"INSERT INTO {table.name} ({table.name}) VALUES ('optimize')")

    def swap(self, table: Table) -> None:
        """Have two tables change names."""
        other = self.pick()
        if table == other or "name" in table.done | other.done:
            return
        if any({"build", "column"} <= each.done or each.is_virtual for each in (table, other)):
            return
        run, fresh = self.connection.execute, next(self.names)
        run(f"ALTER TABLE {table.name} RENAME TO {fresh}")
        run(f"ALTER TABLE {other.name} RENAME TO {table.name}")
        run(f"ALTER TABLE {fresh} RENAME TO {other.name}")
        self.replace(table, table._replace(name=other.name, done=table.done | {"name"}))
        self.replace(other, other._replace(name=table.name, done=other.done | {"name"}))

    def columns(self, table: Table) -> None:
        """Have two columns change names."""
        run, fresh = self.connection.execute, next(self.names)
        pairs = [
            (one, two)
            for one in range(1, len(table.columns))
            for two in range(one)
            if two and table.columns[one][1] == table.columns[two][1]
        ]
        if "column" in table.done or {"build", "name"} <= table.done or not pairs:
            return
        one, two = self.data.draw(st.sampled_from(pairs))
        a, b = table.columns[one][0], table.columns[two][0]
        counts = f"SELECT count(DISTINCT {a}), count(DISTINCT {b}) FROM {table.name}"
        if max(run(counts).fetchall()[0]) < 2:
            return  # it might as well be two other values
        for old, new in ((a, fresh), (b, a), (fresh, b)):
            run(f"ALTER TABLE {table.name} RENAME COLUMN {old} TO {new}")
        columns = list(table.columns)
        columns[one], columns[two] = columns[two], columns[one]
        kinds = tuple(
            (
                table.columns[n][0] if n not in {one, two} else {one: b, two: a}[n],
                table.columns[n][1],
            )
            for n in range(len(columns))
        )
        self.replace(table, table._replace(columns=kinds, done=table.done | {"column"}))

    def lossy(self) -> bool:
        """Destroy something, in one of the tables that were there at first; False if it cannot."""
        table = self.pick()
        column = table.columns[-1][0]
        full = f"{column} IS NOT NULL AND {column} NOT IN ('', x'')"
        what = self.data.draw(
            st.sampled_from(["drop", "delete", "null", "blank", "over", "column", "type", "count"])
        )
        run = self.connection.execute
        if what == "type":
            return not table.is_virtual and self.type(table, lossy=True)
        if what == "count":
            return self.set_back(table)
        if table.is_virtual:
            what = "drop" if what == "drop" else "delete"
        [(rows,)] = run(f"SELECT count(*) FROM {table.name}").fetchall()
        if not rows:
            return False
        [(values,)] = run(f"SELECT count(*) FROM {table.name} WHERE {full}").fetchall()
        if what in {"null", "blank", "over", "column"} and not values:
            return False
        if what == "drop":
            run(f"DROP TABLE {table.name}")
        elif what == "delete":
            run(
                f"DELETE FROM {table.name} WHERE {table.columns[0][0]} IS "
                f"(SELECT {table.columns[0][0]} FROM {table.name} LIMIT 1)"
            )
        elif what == "column":
            for (name,) in run(INDEXES).fetchall():
                run(f"DROP INDEX {name}")
            run(f"ALTER TABLE {table.name} DROP COLUMN {column}")
        else:
            new = {"null": "NULL", "blank": "''", "over": "'other than any'"}[what]
            run(f"UPDATE {table.name} SET {column} = {new} WHERE {full}")
        return True

    def set_back(self, table: Table) -> bool:
        """Have a table give numbers out again."""
        if table.key != COUNTS:
            return False
        run, (column, _) = self.connection.execute, table.columns[0]
        [(last,)] = run(f"SELECT coalesce(max({column}), 0) FROM {table.name}").fetchall()
        [(counter,)] = run(
            "SELECT seq FROM sqlite_sequence WHERE name = ?", [table.name]
        ).fetchall()
        if counter <= last:
            return False
        run("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", [last, table.name])
        return True


def quiet(_phase: str, _done: int, _total: int) -> None:
    """No progress is shown."""


def reported(data: st.DataObject, *, lossy: bool) -> tuple[bool, list[losses.Loss]]:
    """Whether something was destroyed, and what the report says."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.db"), Path(folder, "after.db")
        with closing(sqlite3.connect(before, isolation_level=None)) as connection:
            random = Random(data, connection)
        shutil.copyfile(before, after)
        with closing(sqlite3.connect(after, isolation_level=None)) as connection:
            random.connection = connection
            destroyed = lossy and random.lossy()
            if not destroyed:
                for _ in range(data.draw(st.integers(1, 5))):
                    random.lossless()
            elif random.tables:
                connection.execute("CREATE TABLE added (id INTEGER PRIMARY KEY, v TEXT)")
                connection.execute("VACUUM")
        return destroyed, losses.report(files.compare(before, after, quiet)).losses


def examples(count: int) -> settings:
    """That many of them."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, deadline=None, suppress_health_check=slow)


@examples(50)
@given(st.data())
def test_random_lossless_migrations_never_alarm(data: st.DataObject) -> None:
    assert reported(data, lossy=False)[1] == []


@examples(50)
@given(st.data())
def test_random_lossy_migrations_always_alarm(data: st.DataObject) -> None:
    destroyed, found = reported(data, lossy=True)
    assert bool(found) == destroyed


@pytest.mark.more
@examples(MANY)
@given(st.data())
def test_many_random_lossless_migrations_never_alarm(data: st.DataObject) -> None:
    assert reported(data, lossy=False)[1] == []


@pytest.mark.more
@examples(MANY)
@given(st.data())
def test_many_random_lossy_migrations_always_alarm(data: st.DataObject) -> None:
    destroyed, found = reported(data, lossy=True)
    assert bool(found) == destroyed
