"""``undrop diff A B --sql``: applied to a copy of A, the statements make it B."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import inside
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from shop import Project, half
from tally import FULL
from test_loss_property import Random, quiet

from undrop.compare import files
from undrop.compare.script import Script
from undrop.sqlitefile import virtual
from undrop.sqlitefile.connect import Connection

PHASES = [Phase.explicit, Phase.generate] if os.environ.get("NOSHRINK") else list(Phase)
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
    return settings(max_examples=count, deadline=None, suppress_health_check=slow)


def rows_of(data: st.DataObject) -> list[tuple[object, ...]]:
    return data.draw(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=6))


def fill(connection: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    names = connection.execute("SELECT name FROM pragma_table_info('t')").fetchall()
    quoted = ", ".join('"{}"'.format(name.replace('"', '""')) for (name,) in names)
    for row in rows:
        with suppress(sqlite3.IntegrityError, sqlite3.OperationalError):  # what t refuses
            connection.execute(f"INSERT OR REPLACE INTO t ({quoted}) VALUES (?, ?, ?)", row)


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
            fill(connection, rows_of(data))
            if "VIRTUAL" not in KINDS[kind]:
                connection.executescript(BESIDE)
        shutil.copyfile(before, after)
        with closing(sqlite3.connect(after, isolation_level=None)) as connection:
            numbers = connection.execute("SELECT count(*) FROM t").fetchall()[0][0]
            for _ in range(data.draw(st.integers(0, 3)) if numbers else 0):
                remove(connection, data.draw(st.integers(0, numbers - 1)))
            fill(connection, rows_of(data))
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
@pytest.mark.parametrize("kind", half(KINDS))
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


@pytest.mark.more
@examples(30)
@given(st.data())
def test_definitions_become_the_others(data: st.DataObject) -> None:
    differing_definitions(data)


@pytest.mark.more
@examples(MANY)
@given(st.data())
def test_many_definitions_become_the_others(data: st.DataObject) -> None:
    differing_definitions(data)


CLOSE = (
    ("", "ALTER TABLE t ADD COLUMN d TEXT NOT NULL DEFAULT 'x'", "ADD COLUMN"),
    ("", "ALTER TABLE t RENAME COLUMN b TO bb; UPDATE t SET c = 9 WHERE a = 1", "RENAME COLUMN"),
    ("", "ALTER TABLE t RENAME TO u", "RENAME TO"),
    ("", "ALTER TABLE t DROP COLUMN c", "DROP COLUMN"),
    (
        "",
        "CREATE TABLE u (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c); INSERT INTO u SELECT * FROM t;"
        "DROP TABLE t; ALTER TABLE u RENAME TO t",
        "INSERT OR IGNORE",
    ),
    ("CREATE INDEX i ON t (b)", "DROP INDEX i; CREATE UNIQUE INDEX i ON t (a, b)", "UNIQUE INDEX"),
    ("CREATE VIEW v AS SELECT a FROM t", "DROP VIEW v; CREATE VIEW v AS SELECT b FROM t", "VIEW v"),
    ("", "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM t; END", "TRIGGER x"),
    ("", "PRAGMA user_version = 7", "user_version = 7"),
    ("UPDATE t SET c = 0.0", "UPDATE t SET c = -0.0 WHERE a = 2", "-0.0"),
    ("CREATE TABLE z (v); INSERT INTO z VALUES (0.0)", "UPDATE z SET v = -0.0", "-0.0"),
    (
        "CREATE TABLE n (a INTEGER PRIMARY KEY AUTOINCREMENT)",
        "INSERT INTO n VALUES (7); DELETE FROM n",
        "INSERT INTO sqlite_sequence",
    ),
    (
        "CREATE TABLE k (a INTEGER PRIMARY KEY, b CHECK (b > 0))",
        "PRAGMA ignore_check_constraints = ON; INSERT INTO k VALUES (1, -1)",
        "-1",
    ),
    (
        f"CREATE TABLE w (id INTEGER PRIMARY KEY, {', '.join(f'c{n}' for n in range(1200))});"
        "INSERT INTO w (id) VALUES (1), (2)",
        "UPDATE w SET c1199 = 'x' WHERE id = 2",
        "DELETE FROM",
    ),
    (
        "ALTER TABLE t ADD COLUMN d AS (a + c); CREATE UNIQUE INDEX i ON t (d);"
        "UPDATE t SET c = a * 2",
        "UPDATE t SET c = NULL; UPDATE t SET c = 5 WHERE a = 1; UPDATE t SET c = 1 WHERE a = 2",
        "DELETE",
    ),
    ("", "CREATE VIEW v AS SELECT a FROM t -- why", "VIEW v"),
    (
        "CREATE TABLE child (t REFERENCES t (a) ON DELETE CASCADE); INSERT INTO child VALUES (1)",
        "CREATE TABLE u (a INTEGER PRIMARY KEY, c, b); INSERT INTO u SELECT a, c, b FROM t;"
        "DROP TABLE t; ALTER TABLE u RENAME TO t",
        "INSERT OR IGNORE",
    ),
    (
        "CREATE VIRTUAL TABLE f USING fts5 (b, content='t', content_rowid='a');"
        "INSERT INTO f (f) VALUES ('rebuild');"
        "CREATE TRIGGER fd AFTER DELETE ON t BEGIN"
        " INSERT INTO f (f, rowid, b) VALUES ('delete', OLD.a, OLD.b); END;"
        "CREATE TRIGGER fi AFTER INSERT ON t BEGIN"
        " INSERT INTO f (rowid, b) VALUES (NEW.a, NEW.b); END",
        "DELETE FROM t WHERE a = 1; INSERT INTO t (b) VALUES ('three')",
        "'rebuild'",
    ),
    (
        "",
        "CREATE VIRTUAL TABLE f USING fts4 (x); INSERT INTO f VALUES ('words')",
        "VIRTUAL TABLE f",
    ),
    ("ALTER TABLE t RENAME TO s", "CREATE TABLE t (x); ALTER TABLE s RENAME TO r", "RENAME"),
)
"""What is there besides ``t``, what is done then, and what is said of it."""


@pytest.mark.more
@pytest.mark.parametrize("case", CLOSE, ids=lambda case: case[1][:40])
def test_a_definition_is_altered_where_that_makes_it_the_very_same(
    tmp_path: Path, case: tuple[str, str, str]
) -> None:
    first, then, said = case
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    with closing(sqlite3.connect(before)) as connection:
        connection.executescript(
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c);"
            f"INSERT INTO t VALUES (1, 'one', 1.5), (2, 'two', NULL); {first}"
        )
    shutil.copyfile(before, after)
    with closing(sqlite3.connect(after)) as connection:
        connection.executescript(then)
    assert said in makes(before, after)
    makes(after, before)
    if "fts5" in first:
        copy = before.with_name("copy.db")
        shutil.copyfile(before, copy)
        by_python(copy, script(before, after))
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("INSERT INTO f (f, rank) VALUES ('integrity-check', 1)")
            assert connection.execute("SELECT rowid FROM f WHERE f MATCH 'three'").fetchall()


def test_every_migration_and_its_rows_are_said(stocked: Project) -> None:
    """Both ways, applied by SQLite's shell, with the version table."""
    inside.back_up(stocked, "new")
    stocked.ok("alembic", "downgrade", "0003")
    stocked.sql("DELETE FROM stock_movements WHERE id % 7 = 0")
    new, old = stocked.saved()[0], Path(stocked.ok("undrop", "backup", "old").strip())
    for before, after in ((new, old), (old, new)):
        copy = stocked.root / "copy.db"
        copy.unlink(missing_ok=True)
        shutil.copyfile(before, copy)
        copy.chmod(0o600)
        by_python(copy, stocked.ok("undrop", "diff", before.name, after.name, "--sql"))
        assert state(copy) == state(after)


@pytest.mark.more
def test_live_becomes_a_backup_and_nothing_is_changed_by_asking(stocked: Project) -> None:
    kept = inside.back_up(stocked)
    stocked.sql("UPDATE items SET name = 'it''s' WHERE id = 1")
    before = stocked.tree()
    statements = stocked.ok("undrop", "diff", "live", "latest", "--sql")
    assert stocked.tree() == before
    by_python(stocked.database, statements)
    assert state(stocked.database) == state(kept)
    done = stocked.done("undrop", "diff", "latest", "live", "--sql")
    assert (done.out, done.err) == ("", "undrop: no difference between latest and live\n")
    assert stocked.undrop("diff", "--sql", "--rows").code == 2


@pytest.mark.more
def test_what_cannot_be_said_is_told(project: Project) -> None:
    """An index that keeps no text: nobody could tell its words."""
    project.script("CREATE VIRTUAL TABLE f USING fts5 (t, content=''); CREATE TABLE t (a)")
    inside.back_up(project)
    project.script("INSERT INTO f (rowid, t) VALUES (1, 'words'); INSERT INTO t VALUES (1)")
    done = project.done("undrop", "diff", "--sql")
    assert "INSERT INTO" in done.out
    assert "f keeps no text: what it indexes is not said" in done.err
