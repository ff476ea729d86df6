"""The applications and projects that are adopted, and how the old database of each comes about."""

import atexit
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple

from shop import REPOSITORY, Runner

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
MLFLOW = """
import sqlalchemy
from alembic import command
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base
url = "sqlite:///app.db"
Base.metadata.create_all(sqlalchemy.create_engine(url))
command.upgrade(utils._get_alembic_config(url), "acf3f17fdcc7")
"""
Command = tuple[str, ...]


class App(NamedTuple):
    """An application and how its old database comes about. Folders are the project's."""

    name: str
    needs: tuple[str, ...]
    """What is installed: the newest release, and what its migrations import."""
    old: str
    """The old release's head."""
    lost: tuple[str, str]
    """A table and a column of it that are filled at head too: the planted loss."""
    migrations: str = ""
    """Their folder in site-packages, where the project is made of those alone;…"""
    package: str = ""
    """…else the package that is the project, its sources in ``sources`` as in its repository;…"""
    sources: str = "."
    project: str = ""
    """…else a folder in ``projects/``."""
    inside: str = "."
    """The folder of that where the backend is, below the root of the git repository."""
    versions: str = "migrations/versions"
    database: str = "app.db"
    files: tuple[tuple[str, str], ...] = ()
    """Further files and what is in them."""
    variables: tuple[tuple[str, str], ...] = ()
    url_variable: str = ""
    """Which of them, or of a dotenv file's, has the URL."""
    url: str = "sqlite:///app.db"
    stands: str = "."
    """Where the application's own commands are typed."""
    upgrade: Command = ("alembic", "upgrade", "head")
    downgrade: Command = ("alembic", "downgrade", "-1")
    guarded: str = "alembic"
    """What ``init`` says that is guarded."""
    others: str = ""
    """A further configuration of Alembic's, for another database, which ``init`` says is not."""
    old_needs: tuple[str, ...] = ()
    """Where the history does not begin with an empty database: the old release, and…"""
    old_script: str = ""
    """…the Python that makes a database with it; with the newest where there is no old one."""
    to_old: Command = ()
    """Where it has a command of its own for that: it makes the old database."""
    loses: bool = False
    """Whether the way to the newest schema rewrites or drops something."""


APPS = [
    App(  # sync, render_as_batch, migrations that rewrite values
        "optuna",
        ("optuna==5.0.0",),
        "v2.6.0.a",
        ("trial_params", "distribution_json"),
        migrations="optuna/storages/_rdb/alembic",
        loses=True,
    ),
    App(  # sync, no batch, its base revision wants the tables of an older release
        "jupyterhub",
        ("jupyterhub==6.1.1",),
        "0eee8c825d24",
        ("groups", "properties"),
        migrations="jupyterhub/alembic",
        old_needs=("jupyterhub==4.1.6",),
        old_script="from jupyterhub import orm; orm.new_session_factory('sqlite:///app.db')()",
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
        "22d74df9897e",
        ("repos", "info"),
        migrations="dstack/_internal/server/migrations",
        variables=(
            ("DSTACK_DATABASE_URL", "sqlite+aiosqlite:///{root}/app.db"),
            ("DSTACK_SERVER_DIR", "{root}/home"),
        ),
        url_variable="DSTACK_DATABASE_URL",
    ),
    App(  # Flask-Migrate; a factory that upgrades the database whenever the application is loaded
        "flask-ihatemoney",
        ("ihatemoney==7.2.1",),
        "7a9b38559992",
        ("person", "name"),
        package="ihatemoney",
        versions="ihatemoney/migrations/versions",
        files=(
            (
                "settings.cfg",
                'SQLALCHEMY_DATABASE_URI = "sqlite:///{root}/app.db"\nSECRET_KEY = "wild"\n',
            ),
        ),
        variables=(
            ("FLASK_APP", "ihatemoney.run:create_app"),
            ("IHATEMONEY_SETTINGS_FILE_PATH", "{root}/settings.cfg"),
        ),
        upgrade=("flask", "db", "upgrade", "-d", "ihatemoney/migrations"),
        downgrade=("flask", "db", "downgrade", "-d", "ihatemoney/migrations"),
        to_old=("flask", "db", "downgrade", "-d", "ihatemoney/migrations", "7a9b38559992"),
        guarded="flask db",
        loses=True,
    ),
    App(  # what `flask db init` writes; a factory that seeds; wsgi.py, which flask finds
        "flask-shop",
        ("flask==3.1.3", "flask-migrate==4.1.0", "flask-sqlalchemy==3.1.1"),
        "2b3c4d5e6f7a",
        ("user", "name"),
        project="flask",
        database="instance/shop.db",
        upgrade=("flask", "db", "upgrade"),
        downgrade=("flask", "db", "downgrade"),
        to_old=("flask", "db", "upgrade", "2b3c4d5e6f7a"),
        guarded="flask db",
    ),
    App(  # async, below a package and deep in it; each migration in a transaction of its own
        "phoenix",
        ("arize-phoenix==20.26.1",),
        "cd164e83824f",
        ("projects", "description"),
        package="phoenix",
        sources="src",
        versions="src/phoenix/db/migrations/versions",
        variables=(
            ("PHOENIX_SQL_DATABASE_URL", "sqlite:///{root}/app.db"),
            ("PHOENIX_WORKING_DIR", "{root}/home"),
        ),
        url_variable="PHOENIX_SQL_DATABASE_URL",
        stands="src/phoenix/db",
        loses=True,
    ),
    App(  # its env.py runs in a thread of its own server alone: its own command runs Alembic
        "prefect",
        ("prefect==3.9.1",),
        "7655f31c5157",
        ("flow", "tags"),
        package="prefect",
        sources="src",
        versions="src/prefect/server/database/_migrations/versions/sqlite",
        variables=(
            ("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:///{root}/app.db"),
            ("PREFECT_HOME", "{root}/home"),
        ),
        url_variable="PREFECT_API_DATABASE_CONNECTION_URL",
        upgrade=("prefect", "server", "database", "upgrade", "-y"),
        downgrade=("prefect", "server", "database", "downgrade", "-y", "-r", "-1"),
        to_old=("prefect", "server", "database", "upgrade", "-y", "-r", "7655f31c5157"),
        guarded="prefect server database upgrade -y",
        loses=True,
    ),
    App(  # its command is handed the URL, and brings a connection to env.py
        "mlflow",
        ("mlflow-skinny==3.17.2", "sqlalchemy==2.0.58", "alembic==1.20.1"),
        "acf3f17fdcc7",
        ("experiment_tags", "value"),
        package="mlflow",
        files=(
            (
                "alembic.ini",
                "[alembic]\nscript_location = %(here)s/mlflow/store/db_migrations\n"
                "sqlalchemy.url = sqlite:///app.db\n",
            ),
        ),
        versions="mlflow/store/db_migrations/versions",
        upgrade=("mlflow", "db", "upgrade", "sqlite:///app.db"),
        downgrade=(),
        others="mlflow/server/auth/db/migrations/alembic.ini",
        old_script=MLFLOW,
    ),
    App(  # SQLModel; the URL is in a .env that git ignores, and pydantic-settings reads it
        "fastapi",
        ("alembic==1.20.1", "fastapi", "pydantic-settings", "sqlmodel"),
        "b2b2b2b2b2b2",
        ("note", "body"),
        project="fastapi",
        files=((".env", "DATABASE_URL=sqlite:///./app.db\nSECRET_KEY=s3cret\n"),),
        url_variable="DATABASE_URL",
    ),
    App(  # a git repository with a backend, which has its own environment, and a frontend;
        # the folder of its revisions is set while env.py runs
        "monorepo",
        ("alembic==1.20.1",),
        "d1d1d1d1d1d1",
        ("task", "title"),
        project="monorepo",
        inside="backend",
        versions="alembic/revisions",
        database="tasks.db",
    ),
]


class Adopted(Runner):
    """A project with an environment of its own, no undrop in it, and an old, filled database."""

    forks = None  # it is to have its own undrop

    def __init__(self, app: App, folder: Path) -> None:
        self.app, self.top = app, folder / app.name
        super().__init__(self.top / app.inside, folder / "state")
        self.database = self.root / app.database
        self.backups = self.root / "backups"
        if app.project:
            shutil.copytree(HERE / "projects" / app.project, self.top)
        self.root.mkdir(exist_ok=True)
        site = install(self.root / ".venv", *app.needs)
        if app.package:  # as `pip install -e` leaves it
            shutil.copytree(site / app.package, self.root / app.sources / app.package)
            shutil.rmtree(site / app.package)
            (site / f"{app.name}.pth").write_text(str((self.root / app.sources).resolve()))
        if app.migrations:
            shutil.copytree(site / app.migrations, self.root / "migrations", dirs_exist_ok=True)
            (self.root / "alembic.ini").write_text(INI.format(url=app.url))
            (self.root / "justfile").write_text("hello:\n    @echo hello")
        for name, text in app.files:
            (self.root / name).write_text(text.format(root=self.root))
        binaries = f"{self.root}/.venv/bin{os.pathsep}{os.environ['PATH']}"
        given = {name: value.format(root=self.root) for name, value in app.variables}
        self.environment |= {"PATH": binaries, **given}
        if app.project:
            who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
            for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "all")):
                self.ok("git", *who, *command, cwd=self.top)
        self.make_old(folder)
        with closing(sqlite3.connect(self.database)) as connection:
            connection.executescript((HERE / f"{app.name}.sql").read_text())
        assert self.revision() == app.old

    def make_old(self, folder: Path) -> None:
        app, python = self.app, self.root / ".venv/bin/python"
        if app.old_needs:
            install(folder / "old", *app.old_needs)
            python = folder / "old/bin/python"
        if app.old_script:
            self.ok(str(python), "-c", app.old_script)
        else:
            self.own(app.to_old or ("alembic", "upgrade", app.old))

    def own(self, command: Command) -> None:
        """The application's own command, typed where it is typed."""
        self.ok(*command, cwd=self.root / self.app.stands)

    def revision(self) -> str:
        with closing(sqlite3.connect(self.database)) as connection:
            [(revision,)] = connection.execute("SELECT version_num FROM alembic_version")
        return str(revision)

    def records(self, reason: str) -> list[tuple[Path, dict[str, object]]]:
        """The backups with the reason and what their records say, the oldest first."""
        records = [
            (path, json.loads(path.with_suffix(".json").read_text()))
            for path in self.backups.glob("*.db")
        ]
        taken = [(path, record) for path, record in records if record["reason"] == reason]
        return sorted(taken, key=lambda one: str(one[1]["created"]))

    def settings(self) -> str:
        """The text that has undrop's settings."""
        own = self.root / "undrop.toml"
        return (own if own.exists() else self.root / "pyproject.toml").read_text()

    def plant(self) -> Path:
        """A revision on top that drops a filled column."""
        table, column = self.app.lost
        path = self.root / self.app.versions / "9999_planted.py"
        path.write_text(
            f'"""Planted."""\n\nfrom alembic import op\n\nrevision = "9999planted9"\n'
            f'down_revision = "{self.revision()}"\n\n\ndef upgrade():\n'
            f"    op.drop_column({table!r}, {column!r})\n"
        )
        return path

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Every file below the repository's root, its mode and bytes; the database's are not."""
        passed_over = {"backups", "__pycache__", ".venv", "home", ".git"}
        tree = {}
        for parent, folders, names in os.walk(self.top):
            folders[:] = [name for name in folders if name not in passed_over]
            for name in names:
                path = Path(parent, name)
                if not name.startswith(self.database.name):
                    mode = stat.S_IMODE(path.stat().st_mode)
                    tree[str(path.relative_to(self.top))] = (mode, path.read_bytes())
        return tree


def install(folder: Path, *packages: str, python: str = sys.executable) -> Path:
    """A fresh environment with the packages; its site-packages. With uv where there is one.

    ``python``: the one that it is made by.
    """
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "-q", "--python", python, folder], check=True)
    else:
        subprocess.run([python, "-m", "venv", folder], check=True)
    add(folder, *packages)
    [site] = folder.glob("lib/python3*/site-packages")
    return site


def add(folder: Path, *packages: str) -> None:
    """Install the packages into the environment in ``folder``."""
    if uv := shutil.which("uv"):
        into = f"--python={folder}"
        copied = "--link-mode=copy"  # its cache is not written to, whatever is done here
        subprocess.run(
            [uv, "pip", "install", "-q", "--compile-bytecode", into, copied, *packages],
            check=True,
        )
    else:
        pip = [str(folder / "bin/pip"), "install", "--disable-pip-version-check", "-qqq"]
        subprocess.run([*pip, *packages], check=True)


@cache
def our_wheel() -> str:
    """Our wheel, as the index would have it: built once, in a folder that goes again."""
    folder = tempfile.mkdtemp(prefix="undrop-wheel-")
    atexit.register(shutil.rmtree, folder)
    pip = [sys.executable, "-m", "pip", "wheel", "-qqq", "--no-deps", "-w", folder, str(REPOSITORY)]
    subprocess.run(pip, check=True)
    [wheel] = Path(folder).glob("*.whl")
    return str(wheel)
