"""Databases and circumstances that are legal, rare, and no reason to fail or to lie."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import inside
import pytest
from shop import Project, add, content, leave_hot_journal, make, uncheckpointed, wal_of

ODD_SCHEMAS = {
    "a broken CHECK": """
        CREATE TABLE t (id INTEGER PRIMARY KEY, v CHECK (v > 0));
        PRAGMA ignore_check_constraints = ON;
        INSERT INTO t (v) VALUES (-1);
    """,
    "a NULL where none may be": """
        CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
        INSERT INTO t (v) VALUES (NULL), ('x');
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)';
    """,
    "a foreign key that cannot be checked": """
        CREATE TABLE p (a, b);
        CREATE TABLE t (id INTEGER PRIMARY KEY, v REFERENCES p (a));
        INSERT INTO t (v) VALUES (1);
    """,
    "full auto-vacuum, utf-16, no rowid": """
        PRAGMA auto_vacuum = FULL;
        PRAGMA encoding = 'UTF-16';
        CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;
        INSERT INTO t VALUES ('é', '😀');
    """,
}


def rows(database: Path) -> list[object]:
    """Schema and rows of ``t``; a dump looks at foreign keys, and one of these cannot be."""
    with closing(sqlite3.connect(database)) as connection:
        schema = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        return [*schema, *connection.execute("SELECT * FROM t")]


@pytest.mark.parametrize("kind", ODD_SCHEMAS)
def test_odd_content_is_backed_up_migrated_and_restored(project: Project, kind: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.executescript(ODD_SCHEMAS[kind])
    before = rows(project.database)
    project.ok("just", "backup")
    project.ok("just", "migrate", "0001")
    project.ok("just", "restore", project.saved()[0].name)
    assert rows(project.database) == before
    project.ok("just", "nuke-db")
    project.ok("just", "restore", "latest")
    assert rows(project.database) == before


def test_an_applications_collation_and_function_are_no_obstacle(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.create_collation("Mine", lambda a, b: (a > b) - (a < b))
        connection.create_function("fine", 1, lambda _value: 1)
        connection.execute("CREATE TABLE t (v TEXT COLLATE Mine CHECK (fine(v)))")
        connection.execute("CREATE INDEX i ON t (v)")
        connection.executemany("INSERT INTO t VALUES (?)", [("b",), ("a",)])
        connection.commit()
    before = content(project.database)
    project.ok("just", "reset-db")
    project.ok("just", "restore", "latest")
    assert content(project.database) == before


def test_an_empty_auto_vacuum_database_comes_back(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("PRAGMA auto_vacuum = FULL")
        connection.execute("VACUUM")
    project.ok("just", "backup")
    project.ok("just", "migrate")
    project.ok("just", "restore", project.saved()[0].name)
    assert content(project.database) == ["BEGIN TRANSACTION;", "COMMIT;"]


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
@pytest.mark.parametrize("command", ["nuke-db", "reset-db"])
def test_a_backup_that_became_the_live_database_does_not_cover_itself(
    project: Project, link: str, command: str
) -> None:
    make(project.database)
    before = content(project.database)
    [saved] = [Path(project.ok("just", "backup").strip())]
    project.database.unlink()
    getattr(project.database, link)(saved)
    done = project.undrop(command)
    if link == "symlink_to":
        assert done.code == 2
        assert content(saved) == before
    else:
        others = [path for path in project.saved() if path.stem.endswith(f"-before-{command}")]
        assert [content(path) for path in others] == [before]


def test_a_damaged_database_in_use_is_not_replaced_under_its_users(project: Project) -> None:
    make(project.database, rows=500)
    project.ok("just", "backup")
    with uncheckpointed(project.database):
        with project.database.open("r+b") as file:
            file.write(b"garbage where the header was")
        done = project.just("restore", "latest")
        assert done.code == 1
        assert f"pid {os.getpid()}" in done.err
        assert project.database.read_bytes().startswith(b"garbage")
    project.ok("just", "restore", "latest")


def test_damage_and_another_page_size_at_once(project: Project) -> None:
    make(project.database, page_size=8192)
    before = content(project.database)
    project.ok("just", "backup")
    project.database.unlink()
    make(project.database, rows=500, wal=True, page_size=4096)
    data = bytearray(project.database.read_bytes())
    data[100:4096] = bytes(3996)
    project.database.write_bytes(data)
    project.ok("just", "restore", "latest")
    assert content(project.database) == before


def test_a_renamed_table_takes_its_old_orphans_along(stocked: Project) -> None:
    with closing(sqlite3.connect(stocked.database)) as connection, connection:
        connection.execute("DELETE FROM locations WHERE id = 1")
    stocked.revise(
        "op.execute('DROP VIEW stock_on_hand')",
        "op.rename_table('stock_movements', 'movements')",
        head="accepts_loss = ['view stock_on_hand']",
    )
    assert stocked.ok("just", "migrate") == "0006 -> 9001\n"


def test_a_migration_that_damages_its_copy_is_refused(stocked: Project) -> None:
    stocked.revise(
        "op.execute('PRAGMA writable_schema = ON')",
        "op.execute(\"UPDATE sqlite_master SET rootpage = 3 WHERE name = 'ix_items_name'\")",
    )
    done = stocked.refused(4, "just", "migrate")
    assert "damaged" in done.err


@pytest.mark.parametrize("how", ["os._exit(3)", "raise SystemExit(5)"])
def test_a_migration_that_ends_the_process_fails_it(stocked: Project, how: str) -> None:
    stocked.revise(how)
    stocked.refused(1, "just", "migrate")


def test_what_a_migration_prints_is_not_the_result(stocked: Project) -> None:
    stocked.revise("print('working')", head="print('loaded')")
    assert json.loads(stocked.ok("undrop", "migrate", "--json"))["to"] == ["9001"]
    assert json.loads(stocked.just("status", "--json").out)["heads"] == ["9001"]


def test_alembic_dies_with_a_killed_undrop(stocked: Project) -> None:
    mark = stocked.root / "mark"
    stocked.revise(f"pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))", "time.sleep(60)")
    with subprocess.Popen(["undrop", "migrate"], cwd=stocked.root, env=stocked.environment) as run:
        while not mark.exists() or not mark.read_text():
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    child = int(mark.read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            break
        if state == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("Alembic outlived undrop")
    stocked.ok("just", "backup")
    assert stocked.litter() == []


IN_PROCESS = """
import sqlite3, subprocess, sys
from alembic import command
from alembic.config import Config

ours = sqlite3.connect("quartermaster.db", isolation_level=None)
ours.execute("PRAGMA journal_mode = " + sys.argv[1])
ours.execute("CREATE TABLE mine (v)")
ours.execute("BEGIN IMMEDIATE")
ours.execute("INSERT INTO mine VALUES (1)")
command.stamp(Config("alembic.ini"), "head", sql=True)
other = "import sqlite3; sqlite3.connect('quartermaster.db', timeout=0).execute('BEGIN IMMEDIATE')"
locked_out = subprocess.run([sys.executable, "-c", other], capture_output=True)
ours.execute("COMMIT")
assert b"database is locked" in locked_out.stderr, locked_out
"""


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_the_hook_leaves_the_locks_of_the_process_it_runs_in(project: Project, mode: str) -> None:
    """POSIX locks are dropped when any descriptor of the file is closed in the process."""
    project.ok("just", "migrate")
    project.ok(sys.executable, "-c", IN_PROCESS, mode)
    assert len([path for path in project.saved() if path.stem.endswith("-alembic")]) == 1


def test_the_data_folder_gone_with_the_database(project: Project, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    url = f"sqlite:///{data}/app.db"
    make(data / "app.db")
    before = content(data / "app.db")
    project.ok("just", "backup", QUARTERMASTER_DB_URL=url)
    (data / "app.db").unlink()
    data.rmdir()
    project.ok("just", "restore", "latest", QUARTERMASTER_DB_URL=url)
    assert content(data / "app.db") == before


def test_output_that_cannot_be_written_does_not_hide_the_change(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup")
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 1)
    done = project.run("sh", "-c", "undrop restore latest >/dev/full")
    assert done.code == 3
    assert "was changed" in done.err


def test_closed_streams_are_no_reason_to_fail(project: Project) -> None:
    make(project.database)
    for redirection in ("2>&-", ">&-", "<&-", "<&- >&- 2>&-", "2>/dev/full"):
        done = project.run("sh", "-c", f"undrop backup {redirection}")
        assert done.code == 0, redirection
    assert len(project.saved()) == 5


def test_one_odd_entry_does_not_hide_the_others(project: Project) -> None:
    make(project.database)
    project.ok("just", "backup")
    record = project.saved()[0].with_suffix(".json")
    (project.backups / "gone.db").symlink_to("nowhere")
    for field, value in (("created", "0001-01-01T00:00:00+14:00"), ("mode", "rw-r")):
        entry = {**json.loads(record.read_text()), field: value}
        (project.backups / "quartermaster-20260101-000000-odd.json").write_text(json.dumps(entry))
        (project.backups / "quartermaster-20260101-000000-odd.db").write_bytes(b"")
        assert "gone.db" in project.ok("just", "list")
        done = project.just("verify")
        assert done.code == 4
        assert done.out.count(": whole") == 1


def test_a_backup_moved_away_keeps_its_record(project: Project) -> None:
    """Only a record that a killed run wrote, after its partial, is swept with that."""
    make(project.database)
    before = content(project.database)
    saved = inside.back_up(project)
    record = saved.with_suffix(".json")
    written = record.read_bytes()
    away = saved.rename(project.root / "away.db")
    partial = project.backups / ".4194399.partial"
    while not partial.exists() or partial.stat().st_ctime_ns <= record.stat().st_ctime_ns:
        partial.write_text("half")
    inside.back_up(project)
    assert project.litter() == []
    assert record.read_bytes() == written
    away.rename(saved)
    with closing(sqlite3.connect(project.database)) as connection:
        add(connection, 5)
    assert inside.put_back(project, saved.name) == saved
    assert content(project.database) == before


def test_a_link_out_of_the_project_is_not_followed_unless_it_is_configured(
    project: Project, tmp_path: Path
) -> None:
    make(project.database)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    project.backups.symlink_to(shared)
    done = project.just("backup")
    assert done.code == 2
    assert not list(shared.iterdir())
    pyproject = project.root / "pyproject.toml"
    text = pyproject.read_text()
    assert 'backups = "backups"' in text
    pyproject.write_text(text.replace('backups = "backups"', f'backups = "{shared}"'))
    assert Path(project.ok("just", "backup").strip()).parent == shared


def leave_no_journal(database: Path) -> None:
    database.with_name(database.name + "-journal").write_bytes(b"nor a journal")


@pytest.mark.parametrize("leave", [leave_hot_journal, leave_no_journal])
def test_a_hot_journal_beside_a_wal(project: Project, leave: Callable[[Path], None]) -> None:
    """A read-only look, which a -wal asks for, could not roll back; what is none is no content."""
    make(project.database, rows=2000)
    before = content(project.database)
    leave(project.database)
    wal_of(project.database).write_bytes(b"not a wal at all")
    assert content(inside.back_up(project)) == before
    assert content(project.database) == before
