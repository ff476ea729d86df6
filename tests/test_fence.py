"""What a migration may reach: the work copy, what it makes itself, and nothing else to write to.

Through the real command line. Each way to reach the live database is refused before a byte is
written; or it is seen that it was written to, what was there before is held, and that is said.
"""

import json
from pathlib import Path

import pytest
from shop import Project, content

LIVE = "LIVE = str(pathlib.Path('quartermaster.db').resolve())"
HEAD = f"""
import sqlite3, subprocess, sys, threading
from sqlalchemy.orm import Session
{LIVE}
URL = "sqlite:///" + LIVE
DELETE = "DELETE FROM suppliers"

def run(connection, *statements):
    connection.isolation_level = None
    for statement in statements:
        connection.execute(statement)
    connection.close()

def memory():
    return sqlite3.connect(":memory:", isolation_level=None)
"""
ASYNC = """
async def empty():
    import aiosqlite
    async with aiosqlite.connect(LIVE) as connection:
        await connection.execute(DELETE)
        await connection.commit()
"""
CLASS = """
class Own(sqlite3.Connection):
    pass
"""
SHELL = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM suppliers'); "
)
SHELL += "c.commit()"
WAYS = {
    "a session": (
        "session = Session(sa.create_engine(URL))",
        "session.execute(sa.text(DELETE))",
        "session.commit()",
    ),
    "an engine's DDL": (
        "with sa.create_engine(URL).begin() as c: c.execute(sa.text('DROP TABLE stock_movements'))",
    ),
    "sqlite3.connect": ("run(sqlite3.connect(LIVE), DELETE)",),
    "by a relative name": ("run(sqlite3.connect('quartermaster.db'), DELETE)",),
    "by a URI": ("run(sqlite3.connect(f'file:{LIVE}?mode=rw', uri=True), DELETE)",),
    "sqlite3.dbapi2": ("import sqlite3.dbapi2 as driver", "run(driver.connect(LIVE), DELETE)"),
    "sqlite3.Connection": ("run(sqlite3.Connection(LIVE), DELETE)",),
    "the C module": ("import _sqlite3", "run(_sqlite3.connect(LIVE), DELETE)"),
    "a class of its own": ("run(sqlite3.connect(LIVE, factory=Own), DELETE)",),
    "another factory": (
        "import _sqlite3",
        "run(sqlite3.connect(LIVE, factory=_sqlite3.Connection), DELETE)",
    ),
    "a script": ("sqlite3.connect(LIVE).executescript(DELETE)",),
    "an authorizer of its own": (
        "connection = sqlite3.connect(LIVE)",
        "connection.set_authorizer(None)",
        "run(connection, DELETE)",
    ),
    "ATTACH by name": ("run(memory(), f\"ATTACH '{LIVE}' AS o\", 'DELETE FROM o.suppliers')",),
    "ATTACH by parameter": (
        "connection = memory()",
        "connection.execute('ATTACH ? AS o', (LIVE,))",
        "connection.execute('DELETE FROM o.suppliers')",
    ),
    "ATTACH by expression": (
        "run(memory(), f\"ATTACH '{LIVE[:5]}' || '{LIVE[5:]}' AS o\", 'DELETE FROM o.suppliers')",
    ),
    "ATTACH on the migration's connection": (
        "connection = op.get_bind().connection.cursor()",
        "op.get_bind().connection.rollback()",
        "connection.execute(f\"ATTACH '{LIVE}' AS o\")",
        "connection.execute('DELETE FROM o.suppliers')",
    ),
    "VACUUM": ("run(sqlite3.connect(LIVE, isolation_level=None), 'VACUUM')",),
    "a pragma": ("run(sqlite3.connect(LIVE), 'PRAGMA user_version = 7')",),
    "another journal mode": ("run(sqlite3.connect(LIVE), 'PRAGMA journal_mode = WAL')",),
    "backup() onto it": ("memory().backup(sqlite3.connect(LIVE))",),
    "a blob": (
        "connection = sqlite3.connect(LIVE)",
        "blob = connection.blobopen('suppliers', 'name', 1)",
        "blob.write(b'X')",
        "connection.commit()",
    ),
    "a thread": (
        "thread = threading.Thread(target=lambda: run(sqlite3.connect(LIVE), DELETE))",
        "thread.start()",
        "thread.join()",
    ),
    "made light of": (
        "try: run(sqlite3.connect(LIVE), DELETE)",
        "except Exception: pass",
    ),
    "aiosqlite": ("import asyncio", "asyncio.run(empty())"),
    "apsw": ("import apsw", "apsw.Connection(LIVE).execute(DELETE)"),
    "pysqlite3": ("import pysqlite3", "run(pysqlite3.connect(LIVE), DELETE)"),
    "a program with its name": (f"subprocess.run([sys.executable, '-c', {SHELL!r}, LIVE])",),
    "a program in another folder": (
        f"subprocess.run([sys.executable, '-c', {SHELL!r}, 'quartermaster.db'], cwd='.')",
    ),
    "a shell": ("os.system(f'rm -f {LIVE}')",),
    "os.replace": (
        "pathlib.Path('other.db').write_bytes(b'')",
        "os.replace('other.db', LIVE)",
    ),
    "os.rename of it": ("os.rename(LIVE, LIVE + '.old')",),
    "os.remove": ("os.remove(LIVE)",),
    "a folder that it is in": ("import shutil", "shutil.rmtree('.')"),
    "open": ("open(LIVE, 'r+b').write(b'x')",),
    "os.truncate": ("os.truncate(LIVE, 0)",),
    "another's copy over it": ("import shutil", "shutil.copy('alembic.ini', LIVE)"),
    "a hard link": ("os.link(LIVE, 'other.db')", "run(sqlite3.connect('other.db'), DELETE)"),
    "a symbolic link": ("os.symlink(LIVE, 'a.db')", "run(sqlite3.connect('a.db'), DELETE)"),
}

FREE = {
    "reading": (
        "rows = sqlite3.connect(LIVE).execute('SELECT count(*) FROM suppliers').fetchone()[0]",
        "assert rows == op.get_bind().execute(sa.text('SELECT count(*) FROM suppliers')).scalar()",
    ),
    "reading by an engine": (
        "engine = sa.create_engine(URL)",
        "sa.event.listen(engine, 'connect', lambda c, _: c.execute('PRAGMA foreign_keys = ON'))",
        "with engine.connect() as c: assert c.execute(sa.text('SELECT 1 FROM items')).all()",
    ),
    "reading it attached": (
        "connection = memory()",
        "connection.execute(f\"ATTACH '{LIVE}' AS o\")",
        "connection.execute('CREATE TABLE s AS SELECT * FROM o.suppliers')",
        "connection.execute('VACUUM')",
    ),
    "reading it attached by a parameter": (
        "connection = memory()",
        "connection.execute('ATTACH ? AS o', (LIVE,))",
        "connection.execute('CREATE TABLE s AS SELECT * FROM o.suppliers')",
    ),
    "what is there already": (
        "run(sqlite3.connect(LIVE), 'CREATE TABLE IF NOT EXISTS suppliers (id)', "
        "'PRAGMA journal_mode = DELETE', 'PRAGMA optimize')",
    ),
    "tables of its own": (
        "run(sqlite3.connect(LIVE), 'CREATE TEMP TABLE t AS SELECT * FROM items', 'DELETE FROM t')",
    ),
    "memory": ("run(memory(), 'CREATE TABLE t (x)', 'INSERT INTO t VALUES (1)', 'VACUUM')",),
    "a new file": (
        "for _ in range(2): run(sqlite3.connect('new.db'), 'CREATE TABLE IF NOT EXISTS t (x)', "
        "'INSERT INTO t VALUES (1)', 'VACUUM')",
        "os.rename('new.db', 'newer.db')",
        "run(sqlite3.connect('newer.db'), 'DELETE FROM t')",
        "os.remove('newer.db')",
    ),
    "a copy of it": (
        "import shutil, tempfile",
        "shutil.copy(LIVE, tempfile.gettempdir() + '/copy.db')",
        "run(sqlite3.connect(tempfile.gettempdir() + '/copy.db'), DELETE)",
    ),
    "a temporary file": (
        "import tempfile",
        "file = tempfile.NamedTemporaryFile(suffix='.db')",
        "run(sqlite3.connect(file.name), 'CREATE TABLE t (x)')",
    ),
    "backup() from it": ("sqlite3.connect(LIVE).backup(memory())",),
    "apsw in memory": ("import apsw", "apsw.Connection(':memory:').execute('CREATE TABLE t (x)')"),
    "a program": ("subprocess.run([sys.executable, '-c', 'print(1)'], check=True)",),
}
UNSEEN = "attached by an expression"


@pytest.fixture
def project(stocked: Project) -> Project:
    return stocked


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", ["rehearse", "migrate"])
def test_a_migration_that_goes_to_the_live_database_is_refused_before_a_byte_is_written(
    project: Project, command: str, way: str
) -> None:
    project.revise(*WAYS[way], head=HEAD + ASYNC + CLASS)
    done = project.refused(1, "undrop", command)
    assert "refused: " in done.err
    assert "9001_test.py" in done.err
    assert f"would change {project.database} (" in done.err or UNSEEN in done.err
    assert "QUARTERMASTER_DB_URL" in done.err
    if way != "a thread":  # whose traceback Python prints
        assert "Traceback" not in done.err


@pytest.mark.parametrize("way", FREE)
def test_a_migration_may_read_everything_and_write_what_it_makes_itself(
    project: Project, tmp_path: Path, way: str
) -> None:
    project.revise(*FREE[way], head=HEAD)
    live = project.exact()
    (tmp_path / "temporary").mkdir()
    project.ok("undrop", "rehearse", TMPDIR=str(tmp_path / "temporary"))
    assert project.exact() == live


ENVIRONMENT = "subprocess.run([sys.executable, '-c', {!r}], env={{**os.environ, 'FILE': LIVE}})"
PAST = ENVIRONMENT.format(
    "import os, sqlite3; c = sqlite3.connect(os.environ['FILE']); "
    "c.execute('DELETE FROM items WHERE id = 1'); c.commit()"
)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("command", ["rehearse", "migrate"])
def test_what_passes_the_fence_is_seen_and_what_was_there_before_is_held(
    project: Project, command: str, *, fails: bool
) -> None:
    before = content(project.database)
    project.revise(PAST, *(["raise ValueError"] if fails else []), head=HEAD)
    done = project.undrop(command, "--json")
    assert done.code == int(fails)
    assert "not changed" not in done.err
    assert content(project.database) != before
    assert before in [content(path) for path in project.saved()]
    assert json.loads(done.out)["live_moved"] is True
    assert "past the fence" in done.err
