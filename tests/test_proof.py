"""``undrop init`` says that a project is guarded when it has tried that, and else what is wrong."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from server import Server
from shop import content
from test_init import MIGRATION, TEMPLATES, Elsewhere

ENV = """
import os
from alembic import context
from sqlalchemy import create_engine, pool

{before}
engine = create_engine(os.environ.get("GO_TO", "sqlite:///app.db"), poolclass=pool.NullPool)
if context.is_offline_mode():
    context.configure(url=engine.url)
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
{after}
"""
LINES = "from undrop.alembic import backup_before\nbackup_before(context)"


@pytest.fixture
def there(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "theirs")


def files(there: Elsewhere) -> dict[str, bytes]:
    """But for the lock's, in which stands who had it last."""
    found = (path for path in there.root.parent.rglob("*") if path.name != ".lock")
    return {str(path): path.read_bytes() for path in found if path.is_file()}


def reasons(there: Elsewhere) -> list[str]:
    return sorted(path.name.split("-", 3)[3] for path in there.root.glob("backups/*.db"))


def with_env(there: Elsewhere, before: str = "", after: str = "") -> None:
    there.with_alembic("generic", "sqlite:///app.db")
    there.write("migrations/env.py", ENV.format(before=before, after=after))


@pytest.mark.parametrize("template", TEMPLATES)
def test_it_is_tried_and_nothing_of_that_stays(there: Elsewhere, template: str) -> None:
    there.with_alembic(template, TEMPLATES[template])
    before = (there.root / "app.db").read_bytes()
    assert there.ok("undrop", "init").endswith("\nGuarded: alembic\n")
    assert reasons(there) == ["undrop-init.db"]
    assert (there.root / "app.db").read_bytes() == before
    had = files(there)
    assert there.ok("undrop", "init", "--check") == "Guarded: alembic\n"
    assert files(there) == had


@pytest.mark.more
def test_a_database_in_wal_mode_that_nobody_has_open_stays_alone(there: Elsewhere) -> None:
    """What only reads it would leave an empty -wal beside it, and that is a change."""
    there.with_alembic("generic", "sqlite:///app.db")
    with closing(sqlite3.connect(there.root / "app.db")) as connection:
        assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    live = {path: path.read_bytes() for path in there.root.glob("app.db*")}
    assert len(live) == 1
    for arguments in (("init",), ("init", "--check")):
        assert there.ok("undrop", *arguments).endswith("Guarded: alembic\n")
        assert {path: path.read_bytes() for path in there.root.glob("app.db*")} == live


def test_without_a_database_an_empty_one_is_tried_and_none_is_made(there: Elsewhere) -> None:
    there.with_alembic("generic", "sqlite:///app.db")
    (there.root / "app.db").unlink()
    assert there.ok("undrop", "init").endswith("\nGuarded: alembic\n")
    assert not (there.root / "app.db").exists()
    there.ok("alembic", "upgrade", "head")
    there.ok("just", "undo")
    assert not (there.root / "app.db").exists()


@pytest.mark.more
def test_a_guard_that_was_taken_out_or_comes_too_late_is_none(there: Elsewhere) -> None:
    with_env(there, LINES)
    assert there.ok("undrop", "init").endswith("\nGuarded: alembic\n")
    for late in ("", LINES):
        there.write("migrations/env.py", ENV.format(before="", after=late))
        done = there.run("undrop", "init", "--check")
        assert done.code == 4, done
        assert "NOT guarded: alembic, because no backup was there" in done.out
        assert ("comes too late" in done.out) == (late != "")
    there.write("migrations/env.py", ENV.format(before=LINES, after=""))
    assert there.ok("undrop", "init", "--check") == "Guarded: alembic\n"


def test_another_database_than_the_guarded_one_is_named_and_backed_up_too(
    there: Elsewhere,
) -> None:
    with_env(there, LINES)
    there.ok("undrop", "init")
    with closing(sqlite3.connect(there.root / "b.db")) as connection, connection:
        connection.execute("CREATE TABLE precious AS SELECT 7 AS v")
    checked = there.run("undrop", "init", "--check", GO_TO="sqlite:///b.db")
    assert checked.code == 4
    assert "env.py migrates sqlite:///b.db, and undrop guards app.db" in checked.out
    fresh = content(there.root / "b.db")

    done = there.run("alembic", "upgrade", "head", GO_TO="sqlite:///b.db")
    assert done.code == 0, done
    assert "THIS MIGRATION GOES TO ANOTHER DATABASE: sqlite:///b.db" in done.err
    [kept, _after] = sorted(there.root.glob("backups/b-*-alembic.db"), key=lambda p: len(p.name))
    assert content(kept) == fresh
    assert content(there.root / "b.db") != fresh


def test_what_is_migrated_has_a_backup_where_nothing_says_which_is_guarded(
    there: Elsewhere,
) -> None:
    """As in a fresh clone, which has no ``.env``: ``env.py`` has a URL for that in its code."""
    with_env(there, LINES)
    there.write("undrop.toml", 'url-variable = "GO_TO"\nenv-file = ".env"\n')
    fresh = content(there.root / "app.db")
    done = there.run("alembic", "downgrade", "base")
    assert done.code == 0, done
    assert "sqlite:///app.db, and undrop guards none: no database is configured" in done.err
    assert "It has a backup now" in done.err
    [kept, _after] = sorted(there.root.glob("backups/app-*-alembic.db"), key=lambda p: len(p.name))
    assert content(kept) == fresh
    assert content(there.root / "app.db") != fresh


@pytest.mark.more
def test_a_path_in_the_variable_that_is_from_another_folder_is_said(there: Elsewhere) -> None:
    """A file sets it that settings do not name, and they have paths from the root."""
    there.with_alembic("generic", "sqlite:///app.db", "backend")
    env = there.write("backend/conf/.env", "DB_URL=sqlite:///app.db\n")
    dotenv = "from dotenv import load_dotenv\nload_dotenv(os.path.abspath('conf/.env'))"
    source = ENV.format(before=dotenv, after="").replace("GO_TO", "DB_URL")
    there.write("backend/migrations/env.py", source)
    with closing(sqlite3.connect(there.root / "backend/app.db")) as connection, connection:
        connection.execute("CREATE TABLE precious AS SELECT 7 AS v")
    done = there.run("undrop", "init")
    assert done.code == 4, done
    own = f"sqlite:///{there.root}/backend/app.db"
    assert (
        "NOT guarded: alembic, because env.py sets DB_URL to sqlite:///app.db, which is app.db "
        f"from {there.root}: write the whole path, {own}\n"
    ) in done.out
    env.write_text(f"DB_URL={own}\n")
    assert there.ok("undrop", "init", "--check") == "Guarded: alembic\n"


@pytest.mark.more
def test_the_guarded_database_by_another_name_is_the_same_one(there: Elsewhere) -> None:
    with_env(there, LINES)
    there.ok("undrop", "init")
    (there.root / "link.db").symlink_to("app.db")
    for url in (f"sqlite:///{there.root}/app.db", "sqlite:///link.db", "sqlite+pysqlite:///app.db"):
        assert there.ok("undrop", "init", "--check", GO_TO=url) == "Guarded: alembic\n"
        done = there.run("alembic", "downgrade", "base", GO_TO=url)
        assert "ANOTHER DATABASE" not in done.err
        there.ok("just", "undo")


def test_an_engine_that_is_not_supported_is_named(there: Elsewhere) -> None:
    with_env(there, LINES)
    there.ok("undrop", "init")
    text = (there.root / "migrations/env.py").read_text()
    text = text.replace("configure(connection=connection)", 'configure(url="mysql://h/shop")')
    there.write("migrations/env.py", text)
    done = there.run("undrop", "init", "--check")
    assert done.code == 4, done
    assert "env.py migrates mysql://h/shop: mysql is not supported" in done.out


def test_a_backup_that_fails_is_said_in_its_words(there: Elsewhere) -> None:
    with_env(there, LINES)
    there.ok("undrop", "init")
    text = ENV.format(before=LINES.replace("(context)", "(None)"), after="")
    there.write("migrations/env.py", text)
    done = there.run("undrop", "init", "--check")
    assert done.code == 4, done
    assert "'NoneType' object has no attribute 'config'" in done.out


@pytest.mark.more
def test_a_migration_that_fails_says_nothing_of_the_guard(there: Elsewhere) -> None:
    there.with_alembic("generic", "sqlite:///app.db")
    broken = MIGRATION.replace('"1", None', '"2", "1"').replace(
        "def upgrade():", "def upgrade():\n    raise ValueError('not yet')\n"
    )
    there.write("migrations/versions/2.py", broken)
    done = there.done("undrop", "init")
    assert done.out.endswith("\nGuarded: alembic\n")
    assert "the upgrade of a copy failed: ValueError: not yet" in done.err


def test_an_environment_without_undrop_migrates_on_and_says_so(
    there: Elsewhere, tmp_path: Path
) -> None:
    """``uv sync --no-dev``: production has Alembic, and no undrop."""
    there.with_alembic("generic", "sqlite:///app.db")
    site = tmp_path / "site"
    site.mkdir()
    for name in ("alembic", "sqlalchemy", "mako", "markupsafe", "typing_extensions"):
        where = sys.modules.get(name) or __import__(name)
        path = Path(str(where.__file__))
        path = path.parent if path.name == "__init__.py" else path
        (site / path.name).symlink_to(path)
    python = there.root / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    run = f'PYTHONPATH={site} exec {os.path.realpath(sys.executable)} -S -P "$@"'
    python.write_text(f"#!/bin/sh\n{run}\n")
    python.chmod(0o755)

    done = there.run("undrop", "init")
    assert done.code == 4, done
    assert "NOT guarded: alembic, because undrop is not in its environment" in done.out
    assert "uv add --dev undrop" in done.out
    rows = content(there.root / "app.db")
    migrated = there.run(str(python), "-m", "alembic", "downgrade", "base")
    assert migrated.code == 0, migrated
    assert migrated.err.count("NO BACKUP IS TAKEN BEFORE A MIGRATION") == 1
    assert content(there.root / "app.db") != rows


@pytest.mark.more
def test_migrations_that_env_py_finds_late_are_known_all_the_same(there: Elsewhere) -> None:
    """Prefect does so: where they are depends on the database."""
    with_env(
        there,
        LINES.replace("backup_before(context)", "")
        + """
context.script.version_locations = [str(context.script.dir) + "/of_sqlite"]
backup_before(context)""",
    )
    env = there.root / "migrations/env.py"
    env.write_text(env.read_text().replace("GO_TO", "DATABASE_URL"))
    (there.root / "migrations/versions").rename(there.root / "migrations/of_sqlite")
    text = MIGRATION.replace('"1", None', '"2", "1"').replace("notes", "more")
    there.write("migrations/of_sqlite/2.py", text)
    adopted = there.ok("undrop", "init")
    assert adopted.endswith("\nGuarded: alembic\n")
    assert "revision   1, the code's head is 2" in adopted
    there.ok("just", "migrate")
    assert "revision   2\n" in there.ok("just", "status")
    there.ok("alembic", "downgrade", "base")
    assert "revision   no revision" in there.ok("just", "status")
    there.ok("just", "undo")
    assert "revision   2\n" in there.ok("just", "status")


def test_without_alembic_there_is_nothing_to_try(there: Elsewhere) -> None:
    with closing(sqlite3.connect(there.root / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS v")
    assert "Guarded" not in there.ok("undrop", "init")
    assert there.ok("undrop", "init", "--check") == ""
    (there.root / "undrop.toml").unlink()
    assert there.run("undrop", "init", "--check").code == 2


@pytest.mark.more
def test_on_a_server_the_sql_is_tried_and_nothing_is_written(
    there: Elsewhere, server: Server
) -> None:
    name = f"proved_{os.getpid()}"
    server.sql(f"CREATE DATABASE {name}")
    there.with_alembic("generic", server.url(name))
    server.sql("DROP TABLE notes, alembic_version", name)
    assert there.ok("undrop", "init").endswith("\nGuarded: alembic\n")
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert server.sql(tables, name) == [(0,)]


@pytest.mark.more
@pytest.mark.parametrize("offline", ["context.configure(url=None)", "raise SystemExit('online')"])
def test_where_it_is_not_told_offline_env_py_is_asked_online(
    there: Elsewhere, offline: str
) -> None:
    with_env(there)
    env = there.root / "migrations/env.py"
    env.write_text(env.read_text().replace("context.configure(url=engine.url)", offline))
    ini = there.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("sqlalchemy.url = ", "nothing = "))
    rows = content(there.root / "app.db")
    (there.root / "app.db").rename(there.root / "there.db")
    env.write_text(env.read_text().replace("app.db", "there.db"))
    there.write("other.db", "").write_bytes((there.root / "there.db").read_bytes())
    assert there.ok("undrop", "init").endswith("\nGuarded: alembic\n")
    assert "there.db" in there.ok("just", "status")
    assert content(there.root / "there.db") == rows
