"""Small projects in every state that a live database can be in.

A scene is a project with its state folder, made once and copied for each point.
"""

import copy
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import traced
from promises import Content, live_files, seen
from shop import Project, add, crash, make

from quartermaster.sample import fill

ROWS = 1000  # of 90 bytes: 25 pages
MIGRATED = {"migrate", "reset-db", "alembic"}


class Scene(NamedTuple):
    """A prepared project, the command to torture in it, and the two contents that may be live."""

    project: Project
    command: list[str]
    code: int
    """How an untroubled run ends."""
    old: Content
    new: Content
    files: dict[str, bytes]
    """The live files as they are before; empty when there is no database."""


def copied(project: Project, to: Path) -> Project:
    """The project in a fresh copy of its folder, hard links kept, and an environment for it."""
    subprocess.run(["cp", "-a", str(project.root.parent), str(to)], check=True)
    twin = copy.copy(project)
    twin.root = to / project.root.name
    twin.database = twin.root / project.database.name
    twin.backups = twin.root / project.backups.name
    state = str(to / f"{twin.root.name}-state")
    twin.environment = {**project.environment, "XDG_STATE_HOME": state}
    move_home(twin.root)
    return twin


def move_home(project: Path) -> None:
    """Let the log and the records be this folder's: undrop takes a copied one for another's."""
    root, backups = project.stat(), project / "backups"
    state = project.with_name(f"{project.name}-state")
    here = [root.st_dev, root.st_ino, backups.stat().st_ino if backups.is_dir() else 0]
    for folder in (backups, *state.glob("undrop/*")):
        for path in folder.glob("*.json*"):
            lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            known = [{**json.loads(line), "home": here} for line in lines]
            path.write_text("".join(f"{json.dumps(each)}\n" for each in known))


def make_scene(folder: Path, command: list[str], state: str) -> Scene:
    """Prepare a project and learn from an untroubled run what the new content is."""
    (folder / "shop").mkdir(parents=True)
    project = Project(folder / "shop")
    # Let it keep its compiled modules: traced processes start faster then, and write none.
    dont = project.environment.pop("PYTHONDONTWRITEBYTECODE")
    if {*command} & MIGRATED:
        _quartermaster(project)
        sql = "UPDATE stock_movements SET note = 'rewritten'"
    else:
        PREPARED.get((*command,), _restored if "undo" in command else _shop)(project)
        sql = "UPDATE t SET v = 'rewritten' || v"
    {**STATES, **ASKING}[state](project.database, sql)
    aside = folder.with_name(f"{folder.name}-tried")
    aside.mkdir()
    old = seen(project.database, aside / "aside")
    files = {file.name: file.read_bytes() for file in live_files(project.database)}
    tried = copied(project, aside / "copy")
    done = tried.run(*traced.python(*command))
    new = seen(tried.database, aside / "aside")
    shutil.rmtree(aside)
    project.environment["PYTHONDONTWRITEBYTECODE"] = dont
    return Scene(project, command, done.code, old, new, files)


def _shop(project: Project) -> None:
    """A few pages that Alembic knows nothing of, a backup of fewer rows, and one of more."""
    (project.root / "alembic.ini").unlink()  # undrop would load Alembic to name the code's head
    make(project.database, ROWS // 2)
    project.ok(*traced.python("undrop", "backup"))
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, ROWS // 2)


def _restored(project: Project) -> None:
    """A shop whose last step was a restore, over rows that only its safety backup has."""
    _shop(project)
    project.ok(*traced.python("undrop", "restore", "latest"))


FEW, MANY = 3, 200
"""Rows: so few come back in live itself, so many with the whole file (``merge.SHARE``)."""


def _stepped(rows: int) -> Callable[[Project], None]:
    """A shop whose last step took some rows away, and more; others have written since."""

    def prepare(project: Project) -> None:
        _shop(project)
        script = f"DELETE FROM t WHERE id > {ROWS - rows}; INSERT INTO t VALUES (8001, 'step');"
        script += "UPDATE t SET v = 'step' WHERE id = 50"
        project.ok(*traced.python("undrop", "run", "--", *project.client(script)))
        _written(project, "INSERT INTO t VALUES (9001, 'others')")

    return prepare


def _lost(rows: int) -> Callable[[Project], None]:
    """A shop from which somebody took some rows away, and others have written since."""

    def prepare(project: Project) -> None:
        _shop(project)
        _written(project, f"DELETE FROM t WHERE id > 100 AND id <= {100 + rows}")
        _written(project, "INSERT INTO t VALUES (9001, 'others')")

    return prepare


def _written(project: Project, sql: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute(sql)


PREPARED = {
    ("undrop", "undo", "--keep"): _stepped(FEW),
    ("undrop", "undo", "--keep", "--before"): _stepped(MANY),
    ("undrop", "recover", "rows t"): _lost(FEW),
    ("undrop", "recover", "table t"): _lost(MANY),
}


def _quartermaster(project: Project) -> None:
    """A filled schema with one cheap migration to go."""
    project.ok(*traced.python("alembic", "upgrade", "0005"))
    fill(f"sqlite:///{project.database}", 60)


def partial_wal(database: Path, sql: str) -> None:
    """A killed program's -wal with one commit, which covers not nearly every page."""
    statements = (
        "PRAGMA journal_mode = WAL",
        "PRAGMA wal_autocheckpoint = 0",
        f"{sql} WHERE id < 9",
    )
    crash(database, "\n".join(f"c.execute({each!r})" for each in statements) + "\nc.commit()")
    size = database.with_name(database.name + "-wal").stat().st_size
    assert 0 < size < database.stat().st_size


def hot_journal(database: Path, sql: str) -> None:
    """A killed program's half-written transaction, of some pages, and the -journal to undo it."""
    crash(database, f"c.execute('PRAGMA cache_size = 1')\nc.execute({sql!r})")
    journal = database.with_name(database.name + "-journal")
    assert 512 < journal.stat().st_size < database.stat().st_size


def wal(database: Path, _sql: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def wal_of_other_pages(database: Path, _sql: str) -> None:
    """A WAL database whose page size is not its backup's."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = WAL")


def garbage_with_wal(database: Path, sql: str) -> None:
    partial_wal(database, sql)
    database.write_text("this is no database at all\n" * 100)


def asking(mode: str) -> Callable[[Path, str], None]:
    """The other mode, and a migration to come that asks for this one."""

    def state(database: Path, _sql: str) -> None:
        other = "WAL" if mode == "DELETE" else "DELETE"
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(f"PRAGMA journal_mode = {other}")
        database.with_name("alembic").joinpath("versions/9001_.py").write_text(
            "from alembic import op\nrevision, down_revision = '9001', '0006'\ndef upgrade():\n"
            "    with op.get_context().autocommit_block():\n"
            f"        op.execute('PRAGMA journal_mode = {mode}')\n"
        )

    return state


ASKING = {f"asks-for-{mode.lower()}": asking(mode) for mode in ("WAL", "DELETE")}
"""States for ``migrate`` alone."""
STATES: dict[str, Callable[[Path, str], object]] = {
    "rollback": lambda _database, _sql: None,
    "hot-journal": hot_journal,
    "wal": wal,
    "partial-wal": partial_wal,
    "wal-other-pages": wal_of_other_pages,
    "garbage": garbage_with_wal,
    "missing": lambda database, _sql: database.unlink(),
}
