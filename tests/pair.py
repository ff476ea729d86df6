"""A project with two databases, as Alembic's own template ``multidb`` has them."""

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import alembic
from shop import REPOSITORY, Runner, content

TEMPLATE = Path(alembic.__file__).parent / "templates/multidb/env.py"
INI = """\
[alembic]
script_location = %(here)s/migrations
databases = main, users

[main]
sqlalchemy.url = sqlite:///app.db

[users]
sqlalchemy.url = sqlite:///people/app.db

[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
level = WARNING
handlers =
"""
SETTINGS = """\
url = "sqlite:///app.db"

[databases.users]
url = "sqlite:///people/app.db"
"""
GUARD = "from undrop.alembic import backup_before\nbackup_before(context)\n\nif context.is_off"
REVISION = """\
import os, sqlite3
from alembic import op
revision, down_revision = {revision!r}, {below!r}

def upgrade(engine_name):
    for statement in {statements}[engine_name]:
        exec(statement) if statement[:1] == "!" else op.execute(statement)

def downgrade(engine_name):
    pass
"""
FIRST = {
    "main": ["CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price INTEGER)"],
    "users": ["CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, mail TEXT)"],
}
SECOND = {
    "main": ["ALTER TABLE items ADD COLUMN colour TEXT"],
    "users": ["ALTER TABLE people ADD COLUMN age INTEGER"],
}
LOST = {**SECOND, "users": ["ALTER TABLE people DROP COLUMN mail"]}


class Pair(Runner):
    """Databases ``main`` and ``users``, filled, at the first of two revisions, and adopted."""

    def __init__(self, root: Path, settings: str = SETTINGS) -> None:
        super().__init__(root, root.parent / f"{root.name}-state")
        self.main, self.users = root / "app.db", root / "people/app.db"
        self.backups = root / "backups"
        (root / "migrations/versions").mkdir(parents=True)
        self.users.parent.mkdir()
        (root / "alembic.ini").write_text(INI)
        shutil.copy(TEMPLATE, root / "migrations/env.py")
        self.revise("a1", FIRST)
        self.fill()
        if settings:
            self.adopt(settings)

    def fill(self) -> None:
        """Rows in both, at the first revision, as Alembic leaves them."""
        for name, file in (("main", self.main), ("users", self.users)):
            with closing(sqlite3.connect(file)) as connection, connection:
                connection.execute(FIRST[name][0])
                connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
                connection.execute("INSERT INTO alembic_version VALUES ('a1')")
                table = "items" if name == "main" else "people"
                connection.execute(f"INSERT INTO {table} (name) VALUES ('a'), ('b')")

    def adopt(self, settings: str) -> None:
        """What ``init`` writes, without its proof."""
        (self.root / "undrop.toml").write_text(settings)
        shutil.copy(REPOSITORY / "tools/undrop/adopt/undrop.just", self.root / "undrop.just")
        (self.root / "justfile").write_text("import 'undrop.just'\n")
        env = self.root / "migrations/env.py"
        env.write_text(env.read_text().replace("if context.is_off", GUARD))

    def revise(self, revision: str = "a2", statements: dict[str, list[str]] = SECOND) -> None:
        """A migration; a statement that begins with ``!`` is Python's."""
        below = None if revision == "a1" else f"a{int(revision[1:]) - 1}"
        text = REVISION.format(revision=revision, below=below, statements=statements)
        text = text.replace("exec(statement)", "exec(statement[1:])")
        (self.root / f"migrations/versions/{revision}.py").write_text(text)

    def sql(self, name: str, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on one of them, as another program would; its rows."""
        file = self.main if name == "main" else self.users
        with closing(sqlite3.connect(file)) as connection, connection:
            return connection.execute(statement).fetchall()

    def contents(self) -> list[list[str]]:
        """Every definition and every row of both."""
        return [content(file) if file.exists() else [] for file in (self.main, self.users)]

    def revisions(self) -> list[str]:
        """Where both stand."""
        statement = "SELECT version_num FROM alembic_version"
        return [self.sql(name, statement)[0][0] for name in ("main", "users")]

    def saved(self, name: str) -> list[Path]:
        """The backups of one of them, in their order; the files of both are called alike."""
        source = "app.db" if name == "main" else "people/app.db"
        records = [
            (json.loads(note.read_bytes()), note) for note in self.backups.glob("app-*.json")
        ]
        ours = [(r["sequence"], note) for r, note in records if r["source"] == source]
        return [note.with_suffix(".db") for _, note in sorted(ours)]

    def emptied(self, name: str, table: str) -> tuple[str, ...]:
        """The command line of a program that deletes all rows of a table."""
        script = (
            "import sqlite3, sys\n"
            "c = sqlite3.connect(sys.argv[1])\nc.execute('DELETE FROM ' + sys.argv[2])\nc.commit()"
        )
        file = self.main if name == "main" else self.users
        return sys.executable, "-c", script, str(file), table
