"""Real applications from PyPI, adopted as they are: their ``env.py``, their whole history.

An old release's database is filled, ``undrop init`` adopts the project, and every step is taken to
the newest release's schema and back. Versions are pinned. ``just wild`` runs them; CI runs one.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from shop import REPOSITORY, Runner, content

HERE = Path(__file__).parent
INI = """[alembic]
script_location = %(here)s/migrations
sqlalchemy.url = {url}
recursive_version_locations = true

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(levelname)s %(message)s
"""


class App(NamedTuple):
    """An application and how its old database comes about."""

    name: str
    needs: tuple[str, ...]
    """What is installed: the newest release, and what its migrations import."""
    migrations: str
    """Their folder in site-packages."""
    old: str
    """The old release's head."""
    old_needs: tuple[str, ...] = ()
    """Where the history does not begin with an empty database: the old release, and…"""
    old_script: str = ""
    """…the Python that makes a database with it."""
    variables: tuple[tuple[str, str], ...] = ()
    url: str = "sqlite:///app.db"
    loses: bool = False
    """Whether the way to the newest schema rewrites or drops something."""


APPS = [
    App(  # sync, render_as_batch, migrations that rewrite values
        "optuna",
        ("optuna==5.0.0",),
        "optuna/storages/_rdb/alembic",
        "v2.6.0.a",
        loses=True,
    ),
    App(  # sync, no batch, its base revision wants the tables of an older release
        "jupyterhub",
        ("jupyterhub==6.1.1",),
        "jupyterhub/alembic",
        "0eee8c825d24",
        ("jupyterhub==4.1.6",),
        "from jupyterhub import orm; orm.new_session_factory('sqlite:///app.db')()",
    ),
    App(  # async, batch, WAL, foreign keys; its URL comes from a variable alone
        "dstack",
        (
            "dstack==0.22.5",
            "aiosqlite",
            "alembic-postgresql-enum",
            "asyncpg",
            "sqlalchemy[asyncio]",
            "sqlalchemy-utils",
        ),
        "dstack/_internal/server/migrations",
        "22d74df9897e",
        variables=(
            ("DSTACK_DATABASE_URL", "sqlite+aiosqlite:///{root}/app.db"),
            ("DSTACK_SERVER_DIR", "{root}/home"),
        ),
    ),
]


class Adopted(Runner):
    """A project made of an application's own migrations, with an environment of its own."""

    forks = None  # it has its own undrop

    def __init__(self, app: App, folder: Path) -> None:
        super().__init__(folder / app.name, folder / "state")
        self.app = app
        self.database = self.root / "app.db"
        self.root.mkdir()
        site = install(self.root / ".venv", *app.needs, str(REPOSITORY))
        shutil.copytree(site / app.migrations, self.root / "migrations", dirs_exist_ok=True)
        (self.root / "alembic.ini").write_text(INI.format(url=app.url))
        (self.root / "justfile").write_text("hello:\n    @echo hello")
        binaries = f"{self.root}/.venv/bin{os.pathsep}{os.environ['PATH']}"
        given = {name: value.format(root=self.root) for name, value in app.variables}
        self.environment |= {"PATH": binaries, **given}
        if app.old_needs:
            install(folder / "old", *app.old_needs)
            python = folder / "old/bin/python"
            subprocess.run([python, "-c", app.old_script], cwd=self.root, check=True)
        else:
            self.ok("alembic", "upgrade", app.old)
        with closing(sqlite3.connect(self.database)) as connection:
            connection.executescript((HERE / f"{app.name}.sql").read_text())
            assert self.head(connection) == app.old

    @staticmethod
    def head(connection: sqlite3.Connection) -> str:
        [(revision,)] = connection.execute("SELECT version_num FROM alembic_version")
        return str(revision)

    def tree(self) -> dict[str, bytes]:
        found = {}
        for parent, folders, names in os.walk(self.root):
            folders[:] = [
                e for e in folders if e not in {"backups", "__pycache__", ".venv", "home"}
            ]
            for name in names:
                if not name.startswith("app.db"):
                    path = Path(parent, name)
                    found[str(path.relative_to(self.root))] = path.read_bytes()
        return found


def install(folder: Path, *packages: str) -> Path:
    """A fresh environment with the packages; its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = str(folder / "bin/pip")
    subprocess.run([pip, "install", "--disable-pip-version-check", "-qqq", *packages], check=True)
    [site] = folder.glob("lib/python3*/site-packages")
    return site


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_an_application_is_adopted_migrated_and_taken_back(app: App, tmp_path: Path) -> None:
    there = Adopted(app, tmp_path)
    before, rows = there.tree(), content(there.database)

    there.ok("undrop", "init")
    adopted = there.tree()
    assert there.ok("undrop", "init", "--dry-run").strip() == ""
    there.ok("undrop", "init")
    assert there.tree() == adopted
    if app.variables:
        text = (there.root / "pyproject.toml").read_text()
        assert f'url-variable = "{app.variables[0][0]}"' in text

    rehearsed = there.run("just", "rehearse")
    assert rehearsed.code == (4 if app.loses else 0), rehearsed
    assert content(there.database) == rows
    if app.loses:
        stopped = there.run("just", "migrate")
        assert stopped.code == 4, stopped
        assert content(there.database) == rows
    there.ok("just", "migrate", "head", *(["--accept-loss"] if app.loses else []))
    assert "the code's head" not in there.run("just", "status").out
    newest = content(there.database)
    assert newest != rows

    there.ok("just", "undo")
    assert content(there.database) == rows
    there.ok("just", "undo")
    assert content(there.database) == newest
    there.ok("alembic", "downgrade", "-1")  # env.py takes a backup first
    there.ok("just", "undo")
    assert content(there.database) == newest
    there.ok("just", "nuke-db")
    there.ok("just", "restore", "latest")
    assert content(there.database) == newest

    there.ok("undrop", "init", "--remove")
    assert there.tree() == before
