"""The journal mode that a migration asks for is live's mode afterwards, and undo takes it back."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop import Project, wal_of

ASKS = """with op.get_context().autocommit_block():
        op.execute("PRAGMA journal_mode = {}")
    op.execute("CREATE TABLE colours (name)")"""
BACK = """def downgrade():
    op.execute("DROP TABLE colours")
    with op.get_context().autocommit_block():
        op.execute("PRAGMA journal_mode = {}")
"""


def mode(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def turn(database: Path, to: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute(f"PRAGMA journal_mode = {to}").fetchone() == (to,)


def asks(project: Project, for_mode: str, back: str = "") -> None:
    """A migration that asks for that mode, and whose way back asks for that one."""
    project.revise(ASKS.format(for_mode))
    file = project.root / "alembic/versions/9001_test.py"
    if back:
        file.write_text(file.read_text().partition("def downgrade")[0] + BACK.format(back))


@pytest.mark.parametrize(
    ("began", "asked"),
    [pytest.param("delete", "wal", marks=pytest.mark.more), ("wal", "delete")],
)
def test_the_mode_that_is_asked_for_is_the_mode_afterwards_both_ways(
    stocked: Project, began: str, asked: str
) -> None:
    turn(stocked.database, began)
    asks(stocked, asked, back=began)
    stocked.ok("just", "migrate")
    assert mode(stocked.database) == asked
    assert stocked.just("status").code == 0  # the state after has a backup
    stocked.ok("just", "migrate", "-1", "--accept-loss")
    assert mode(stocked.database) == began


def test_undo_brings_the_mode_back_and_redo_the_other(stocked: Project) -> None:
    turn(stocked.database, "wal")
    stocked.ok("just", "backup")
    turn(stocked.database, "delete")  # the content is held by a backup that was made in WAL mode
    asks(stocked, "wal")
    stocked.ok("just", "migrate")
    assert mode(stocked.database) == "wal"
    stocked.ok("just", "undo")
    assert mode(stocked.database) == "delete"
    stocked.ok("just", "undo")
    assert mode(stocked.database) == "wal"


def test_a_mode_that_nobody_asked_for_stays_by_undo_too(stocked: Project) -> None:
    stocked.revise("op.execute('CREATE TABLE colours (name)')")
    stocked.ok("just", "migrate")
    turn(stocked.database, "wal")  # by hand, and meant
    stocked.ok("just", "undo")
    assert mode(stocked.database) == "wal"


def test_wal_is_turned_on_beside_a_program_that_has_it_open(stocked: Project) -> None:
    asks(stocked, "wal")
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute("SELECT * FROM items").fetchall()
        stocked.ok("just", "migrate")
        assert connection.execute("SELECT count(*) FROM colours").fetchone() == (0,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_where_a_program_keeps_it_in_wal_mode_it_says_what_to_type(stocked: Project) -> None:
    asks(stocked, "delete")
    turn(stocked.database, "wal")
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute("SELECT * FROM items").fetchall()
        done = stocked.done("just", "migrate")
    assert stocked.sql("SELECT count(*) FROM colours") == [(0,)]
    said = re.search(r"journal_mode delete was asked .* is over: (.*)", done.err)
    assert said, done.err
    assert "it is open by python (pid " in said[0]
    assert mode(stocked.database) == "wal"
    [*_, newest] = stocked.saved()
    assert json.loads(newest.with_suffix(".json").read_text())["journal_mode"] == "wal"
    if shutil.which("sqlite3"):
        assert stocked.run("/bin/sh", "-c", said[1]).code == 0
        assert mode(stocked.database) == "delete"


def test_what_is_made_of_the_state_after_has_its_mode(stocked: Project) -> None:
    asks(stocked, "wal")
    stocked.ok("just", "migrate")
    stocked.ok("just", "nuke-db")
    stocked.ok("just", "undo")
    assert mode(stocked.database) == "wal"


def test_a_reset_has_the_mode_that_the_migrations_ask_for(stocked: Project) -> None:
    asks(stocked, "wal")
    stocked.ok("just", "reset-db")
    assert mode(stocked.database) == "wal"


def test_a_migration_of_a_database_in_wal_mode_may_read_by_a_second_connection(
    stocked: Project,
) -> None:
    turn(stocked.database, "wal")
    stocked.revise(
        "op.execute(\"UPDATE items SET name = name || '!' WHERE id = 1\")",
        "file = op.get_bind().exec_driver_sql('PRAGMA database_list').fetchone()[2]",
        "import sqlite3; other = sqlite3.connect(file, timeout=0)",
        "assert other.execute('SELECT name FROM items').fetchone()[0][-1] != '!'",
    )
    stocked.ok("just", "migrate", "--accept-loss")
    assert not wal_of(stocked.database).exists()
