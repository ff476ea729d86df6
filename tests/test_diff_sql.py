"""``undrop diff A B --sql``: applied to a copy of A, the statements make it B."""

import shutil
import sqlite3
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from shop import Project
from tally import FULL
from test_loss_property import Random, quiet

from undrop.compare import files
from undrop.compare.script import Script
from undrop.sqlitefile import virtual
from undrop.sqlitefile.connect import Connection

import os
from hypothesis import Phase
PHASES = [Phase.explicit, Phase.generate] if os.environ.get('NOSHRINK') else list(Phase)
MANY = 1000 if FULL else 100
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    st.text(max_size=6),
    st.text(alphabet="\0'\"\n\r\t;é\x7f�🎉-", max_size=6),
    st.floats(allow_nan=False),
    st.binary(max_size=6),
    st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, float("inf"), float("-inf"), 0.1, "007"]),
)
KINDS = {
    "no key": "CREATE TABLE t (a, b TEXT, c BLOB)",
    "rowid": "CREATE TABLE t (a INTEGER PRIMARY KEY, b, c REAL)",
    "counts": "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b, c NUMERIC)",
    "text key": "CREATE TABLE t (a TEXT PRIMARY KEY, b, c INTEGER)",
    "any key": "CREATE TABLE t (a PRIMARY KEY, b, c)",
    "nocase key": "CREATE TABLE t (a TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, b, c)",
    "composite": "CREATE TABLE t (a, b TEXT, c, PRIMARY KEY (b, a))",
    "without rowid": "CREATE TABLE t (a, b TEXT, c, PRIMARY KEY (b, a)) WITHOUT ROWID",
    "strict": "CREATE TABLE t (a ANY, b TEXT, c REAL) STRICT",
    "generated": "CREATE TABLE t (a INTEGER PRIMARY KEY, b, c, d AS (a || b), e AS (c) STORED)",
    "hidden": "CREATE TABLE t (rowid, _rowid_ TEXT, oid)",
    "unique": "CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE, c)",
    "checked": "CREATE TABLE t (a INTEGER PRIMARY KEY, b CHECK (b <> 3), c NOT NULL)",
    "odd names": 'CREATE TABLE t ("a b" INTEGER PRIMARY KEY, "select" TEXT, "q""\'x")',
    "fts5": "CREATE VIRTUAL TABLE t USING fts5 (a, b, c)",
    "fts4": "CREATE VIRTUAL TABLE t USING fts4 (a, b, c)",
    "rtree": "CREATE VIRTUAL TABLE t USING rtree (a, b, c)",
}
BESIDE = (
    "CREATE TABLE log (what);"
    "CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES t (a) ON DELETE CASCADE);"
    "INSERT INTO child VALUES (1, 1), (2, 2);"
)
TRIGGERS = (
    "CREATE TRIGGER gone AFTER DELETE ON t BEGIN INSERT INTO log VALUES ('gone'); END;"
    "CREATE TRIGGER came AFTER INSERT ON t BEGIN INSERT INTO log VALUES ('came'); END;"
    "CREATE TRIGGER other AFTER UPDATE ON t BEGIN INSERT INTO log VALUES ('other'); END;"
)


def state(path: Path) -> dict[str, object]:
    """Every definition, and every row of every table, told apart to the last bit."""
    with closing(sqlite3.connect(path, factory=Connection)) as connection:
        connection.text_factory = lambda raw: (b"text", raw)
        master = [
            tuple(part and part[1].decode() for part in row)
            for row in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
        ]
        connection.text_factory = str
        kept = virtual.kept(connection)
        connection.text_factory = lambda raw: (b"text", raw)
        found: dict[str, object] = {
            "": Counter(row for row in master if row[2] not in kept and row[1] != "sqlite_sequence")
        }
        for kind, name, _, _ in master:
            if kind == "table" and name not in kept and name != "sqlite_stat1":
                rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
                found[name] = Counter(repr(row) for row in rows)
        if found.get("sqlite_sequence") == Counter():
            del found["sqlite_sequence"]
        return found


def script(before: Path, after: Path) -> str:
    wanted = Script()
    files.compare(before, after, quiet, also=wanted)
    return "\n".join(wanted.lines)


def by_python(path: Path, statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)


def by_the_shell(path: Path, statements: str) -> None:
    done = subprocess.run(
        ["sqlite3", "-batch", "-bail", path],
        input=statements.encode(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def makes(before: Path, after: Path, apply: Callable[[Path, str], None] = by_python) -> str:
    """Whether the statements make one of a copy of the other, and nothing is left to say then."""
    statements = script(before, after)
    copy = before.with_name("copy.db")
    shutil.copyfile(before, copy)
    apply(copy, statements)
    assert state(copy) == state(after), statements
    assert script(copy, after) == "", script(copy, after)
    return statements


def examples(count: int) -> settings:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=count, deadline=None, suppress_health_check=slow, phases=PHASES)


def rows_of(data: st.DataObject, kind: str) -> list[tuple[object, ...]]:
    return data.draw(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=6))


def fill(connection: sqlite3.Connection, kind: str, rows: list[tuple[object, ...]]) -> None:
    [names] = connection.execute(
        "SELECT group_concat('\"' || replace(name, '\"', '\"\"') || '\"') FROM pragma_table_info('t')"
    )
    for row in rows:
        with closing(connection.cursor()) as cursor:
            try:
                cursor.execute(f"INSERT OR REPLACE INTO t ({names[0]}) VALUES (?, ?, ?)", row)
            except (sqlite3.IntegrityError, sqlite3.OperationalError):
                pass  # what the table refuses


def remove(connection: sqlite3.Connection, number: int) -> None:
    """One row, and those that have the same first value."""
    [(column,)] = connection.execute("SELECT name FROM pragma_table_info('t') LIMIT 1").fetchall()
    rows = connection.execute(f'SELECT "{column}" FROM t').fetchall()
    if number < len(rows):
        connection.execute(f'DELETE FROM t WHERE "{column}" IS ?', rows[number])


def differing_rows(data: st.DataObject, kind: str, apply: Callable[[Path, str], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.db"), Path(folder, "after.db")
        with closing(sqlite3.connect(before, isolation_level=None)) as connection:
            connection.execute(KINDS[kind])
            fill(connection, kind, rows_of(data, kind))
            if "VIRTUAL" not in KINDS[kind]:
                connection.executescript(BESIDE)
        shutil.copyfile(before, after)
        with closing(sqlite3.connect(after, isolation_level=None)) as connection:
            numbers = connection.execute("SELECT count(*) FROM t").fetchall()[0][0]
            for _ in range(data.draw(st.integers(0, 3)) if numbers else 0):
                remove(connection, data.draw(st.integers(0, numbers - 1)))
            fill(connection, kind, rows_of(data, kind))
        for path in (before, after):
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                if "VIRTUAL" not in KINDS[kind]:
                    connection.executescript(TRIGGERS)
        makes(before, after, apply)


@pytest.mark.parametrize("kind", KINDS)
@examples(12)
@given(data=st.data())
def test_rows_become_the_others(kind: str, data: st.DataObject) -> None:
    differing_rows(data, kind, by_python)


@pytest.mark.more
@pytest.mark.skipif(not shutil.which("sqlite3"), reason="there is no sqlite3 shell")
@pytest.mark.parametrize("kind", KINDS)
@examples(MANY // 2)
@given(data=st.data())
def test_rows_become_the_others_by_sqlites_shell(kind: str, data: st.DataObject) -> None:
    differing_rows(data, kind, by_the_shell)


def differing_definitions(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.db"), Path(folder, "after.db")
        with closing(sqlite3.connect(before, isolation_level=None)) as connection:
            random = Random(data, connection)
        shutil.copyfile(before, after)
        with closing(sqlite3.connect(after, isolation_level=None)) as connection:
            random.connection = connection
            for _ in range(data.draw(st.integers(1, 4))):
                random.lossless()
            if data.draw(st.booleans()):
                random.lossy()
        makes(before, after)
        makes(after, before)


@examples(30)
@given(st.data())
def test_definitions_become_the_others(data: st.DataObject) -> None:
    differing_definitions(data)


@pytest.mark.more
@examples(MANY)
@given(st.data())
def test_many_definitions_become_the_others(data: st.DataObject) -> None:
    differing_definitions(data)
