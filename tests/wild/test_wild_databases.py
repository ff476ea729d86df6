"""Projects whose env.py migrates two databases, as the tools themselves make such projects."""

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from apps import HERE, install, our_wheel
from shop import Runner, content

PLANTED = """
from alembic import op

revision = "9999planted9"
down_revision = "2b2b2b2b2b2b"


def upgrade(engine_name):
    if engine_name == {engine!r}:
        op.drop_column("people", "mail")
"""
STRAY = """
import sqlite3

revision = "9999planted9"
down_revision = "2b2b2b2b2b2b"


def upgrade(engine_name):
    if engine_name == {engine!r}:
        with sqlite3.connect({database!r}) as connection:
            connection.execute("DELETE FROM people")
"""


class Kind(NamedTuple):
    """How such a project comes about."""

    name: str
    needs: tuple[str, ...]
    made_by: tuple[str, ...]
    """The command that writes ``migrations``."""
    own: tuple[str, ...]
    """The command that migrates, without its words."""
    adopting: tuple[str, ...]
    """What init has to be told."""
    called: str
    """How init names the second database."""
    engine: str
    """How a migration names it."""


KINDS = [
    Kind(
        "multidb",
        ("alembic==1.14.1", "sqlalchemy==2.0.36"),
        ("alembic", "init", "-t", "multidb", "migrations"),
        ("alembic",),
        ("--url", "sqlite:///orders.db"),
        "engine2",
        "engine2",
    ),
    Kind(
        "flask-multidb",
        ("flask==3.1.0", "flask-migrate==4.1.0", "flask-sqlalchemy==3.1.1"),
        ("flask", "db", "init", "--multidb"),
        ("flask", "db"),
        (),
        "users",
        "users",
    ),
]


class Two(Runner):
    """Such a project with its own environment, both databases at the first revision, filled."""

    forks = None  # it has its own undrop

    def __init__(self, kind: Kind, folder: Path) -> None:
        super().__init__(folder / kind.name, folder / "state")
        self.kind = kind
        self.files = [self.root / "orders.db", self.root / "people.db"]
        shutil.copytree(HERE / "projects" / kind.name, self.root)
        versions = (self.root / "versions").rename(folder / "versions")
        install(self.root / ".venv", *kind.needs, our_wheel())
        self.environment["PATH"] = f"{self.root}/.venv/bin{os.pathsep}{os.environ['PATH']}"
        self.ok(*kind.made_by)
        shutil.copytree(versions, self.root / "migrations/versions", dirs_exist_ok=True)
        if (ini := self.root / "alembic.ini").exists():
            text = ini.read_text()
            for name, number in (("people", "2"), ("orders", "")):
                url = f"driver://user:pass@localhost/dbname{number}"
                text = text.replace(url, f"sqlite:///{name}.db")
            ini.write_text(text)
        self.ok(*kind.own, "upgrade", "1a1a1a1a1a1a")
        rows = (
            "INSERT INTO orders (what) VALUES ('ink')",
            "INSERT INTO people (mail) VALUES ('a@b')",
        )
        for file, statement in zip(self.files, rows, strict=True):
            with closing(sqlite3.connect(file)) as connection, connection:
                connection.execute(statement)

    def contents(self) -> list[list[str]]:
        return [content(file) for file in self.files]

    def back(self, number: int) -> None:
        """``undo``, of the first or the second."""
        self.ok("just", "undo", *(("--db", self.kind.called) if number else ()))

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Every file of the project, its mode and bytes; not the databases'."""
        apart = {"backups", "__pycache__", ".venv"}
        return {
            str(path.relative_to(self.root)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
            for path in self.root.rglob("*")
            if path.is_file()
            and not apart & {*path.relative_to(self.root).parts}
            and path.suffix != ".db"
        }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_two_databases_are_adopted_migrated_and_taken_back(kind: Kind, tmp_path: Path) -> None:
    there = Two(kind, tmp_path)
    before, old = there.tree(), there.contents()
    adopted = there.done("undrop", "init", *kind.adopting)
    assert "Guarded: " in adopted.out
    assert "NOT guarded" not in adopted.out
    assert f"databases.{kind.called}]" in (there.root / "undrop.toml").read_text()
    as_adopted = there.tree()
    assert there.ok("undrop", "init", "--dry-run").strip() == ""
    there.ok("undrop", "init")
    there.ok("undrop", "init", "--check")
    assert there.tree() == as_adopted
    assert there.contents() == old

    there.ok(*kind.own, "upgrade", "head")
    newest = there.contents()
    assert all(one != other for one, other in zip(old, newest, strict=True))
    there.back(1)
    assert there.contents() == [newest[0], old[1]]
    there.back(0)
    assert there.contents() == old

    there.ok("just", "rehearse")
    assert there.contents() == old
    there.ok("just", "migrate")
    migrated = there.contents()
    assert [inserts(one) for one in migrated] == [inserts(one) for one in newest]
    planted = there.root / "migrations/versions/9999_planted.py"
    planted.write_text(PLANTED.format(engine=kind.engine))
    stopped = there.run("just", "migrate")
    assert stopped.code == 4, stopped
    assert f"{kind.called}: people.mail" in stopped.err
    assert there.contents() == migrated
    planted.write_text(STRAY.format(engine=kind.engine, database=str(there.files[1])))
    refused = there.run("just", "migrate")
    assert refused.code == 1, refused
    assert there.contents() == migrated
    planted.unlink()

    there.back(0)
    there.back(1)
    assert there.contents() == old
    for number, name in enumerate(("orders", "people")):
        option = ("--db", kind.called) if number else ()
        kept = Path(there.ok("just", "backup", *option).strip())
        assert kept.name.startswith(name)
        there.ok("just", "nuke-db", *option)
        there.ok("just", "restore", *option, kept.name)
    assert there.contents() == old
    there.ok("just", "status")

    there.ok("undrop", "init", "--remove")
    assert there.tree() == before


def inserts(lines: list[str]) -> list[str]:
    """The rows: Alembic makes the indexes of a rebuilt table in whatever order."""
    return [line for line in lines if line.startswith("INSERT")]
