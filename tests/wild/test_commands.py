"""Projects that other tools migrate, adopted as they are: dbmate, Drizzle on libsql, yoyo.

Each is brought to its first migration by its own command and filled; ``undrop init`` finds the
command and proves it, and every step is taken with the real tool. Versions are pinned.
"""

import json
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from apps import HERE, install, our_wheel
from server import Server, program
from shop import Runner, content

FILL = "INSERT INTO items VALUES (1, 'nail', 'short'), (2, 'screw', NULL)"
LOSS = "ALTER TABLE items DROP COLUMN note;\n-- migrate:down\n"


class Tool(NamedTuple):
    """A project, and how its tool is used in it."""

    name: str
    database: str
    own: tuple[str, ...]
    """What its people type."""
    guarded: str
    """What ``init`` says that is guarded."""
    newer: str
    """The file of the migration that comes later."""
    planted: str
    """The file of the one that loses a column."""
    head: str
    """What stands first in such a file."""
    stray: tuple[tuple[str, str, str], ...]
    """By which its command goes to live: in a file, one text for another."""
    files: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    """Packages of Python's."""
    writes: str = ""
    """The file of the project's that it writes."""
    journal: str = ""
    """The file that lists its migrations."""


TOOLS = [
    Tool(
        "dbmate",
        "db/shop.sqlite3",
        ("npx", "dbmate", "up"),
        "npx dbmate up",
        "db/migrations/20240201000000_add_price.sql",
        "db/migrations/20240301000000_planted.sql",
        "-- migrate:up\n",
        (("undrop.toml", "npx dbmate up", "npx dbmate --url sqlite:{live} up"),),
        files=((".env", 'DATABASE_URL="sqlite:db/shop.sqlite3"\n'),),
        writes="db/schema.sql",
    ),
    Tool(
        "drizzle",
        "local.db",
        ("npm", "run", "--silent", "db:migrate"),
        "npm run db:migrate",
        "drizzle/0001_price.sql",
        "drizzle/0002_planted.sql",
        "",
        (("drizzle.config.ts", "process.env.DB_FILE_NAME!", '"file:{live}"'),),
        files=((".env", "DB_FILE_NAME=file:local.db\n"),),
        journal="drizzle/meta/_journal.json",
    ),
    Tool(
        "yoyo",
        "shop.db",
        (".venv/bin/yoyo", "apply", "--batch"),
        ".venv/bin/yoyo apply",
        "migrations/0002.price.sql",
        "migrations/0003.planted.sql",
        "-- depends: 0002.price\n",
        (
            ("undrop.toml", " --database {{url}}", ""),
            ("undrop.toml", "url =", "url-variable = 'DATABASE_URL'\nurl ="),
        ),
        needs=("yoyo-migrations==9.0.0", "setuptools<81"),
    ),
]


class Adopted(Runner):
    """A project with the tool, and an old, filled database."""

    forks = None  # it has its own undrop

    def __init__(self, tool: Tool, folder: Path, *needs: str) -> None:
        super().__init__(folder / tool.name, folder / "state")
        self.tool, self.database = tool, self.root / tool.database
        shutil.copytree(HERE / "projects" / tool.name, self.root)
        install(self.root / ".venv", *tool.needs, *needs, our_wheel())
        self.environment["PATH"] = f"{self.root}/.venv/bin{os.pathsep}{os.environ['PATH']}"
        for name, text in tool.files:
            (self.root / name).write_text(text)
        if (self.root / "package.json").exists():
            if not shutil.which("npm"):
                pytest.skip("there is no npm")
            quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
            self.ok("npm", "install", *quiet)

    def migrate(self) -> None:
        """By the tool itself; Drizzle's configuration reads the variable, and no .env."""
        given = dict(text.strip().split("=", 1) for _, text in self.tool.files)
        variables = ["=".join((name, value.strip('"'))) for name, value in given.items()]
        self.ok("env", *variables, *self.tool.own)

    def without_newer(self) -> str:
        """Take the later migration out: its text."""
        path = self.root / self.tool.newer
        text = path.read_text()
        path.unlink()
        self.enter()
        return text

    def add(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)
        self.enter()

    def enter(self) -> None:
        """Have the journal list the migrations that are there, as Drizzle's generator does."""
        if self.tool.journal:
            path = self.root / self.tool.journal
            files = sorted(path.parent.parent.glob("*.sql"))
            entries = [
                {
                    "idx": n,
                    "version": "6",
                    "when": 1704067200000 + n,
                    "tag": file.stem,
                    "breakpoints": True,
                }
                for n, file in enumerate(files)
            ]
            listed = {"version": "7", "dialect": "sqlite", "entries": entries}
            path.write_text(json.dumps(listed))

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Every file, its mode and bytes; not the database's, nor what the tool writes."""
        passed_over = {"backups", "__pycache__", ".venv", "node_modules"}
        tree = {}
        for parent, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name not in passed_over]
            for name in names:
                path, inside = Path(parent, name), str(Path(parent, name).relative_to(self.root))
                if not inside.startswith(self.tool.database) and inside != self.tool.writes:
                    tree[inside] = (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        return tree

    def rows(self) -> list[str]:
        return content(self.database)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_project_is_adopted_migrated_and_taken_back(tool: Tool, tmp_path: Path) -> None:
    there = Adopted(tool, tmp_path)
    newer = there.without_newer()
    there.migrate()
    with closing(sqlite3.connect(there.database)) as connection, connection:
        connection.execute(FILL)
    before, old = there.tree(), there.rows()

    adopted = there.run("undrop", "init")
    assert adopted.code == 0, adopted
    assert f"Guarded: {tool.guarded}" in adopted.out
    assert (f"on rehearse too: {tool.writes}" in adopted.err) == bool(tool.writes)
    assert there.rows() == old
    files = there.tree()
    there.ok("undrop", "init")
    assert there.ok("undrop", "init", "--check").startswith("Guarded: ")
    assert there.tree() == files
    assert "nothing to do" in there.done("just", "migrate").err

    there.add(tool.newer, newer)
    rehearsed = there.done("just", "rehearse")
    assert "items.price added" in rehearsed.out
    assert there.rows() == old
    there.ok("just", "migrate")
    newest = there.rows()
    assert any("(2,'screw',NULL,200)" in line for line in newest)
    there.migrate()
    assert there.rows() == newest, "its own command agrees that all is there"
    there.ok("just", "undo")
    assert there.rows() == old
    there.ok("just", "undo")
    assert there.rows() == newest

    there.add(tool.planted, tool.head + LOSS)
    for step in ("rehearse", "migrate"):
        stopped = there.run("just", step)
        assert stopped.code == 4, stopped
        assert "items.note" in stopped.out + stopped.err
        assert there.rows() == newest
    there.ok("just", "migrate", "--accept-loss")
    assert not any("'short'" in line for line in there.rows())
    there.ok("just", "undo")
    assert there.rows() == newest

    (there.root / tool.planted).unlink()
    there.enter()
    it_can_be_emptied_and_put_back(there)
    a_command_that_goes_to_live_is_caught(there)

    (there.root / tool.newer).unlink()
    there.enter()
    there.ok("undrop", "init", "--remove")
    assert there.tree() == before


def it_can_be_emptied_and_put_back(there: Adopted) -> None:
    rows = there.rows()
    kept = Path(there.ok("just", "backup").strip())
    there.ok("just", "nuke-db")
    there.ok("just", "restore", kept.name)
    assert there.rows() == rows
    there.ok("just", "reset-db")
    assert not any("INSERT INTO items" in line for line in there.rows())
    there.ok("just", "undo")
    assert there.rows() == rows


def a_command_that_goes_to_live_is_caught(there: Adopted) -> None:
    rows, before = there.rows(), there.tree()
    there.add(there.tool.planted, there.tool.head + LOSS)
    for name, text, other in there.tool.stray:
        path = there.root / name
        assert text.format() in path.read_text(), text
        changed = path.read_text().replace(text.format(), other.format(live=there.database))
        path.write_text(changed)
    for step in ("rehearse", "migrate"):
        strayed = there.run("just", step)
        assert strayed.code == 3, strayed
        assert "the schema of the live database itself was changed" in strayed.err
        assert there.rows() != rows
        there.ok("just", "undo")
        assert there.rows() == rows
    checked = there.run("undrop", "init", "--check")
    assert checked.code == 4, checked
    assert "NOT guarded: " in checked.out
    if there.rows() != rows:  # in a copy of the folder, a relative path is not live's
        there.ok("just", "undo")
    assert there.rows() == rows
    (there.root / there.tool.planted).unlink()
    for name, (_, data) in before.items():
        (there.root / name).write_bytes(data)
    there.enter()


def test_dbmate_migrates_a_server_through_a_scratch_database(
    tmp_path: Path, server: Server
) -> None:
    tool = TOOLS[0]._replace(files=())
    there = Adopted(tool, tmp_path, "psycopg[binary]")
    server.sql("CREATE DATABASE shop")
    url = f"postgres://postgres@/shop?host={server.folder}"
    (there.root / ".env").write_text(f"DATABASE_URL={url}\n")
    tools = Path(program("pg_dump")).parent
    there.environment["PATH"] = f"{tools}{os.pathsep}{there.environment['PATH']}"
    newer = there.without_newer()
    there.ok(*tool.own)
    server.sql(FILL, "shop")
    before = there.tree()

    def rows() -> list[tuple[object, ...]]:
        columns = "table_name, column_name"
        where = "table_schema = 'public' ORDER BY 1, 2"
        schema = server.sql(
            f"SELECT {columns} FROM information_schema.columns WHERE {where}", "shop"
        )
        return [*schema, *server.sql("SELECT * FROM items ORDER BY id", "shop")]

    old = rows()
    adopted = there.run("undrop", "init")
    assert adopted.code == 0, adopted
    assert f"Guarded: {tool.guarded}" in adopted.out
    assert rows() == old
    there.add(tool.newer, newer)
    assert "items.price added" in there.ok("just", "rehearse")
    assert rows() == old
    there.ok("just", "migrate")
    newest = rows()
    assert (2, "screw", None, 200) in newest
    there.ok("just", "undo")
    assert rows() == old
    there.ok("just", "undo")
    assert rows() == newest
    there.add(tool.planted, tool.head + LOSS)
    stopped = there.run("just", "migrate")
    assert stopped.code == 4, stopped
    assert rows() == newest
    settings = there.root / "undrop.toml"
    kept = settings.read_text()
    settings.write_text(kept.replace("npx dbmate up", f"npx dbmate --url '{url}' up"))
    strayed = there.run("just", "migrate")
    assert strayed.code == 3, strayed
    there.ok("just", "undo")
    assert rows() == newest
    settings.write_text(kept)
    (there.root / tool.planted).unlink()
    (there.root / tool.newer).unlink()
    there.ok("undrop", "init", "--remove")
    assert there.tree() == before
    assert server.scratch() == []
