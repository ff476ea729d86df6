"""A Flask-Migrate project: its env.py asks the application for everything, and so do we.

Factories that fill tables, create them or upgrade when they are loaded are common: whatever is only
loaded writes to scratch copies, and live gets the migration alone.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from server import Server
from shop import content, some
from test_init import Elsewhere

APPLICATION = """
from flask import Flask
from flask_migrate import Migrate, upgrade
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Setting(db.Model):
    key = db.Column(db.String(50), primary_key=True)


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///shop.db"
    db.init_app(app)
    Migrate(app, db)
    with app.app_context():
        {does}
    return app
"""
FACTORIES = {
    "seeds": "db.create_all(); db.session.add(Setting(key='%s' % __import__('uuid').uuid4()));"
    " db.session.commit()",
    "creates": "db.create_all()",
    "upgrades": "upgrade()",
}
MIGRATIONS = {
    "1": (None, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)", "DROP TABLE notes"),
    "2": ("1", "ALTER TABLE notes ADD COLUMN title TEXT", "ALTER TABLE notes DROP COLUMN title"),
    "3": ("2", "ALTER TABLE notes DROP COLUMN text", "ALTER TABLE notes ADD COLUMN text TEXT"),
}
MIGRATION = """
from alembic import op

revision, down_revision = {revision!r}, {down!r}


def upgrade():
    op.execute({up!r})


def downgrade():
    op.execute({back!r})
"""


@pytest.fixture
def flask(tmp_path: Path) -> Elsewhere:
    """What ``flask db init`` makes, and a database at revision 1 that has two rows."""
    there = Elsewhere(tmp_path / "flask")
    there.write(".flaskenv", "FLASK_APP=shop\n")
    there.write("shop/__init__.py", APPLICATION.format(does="pass"))
    there.ok("flask", "db", "init")
    for revision in ("1", "2"):
        add(there, revision)
    there.ok("flask", "db", "upgrade", "1")
    with closing(sqlite3.connect(database(there))) as connection, connection:
        connection.execute("CREATE TABLE setting (key VARCHAR(50) PRIMARY KEY)")
        connection.execute("INSERT INTO notes (text) VALUES ('one'), ('two')")
    return there


def add(there: Elsewhere, revision: str) -> None:
    down, up, back = MIGRATIONS[revision]
    text = MIGRATION.format(revision=revision, down=down, up=up, back=back)
    there.write(f"migrations/versions/{revision}.py", text)


def database(there: Elsewhere) -> Path:
    return there.root / "instance/shop.db"


def backups(there: Elsewhere) -> int:
    return len([*there.root.glob("backups/*.db")])


@pytest.mark.full("creates")
@pytest.mark.parametrize("factory", some(FACTORIES))
def test_it_is_adopted_rehearsed_and_migrated_and_live_is_only_read_till_then(
    flask: Elsewhere, factory: str
) -> None:
    flask.write("shop/__init__.py", APPLICATION.format(does=FACTORIES[factory]))
    before, rows = database(flask).read_bytes(), content(database(flask))
    adopted = flask.ok("undrop", "init")
    assert adopted.endswith("Guarded: flask db\n")
    assert "the code's head is 2" in adopted
    assert flask.ok("undrop", "init", "--check") == "Guarded: flask db\n"
    assert flask.ok("just", "rehearse").startswith("1 -> 2\n")
    assert database(flask).read_bytes() == before

    flask.ok("just", "migrate")
    with closing(sqlite3.connect(database(flask))) as connection:
        migrated = connection.execute("SELECT text, title FROM notes").fetchall()
        assert migrated == [("one", None), ("two", None)]
        assert connection.execute("SELECT * FROM setting").fetchall() == []
    flask.ok("just", "undo")
    assert content(database(flask)) == rows


@pytest.mark.more
@pytest.mark.full(("stamp", "base"))
@pytest.mark.parametrize("command", some([("upgrade",), ("downgrade",), ("stamp", "base")]))
def test_flask_db_takes_a_backup_before_it_changes_anything(
    flask: Elsewhere, command: tuple[str, ...]
) -> None:
    flask.ok("undrop", "init")
    with closing(sqlite3.connect(database(flask))) as connection, connection:
        connection.execute("INSERT INTO notes (text) VALUES ('three')")
    rows = content(database(flask))
    flask.ok("flask", "db", "current")
    assert backups(flask) == 1
    flask.ok("flask", "db", *command)
    assert content(database(flask)) != rows
    [kept] = [path for path in flask.root.glob("backups/*-alembic.db") if "after" not in path.name]
    assert content(kept) == rows
    flask.ok("just", "undo")
    assert content(database(flask)) == rows


@pytest.mark.more
def test_a_loss_stops_it_and_reset_makes_an_empty_one(flask: Elsewhere) -> None:
    flask.ok("undrop", "init")
    rows = content(database(flask))
    add(flask, "3")
    stopped = flask.run("just", "migrate")
    assert stopped.code == 4, stopped
    assert "notes.text" in stopped.err
    assert content(database(flask)) == rows
    flask.ok("just", "reset-db")
    assert content(database(flask)) != rows
    flask.ok("just", "undo")
    assert content(database(flask)) == rows


@pytest.mark.more
def test_a_program_that_the_application_starts_finds_live_backed_up(flask: Elsewhere) -> None:
    """It passes the fence, when the application is loaded for the first time."""
    before = content(database(flask))
    code = "import sqlite3; c = sqlite3.connect('instance/shop.db'); c.execute('DELETE FROM notes')"
    does = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code + '; c.commit()'!r}])"
    )
    flask.write("shop/__init__.py", APPLICATION.format(does=does))
    flask.run("undrop", "init")
    assert content(database(flask)) != before
    first = min(flask.root.glob("backups/*-undrop-init.db"))
    assert content(first) == before


@pytest.mark.more
def test_an_application_that_is_not_found_is_said_in_flasks_words(flask: Elsewhere) -> None:
    flask.write(".flaskenv", "")
    before = database(flask).read_bytes()
    done = flask.run("undrop", "init")
    assert done.code == 4, done
    assert "NOT guarded: flask db, because it did not get as far as its database" in done.out
    assert "Could not locate a Flask application" in done.out
    assert database(flask).read_bytes() == before


@pytest.mark.more
def test_nothing_of_it_stays_when_it_is_taken_out(flask: Elsewhere) -> None:
    before = flask.tree()
    flask.ok("undrop", "init")
    adopted = flask.tree()
    assert "nothing to change" in flask.done("undrop", "init").err
    assert flask.tree() == adopted
    flask.ok("undrop", "init", "--remove")
    assert flask.tree() == before


@pytest.mark.more
@pytest.mark.full
def test_on_a_server_the_variable_leads_it_and_what_is_only_loaded_writes_nothing(
    flask: Elsewhere, server: Server
) -> None:
    name = f"flask_{os.getpid()}"
    server.sql(f"CREATE DATABASE {name}")
    server.sql("CREATE TABLE setting (key VARCHAR(50) PRIMARY KEY)", name)
    there: dict[str, Any] = {"DATABASE_URL": server.url(name)}
    text = APPLICATION.replace('"sqlite:///shop.db"', '__import__("os").environ["DATABASE_URL"]')
    flask.write("shop/__init__.py", text.format(does="pass"))
    adopted = flask.run("undrop", "init", **there)
    assert adopted.out.endswith("\nGuarded: flask db\n"), adopted
    done = flask.run("just", "migrate", **there)
    assert done.code == 0, done.err
    assert server.sql("SELECT count(*) FROM notes", name) == [(0,)]
    flask.write("shop/__init__.py", text.format(does=FACTORIES["seeds"]))
    refused = flask.run("just", "migrate", "1", "--accept-loss", **there)
    assert refused.code == 1, refused
    assert "read-only transaction" in refused.err
    assert server.sql("SELECT count(*) FROM setting", name) == [(0,)]
    flask.write("shop/__init__.py", text.format(does="pass"))
    assert flask.run("just", "migrate", "1", "--accept-loss", **there).code == 0
