"""A command that is no Alembic migrates the work copy; one that goes to live is caught."""

import pytest
from shop import Project

TOOL = """
import os, sys
from pathlib import Path

url = os.environ["QUARTERMASTER_DB_URL"] if len(sys.argv) < 2 else sys.argv[1]
script = Path("migration.sql").read_text()
if url.startswith("sqlite"):
    import sqlite3
    connection = sqlite3.connect(url.partition("///")[2])
    connection.executescript(script)
else:
    import psycopg
    connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    connection.execute(script)
print("migrated")
sys.exit(int(os.environ.get("TOOL_FAILS", "0")))
"""
COMMAND = ("--", "python", "tool.py")


@pytest.fixture
def shop(each: Project) -> Project:
    """A small database, and a migration tool of somebody's."""
    each.make(3)
    (each.root / "tool.py").write_text(TOOL)
    migration(each, "ALTER TABLE t ADD COLUMN w text")
    return each


def migration(shop: Project, sql: str) -> None:
    (shop.root / "migration.sql").write_text(sql)


def test_any_command_migrates_and_is_undone(shop: Project) -> None:
    before = shop.content()
    rehearsed = shop.done("undrop", "rehearse", *COMMAND)
    assert "t.w added" in rehearsed.out
    assert "migrate -- python tool.py" in rehearsed.err  # the line that does it
    assert shop.content() == before
    done = shop.done("just", "migrate", *COMMAND)
    assert "migrated" in done.err, "what the tool says is for people"
    assert done.out.strip() == "t.w added"
    shop.sql("SELECT w FROM t")
    migration(shop, "SELECT 1")
    assert "nothing to do" in shop.done("undrop", "migrate", *COMMAND).err
    shop.ok("undrop", "undo")
    assert shop.content() == before
    assert shop.litter() == []


def test_what_a_command_would_lose_stops_it(shop: Project) -> None:
    migration(shop, "ALTER TABLE t DROP COLUMN v")
    said = shop.refused(4, "undrop", "migrate", *COMMAND)
    assert "t.v" in said.err
    assert "migrate --accept-loss -- python tool.py" in said.err
    assert "accepts_loss" not in said.err, "no file of its migrations is read"
    assert shop.refused(4, "undrop", "rehearse", *COMMAND).code == 4
    shop.ok("undrop", "migrate", "--accept-loss", *COMMAND)
    assert len(shop.sql("SELECT * FROM t")[0]) == 1


@pytest.mark.parametrize("step", ["migrate", "rehearse"])
def test_a_command_that_goes_to_the_live_database_is_caught_and_undone(
    shop: Project, step: str
) -> None:
    before = shop.content()
    migration(shop, "DROP TABLE t")
    done = shop.undrop(step, *COMMAND, shop.url)
    assert done.code == 3
    assert "the schema of the live database itself was changed" in done.err
    assert "The live database was changed." in done.err
    assert shop.content() != before
    shop.ok("undrop", "undo")
    assert shop.content() == before
    assert shop.litter() == []


def test_it_is_caught_also_where_the_command_then_fails(shop: Project) -> None:
    before = shop.content()
    done = shop.undrop("migrate", *COMMAND, shop.url, TOOL_FAILS="5")
    assert done.code == 3
    shop.ok("undrop", "undo")
    assert shop.content() == before


def test_rows_that_came_to_live_meanwhile_are_said(shop: Project) -> None:
    """They may be its application's."""
    migration(shop, "INSERT INTO t (v) VALUES ('new')")
    done = shop.done("undrop", "migrate", *COMMAND, shop.url)
    assert "The live database was changed meanwhile" in done.err


def test_a_command_that_fails_changes_nothing_and_its_code_is_said(shop: Project) -> None:
    shop.environment["TOOL_FAILS"] = "5"
    assert "ended with 5" in shop.refused(1, "undrop", "migrate", *COMMAND).err
    assert "ended with 5" in shop.refused(1, "undrop", "rehearse", *COMMAND).err


def test_an_empty_database_is_made_by_the_command_of_the_settings(shop: Project) -> None:
    settings = shop.root / "pyproject.toml"
    text = settings.read_text()
    own = '[tool.undrop]\nmigrate-command = "python tool.py"\n'
    settings.write_text(text.replace("[tool.undrop]\n", own))
    migration(shop, "CREATE TABLE fresh (id integer PRIMARY KEY)")
    before = shop.content()
    shop.ok("just", "reset-db")
    assert shop.sql("SELECT count(*) FROM fresh") == [(0,)]
    assert "t" not in {name.rpartition(".")[2] for name in tables(shop)}
    shop.ok("just", "undo")
    assert shop.content() == before
    shop.ok("just", "nuke-db")
    shop.ok("just", "migrate")
    assert shop.sql("SELECT count(*) FROM fresh") == [(0,)]


def tables(shop: Project) -> list[str]:
    schema = "sqlite_master" if shop.kind == "sqlite" else "pg_tables"
    name = "name" if shop.kind == "sqlite" else "tablename"
    return [row[0] for row in shop.sql(f"SELECT {name} FROM {schema}")]
