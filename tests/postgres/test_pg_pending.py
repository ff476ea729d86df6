"""A backup before somebody's own command is proved when that has run, or by the next command."""

import json
from pathlib import Path

import pytest
from pg_rich import Rich
from server import program
from test_agent_ends import Agent

PENDING = "ok, proof pending"


def checks(shop: Rich) -> list[str]:
    """What ``list`` says of each backup, oldest first."""
    listed = json.loads(shop.ok("undrop", "list", "--json"))["backups"]
    return [each["check"] for each in listed[::-1]]


def agent(shop: Rich, statement: str) -> None:
    """A call of an agent's that runs it, told of before and after."""
    Agent(shop).does("psql -f x.sql", lambda _: shop.psql(statement))


def with_loads(shop: Rich, folder: Path, does: str) -> str:
    """A PATH on which each load of a dump's rows does that first, by a pg_restore in ``folder``."""
    folder.mkdir()
    (folder / "pg_restore").write_text(
        f'#!/bin/sh\ncase "$*" in *--section=data*) {does};; esac\n'
        f'exec {program("pg_restore")} "$@"\n'
    )
    (folder / "pg_restore").chmod(0o755)
    head, _, rest = shop.environment["PATH"].partition(":")
    return f"{head}:{folder}:{rest}"


def dropping(shop: Rich) -> list[str]:
    """A command of somebody's own."""
    there = ["-h", str(shop.server.folder), "-U", "postgres", shop.name]
    return ["psql", "-qX", *there, "-c", "DROP TABLE t"]


def test_a_proof_comes_after_the_command_or_by_the_next_that_writes(pg: Rich) -> None:
    """An agent waits for no proof; run has its own after the command; migrate's comes first."""
    pg.make(20)
    agent(pg, "DELETE FROM t WHERE id = 1")
    assert checks(pg) == [PENDING, PENDING]
    assert PENDING in pg.ok("undrop", "list")
    before = pg.exactly()
    pg.ok("undrop", "run", "--", *dropping(pg))
    assert checks(pg) == ["ok", "ok"]
    pg.ok("undrop", "undo")
    assert pg.exactly() == before
    agent(pg, "DELETE FROM t WHERE id = 3")
    assert PENDING in checks(pg)
    Agent(pg).says("Stop")
    assert PENDING not in checks(pg)
    pg.ok("undrop", "backup", "--before", "nuke-db", "before nuke-db")
    pg.psql("DELETE FROM t WHERE id = 2")
    pg.ok("undrop", "backup", "--before", "nuke-db", "before nuke-db")
    assert checks(pg)[-1] == PENDING
    pg.ok("undrop", "nuke-db")
    assert checks(pg)[-1] == "ok"


@pytest.mark.more
def test_migrating_a_copy_proves_what_it_is_made_of(stocked_server: Rich, pg: Rich) -> None:
    """It is loaded once; older ones are proved when that is done, and the state after waits."""
    pg.stock(stocked_server)
    agent(pg, "INSERT INTO locations (code) VALUES ('one')")
    assert checks(pg) == [PENDING, PENDING]
    loads = pg.root.parent / "loads"
    path = with_loads(pg, loads.parent / "counting", f'echo "$*" >> {loads}')
    pg.revise("op.execute('ALTER TABLE locations ADD note text')")
    done = pg.undrop("migrate", PATH=path)
    assert done.code == 0, done
    assert checks(pg) == ["ok", "ok", PENDING]
    assert len(loads.read_text().splitlines()) == 2
    pg.ok("undrop", "undo")


@pytest.mark.more
def test_a_proof_that_fails_is_told_and_another_backup_holds_the_state(pg: Rich) -> None:
    """Also where its file is broken after it was taken; the step that asks for it goes on."""
    pg.make(20)
    agent(pg, "DELETE FROM t WHERE id = 1")
    for path in pg.saved():
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-200])
    before = pg.exactly()
    done = pg.undrop("nuke-db")
    assert done.code == 0, done
    assert done.err.count("A BACKUP CANNOT BE PUT BACK") == 2
    assert [each.split(":")[0] for each in checks(pg)] == ["failed verify", "failed verify", "ok"]
    pg.ok("undrop", "undo")
    assert pg.exactly() == before


@pytest.mark.more
def test_what_will_not_be_restored_says_so_at_once(pg: Rich) -> None:
    """Other roles' code would run as a superuser: there is no proof to wait for."""
    pg.make(3)
    sql = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    pg.psql(f"CREATE ROLE undrop_stranger; {sql}; ALTER FUNCTION f() OWNER TO undrop_stranger")
    pg.ok("undrop", "backup", "--before", "nuke-db", "before nuke-db")
    assert checks(pg)[0].startswith("ok, not restored: code of undrop_stranger would run")
    pg.psql("DROP FUNCTION f(); DROP ROLE undrop_stranger")


@pytest.mark.more
def test_a_killed_proof_is_made_up_for(pg: Rich, tmp_path: Path) -> None:
    """The command has run; what was taken before it waits, and can be put back."""
    pg.make(20)
    before = pg.exactly()
    path = with_loads(pg, tmp_path / "killing", "kill -9 $PPID")
    killed = pg.undrop("run", "--", *dropping(pg), PATH=path)
    assert killed.code not in {0, 1}
    assert checks(pg) == [PENDING]
    assert not pg.exists()
    pg.ok("undrop", "verify")
    assert checks(pg) == ["ok"]
    pg.ok("undrop", "undo")
    assert pg.exactly() == before
