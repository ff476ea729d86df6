"""Real applications from PyPI and projects as they are made, adopted as they are.

An old release's database is filled, ``undrop init`` adopts the project and proves its guard, and
every step is taken to the newest release's schema and back. Versions are pinned. ``just wild``
runs them and prints how long each had to wait for its first backup; CI runs some.
"""

import time
from pathlib import Path

import pytest
from apps import APPS, BUILDBOT, Adopted, App
from shop import content


@pytest.mark.parametrize("app", [app for app in APPS if app.is_alembics], ids=lambda app: app.name)
def test_an_application_is_adopted_migrated_and_taken_back(
    app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = Adopted(app, tmp_path)
    before, rows = there.tree(), content(there.database)
    said = adopt(there, 0, capsys)
    assert f"Guarded: {app.guarded}" in said
    assert "NOT guarded: " not in said
    adopted = there.tree()
    assert there.ok("undrop", "init", "--dry-run").strip() == ""
    there.ok("undrop", "init")
    assert f"Guarded: {app.guarded}" in there.ok("undrop", "init", "--check")
    assert there.tree() == adopted
    if app.url_variable:
        text = (there.root / "pyproject.toml").read_text()
        assert f'url-variable = "{app.url_variable}"' in text

    newest = upgraded_by_its_own_command(there, rows)
    rehearsed = there.run("just", "rehearse")
    assert rehearsed.code == (4 if app.loses else 0), rehearsed
    assert content(there.database) == rows
    if app.loses:
        stopped = there.run("just", "migrate")
        assert stopped.code == 4, stopped
        assert content(there.database) == rows
    there.ok("just", "migrate", "head", *(["--accept-loss"] if app.loses else []))
    assert "the code's head" not in there.run("just", "status").out
    assert unordered(content(there.database)) == unordered(newest)
    newest = content(there.database)
    a_planted_loss_is_caught(there)

    there.ok("just", "undo")
    assert content(there.database) == rows
    there.ok("just", "undo")
    assert content(there.database) == newest
    if app.downgrade:
        there.own(app.downgrade)
        there.ok("just", "undo")
        assert content(there.database) == newest
    there.ok("just", "nuke-db")
    there.ok("just", "restore", "latest")
    assert content(there.database) == newest

    there.ok("undrop", "init", "--remove")
    assert there.tree() == before


@pytest.mark.parametrize(
    "app", [app for app in APPS if not app.is_alembics], ids=lambda app: app.name
)
def test_what_alembic_cannot_run_by_itself_is_said_and_its_own_command_takes_a_backup(
    app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = Adopted(app, tmp_path)
    before, rows = there.tree(), content(there.database)
    assert "NOT guarded: alembic, because" in adopt(there, 4, capsys)
    adopted = there.tree()
    there.run("undrop", "init")
    assert there.run("undrop", "init", "--check").code == 4
    assert there.tree() == adopted

    newest = upgraded_by_its_own_command(there, rows)
    assert there.run("just", "rehearse").code == 1
    assert there.run("just", "migrate").code == 1
    assert content(there.database) == rows
    there.ok("just", "run", *app.upgrade)
    assert content(there.database) == newest
    there.ok("just", "undo")
    assert content(there.database) == rows

    there.ok("undrop", "init", "--remove")
    assert there.tree() == before


def test_an_application_that_brings_its_migrations_along_is_named_and_guarded_by_what_is_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Buildbot: its master's folder has no migrations, and its package no env.py of ours."""
    there = Adopted(BUILDBOT, tmp_path)
    before, rows = there.tree(), content(there.database)
    said = adopt(there, 4, capsys)
    assert "NOT guarded: buildbot's own upgrade when it is typed alone" in said
    assert "Type just run buildbot upgrade-master" in said
    assert "NOT guarded: buildbot's" in there.run("just", "status").out
    adopted = there.tree()
    assert there.run("undrop", "init", "--check").code == 4
    there.run("undrop", "init")
    assert there.tree() == adopted

    there.ok("just", "rehearse")
    assert content(there.database) == rows
    there.ok("just", "run", *BUILDBOT.upgrade)
    [(taken, _)] = there.records("undrop init")  # the state before is held by it
    assert content(taken) == rows
    assert content(there.database) != rows
    there.ok("just", "undo")
    assert content(there.database) == rows
    there.ok("just", "migrate")
    there.own(BUILDBOT.upgrade)  # it finds nothing to do
    newest = content(there.database)
    there.ok("just", "undo", "--whole")
    assert content(there.database) == rows
    there.ok("just", "nuke-db")
    there.ok("just", "restore", "latest")
    assert content(there.database) in (rows, newest)

    (there.root / "master.cfg.sample").unlink()  # its own command wrote that
    there.ok("undrop", "init", "--remove")
    assert there.tree() == before


def unordered(rows: list[str]) -> list[list[str]]:
    """Alembic's batch migrations put a table's unnamed constraints in any order."""
    return [sorted(line.strip(" \t,") for line in text.splitlines()) for text in rows]


def adopt(there: Adopted, code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Run ``undrop init`` and print when the first backup was there; what it said."""
    rows, started = content(there.database), time.time()
    done = there.run("undrop", "init")
    assert done.code == code, done
    assert content(there.database) == rows
    [(first, _)] = there.records("undrop init")
    waited = first.with_suffix(".json").stat().st_mtime - started
    with capsys.disabled():
        print(f"\n{there.app.name}: the first verified backup after {waited:.1f} s")
    return done.out + done.err


def upgraded_by_its_own_command(there: Adopted, rows: list[str]) -> list[str]:
    """The content that it leaves; a backup of what was there came first, and undo gave it back."""
    there.own(there.app.upgrade)
    newest = content(there.database)
    assert newest != rows
    [(taken, record)] = there.records("alembic")
    assert (record["revisions"], content(taken)) == ([there.app.old], rows)
    there.ok("just", "undo")
    assert content(there.database) == rows
    return newest


def a_planted_loss_is_caught(there: Adopted) -> None:
    rows, planted = content(there.database), there.plant()
    stopped = there.run("just", "migrate")
    assert stopped.code == 4, stopped
    assert ".".join(there.app.lost) in stopped.out + stopped.err
    assert content(there.database) == rows
    planted.unlink()
