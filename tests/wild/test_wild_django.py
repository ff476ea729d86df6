"""A Django project as it is made, adopted as it is, on the releases that people have.

``just wild`` runs them. Django 6 needs Python 3.12: one is looked for.
"""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from apps import HERE, install, our_wheel
from server import Server
from shop import Runner, content

RELEASES = {"4.2.30": (3, 8), "5.2.19": (3, 10), "6.1.3": (3, 12)}
"""And the oldest Python that each runs on."""
DROPPED = """\
from django.db import migrations

{accepts}
class Migration(migrations.Migration):
    dependencies = [("stock", "0003_fill_cents")]
    operations = [migrations.RemoveField("item", "note")]
"""
STRAY = """\
import sqlite3

from django.db import migrations


def write(apps, schema_editor):
    connection = sqlite3.connect({database!r})
    connection.execute("DELETE FROM stock_item")
    connection.commit()


class Migration(migrations.Migration):
    dependencies = [("stock", "0003_fill_cents")]
    operations = [migrations.RunPython(write)]
"""


WITHOUT_WHAT = """\
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_event_who")]
    operations = [migrations.RemoveField("event", "what")]
"""


class Adopted(Runner):
    """The project in an environment of its own."""

    forks = None  # it has its own undrop

    def __init__(self, folder: Path, release: str, settings: str = "", *more: str) -> None:
        super().__init__(folder / "shop", folder / "state")
        shutil.copytree(HERE / "projects/django", self.root)
        ours = f"{our_wheel()}[postgres]" if more else our_wheel()
        install(self.root / ".venv", f"django=={release}", ours, *more, python=python(release))
        self.environment["PATH"] = f"{self.root}/.venv/bin{os.pathsep}{os.environ['PATH']}"
        self.database = self.root / "db.sqlite3"
        if settings:
            manage = self.root / "manage.py"
            text = manage.read_text().replace("shop.settings.dev", f"shop.settings.{settings}")
            manage.write_text(text)
        who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "all")):
            self.ok("git", *who, *command)

    def manage(self, *words: str) -> str:
        done = self.done("python", "manage.py", *words)
        return done.out + done.err

    def make_old(self) -> None:
        """All but the newest migrations, and rows."""
        self.manage("migrate", "-v0")
        self.manage("migrate", "stock", "0001", "-v0")
        with closing(sqlite3.connect(self.database)) as connection:
            connection.executescript((HERE / "django.sql").read_text())

    def kept(self, suffix: str = ".db") -> list[Path]:
        """The backups that its own commands have taken."""
        paths = self.root.glob(f"backups/*-django{suffix}")
        return sorted(path for path in paths if "-after-" not in path.name)

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Every file, its mode and bytes; the databases' are not."""
        passed_over = {"backups", "__pycache__", ".venv", ".git"}
        tree = {}
        for parent, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name not in passed_over]
            for name in names:
                path = Path(parent, name)
                if not path.match("*.sqlite3*"):
                    mode = stat.S_IMODE(path.stat().st_mode)
                    tree[str(path.relative_to(self.root))] = (mode, path.read_bytes())
        return tree


@cache
def python(release: str) -> str:
    """A Python that the release runs on; skips the test where there is none."""
    oldest = RELEASES[release]
    if sys.version_info >= oldest:
        return sys.executable
    for minor in range(20, oldest[1] - 1, -1):
        if found := shutil.which(f"python3.{minor}"):
            # It may be a stand-in for one that is not installed.
            done = subprocess.run([found, "-c", "import venv"], check=False, capture_output=True)
            if done.returncode == 0:
                return found
    pytest.skip(f"Django {release} needs Python {oldest[0]}.{oldest[1]}")


@pytest.mark.parametrize("release", RELEASES)
def test_a_project_is_adopted_migrated_and_taken_back(tmp_path: Path, release: str) -> None:
    there = Adopted(tmp_path, release)
    there.make_old()
    before, rows = there.tree(), content(there.database)
    adopted = there.run("undrop", "init")
    assert adopted.code == 0, adopted
    assert adopted.out.endswith("\nGuarded: manage.py\n")
    assert content(there.database) == rows
    tree = there.tree()
    assert "nothing to change" in there.done("undrop", "init").err
    assert there.ok("undrop", "init", "--check") == "Guarded: manage.py\n"
    assert there.tree() == tree

    its_own_commands_take_a_backup(there, rows)
    there.ok("just", "rehearse")
    assert content(there.database) == rows
    there.ok("just", "migrate")
    newest = content(there.database)
    with closing(sqlite3.connect(there.database)) as connection:
        cents = connection.execute("SELECT cents FROM stock_item ORDER BY id").fetchall()
    assert cents == [(10,), (1250,)]
    assert "pending" not in there.ok("just", "status")
    a_loss_is_caught_and_live_is_not_written_to(there, newest)
    squashed = a_squash_is_known(there)

    newest = content(there.database)
    there.ok("just", "migrate", "stock", "0001_initial", "--accept-loss")
    assert '"cents"' not in "".join(content(there.database))
    there.ok("just", "undo")
    assert content(there.database) == newest
    there.ok("just", "nuke-db")
    there.ok("just", "restore", "latest")
    assert content(there.database) == newest
    squashed.unlink()
    there.ok("undrop", "init", "--remove")
    assert there.tree() == before


def its_own_commands_take_a_backup(there: Adopted, rows: list[str]) -> None:
    said = there.manage("test")
    assert "Ran 2 tests" in said
    assert "undrop" not in said
    assert there.kept() == []
    there.manage("migrate")
    [kept] = there.kept()
    assert content(kept) == rows
    there.ok("just", "undo")
    assert content(there.database) == rows
    there.manage("flush", "--no-input")
    there.ok("just", "undo")
    assert content(there.database) == rows


def a_loss_is_caught_and_live_is_not_written_to(there: Adopted, newest: list[str]) -> None:
    planted = there.root / "stock/migrations/0004_drop_note.py"
    planted.write_text(DROPPED.format(accepts=""))
    stopped = there.run("just", "migrate")
    assert stopped.code == 4, stopped
    assert "stock_item.note" in stopped.err
    assert content(there.database) == newest
    planted.write_text(DROPPED.format(accepts='accepts_loss = ["stock_item.note"]\n\n'))
    there.ok("just", "migrate")
    assert "by the dozen" not in "".join(content(there.database))
    there.ok("just", "undo")
    assert content(there.database) == newest
    planted.write_text(STRAY.format(database=str(there.database)))
    refused = there.run("just", "migrate")
    assert refused.code == 1, refused
    assert content(there.database) == newest
    planted.unlink()


def a_squash_is_known(there: Adopted) -> Path:
    """Django's own, of all that the database has: it counts as applied, in an empty one too."""
    there.manage("squashmigrations", "stock", "0003", "--no-input")
    [squashed] = there.root.glob("stock/migrations/0001_*squashed*.py")
    assert "pending" not in there.ok("just", "status")
    there.ok("just", "migrate")
    with closing(sqlite3.connect(there.database)) as connection:
        sql = "SELECT count(*) FROM django_migrations WHERE name = ?"
        assert connection.execute(sql, (squashed.stem,)).fetchone() == (1,)
    there.ok("just", "reset-db")
    assert "pending" not in there.ok("just", "status")
    there.ok("just", "undo")
    return squashed


def test_of_two_databases_each_is_backed_up_by_its_name(tmp_path: Path) -> None:
    there = Adopted(tmp_path, "5.2.19", "two")
    there.make_old()
    there.manage("migrate", "--database=audit", "audit", "0001", "-v0")
    audit = there.root / "audit.sqlite3"
    with closing(sqlite3.connect(audit)) as connection, connection:
        connection.execute("INSERT INTO audit_event (what) VALUES ('made')")
    before, rows, events = there.tree(), content(there.database), content(audit)
    adopted = there.run("undrop", "init")
    assert adopted.code == 0, adopted
    assert adopted.out.endswith("\nGuarded: manage.py\n")
    assert "[databases.audit]" in (there.root / "undrop.toml").read_text()
    assert (content(there.database), content(audit)) == (rows, events)

    assert "ANOTHER DATABASE" not in there.manage("migrate", "--database=audit")
    [kept] = there.kept()
    assert kept.name.startswith("audit-")
    assert content(kept) == events
    there.ok("just", "undo", "--db", "audit")
    assert content(audit) == events
    there.ok("just", "migrate")
    there.ok("just", "undo")
    assert content(there.database) == rows
    there.ok("just", "rehearse", "--db", "audit")
    assert content(audit) == events
    there.ok("just", "migrate", "--db", "audit")
    newest = content(audit)
    assert newest != events
    assert content(there.database) == rows
    planted = there.root / "audit/migrations/0003_planted.py"
    planted.write_text(WITHOUT_WHAT)
    stopped = there.run("just", "migrate", "--db", "audit")
    assert stopped.code == 4, stopped
    assert "audit_event.what" in stopped.err
    stray = STRAY.replace('("stock", "0003_fill_cents")', '("audit", "0002_event_who")')
    planted.write_text(stray.format(database=str(there.database)))
    refused = there.run("just", "migrate", "--db", "audit")
    assert refused.code == 1, refused
    planted.unlink()
    assert (content(there.database), content(audit)) == (rows, newest)
    taken = there.ok("just", "backup", "--db", "audit").strip()
    there.ok("just", "nuke-db", "--db", "audit")
    there.ok("just", "restore", "--db", "audit", taken)
    assert content(audit) == newest
    assert there.ok("undrop", "init", "--check") == "Guarded: manage.py\n"
    assert "nothing to change" in there.done("undrop", "init").err
    there.ok("undrop", "init", "--remove")
    assert there.tree() == before


def test_on_postgresql_it_is_tried_in_a_scratch_database(tmp_path: Path, server: Server) -> None:
    name = f"wild_django_{os.getpid()}"
    server.sql(f"CREATE DATABASE {name}")
    there = Adopted(tmp_path, "5.2.19", "server", "psycopg[binary]>=3.1")
    there.environment |= {"SHOP_DB_NAME": name, "SHOP_DB_HOST": str(server.folder)}
    there.manage("migrate", "-v0")
    there.manage("migrate", "stock", "0001", "-v0")
    server.sql((HERE / "django.sql").read_text(), name)
    before = there.tree()

    def rows() -> list[tuple[object, ...]]:
        return server.sql("SELECT to_jsonb(stock_item)::text FROM stock_item ORDER BY id", name)

    old = rows()
    adopted = there.run("undrop", "init")
    assert adopted.code == 0, adopted
    assert adopted.out.endswith("\nGuarded: manage.py\n")
    said = there.manage("test")
    assert "Ran 2 tests" in said
    assert there.kept(".pgdump") == []
    there.manage("migrate")
    assert len(there.kept(".pgdump")) == 1
    there.ok("just", "undo")
    assert rows() == old
    there.ok("just", "rehearse")
    assert rows() == old
    there.ok("just", "migrate")
    assert server.sql("SELECT cents FROM stock_item ORDER BY id", name) == [(10,), (1250,)]
    newest = rows()
    planted = there.root / "stock/migrations/0004_drop_note.py"
    planted.write_text(DROPPED.format(accepts=""))
    assert there.run("just", "migrate").code == 4
    assert rows() == newest
    planted.unlink()
    there.ok("just", "undo")
    assert rows() == old
    assert server.scratch() == []
    there.ok("undrop", "init", "--remove")
    assert there.tree() == before
