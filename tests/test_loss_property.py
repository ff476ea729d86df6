"""Random schemas: random lossless migrations never alarm, random lossy ones always do."""

import itertools
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from undrop.compare import files, losses

KEYS = ("INTEGER PRIMARY KEY", "TEXT PRIMARY KEY", "TEXT PRIMARY KEY NOT NULL", "WITHOUT ROWID", "")
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
        without = self.key == "WITHOUT ROWID"
        parts = [f"{column} {kind}" for column, kind in self.columns]
        if self.key:
            parts[0] = f"{self.columns[0][0]} {'TEXT PRIMARY KEY' if without else self.key}"
        return f"CREATE TABLE {name} ({', '.join(parts)})" + " WITHOUT ROWID" * without


class Random:
    """A database, and one random change after another on it."""

    def __init__(self, data: st.DataObject, connection: sqlite3.Connection) -> None:
        self.data, self.connection = data, connection
        self.names = (f"n{number}" for number in itertools.count())
        self.tables = [self.make() for _ in range(data.draw(st.integers(1, 3)))]

    def make(self) -> Table:
        kinds = self.data.draw(st.lists(st.sampled_from(TYPES), min_size=2, max_size=4))
        key = self.data.draw(st.sampled_from(KEYS))
        table = Table(next(self.names), key, tuple((next(self.names), kind) for kind in kinds))
        self.connection.execute(table.create(table.name))
        rows = self.data.draw(st.lists(st.tuples(*([VALUES] * len(kinds))), min_size=1, max_size=6))
        marks = ", ".join("?" * len(kinds))
        for number, row in enumerate(rows):
            first = {"": row[0], KEYS[0]: number + 1}.get(key, f"k{number}")
            self.connection.execute(f"INSERT INTO {table.name} VALUES ({marks})", (first, *row[1:]))
        return table

    def pick(self) -> Table:
        return self.data.draw(st.sampled_from(self.tables))

    def replace(self, old: Table, new: Table) -> None:
        self.tables[self.tables.index(old)] = new

    def lossless(self) -> None:
        table = self.pick()
        what = self.data.draw(
            st.sampled_from(["add", "index", "new", "name", "column", "fill", "build"])
        )
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
            for (name,) in run(f"{INDEXES} AND tbl_name = ?", [table.name]).fetchall():
                run(f"DROP INDEX {name}")
                run(f"CREATE INDEX {name} ON {fresh} ({table.columns[-1][0]})")
            run(f"DROP TABLE {table.name}")
            run(f"ALTER TABLE {fresh} RENAME TO {table.name}")

    def lossy(self) -> bool:
        """Destroy something, in one of the tables that were there at first; False if it cannot."""
        table = self.pick()
        column = table.columns[-1][0]
        full = f"{column} IS NOT NULL AND {column} NOT IN ('', x'')"
        what = self.data.draw(
            st.sampled_from(["drop", "delete", "null", "blank", "over", "column"])
        )
        run = self.connection.execute
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


ENOUGH = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@ENOUGH
@given(st.data())
def test_random_lossless_migrations_never_alarm(data: st.DataObject) -> None:
    assert reported(data, lossy=False)[1] == []


@ENOUGH
@given(st.data())
def test_random_lossy_migrations_always_alarm(data: st.DataObject) -> None:
    destroyed, found = reported(data, lossy=True)
    assert bool(found) == destroyed
