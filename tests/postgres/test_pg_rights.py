"""Users who may not do everything, tools that are missing, servers that are away."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from forks import Done
from pg_rich import Rich
from server import Server, running

USER = "undrop_limited"


@pytest.fixture
def limited(pg: Rich, server: Server) -> Rich:
    """A project whose user owns the database and may make no other."""
    if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{USER}'"):
        server.sql(f"CREATE ROLE {USER} LOGIN")
    server.sql(f'CREATE DATABASE "{pg.name}" OWNER {USER}')
    pg.environment["QUARTERMASTER_DB_URL"] = pg.url.replace("postgres@", f"{USER}@")
    pg.psql(
        f"SET ROLE {USER}; CREATE TABLE t (id serial PRIMARY KEY, v text);"
        "INSERT INTO t (v) VALUES ('a'), ('b'); CREATE SCHEMA other; CREATE TABLE other.u (n int)"
    )
    return pg


@pytest.fixture(scope="module")
def second() -> Iterator[Server]:
    """Another server, where scratch databases may be made."""
    with running() as started:
        yield started


def version(project: Rich) -> int:
    """The server's major version."""
    [(number,)] = project.server.sql("SHOW server_version_num")
    return int(number) // 10000


def lines(done: Done, code: int, *words: str) -> None:
    """A failure of three lines, with these words in it."""
    assert done.code == code, done
    assert "Traceback" not in done.err
    last = done.err.rstrip().splitlines()[-3:]
    assert last[1].strip().startswith("The live database was"), done.err
    assert last[2].strip().startswith("Next: "), done.err
    for word in words:
        assert word in done.err, done.err


def test_backups_are_taken_where_none_can_be_tried(limited: Rich) -> None:
    before = limited.exactly()
    limited.ok("undrop", "backup")
    assert "ok, not restored: " in limited.ok("undrop", "list")
    name = limited.saved()[-1]
    assert '"check": "ok, not restored: ' in name.with_suffix(".json").read_text()
    limited.psql("DROP TABLE t")
    limited.ok("undrop", "restore", "latest")
    assert limited.exactly() == before
    limited.ok("undrop", "nuke-db")
    assert not limited.exists()
    limited.ok("undrop", "undo")
    assert limited.exactly() == before
    limited.ok("undrop", "verify")
    limited.ok("undrop", "list", "--json")


@pytest.mark.parametrize("command", ["migrate", "rehearse", "reset-db", "diff latest live"])
def test_what_needs_a_scratch_database_says_how_to_get_one(limited: Rich, command: str) -> None:
    before = limited.exactly()
    limited.ok("undrop", "backup")
    limited.psql("INSERT INTO t (v) VALUES ('c')")
    lines(limited.undrop(*command.split()), 1, "verify-url", "CREATEDB")
    limited.psql("DELETE FROM t WHERE v = 'c'; SELECT setval('t_id_seq', 2)")
    assert limited.exactly() == before


def test_scratch_databases_on_another_server(limited: Rich, second: Server) -> None:
    toml = limited.root / "pyproject.toml"
    line = f'[tool.undrop]\nverify-url = "{second.url("postgres")}"'
    toml.write_text(toml.read_text().replace("[tool.undrop]", line))
    limited.psql(f"SET ROLE {USER}; DROP TABLE t; DROP SCHEMA other CASCADE")
    for command in (
        "migrate",
        "backup",
        "rehearse",
        "migrate -1 --accept-loss",
        "undo",
        "reset-db",
        "undo",
        "verify",
    ):
        limited.ok("undrop", *command.replace("-1", "0005").split())
    assert "not restored" not in limited.ok("undrop", "list")
    assert limited.server.scratch() == second.scratch() == []


def without(project: Rich, *names: str) -> str:
    """A PATH with every program that undrop needs, but these."""
    folder = project.root.parent / "few"
    folder.mkdir()
    for name in {"pg_dump", "pg_restore", "sh", "env", "git", "python3"} - {*names}:
        (folder / name).symlink_to(str(shutil.which(name)))
    return f"{project.environment['PATH'].partition(':')[0]}:{folder}"


@pytest.mark.parametrize("name", ["pg_dump", "pg_restore"])
def test_a_program_that_is_missing(limited: Rich, name: str) -> None:
    before = limited.exactly()
    path = without(limited, name)
    for command in ("backup", "nuke-db", "migrate"):
        words = (f"{name} is not on PATH", f"version {version(limited)} or newer")
        lines(limited.undrop(command, PATH=path), 2, *words)
    limited.ok("undrop", "backup")
    if name == "pg_restore":
        limited.psql("INSERT INTO t (v) VALUES ('c')")
        assert f"{name} is not on PATH" in limited.undrop("verify", PATH=path).out
        lines(limited.undrop("restore", "latest", PATH=path), 2, name)
        limited.psql("DELETE FROM t WHERE v = 'c'; SELECT setval('t_id_seq', 2)")
    assert limited.exactly() == before


@pytest.mark.parametrize("name", ["pg_dump", "pg_restore"])
def test_a_program_that_is_older_than_the_server(limited: Rich, name: str) -> None:
    path = Path(without(limited, name).partition(":")[2], name)
    path.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 9.6.24'\n")
    path.chmod(0o755)
    done = limited.undrop(
        "backup", PATH=f"{limited.environment['PATH'].partition(':')[0]}:{path.parent}"
    )
    lines(done, 2, "is version 9", f"the server is {version(limited)}")


def test_without_the_driver(limited: Rich) -> None:
    hidden = limited.root.parent / "hidden"
    (hidden / "psycopg").mkdir(parents=True)
    (hidden / "psycopg/__init__.py").write_text("raise ImportError('not here')\n")
    done = limited.undrop("backup", PYTHONPATH=str(hidden))
    lines(done, 2, "psycopg", "pip install 'undrop[postgres]'")


@pytest.mark.parametrize("host", ["/nowhere", "nowhere.invalid", "127.0.0.1:1"])
def test_a_server_that_is_away(pg: Rich, host: str) -> None:
    url = "postgresql+psycopg://postgres@" + (f"/x?host={host}" if host[0] == "/" else f"{host}/x")
    for command in ("backup", "migrate", "nuke-db", "rehearse", "undo", "reset-db"):
        lines(pg.undrop(command, QUARTERMASTER_DB_URL=url), 1, "server")
    pg.undrop("list", QUARTERMASTER_DB_URL=url)
    status = pg.undrop("status", QUARTERMASTER_DB_URL=url)
    assert status.code != 0
    assert "Traceback" not in status.err


def test_a_database_that_is_not_there(pg: Rich) -> None:
    assert pg.undrop("backup").code == 0
    assert pg.undrop("nuke-db").code == 0
    assert pg.undrop("list").code == 0
    lines(pg.undrop("rehearse"), 2, "no database")
    assert not pg.exists()


def test_a_table_that_this_user_may_not_read(limited: Rich) -> None:
    limited.psql("CREATE TABLE secret (v int); INSERT INTO secret VALUES (1)")
    before = limited.exactly()
    for command in ("backup", "nuke-db", "migrate"):
        lines(limited.undrop(command), 1, "permission denied", "secret")
    assert limited.exactly() == before
    assert not limited.litter()


def test_a_table_of_somebody_elses(limited: Rich) -> None:
    """The schema's owner could drop it, and then not make it again as it was."""
    limited.psql(f"CREATE TABLE shared (v int); GRANT ALL ON shared TO {USER}")
    before = limited.exactly()
    limited.ok("undrop", "backup")
    lines(limited.undrop("nuke-db"), 1, "shared")
    assert limited.exactly() == before


def test_an_agent_is_not_let_through_without_a_backup(limited: Rich) -> None:
    limited.psql("CREATE TABLE secret (v int)")
    call = {
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "cwd": str(limited.root),
        "tool_input": {"command": "python x.py"},
    }
    file = limited.root / "call.json"
    file.write_text(json.dumps(call))
    done = limited.run("sh", "-c", f"undrop agent-hook < {file}")
    assert '"ask"' in done.out, done


@pytest.fixture
def maker(limited: Rich) -> Iterator[Rich]:
    """The same user with the right to make databases, and what only a superuser may put there."""
    limited.server.sql(f"ALTER ROLE {USER} CREATEDB")
    limited.psql("DROP TABLE t; DROP SCHEMA other CASCADE; CREATE EXTENSION pageinspect")
    yield limited
    limited.server.sql(f"ALTER ROLE {USER} NOCREATEDB")


def test_an_extension_that_only_a_superuser_may_make(maker: Rich) -> None:
    maker.ok("undrop", "migrate")
    maker.ok("undrop", "backup")
    before = maker.exactly()
    maker.revise("op.execute('DROP TABLE stock_movements CASCADE')")
    lines(maker.undrop("migrate"), 1, "no scratch database here can take it", "verify-url")
    assert maker.exactly() == before
    maker.ok("undrop", "run", *maker.client("DROP TABLE stock_movements CASCADE"))
    maker.ok("undrop", "undo")
    assert maker.exactly() == before


def test_extensions_that_wait_for_the_first_migration_are_on_its_copy(maker: Rich) -> None:
    maker.psql("DROP EXTENSION pageinspect; CREATE EXTENSION citext SCHEMA public")
    maker.revise("op.execute('CREATE TABLE mine (v public.citext)')")
    maker.ok("undrop", "migrate")
    maker.ok("undrop", "reset-db")
    assert maker.sql("SELECT count(*) FROM mine") == [(0,)]
