"""A project whose ``env.py`` wants its own command: that is what is tried, led and told of."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from server import Server
from shop import content
from test_init import Elsewhere

COMMAND = """
import os, subprocess, sys
import sqlalchemy
from alembic import command
from alembic.config import Config

import app

app.URL = os.environ.get("APP_DB", "sqlite:///app.db")
config = Config("alembic.ini")
if "--apart" in sys.argv:
    sys.exit(subprocess.call([sys.executable, "upgrade.py"]))
try:
    engine = sqlalchemy.create_engine(app.URL)
    if not sqlalchemy.inspect(engine).has_table("alembic_version"):
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE notes (id INTEGER PRIMARY KEY)"))
        command.stamp(config, "head")
    else:
        command.upgrade(config, "head")
except Exception as error:
    sys.exit("sorry")
"""
ENV = """
import app
import sqlalchemy
from alembic import context

if app.URL is None:
    raise RuntimeError("upgrade.py alone starts this")
with sqlalchemy.create_engine(app.URL).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
LOSES = """
from alembic import op

revision, down_revision = "2", "1"
{accepts}


def upgrade():
    op.execute("ALTER TABLE notes DROP COLUMN text")
    {does}


def downgrade():
    op.execute("ALTER TABLE notes ADD COLUMN text TEXT")
"""
OPENS_LIVE = "__import__('sqlite3').connect('app.db').execute('DELETE FROM notes')"


class Owned(Elsewhere):
    """One whose ``upgrade.py`` makes ready what ``env.py`` wants, and swallows what it raises."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.with_alembic("generic", "sqlite:///app.db")
        self.write("app.py", "URL = None\n")
        self.write("migrations/env.py", ENV)
        self.write("upgrade.py", COMMAND)
        self.migration()

    def set(self, command: str, url: str = "sqlite:///app.db") -> None:
        lines = {"url": url, "url-variable": "APP_DB", "alembic-command": command}
        text = "".join(f"{name} = '{value}'\n" for name, value in lines.items())
        self.write("undrop.toml", text)

    def migration(self, accepts: str = "", does: str = "pass") -> None:
        self.write("migrations/versions/2.py", LOSES.format(accepts=accepts, does=does))

    @property
    def rows(self) -> list[str]:
        return content(self.root / "app.db")


@pytest.fixture
def owned(tmp_path: Path) -> Owned:
    return Owned(tmp_path / "theirs")


@pytest.mark.more
def test_it_is_guarded_by_its_own_command_and_migrated_through_it(owned: Owned) -> None:
    rows = owned.rows
    alone = owned.run("undrop", "init", "--url", "sqlite:///app.db")
    assert alone.code == 4, alone
    assert "upgrade.py alone starts this" in alone.out
    assert 'alembic-command = "COMMAND"' in alone.out
    owned.ok("undrop", "init", "--remove")

    owned.set("python upgrade.py")
    assert owned.ok("undrop", "init").endswith("\nGuarded: python upgrade.py\n")
    assert owned.rows == rows
    owned.ok("python", "upgrade.py")
    assert rows in [content(path) for path in owned.root.glob("backups/*-alembic.db")]
    owned.ok("undrop", "undo")
    assert owned.rows == rows

    lost = owned.run("undrop", "rehearse")
    assert (lost.code, owned.rows) == (4, rows)
    assert "notes.text" in lost.out
    owned.migration(accepts="accepts_loss = ['notes.text']")
    owned.ok("undrop", "migrate")
    assert "one" not in str(owned.rows)
    owned.ok("undrop", "migrate", "1")
    assert "text TEXT" in str(owned.rows)
    owned.ok("undrop", "undo")
    owned.ok("undrop", "undo")
    owned.ok("undrop", "undo")


def test_what_its_migration_fails_at_is_said_whatever_the_command_makes_of_it(owned: Owned) -> None:
    owned.set("python -m upgrade")
    rows = owned.rows
    owned.migration(does=OPENS_LIVE)
    refused = owned.run("undrop", "migrate", "--accept-loss")
    assert (refused.code, owned.rows) == (1, rows)
    assert "refused: " in refused.err
    owned.migration(does="raise ValueError('no oven')")
    failed = owned.run("undrop", "migrate", "--accept-loss")
    assert (failed.code, owned.rows) == (1, rows)
    assert "ValueError: no oven" in failed.err


def test_an_empty_database_is_made_as_the_command_makes_one(owned: Owned) -> None:
    owned.set("python upgrade.py")
    owned.ok("undrop", "reset-db")
    with closing(sqlite3.connect(owned.root / "app.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("2",)]
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)


@pytest.mark.more
def test_on_a_server_the_live_database_is_migrated_through_it(owned: Owned, server: Server) -> None:
    name = f"owned_{os.getpid()}"
    server.sql(f"CREATE DATABASE {name}")
    for sql in (
        "CREATE TABLE notes (id SERIAL PRIMARY KEY, text TEXT)",
        "INSERT INTO notes (text) VALUES ('one'), ('two')",
        "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('1')",
    ):
        server.sql(sql, name)
    owned.set("python upgrade.py", server.url(name))
    owned.environment["APP_DB"] = server.url(name)
    revision, rows = "SELECT version_num FROM alembic_version", "SELECT * FROM notes ORDER BY 1"

    assert owned.ok("undrop", "init").endswith("\nGuarded: python upgrade.py\n")
    assert server.sql(revision, name) == [("1",)]
    lost = owned.run("undrop", "migrate")
    assert (lost.code, server.sql(revision, name)) == (4, [("1",)]), lost
    assert "notes.text" in lost.err
    owned.ok("undrop", "migrate", "--accept-loss")
    assert server.sql(rows, name) == [(1,), (2,)]
    owned.ok("undrop", "undo")
    assert server.sql(rows, name) == [(1, "one"), (2, "two")]
    owned.ok("python", "upgrade.py")
    owned.ok("undrop", "undo")
    assert server.sql(rows, name) == [(1, "one"), (2, "two")]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python upgrade.py --apart", "migrated nothing by Alembic in its own process"),
        ("make upgrade", "is no command of Python's here"),
    ],
)
def test_a_command_that_runs_no_alembic_here_changes_nothing(
    owned: Owned, command: str, said: str
) -> None:
    owned.set(command)
    rows = owned.rows
    done = owned.run("undrop", "migrate")
    assert (done.code, owned.rows) == (1, rows)
    assert said in done.err
