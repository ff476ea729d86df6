"""``just undo``: the state before the last step that changed something, and back again."""

import sqlite3
from contextlib import closing

import pytest
from shop import Project, content, some


def lose(project: Project) -> None:
    """Rows that no backup has."""
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("DELETE FROM stock_movements WHERE id % 3 = 0")


@pytest.mark.parametrize(
    "command",
    some(
        [
            ("just", "migrate", "-1", "--accept-loss"),
            ("just", "restore", "latest"),
            ("just", "reset-db"),
            ("just", "nuke-db"),
            ("alembic", "downgrade", "-1"),
        ]
    ),
    ids=lambda command: command[1],
)
def test_undo_and_redo_stay_in_wal_mode(stocked: Project, command: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(stocked.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    stocked.ok("just", "backup")
    lose(stocked)
    before = content(stocked.database)
    stocked.ok(*command)
    after = content(stocked.database) if stocked.database.exists() else None
    assert after != before
    assert stocked.just("undo").code == 0
    assert content(stocked.database) == before
    with closing(sqlite3.connect(stocked.database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    stocked.ok("just", "undo")
    assert (content(stocked.database) if stocked.database.exists() else None) == after
    stocked.ok("just", "undo")
    assert content(stocked.database) == before


def test_a_damaged_state_is_not_put_back(stocked: Project) -> None:
    stocked.ok("just", "backup")
    stocked.database.write_text("no database")
    stocked.ok("just", "restore", "latest")
    done = stocked.refused(4, "just", "undo")
    assert ".damaged" in done.err


def test_undo_works_on_a_damaged_database(stocked: Project) -> None:
    """What did that was no step: the newest known state comes back."""
    stocked.ok("just", "migrate", "-1", "--accept-loss")
    before = content(stocked.database)
    stocked.database.write_text("no database")
    stocked.ok("just", "undo")
    assert content(stocked.database) == before


def write(project: Project, script: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.executescript(script)


def test_what_cannot_be_compared_can_be_undone(project: Project) -> None:
    script = "PRAGMA encoding = 'UTF-16le'; CREATE TABLE q (t TEXT); INSERT INTO q VALUES ('hello')"
    write(project, script)
    before = content(project.database)
    project.ok("just", "reset-db")
    project.ok("just", "undo")
    assert content(project.database) == before
