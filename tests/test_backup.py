"""``just backup``: one whole file, whatever SQLite's files are; ``engines/`` has the rest."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from shop import (
    REPOSITORY,
    Project,
    content,
    leave_hot_journal,
    leave_wal,
    make,
    uncheckpointed,
    wal_of,
)


def test_the_file_is_in_rollback_mode_with_nothing_beside_it_but_the_record(
    project: Project,
) -> None:
    make(project.database, wal=True)
    path = Path(project.ok("just", "backup").strip())
    assert path.read_bytes()[18:20] == b"\x01\x01"
    assert json.loads(path.with_suffix(".json").read_text())["journal_mode"] == "wal"
    assert {entry.name for entry in project.backups.iterdir()} == {
        path.name,
        path.with_suffix(".json").name,
        ".lock",
    }


def test_holds_commits_that_are_only_in_the_wal(project: Project) -> None:
    make(project.database)
    with uncheckpointed(project.database):
        alone = project.root / "alone.db"
        shutil.copy(project.database, alone)
        path = Path(project.ok("just", "backup").strip())
        assert content(path) == content(project.database)
        assert content(path) != content(alone)


def test_looking_leaves_a_dead_programs_wal_and_the_file_as_they_are(project: Project) -> None:
    make(project.database)
    leave_wal(project.database)
    before = project.database.read_bytes(), wal_of(project.database).read_bytes()
    path = Path(project.ok("just", "backup").strip())
    assert (project.database.read_bytes(), wal_of(project.database).read_bytes()) == before
    assert "in the wal" in "".join(content(path))


def test_a_hot_journal_is_rolled_back_first(project: Project) -> None:
    make(project.database, rows=2000)
    before = content(project.database)
    leave_hot_journal(project.database)
    path = Path(project.ok("just", "backup").strip())
    assert content(path) == before


def test_a_database_in_memory_is_nothing_to_back_up(project: Project) -> None:
    done = project.just("backup", QUARTERMASTER_DB_URL="sqlite://")
    assert (done.code, done.out) == (0, "")
    assert "nothing to back up" in done.err


def test_an_empty_database_has_a_backup_too(project: Project) -> None:
    project.database.touch()
    path = Path(project.ok("just", "backup").strip())
    assert content(path) == content(project.database)


def test_an_unchanged_database_gives_the_same_bytes(project: Project) -> None:
    make(project.database)
    first = Path(project.ok("just", "backup").strip()).read_bytes()
    leave_wal(project.database)
    second = Path(project.ok("just", "backup").strip()).read_bytes()
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    third = Path(project.ok("just", "backup").strip()).read_bytes()
    assert first != second == third


def damage(database: Path) -> None:
    """Overwrite a page in the middle: still a database, no longer a whole one."""
    with database.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xff" * 4096)


def test_a_damaged_database_is_no_backup(project: Project) -> None:
    make(project.database, rows=500)
    damage(project.database)
    done = project.just("backup")
    assert done.code == 4
    assert "damaged" in done.err
    assert "just restore latest" in done.err
    assert project.saved() == []
    assert project.litter() == []


def test_before_a_rescue_damage_is_set_aside(project: Project) -> None:
    make(project.database, rows=500)
    damage(project.database)
    done = project.just("backup", "--before=nuke-db", "--", "")
    assert done.code == 0
    [kept] = project.backups.glob("*.damaged")
    assert (kept / "quartermaster.db").read_bytes() == project.database.read_bytes()
    assert project.saved() == []


def test_before_migrate_damage_stops(project: Project) -> None:
    make(project.database, rows=500)
    damage(project.database)
    assert project.just("backup", "--before=migrate", "--", "").code == 4


def test_work_copies_of_a_killed_run_are_swept(project: Project) -> None:
    make(project.database)
    (project.root / ".quartermaster.db.4194399.undrop-work").write_text("half")
    (project.root / ".quartermaster.db.4194399.undrop-work-wal").write_text("half")
    project.ok("just", "backup")
    assert project.litter() == []


def test_the_page_that_a_clone_has_in_backups_is_no_backup(project: Project) -> None:
    """``backups/README.md`` of this repository: neither listed, checked, kept elsewhere nor swept.

    A clone makes the folder readable to all; a backup closes it, looking at the list does not.
    """
    project.backups.mkdir()
    project.backups.chmod(0o755)
    page = Path(shutil.copy(REPOSITORY / "backups/README.md", project.backups))
    text = page.read_text()
    make(project.database)
    assert json.loads(project.ok("undrop", "list", "--json"))["backups"] == []
    assert project.backups.stat().st_mode & 0o777 == 0o755
    assert project.just("restore", "README").code == project.just("forget", "README.md").code == 2
    path = Path(project.ok("just", "backup").strip())
    assert project.backups.stat().st_mode & 0o777 == 0o700
    (project.backups / ".1.partial").touch()  # a killed run's, which sweeps
    project.ok("just", "backup")
    assert project.litter() == []
    assert "README" not in project.ok("just", "list") + project.ok("just", "verify")
    state = Path(project.environment["XDG_STATE_HOME"])
    assert [kept.name for kept in state.rglob("README*")] == []
    assert path.exists()
    assert page.read_text() == text
