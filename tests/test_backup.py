"""``just backup``: one whole file, whatever the database is doing."""

import json
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from shop import Project, content, leave_hot_journal, leave_wal, make, uncheckpointed, wal_of

HOSTILE = "before import: Größe & co; $(touch x)"


def test_prints_one_path_of_a_database_that_any_tool_opens(project: Project) -> None:
    make(project.database)
    done = project.just("backup")
    [path] = done.out.splitlines()
    assert Path(path).parent == project.backups
    assert content(Path(path)) == content(project.database)
    assert project.litter() == []


def test_the_file_is_in_rollback_mode_with_nothing_beside_it_but_the_record(
    project: Project,
) -> None:
    make(project.database, wal=True)
    path = Path(project.ok("just", "backup").strip())
    assert path.read_bytes()[18:20] == b"\x01\x01"
    assert {entry.name for entry in project.backups.iterdir()} == {
        path.name,
        path.with_suffix(".json").name,
        ".lock",
    }


def test_a_reason_is_data(project: Project) -> None:
    make(project.database)
    path = Path(project.ok("just", "backup", HOSTILE).strip())
    assert path.name.endswith("-before-import-grosse-co-touch-x.db")
    assert json.loads(path.with_suffix(".json").read_text())["reason"] == HOSTILE
    assert not (project.root / "x").exists()


@pytest.mark.parametrize(
    ("reason", "slug"),
    [
        ("../../x; rm -rf /", "x-rm-rf"),
        ("a" * 300, "a" * 60),
        ("😀\n\n", "manual"),
        ("", "manual"),
        ("--help", "help"),
        ("-x", "x"),
        ("\x1b[31mred", "31mred"),
    ],
)
def test_any_reason_gives_a_file_inside_backups(project: Project, reason: str, slug: str) -> None:
    make(project.database)
    path = Path(project.ok("just", "backup", reason).strip())
    assert path.parent == project.backups
    assert path.name.endswith(f"-{slug}.db")


def test_an_unquoted_reason_is_refused_with_the_line_to_type(project: Project) -> None:
    make(project.database)
    done = project.just("backup", "two", "words")
    assert done.code == 2
    assert "in quotes" in done.err
    assert project.saved() == []


def test_names_in_one_second_never_overwrite(project: Project) -> None:
    make(project.database)
    paths = {project.ok("undrop", "backup", "same").strip() for _ in range(6)}
    assert len(paths) == 6
    assert len(project.saved()) == 6


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


def test_no_database_is_nothing_to_back_up(project: Project) -> None:
    done = project.just("backup")
    assert done.code == 0
    assert done.out == ""
    assert "nothing to back up" in done.err
    assert not project.backups.exists()
    assert not project.database.exists()


def test_a_database_in_memory_is_nothing_to_back_up(project: Project) -> None:
    done = project.just("backup", QUARTERMASTER_DB_URL="sqlite://")
    assert (done.code, done.out) == (0, "")
    assert "nothing to back up" in done.err


def test_the_variable_names_another_database(project: Project, tmp_path: Path) -> None:
    make(project.database)
    other = tmp_path / "somewhere else" / "other.db"
    other.parent.mkdir()
    make(other, rows=3)
    url = f"sqlite:///{other}"
    path = Path(project.ok("just", "backup", QUARTERMASTER_DB_URL=url).strip())
    assert path.name.startswith("other-")
    assert content(path) == content(other)


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


def test_files_are_for_the_owner_only_whatever_the_umask(project: Project) -> None:
    make(project.database)
    project.ok("sh", "-c", "umask 000; exec undrop backup")
    [path] = project.saved()
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(path.with_suffix(".json").stat().st_mode) == 0o600
    assert stat.S_IMODE(project.backups.stat().st_mode) == 0o700


def test_the_record_says_what_it_is(stocked: Project) -> None:
    stocked.ok("just", "backup", "why not")
    [path] = stocked.saved()
    entry = json.loads(path.with_suffix(".json").read_text())
    assert entry["revisions"] == ["0006"]
    assert entry["source"] == "quartermaster.db"
    assert entry["bytes"] == path.stat().st_size
    assert entry["digest"].startswith("blake3:")
    assert entry["check"] == "ok"
    assert entry["journal_mode"] == "delete"
    assert entry["before"] == ""


def test_before_a_step_the_path_goes_to_stderr_and_into_the_record(project: Project) -> None:
    make(project.database)
    done = project.just("backup", "before restore", "restore")
    assert done.out == ""
    [path] = project.saved()
    assert str(path) in done.err
    assert json.loads(path.with_suffix(".json").read_text())["before"] == "restore"


def test_json_has_the_path_and_the_record(project: Project) -> None:
    make(project.database)
    answer = json.loads(project.ok("undrop", "backup", "--json"))
    assert Path(answer["backup"]).is_file()
    assert answer["verified"] is True


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
    done = project.just("backup", "before restore", "restore")
    assert done.code == 0
    [kept] = project.backups.glob("*.damaged")
    assert (kept / "quartermaster.db").read_bytes() == project.database.read_bytes()
    assert project.saved() == []


def test_before_migrate_damage_stops(project: Project) -> None:
    make(project.database, rows=500)
    damage(project.database)
    assert project.just("backup", "before migrate", "migrate").code == 4


def test_a_file_where_backups_should_be_fails_with_three_lines(project: Project) -> None:
    make(project.database)
    project.backups.write_text("in the way")
    done = project.just("backup")
    assert done.code == 1
    assert len(done.err.splitlines()) == 3
    assert "was not changed" in done.err


def test_a_locked_database_ends_with_the_name_of_who_locks_it(project: Project) -> None:
    make(project.database)
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        done = project.just("backup")
    assert done.code == 1
    assert "locked" in done.err
    assert "pid" in done.err
    assert project.litter() == []


def test_left_overs_of_a_killed_run_are_swept(project: Project) -> None:
    make(project.database)
    project.backups.mkdir()
    (project.backups / ".123.partial").write_text("half")
    (project.backups / ".124.partial").mkdir()
    (project.backups / "quartermaster-20260101-000000-x.json").write_text("{}")
    (project.root / ".quartermaster.db.4194399.undrop-work").write_text("half")
    (project.root / ".quartermaster.db.4194399.undrop-work-wal").write_text("half")
    project.ok("just", "backup")
    assert project.litter() == []
    assert len(list(project.backups.glob("*.json"))) == 1
