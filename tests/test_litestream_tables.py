"""Litestream's own tables stay in live, whatever is put in its place; no daemon needed.

``test_litestream.py`` has the real daemon.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from shop import Project, content

AS_LITESTREAM = (  # db.go, init: the same in 0.3 and 0.5
    "CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);"
    "CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER);"
)
WRITES = "INSERT INTO _litestream_seq VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1;"
TABLES = {
    "_litestream_seq": "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)",
    "_litestream_lock": "CREATE TABLE _litestream_lock (id INTEGER)",
}
# As autogenerate does, which knows of no such tables.
DROPPED = [f"op.execute('DROP TABLE IF EXISTS {name}')" for name in TABLES]


def begin(project: Project) -> None:
    """What a daemon does to a database that it opens."""
    project.script(f"PRAGMA journal_mode = WAL; {AS_LITESTREAM} {WRITES}")


def kept(database: Path) -> dict[str, str]:
    """Litestream's tables in a file."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE name LIKE '\\_litestream%' ESCAPE '\\'"
        )
        return dict(rows.fetchall())


def theirs(database: Path) -> list[str]:
    """What is in a file besides."""
    return [line for line in content(database) if "_litestream_" not in line]


@pytest.mark.parametrize(
    "command",
    [
        ("just", "restore", "plain"),
        ("just", "reset-db"),
        ("just", "undo"),
        ("just", "migrate"),
        ("just", "migrate", "-1", "--accept-loss"),
    ],
    ids=" ".join,
)
def test_every_step_keeps_them_and_edits_no_backup(
    stocked: Project, command: tuple[str, ...]
) -> None:
    """Without them a running daemon's checkpoints fail for good."""
    if "undo" in command:
        stocked.ok("just", "migrate", "-1", "--accept-loss")
    stocked.ok("just", "backup", "plain")
    stocked.revise(*DROPPED)
    begin(stocked)
    if "restore" in command:
        stocked.script("DELETE FROM stock_movements")
    with closing(sqlite3.connect(stocked.database)) as application:  # so that the -wal stays
        application.execute("PRAGMA user_version").fetchone()
        before = {path: path.read_bytes() for path in stocked.saved()}
        stocked.ok(*command)
        assert kept(stocked.database) == TABLES
        assert {path: path.read_bytes() for path in before} == before
        assert [path for path in stocked.litter() if "undrop" in path] == []
    seen = stocked.undrop("status", "--json")
    assert json.loads(seen.out)["covered"] is True, seen
    stocked.ok("just", "verify")
    stocked.ok("just", "undo")
    assert kept(stocked.database) == TABLES


def test_what_is_restored_is_the_backup_besides(stocked: Project) -> None:
    stocked.ok("just", "backup", "plain")
    before = content(stocked.database)
    begin(stocked)
    stocked.script("DELETE FROM stock_movements")
    stocked.ok("just", "restore", "plain")
    assert theirs(stocked.database) == before
    assert stocked.sql("SELECT * FROM _litestream_seq") == []
    assert stocked.sql("PRAGMA journal_mode") == [("wal",)]


def test_from_elsewhere_they_are_added_to_a_copy(stocked: Project, tmp_path: Path) -> None:
    file = stocked.export(tmp_path / "mine.db")
    raw = file.read_bytes()
    begin(stocked)
    stocked.script("DELETE FROM stock_movements")
    stocked.ok("just", "restore", str(file))
    assert kept(stocked.database) == TABLES
    assert file.read_bytes() == raw


def test_what_a_backup_has_of_them_is_put_back_as_it_is(stocked: Project) -> None:
    begin(stocked)
    stocked.ok("just", "backup", "with theirs")
    stocked.script(f"DELETE FROM stock_movements; {WRITES}")
    stocked.ok("just", "restore", "with-theirs")
    assert stocked.sql("SELECT * FROM _litestream_seq") == [(1, 1)]
    assert "after-restore" not in "".join(path.name for path in stocked.saved())


def test_where_live_has_none_none_are_made(stocked: Project) -> None:
    stocked.ok("just", "backup", "plain")
    stocked.script("DELETE FROM stock_movements")
    stocked.ok("just", "restore", "plain")
    stocked.ok("just", "reset-db")
    assert kept(stocked.database) == {}


def test_they_are_nobodys_work(stocked: Project) -> None:
    """Neither that they came, nor what is written into them."""
    before = content(stocked.database)
    stocked.ok("just", "migrate", "-1", "--accept-loss")
    begin(stocked)
    assert "goes back before migrate" in stocked.undrop("status").out
    stocked.ok("just", "undo")
    assert theirs(stocked.database) == before
    stocked.script(WRITES)
    stocked.ok("just", "undo")
    assert "0005" in stocked.undrop("status").out


def test_they_do_not_keep_a_restore_from_being_in_place(stocked: Project) -> None:
    stocked.ok("just", "backup", "one")
    begin(stocked)
    stocked.script("DELETE FROM stock_movements")
    stocked.ok("just", "restore", "latest")
    stocked.script(WRITES * 3)
    done = stocked.just("restore", "latest")
    assert done.code == 0
    assert "already in place" in done.err


def test_they_are_no_loss_and_no_difference(stocked: Project) -> None:
    begin(stocked)
    stocked.ok("just", "backup", "with")
    stocked.revise(*DROPPED)
    done = stocked.just("migrate")
    assert done.code == 0, done
    assert "LOSS" not in done.err
    done = stocked.undrop("diff", "--json", "with", "live")
    assert [t for t in json.loads(done.out)["tables"] if "litestream" in str(t)] == []


def test_a_database_of_nothing_else_is_lost(stocked: Project) -> None:
    stocked.ok("just", "backup")
    before = content(stocked.database)
    stocked.database.unlink()
    begin(stocked)
    done = stocked.undrop("status")
    assert done.code == 4
    assert "LOST" in done.out
    stocked.ok("just", "undo")
    assert theirs(stocked.database) == before
