"""The names that Alembic keeps to itself do what we take them for, in the release that is there.

That is the newest here. ``.ci/run`` runs this one file with the oldest that ``pyproject.toml``
admits too, in an environment of its own with nothing but pytest: no fixture of ours is used.
"""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import alembic
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from undrop.migrations import alembic_private

ENV = """
from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from undrop.alembic import backup_before, database_url, transactional_ddl

backup_before(context)
engine = create_engine(database_url(context), poolclass=NullPool)
transactional_ddl(engine)
with engine.connect() as connection:
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
"""
MIGRATION = """
from alembic import op
revision, down_revision = {revision!r}, {down!r}
def upgrade(): op.execute("CREATE TABLE {revision} (v)")
def downgrade(): op.execute("DROP TABLE {revision}")
"""
GRAPH = {"a": None, "left": "a", "right": "a", "both": ("left", "right"), "z": "both"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose migrations part and meet again, and a database with a row in it."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.undrop]\nurl = "sqlite:///app.db"\nvault = false\n'
    )
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/alembic\n")
    versions = tmp_path / "alembic/versions"
    versions.mkdir(parents=True)
    (tmp_path / "alembic/env.py").write_text(ENV)
    for revision, down in GRAPH.items():
        text = MIGRATION.format(revision=revision, down=down)
        (versions / f"{revision}.py").write_text(text)
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE t AS SELECT 'precious' AS v")
    return tmp_path


def typed(root: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", *words], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(root: Path) -> set[str]:
    with closing(sqlite3.connect(root / "app.db")) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def backups(root: Path) -> int:
    return len([*root.glob("backups/*.db")])


@pytest.mark.skipif("UNDROP_ALEMBIC" not in os.environ, reason=".ci/run names the oldest release")
def test_this_is_the_release_that_was_asked_for() -> None:
    assert f"{alembic.__version__}.".startswith(f"{os.environ['UNDROP_ALEMBIC']}.")


def test_a_plan_goes_up_and_down_through_branches_and_merges(root: Path) -> None:
    script = ScriptDirectory.from_config(Config(str(root / "alembic.ini")))

    def names(revision: str, *current: str) -> list[str]:
        plan = alembic_private.planned(script, revision, current)
        return [step.revision.revision for step in plan]

    up = names("head")
    assert (up[0], {*up[1:3]}, up[3:]) == ("a", {"left", "right"}, ["both", "z"])
    assert names("+1", "both") == ["z"]
    assert names("-1", "z") == ["z"]
    down = names("base", "z")
    assert (down[:2], {*down[2:4]}, down[4:]) == (["z", "both"], {"left", "right"}, ["a"])
    assert names("left", "left", "right") == names("heads", "z") == []
    assert (names("left", "z"), names("left+1", "z")) == (["z", "both"], ["z"])
    assert (names("z-1", "z"), names("left+2", "both")) == (["z"], ["z"])
    [step] = alembic_private.planned(script, "both", ("left", "right"))
    assert (set(step.from_revisions), step.to_revisions) == ({"left", "right"}, ("both",))


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ("nosuch", "Can't locate revision identified by 'nosuch'"),
        ("nosuch@base", "Can't locate revision identified by 'nosuch'"),
        ("-9", "Relative revision -9 didn't produce 9 migrations"),
        ("+9", "Relative revision +9 didn't produce 9 migrations"),
        ("a-9", "Walked too far"),
        ("a+9", "Ambiguous walk"),
        ("", "Can't locate revision identified by ''"),
    ],
)
def test_where_no_way_leads_alembics_own_words_say_so(root: Path, revision: str, says: str) -> None:
    script = ScriptDirectory.from_config(Config(str(root / "alembic.ini")))
    with pytest.raises(CommandError, match=re.escape(says)):
        alembic_private.planned(script, revision, ("left",))


def test_migrate_goes_up_and_down(root: Path) -> None:
    assert typed(root, "undrop", "migrate") == "no revision -> z\n"
    assert tables(root) >= {"t", *GRAPH}
    assert typed(root, "undrop", "migrate", "--accept-loss", "base") == "z -> no revision\n"
    assert not tables(root) & GRAPH.keys()
    assert "t" in tables(root)


def test_a_backup_comes_before_what_changes_the_database_and_no_other_command(root: Path) -> None:
    typed(root, "alembic", "current")
    assert backups(root) == 0
    typed(root, "alembic", "ensure_version")
    assert backups(root) == 2  # and one of the state after
    typed(root, "alembic", "upgrade", "head")
    assert backups(root) == 4
