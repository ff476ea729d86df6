"""Real applications from PyPI and projects as they are made, adopted as they are.

An old release's database is filled, ``undrop init`` adopts the project and proves its guard, and
every step is taken to the newest release's schema and back. Versions are pinned. ``just wild``
runs them and prints how long each had to wait for its first backup; CI runs some.
"""

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from apps import APPS, Adopted, App, add, install, our_wheel
from shop import Runner, content

Recorder = Callable[[str, object], None]
WAITED = "nothing to the first verified backup"


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_an_application_is_adopted_migrated_and_taken_back(
    app: App, tmp_path: Path, record_property: Recorder
) -> None:
    there = Adopted(app, tmp_path)
    before, rows = there.tree(), content(there.database)
    code, said, waited = adopt(there)
    record_property(f"{app.name}: {WAITED}", waited)
    assert code == (4 if app.others else 0), said
    assert content(there.database) == rows
    assert f"Guarded: {app.guarded}" in said
    assert f"NOT guarded: {app.others}" in said if app.others else "NOT guarded: " not in said
    adopted = there.tree()
    assert there.ok("undrop", "init", "--dry-run").strip() == ""
    there.run("undrop", "init")
    assert f"Guarded: {app.guarded}" in there.run("undrop", "init", "--check").out
    assert there.tree() == adopted
    if app.url_variable:
        assert f'url-variable = "{app.url_variable}"' in there.settings()

    wanted = upgraded_by_its_own_command(there, rows)
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
    assert inserts(newest) == inserts(wanted)
    a_planted_loss_is_caught(there)

    there.ok("just", "undo")
    assert content(there.database) == rows
    there.ok("just", "undo")
    assert content(there.database) == newest
    if app.downgrade:
        there.own(app.downgrade)
        there.ok("just", "undo")
        assert content(there.database) == newest
    kept = Path(there.ok("just", "backup").strip())
    there.ok("just", "nuke-db")
    there.ok("just", "restore", kept.name)
    assert content(there.database) == newest

    there.ok("undrop", "init", "--remove")
    assert there.tree() == before


def test_an_application_whose_migrations_are_in_its_package_is_guarded_behind_just_run(
    tmp_path: Path, record_property: Recorder
) -> None:
    """Buildbot: a folder with a database and a configuration, and nothing else of its own."""
    install(
        tmp_path / "old", "buildbot==3.5.0", "sqlalchemy<2", "twisted==22.10.0", "setuptools<70"
    )
    there = Runner(tmp_path / "master", tmp_path / "state")
    there.forks = None  # type: ignore[misc]  # it has its own undrop
    subprocess.run([tmp_path / "old/bin/buildbot", "create-master", there.root], check=True)
    (there.root / "master.cfg.sample").rename(there.root / "master.cfg")
    install(there.root / ".venv", "buildbot==4.3.0")
    there.environment["PATH"] = f"{there.root}/.venv/bin{os.pathsep}{os.environ['PATH']}"
    database = there.root / "state.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(Path(__file__).with_name("buildbot.sql").read_text())
    rows = content(database)

    code, said, waited = adopt(there)
    record_property(f"buildbot: {WAITED}", waited)
    assert code == 4, said  # typed alone, its own command takes no backup
    assert "just run buildbot upgrade-master" in said
    rehearsed = there.run("just", "rehearse")
    assert rehearsed.code == 0, rehearsed
    assert content(database) == rows
    there.ok("just", "migrate")
    newest = content(database)
    there.ok("just", "undo")
    assert content(database) == rows
    there.ok("just", "run", "buildbot", "upgrade-master", ".")
    assert inserts(content(database)) == inserts(newest)
    there.ok("just", "undo")
    assert content(database) == rows
    there.ok("undrop", "init", "--remove")


def adopt(there: Runner) -> tuple[int, str, str]:
    """Install undrop and run ``undrop init``: its exit code, what it said, and how long it took.

    Until the first verified backup was there, that is.
    """
    wheel, started = our_wheel(), time.time()
    add(there.root / ".venv", wheel)
    installed = time.time()
    done = there.run("undrop", "init")
    [record] = there.root.glob("backups/*-undrop-init.json")
    there_at = record.stat().st_mtime
    took = f"{there_at - started:.1f} s, {installed - started:.1f} of these to install it"
    return done.code, done.out + done.err, took


def upgraded_by_its_own_command(there: Adopted, rows: list[str]) -> list[str]:
    """The content that it leaves; a backup of what was there came first, and undo gave it back."""
    there.own(there.app.upgrade)
    newest = content(there.database)
    assert newest != rows
    taken, record = there.records("alembic")[0]
    assert (record["revisions"], content(taken)) == ([there.app.old], rows)
    there.ok("just", "undo")
    assert content(there.database) == rows
    return newest


def inserts(lines: list[str]) -> list[str]:
    """The rows: Alembic makes the indexes of a rebuilt table in whatever order."""
    return [line for line in lines if line.startswith("INSERT")]


def a_planted_loss_is_caught(there: Adopted) -> None:
    rows, planted = content(there.database), there.plant()
    stopped = there.run("just", "migrate")
    assert stopped.code == 4, stopped
    assert ".".join(there.app.lost) in stopped.out + stopped.err
    assert content(there.database) == rows
    planted.unlink()
