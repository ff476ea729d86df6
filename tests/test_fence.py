"""What a migration may reach: the work copy, what it makes itself, and nothing else to write to.

Through the real command line. Each way to reach the live database is refused before a byte is
written; or it is seen that it was written to, what was there before is held, and that is said.
"""

import json
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop import Project, content, some

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
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
    "c.executescript('DELETE FROM items WHERE id = 1')"
)
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
    "VACUUM of it attached": ("run(memory(), f\"ATTACH '{LIVE}' AS o\", 'VACUUM o')",),
    "ATTACH as the name that VACUUM uses": (
        "run(memory(), f\"ATTACH '{LIVE}' AS vacuum_db\", 'DELETE FROM vacuum_db.suppliers')",
    ),
    "ATTACH of several": (
        "run(memory(), f\"ATTACH '{LIVE}' AS o\", \"ATTACH ':memory:' AS a\", "
        "'CREATE TABLE a.x (y)', 'CREATE TABLE o.x AS SELECT * FROM a.x')",
    ),
    "a pragma of what is attached": (
        "connection = memory()",
        "connection.execute('ATTACH ? AS o', (LIVE,))",
        "connection.execute('PRAGMA o.journal_mode = WAL')",
    ),
    "the schema itself": (
        "run(memory(), 'PRAGMA writable_schema = ON', f\"ATTACH '{LIVE}' AS o\", "
        "\"UPDATE o.sqlite_master SET sql = sql || ' '\")",
    ),
    "apsw, attached": (
        "import apsw",
        "connection = apsw.Connection(':memory:')",
        "connection.execute(f\"ATTACH '{LIVE}' AS o\")",
        "connection.backup('o', apsw.Connection(':memory:'), 'main').step()",
    ),
    "a URI that is none to Python": ("run(sqlite3.connect(f'file:{LIVE}'), DELETE)",),
    "a process that was forked": (
        "import multiprocessing",
        "context = multiprocessing.get_context('fork')",
        "process = context.Process(target=lambda: run(sqlite3.connect(LIVE), DELETE))",
        "process.start()",
        "process.join()",
    ),
    "a table named like a virtual one's": (
        "run(sqlite3.connect(LIVE), 'DELETE FROM item_search_data')",
    ),
    "VACUUM": ("run(sqlite3.connect(LIVE, isolation_level=None), 'VACUUM')",),
    "a pragma": ("run(sqlite3.connect(LIVE), 'PRAGMA user_version = 7')",),
    "another journal mode": ("run(sqlite3.connect(LIVE), 'PRAGMA journal_mode = WAL')",),
    "backup() onto it": ("memory().backup(sqlite3.connect(LIVE))",),
    "a blob": (
        "connection = sqlite3.connect(LIVE)",
        "blob = connection.blobopen('suppliers', 'name', 1, name='MAIN')",
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
    "what is attached by a parameter": (
        "connection = memory()",
        "for name in ('new.db', ':memory:'):",
        "    connection.execute('ATTACH ? AS n', (name,))",
        "    connection.execute('CREATE TABLE n.t (x)')",
        "    connection.execute('DETACH n')",
        "connection.execute(f\"ATTACH '{LIVE}' AS o\")",
        "connection.execute('ATTACH ? AS n', (':memory:',))",
        "connection.execute('CREATE TABLE n.t AS SELECT * FROM o.items')",
        "connection.execute('DETACH o')",
        "connection.execute('PRAGMA user_version = 5')",
    ),
    "pragmas that change nothing": (
        "run(sqlite3.connect(LIVE), \"PRAGMA encoding = 'UTF-8'\", 'PRAGMA auto_vacuum = NONE', "
        "'PRAGMA user_version = 0', 'PRAGMA foreign_keys = ON', 'PRAGMA synchronous = NORMAL')",
    ),
    "a factory of another kind": ("sqlite3.connect(':memory:', factory=lambda *a, **k: object())",),
    "an attached new file": (
        "run(memory(), \"ATTACH 'new.db' AS n\", 'CREATE TABLE n.t (x)', 'DETACH n')",
        "run(sqlite3.connect('new.db'), 'INSERT INTO t VALUES (1)')",
    ),
    "backup() from it": ("sqlite3.connect(LIVE).backup(memory())",),
    "apsw in memory": ("import apsw", "apsw.Connection(':memory:').execute('CREATE TABLE t (x)')"),
    "a program": ("subprocess.run([sys.executable, '-c', 'print(1)'], check=True)",),
}
UNSEEN = "attached by an expression"


@pytest.fixture
def project(stocked: Project) -> Project:
    return stocked


@pytest.mark.parametrize("way", some(WAYS))
@pytest.mark.parametrize("command", ["rehearse", pytest.param("migrate", marks=pytest.mark.more)])
def test_a_migration_that_goes_to_the_live_database_is_refused_before_a_byte_is_written(
    project: Project, command: str, way: str
) -> None:
    project.revise(*WAYS[way], head=HEAD + ASYNC + CLASS)
    done = project.refused(1, "undrop", command)
    assert "refused: " in done.err
    assert "9001_test.py" in done.err
    assert f"would change {project.database} (" in done.err or UNSEEN in done.err
    assert "QUARTERMASTER_DB_URL" in done.err
    if way not in {"a thread", "a process that was forked"}:  # their tracebacks are printed
        assert "Traceback" not in done.err


for _n, _way in enumerate(WAYS):
    if _n % 3:  # `migrate` goes the way that `rehearse` goes
        pytest.mark.full("migrate", _way)(
            test_a_migration_that_goes_to_the_live_database_is_refused_before_a_byte_is_written
        )


@pytest.mark.parametrize("way", some(FREE))
def test_a_migration_may_read_everything_and_write_what_it_makes_itself(
    project: Project, tmp_path: Path, way: str
) -> None:
    project.revise(*FREE[way], head=HEAD)
    live = project.exact()
    (tmp_path / "temporary").mkdir()
    project.ok("undrop", "rehearse", TMPDIR=str(tmp_path / "temporary"))
    assert project.exact() == live


PAST = {
    "in its environment": (
        f"subprocess.run([sys.executable, '-c', {SHELL!r}.replace('sys.argv[1]', "
        "\"__import__('os').environ['FILE']\")], env={**os.environ, 'FILE': LIVE})"
    ),
    "among its words": f"subprocess.run([sys.executable, '-c', {SHELL!r}, LIVE])",
    "in a shell": "os.system(f'{sys.executable} -c \"{SHELL}\" {LIVE}')",
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("command", some(["migrate", "rehearse", "reset-db"]))
@pytest.mark.parametrize("name", PAST)
def test_a_program_that_has_the_databases_name_is_seen_and_what_was_there_before_is_held(
    project: Project, command: str, name: str, *, fails: bool
) -> None:
    before = content(project.database)
    head = f"{HEAD}\nSHELL = {SHELL!r}"
    project.revise(PAST[name], *(["raise ValueError"] if fails else []), head=head)
    done = project.undrop(command, "--json")
    assert done.code == int(fails)
    assert "not changed" not in done.err
    assert content(project.database) != before
    assert before in [content(path) for path in project.saved()]
    assert json.loads(done.out)["live_moved"] is True
    assert "past the fence" in done.err


EMPTIES = """
import pathlib, sqlite3
connection = sqlite3.connect(pathlib.Path(__file__).parents[1] / "quartermaster.db")
connection.execute("DELETE FROM stock_movements")
connection.commit()
"""


def imports(project: Project, text: str) -> None:
    """Let ``env.py`` import a module of the application's with that text."""
    (project.root / "alembic/application.py").write_text(text)
    env = project.root / "alembic/env.py"
    line = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nimport application\n"
    env.write_text(line + env.read_text())


@pytest.mark.parametrize(
    "command",
    [
        ("rehearse",),
        ("migrate",),
        ("reset-db",),
        ("init", "--dry-run"),
        ("init", "--dry-run", "--url", "sqlite:///quartermaster.db"),
    ],
)
def test_an_import_that_empties_a_table_empties_none(
    project: Project, command: tuple[str, ...]
) -> None:
    project.revise("pass")
    imports(project, EMPTIES)
    live = project.exact()
    done = project.undrop(*command)
    assert project.exact() == live
    if "--url" not in command:  # else env.py is not loaded
        assert "alembic/application.py, line 4, would change" in done.err
    if command[0] != "init":
        assert done.code == 1
        assert "was not changed" in done.err
        assert content(project.database) in [content(path) for path in project.saved()]


LOOKS = (
    *(("status",), ("list",), ("diff",), ("history",), ("verify",), ("audit",)),
    *(("undo", "--list"), ("restore", "latest", "--dry-run")),
    *(("log", "items", "1"), ("find", "bolt")),
)


@pytest.mark.parametrize("command", LOOKS)
def test_a_look_runs_no_project_code_that_could_write(
    project: Project, command: tuple[str, ...]
) -> None:
    """``alembic heads`` runs the top of every migration's file, too."""
    project.ok("undrop", "backup")
    project.sql("INSERT INTO suppliers (name) VALUES ('new')")
    project.revise("pass", head=f"{HEAD}\nrun(sqlite3.connect(LIVE), DELETE)")
    live, names = project.exact(), sorted(project.backups.iterdir())
    project.undrop(*command)
    assert project.exact() == live
    assert sorted(project.backups.iterdir()) == names


def test_init_holds_what_is_written_down_before_it_runs_anything(project: Project) -> None:
    """What passes the fence is in the backup."""
    (project.root / "pyproject.toml").unlink()
    ini = project.root / "alembic.ini"
    url = "sqlalchemy.url = sqlite:///quartermaster.db"
    ini.write_text(ini.read_text().replace("[alembic]", f"[alembic]\n{url}", 1))
    before = content(project.database)
    imports(project, f"import os, pathlib, subprocess, sys\n{LIVE}\n{PAST['among its words']}\n")
    project.undrop("init")
    assert before in [content(path) for path in project.saved()]


@pytest.mark.parametrize("command", ["migrate", pytest.param("reset-db", marks=pytest.mark.more)])
@pytest.mark.parametrize(
    "way",
    [
        "sqlite3.connect(LIVE)",
        "sqlite3.connect(f'file:{LIVE}', uri=True)",
        "memory().execute(f\"ATTACH '{LIVE}' AS o\")",
        "memory().execute(f\"VACUUM INTO '{LIVE}'\")",
        "__import__('apsw').Connection(LIVE)",
        "__import__('pysqlite3').connect(LIVE)",
        "open(LIVE, 'w')",
    ],
)
def test_no_live_database_is_made_by_opening_it(project: Project, command: str, way: str) -> None:
    project.database.unlink()
    project.revise(way, head=HEAD)
    project.refused(1, "undrop", command)
    assert not project.database.exists()


def test_other_databases_that_were_there_are_not_written_to_either(project: Project) -> None:
    other = project.root / "other.db"
    shutil.copy(project.database, other)
    before = other.read_bytes()
    way = f"run(sqlite3.connect({str(other)!r}), DELETE)"
    for statement in (way, f"os.remove({str(other)!r})", f"open({str(other)!r}, 'w')"):
        project.revise(statement, head=HEAD)
        assert f"would change {other} (" in project.refused(1, "undrop", "rehearse").err
        assert other.read_bytes() == before
    backup = Path(project.ok("undrop", "backup").strip())
    project.revise(f"os.chmod({str(backup)!r}, 0o600)", f"os.truncate({str(backup)!r}, 9)")
    assert f"would change {backup} (" in project.refused(1, "undrop", "rehearse").err


@pytest.mark.parametrize("way", ["a session", "aiosqlite engine"])
def test_reroute_hands_the_applications_engine_the_work_copy(project: Project, way: str) -> None:
    pyproject = project.root / "pyproject.toml"
    text = pyproject.read_text().replace("[tool.undrop]", "[tool.undrop]\nreroute = true", 1)
    pyproject.write_text(text)
    add = "INSERT INTO suppliers (name) VALUES ('rerouted')"
    ways = {
        "a session": (
            "session = Session(sa.create_engine(URL))",
            f"session.execute(sa.text({add!r}))",
            "session.commit()",
        ),
        "aiosqlite engine": ("import asyncio", "asyncio.run(add())"),
    }
    head = HEAD + (
        "async def add():\n"
        "    from sqlalchemy.ext.asyncio import create_async_engine\n"
        "    engine = create_async_engine(URL.replace('sqlite:', 'sqlite+aiosqlite:'))\n"
        "    async with engine.begin() as connection:\n"
        f"        await connection.execute(sa.text({add!r}))\n"
    )
    project.revise(*ways[way], head=head)
    env = project.root / "alembic/env.py"  # two connections, as most have it: no transaction open
    env.write_text(env.read_text().replace("\n    transactional_ddl(engine)", "\n    pass"))
    live = project.exact()
    project.ok("undrop", "rehearse")
    assert project.exact() == live
    project.ok("undrop", "migrate")
    with closing(sqlite3.connect(project.database)) as connection:
        rows = connection.execute("SELECT count(*) FROM suppliers WHERE name = 'rerouted'")
        assert rows.fetchone() == (1,)


def test_a_wal_database_is_read_behind_the_fence_without_a_mark_on_it(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as holder:
        holder.execute("PRAGMA journal_mode = WAL")
        holder.execute("INSERT INTO suppliers (name) VALUES ('in the wal')")
        holder.commit()
        wal = project.database.with_name("quartermaster.db-wal")
        assert wal.stat().st_size > 0
        before = wal.read_bytes(), project.database.read_bytes()
        project.revise(
            "connection = sqlite3.connect(LIVE)",
            "connection.execute('PRAGMA journal_mode = WAL')",
            "names = [row[0] for row in connection.execute('SELECT name FROM suppliers')]",
            "assert 'in the wal' in names",
            "connection.close()",
            head=HEAD,
        )
        project.ok("undrop", "rehearse")
        assert (wal.read_bytes(), project.database.read_bytes()) == before


def test_virtual_tables_are_read_behind_the_fence_and_not_written_to(project: Project) -> None:
    """An R*Tree prepares all that it might do to its own tables when it is first read."""
    with closing(sqlite3.connect(project.database)) as connection:
        connection.executescript(
            "CREATE VIRTUAL TABLE boxes USING rtree (id, a, b);"
            "INSERT INTO boxes VALUES (1, 2, 3);"
            "CREATE VIRTUAL TABLE words USING fts5 (text);"
            "INSERT INTO words VALUES ('hello world');"
        )
    project.revise(
        "connection = sqlite3.connect(LIVE)",
        "assert connection.execute('SELECT id FROM boxes WHERE a < 9').fetchall() == [(1,)]",
        "hits = connection.execute(\"SELECT 1 FROM words WHERE words MATCH 'hello'\")",
        "assert len(hits.fetchall()) == 1",
        head=HEAD,
    )
    project.ok("undrop", "rehearse")
    for table in ("boxes", "words"):
        project.revise(f"run(sqlite3.connect(LIVE), 'DELETE FROM {table}')", head=HEAD)
        assert f"(DELETE {table})" in project.refused(1, "undrop", "rehearse").err


def test_what_a_rehearsal_made_does_not_stand_in_the_migrations_way(project: Project) -> None:
    """A database that it makes is there before, the next time."""
    project.revise(
        "run(sqlite3.connect('archive.db'), 'CREATE TABLE old (x)', 'INSERT INTO old VALUES (1)')",
        head=HEAD,
    )
    project.ok("undrop", "rehearse")
    archive = project.root / "archive.db"
    assert not archive.exists()
    project.ok("undrop", "migrate")
    with closing(sqlite3.connect(archive)) as connection:
        assert connection.execute("SELECT x FROM old").fetchall() == [(1,)]


def test_what_others_wrote_in_an_earlier_try_is_said_where_a_later_one_fails(
    project: Project,
) -> None:
    before = content(project.database)
    project.revise(
        "flag = pathlib.Path('second')",
        "if flag.exists(): raise ValueError('the second try')",
        "flag.write_text(str(1))",
        f"subprocess.run([sys.executable, '-c', {SHELL!r}, LIVE])",
        head=HEAD,
    )
    done = project.undrop("migrate", "--json")
    assert done.code == 1
    assert "the second try" in done.err
    assert "not changed" not in done.err
    assert json.loads(done.out)["live_moved"] is True
    assert before in [content(path) for path in project.saved()]


def test_a_daemon_of_the_migrations_keeps_nobody_waiting(project: Project) -> None:
    project.revise(
        "import multiprocessing",
        "context = multiprocessing.get_context('fork')",
        "process = context.Process(target=time.sleep, args=(60,), daemon=True)",
        "process.start()",
        "pathlib.Path('daemon').write_text(str(process.pid))",
        head=HEAD,
    )
    try:
        project.ok("undrop", "rehearse")
        daemon = Path("/proc", (project.root / "daemon").read_text())
        assert daemon.exists()
    finally:
        os.kill(int((project.root / "daemon").read_text()), signal.SIGKILL)


def test_the_database_that_is_written_down_is_adopted_where_env_py_cannot_be_loaded(
    project: Project,
) -> None:
    (project.root / "pyproject.toml").unlink()
    ini = project.root / "alembic.ini"
    url = "sqlalchemy.url = sqlite:///quartermaster.db"
    ini.write_text(ini.read_text().replace("[alembic]", f"[alembic]\n{url}", 1))
    imports(project, "raise RuntimeError('not today')\n")
    done = project.run("undrop", "init")
    assert done.code == 4  # Alembic is there, and whether it is guarded cannot be tried
    assert "not today" in done.err
    assert 'url = "sqlite:///quartermaster.db"' in (project.root / "undrop.toml").read_text()
